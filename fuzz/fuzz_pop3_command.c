/* POP3 command lines. */
#include "format/pop3_command.h"

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
    struct pop3_command command;
    const char *problem = pop3_command_parse(line, &command);

    require(command.verb <= POP3_UNKNOWN && command.arguments <= 2 && command.numbers <= 2);
    require(command.verb == POP3_UNKNOWN || span_is_nocase(command.word, pop3_verb_name(command.verb)));
    if (problem) {
        require(strlen(problem) > 0 && strlen(problem) < 100);
        return 0;
    }
    require(!command.numbers || command.number[0] > 0);
    for (unsigned i = 0; i < command.arguments; i++) {
        struct span argument = command.argument[i];
        require(argument.size < size && argument.data >= line.data &&
                argument.data + argument.size <= line.data + size);
        for (size_t j = 0; j < argument.size; j++)
            require((unsigned char)argument.data[j] >= 32 || (argument.data[j] == '\t' && command.verb == POP3_PASS));
    }
    return 0;
}
