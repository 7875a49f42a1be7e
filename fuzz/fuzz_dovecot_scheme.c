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
    /* Not what is meant to take long: digests, and those whose first cost has one digit. */
    static const struct span digest = SPAN("{S"), few_rounds = SPAN("{PBKDF2}$1$");
    struct span made = buf_span(&value),
                rest = span_skip(made, few_rounds.size < made.size ? few_rounds.size : made.size);
    bool quick = span_starts_nocase(made, digest);
    if (span_starts_nocase(made, few_rounds)) {
        span_cut(&rest, '$');
        quick = span_cut(&rest, '$').size == 1;
    }
    if (!problem && kind == DOVECOT_OWN && quick && password_parse(span_from("x", 1), &password) &&
        dovecot_scheme_verify(&password, buf_span(&value)) == -EINVAL)
        abort();
    buf_release(&value);
    return 0;
}
