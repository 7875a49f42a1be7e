/* Password hashes of other servers: what is taken at an import can be read at a login. */
#include "auth/dovecot_scheme.h"

#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_from(data, size);
    struct buf value;
    enum dovecot_kind kind;
    struct password password;
    buf_init(&value, 2048);
    const char *problem = dovecot_scheme_parse(text, &kind, &value);
    if (problem && strlen(problem) == 0)
        abort();
    /* Not those that are meant to take long. */
    static const struct span digest = SPAN("{S");
    bool quick = span_equal(span_head(buf_span(&value), digest.size), digest);
    if (!problem && kind == DOVECOT_OWN && quick && password_parse(span_from("x", 1), &password) &&
        dovecot_scheme_verify(&password, buf_span(&value)) == -EINVAL)
        abort();
    buf_release(&value);
    return 0;
}
