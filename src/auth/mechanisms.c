#include "auth/mechanisms.h"

/* APOP shows nobody the password, and exists for clients without TLS: whoever switches it on wants it there. */
const struct mechanism mechanisms[MECHANISM_COUNT] = {
    [MECHANISM_SCRAM_SHA_256_PLUS] = {"SCRAM-SHA-256-PLUS", .needs_secure = true, .needs_binding = true,
                                      .is_sasl = true},
    [MECHANISM_SCRAM_SHA_256] = {"SCRAM-SHA-256", .needs_secure = true, .is_sasl = true},
    [MECHANISM_PLAIN] = {"PLAIN", .needs_secure = true, .is_sasl = true},
    [MECHANISM_LOGIN] = {"LOGIN", .needs_secure = true, .is_sasl = true},
    [MECHANISM_APOP] = {"APOP"},
};

enum mechanism_id mechanism_parse(struct span name)
{
    for (enum mechanism_id id = 0; id < MECHANISM_COUNT; id++)
        if (span_is_nocase(name, mechanisms[id].name))
            return id;
    return MECHANISM_COUNT;
}

bool mechanism_fits(enum mechanism_id id, bool secure, bool binding)
{
    return (secure || !mechanisms[id].needs_secure) && (binding || !mechanisms[id].needs_binding);
}

void sasl_mechanism_list(bool secure, bool binding, struct buf *out)
{
    const char *separator = "";
    for (enum mechanism_id id = 0; id < MECHANISM_COUNT; id++) {
        if (!mechanisms[id].is_sasl || !mechanism_fits(id, secure, binding))
            continue;
        buf_add_text(out, separator);
        buf_add_text(out, mechanisms[id].name);
        separator = " ";
    }
}
