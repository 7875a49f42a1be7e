/* Recipients out of a header: every address that is called right parses again, and no Bcc is left behind. */
#include "format/header.h"
#include "format/recipients.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct header_recipients found;
    arena_init(&arena, 4 << 20);
    header_recipients_find(span_from(data, size), span_text("home.test"), &arena, &found);
    size_t count = 0;
    for (const struct header_recipient *r = found.first; r; r = r->next, count++) {
        struct mail_path path;
        if (!r->problem && mail_address_parse(r->text, true, &arena, &path))
            abort();
    }
    if (count != found.count)
        abort();
    char *message = malloc(size + 1);
    if (!message)
        abort();
    if (size)
        memcpy(message, data, size);
    size_t left = header_remove_bcc(message, size);
    struct header_field field;
    if (left > size || header_find(span_from(message, left), span_text("Bcc"), &field))
        abort();
    free(message);
    arena_release(&arena);
    return 0;
}
