/* The program. A process of a running server is the same program with a hidden first word; all else is the command
 * line. */
#include "ctl/ctl.h"
#include "proc/blacklist_helper.h"
#include "proc/child.h"

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], CHILD_WORD) == 0)
        return child_main(argc, argv);
    if (argc > 1 && strcmp(argv[1], BLACKLIST_HELPER_WORD) == 0)
        return blacklist_helper_main(argc, argv);
    return ctl_main(argc, argv);
}
