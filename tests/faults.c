/* Shows that the sanitizers look: with each word it makes the fault that the word names. tests/faults.sh expects it to
 * be found. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Volatile, so that no compiler sees the faults coming. */
static volatile int zero;
static char *volatile kept;

static int leak(void)
{
    kept = malloc(1234);
    if (!kept)
        return EXIT_FAILURE;
    memset(kept, 'x', 1234);
    kept = NULL;
    return EXIT_SUCCESS;
}

static int overflow(void)
{
    kept = calloc(1, 16);
    if (!kept)
        return EXIT_FAILURE;
    printf("%d\n", kept[16 + zero]);
    free(kept);
    return EXIT_SUCCESS;
}

static int undefined(void)
{
    int most = INT_MAX - zero;
    most++;
    printf("%d: gone on\n", most);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    const char *fault = argc > 1 ? argv[1] : "";
    if (strcmp(fault, "leak") == 0)
        return leak();
    if (strcmp(fault, "overflow") == 0)
        return overflow();
    if (strcmp(fault, "undefined") == 0)
        return undefined();
    fprintf(stderr, "usage: faults leak|overflow|undefined\n");
    return EXIT_FAILURE;
}
