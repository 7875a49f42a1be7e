/* PWD command lines. */
#include "pwd/command.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span line = span_from(data, size);
    struct pwd_command command;
    const char *problem = pwd_command_parse(line, &command);
    struct span argument = command.argument;

    require(command.verb <= PWD_UNKNOWN);
    if (problem) {
        require(strlen(problem) > 0 && strlen(problem) < 100 && argument.size == 0);
        return 0;
    }
    bool takes_one = command.verb == PWD_USER || command.verb == PWD_PASS || command.verb == PWD_NEWPASS;
    require(takes_one == (argument.size > 0));
    if (!takes_one)
        return 0;
    require(argument.data > line.data && argument.data + argument.size <= line.data + line.size);
    for (size_t i = 0; i < argument.size; i++)
        require((unsigned char)argument.data[i] >= 32 && argument.data[i] != 127);
    /* A password loses nothing: it reaches from the one space to the end of the line. */
    if (command.verb != PWD_USER)
        require(argument.data[-1] == ' ' && argument.data + argument.size == line.data + line.size &&
                argument.size + (command.verb == PWD_PASS ? 5 : 8) == line.size);
    return 0;
}
