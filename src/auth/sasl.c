#include "auth/sasl.h"

#include "format/base64.h"

static enum sasl_outcome refuse(struct sasl_exchange *x, const char *problem)
{
    x->problem = problem;
    return SASL_REFUSED;
}

static enum sasl_outcome prompt(struct sasl_exchange *x, const char *text, struct buf *out)
{
    x->stage++;
    buf_add_text(out, text);
    return SASL_CHALLENGE;
}

static enum sasl_outcome take_login(struct sasl_exchange *x, struct span name)
{
    return login_parse(name, &x->login) ? SASL_LOOKUP : refuse(x, "not a name");
}

static enum sasl_outcome take_password(struct sasl_exchange *x, struct span text)
{
    return password_parse(text, &x->password) ? SASL_LOOKUP : refuse(x, "not a password");
}

/* RFC 4616: [authzid] NUL authcid NUL passwd. */
static enum sasl_outcome step_plain(struct sasl_exchange *x, const struct sasl_input *input, struct buf *out)
{
    if (!input->has_data)
        return x->stage == 0 ? prompt(x, "", out) : SASL_MALFORMED;
    struct span rest = input->data;
    struct span authzid = span_cut(&rest, '\0');
    size_t end = span_find(rest, '\0');
    if (end == rest.size || span_find(span_skip(rest, end + 1), '\0') != rest.size - end - 1)
        return SASL_MALFORMED;
    struct span name = span_head(rest, end);
    enum sasl_outcome outcome = take_login(x, name);
    if (outcome != SASL_LOOKUP)
        return outcome;
    /* Nobody acts for another account. */
    if (authzid.size && !span_equal_nocase(authzid, name))
        return refuse(x, "authorisation identity");
    return take_password(x, span_skip(rest, end + 1));
}

static enum sasl_outcome step_login(struct sasl_exchange *x, const struct sasl_input *input, struct buf *out)
{
    if (!input->has_data)
        return x->stage == 0 ? prompt(x, "Username:", out) : SASL_MALFORMED;
    if (x->login.size)
        return take_password(x, input->data);
    enum sasl_outcome outcome = take_login(x, input->data);
    return outcome == SASL_LOOKUP ? prompt(x, "Password:", out) : outcome;
}

static enum sasl_outcome from_scram(struct sasl_exchange *x, enum scram_result result, enum sasl_outcome good)
{
    if (result == SCRAM_REFUSED)
        return refuse(x, x->scram.problem);
    return result == SCRAM_GOOD ? good : SASL_MALFORMED;
}

enum scram_stage { SCRAM_BEFORE_FIRST, SCRAM_PROMPTED, SCRAM_BEFORE_FINAL, SCRAM_BEFORE_END };

static enum sasl_outcome step_scram(struct sasl_exchange *x, const struct sasl_input *input, struct buf *out)
{
    if (!input->has_data)
        return x->stage == SCRAM_BEFORE_FIRST ? prompt(x, "", out) : SASL_MALFORMED;
    switch ((enum scram_stage)x->stage) {
    case SCRAM_BEFORE_FIRST:
    case SCRAM_PROMPTED:
        return from_scram(x, scram_client_first(&x->scram, input->data, &input->bindings, &x->login), SASL_LOOKUP);
    case SCRAM_BEFORE_FINAL:
        x->stage = SCRAM_BEFORE_END;
        return from_scram(x, scram_client_final(&x->scram, input->data, out), SASL_CHALLENGE);
    case SCRAM_BEFORE_END:
        break;
    }
    /* The server's proof went out as a challenge; the client accepts it with an empty message (RFC 4954 section 4). */
    return input->data.size == 0 ? SASL_PROVEN : SASL_MALFORMED;
}

/* RFC 1939 section 7: name SP digest. The name may hold spaces. */
static enum sasl_outcome step_apop(struct sasl_exchange *x, const struct sasl_input *input, struct buf *out)
{
    size_t space = span_find_last(input->data, ' ');
    struct span digest = span_skip(input->data, space + 1);
    if (!input->has_data || !digest.data || digest.size != MD5_HEX_SIZE || input->apop_timestamp.size == 0)
        return SASL_MALFORMED;
    buf_add_span(&x->timestamp, input->apop_timestamp);
    if (buf_failed(&x->timestamp))
        return SASL_MALFORMED;
    for (size_t i = 0; i < MD5_HEX_SIZE; i++)
        x->digest[i] = ascii_lower(digest.data[i]);
    return take_login(x, span_head(input->data, space));
}

static enum sasl_outcome credentials_scram(struct sasl_exchange *x, const struct sasl_account *account, struct buf *out)
{
    struct scram_verifier verifier = {0}, fake;
    struct buf nonce;
    bool real = account->found && scram_verifier_parse(account->scram, &verifier);
    scram_verifier_fake(account->fake_key, login_span(&x->login), &fake);
    x->stage = SCRAM_BEFORE_FINAL;
    buf_init(&nonce, (size_t)2 * SCRAM_NONCE_SIZE);
    base64_write(span_from(account->nonce, SCRAM_NONCE_SIZE), &nonce);
    scram_server_first(&x->scram, real ? &verifier : &fake, !real, buf_span(&nonce), out);
    explicit_bzero(&verifier, sizeof verifier);
    bool failed = buf_failed(&nonce); /* without a nonce of ours an old proof would do again */
    buf_release(&nonce);
    return failed ? refuse(x, "no memory") : SASL_CHALLENGE;
}

static enum sasl_outcome credentials_apop(struct sasl_exchange *x, const struct sasl_account *account, struct buf *out)
{
    char expected[MD5_HEX_SIZE];
    bool real = account->found && account->apop.size;
    digest_md5_hex(buf_span(&x->timestamp), real ? account->apop : account->fake_key, expected);
    bool equal = span_equal_secret(span_from(expected, sizeof expected), span_from(x->digest, sizeof x->digest));
    explicit_bzero(expected, sizeof expected);
    return real && equal ? SASL_PROVEN : refuse(x, real ? "wrong digest" : "no such credential");
}

static enum sasl_outcome credentials_password(struct sasl_exchange *x, const struct sasl_account *account,
                                              struct buf *out)
{
    return SASL_CHECK_PASSWORD;
}

static const struct {
    enum sasl_outcome (*step)(struct sasl_exchange *x, const struct sasl_input *input, struct buf *out);
    enum sasl_outcome (*credentials)(struct sasl_exchange *x, const struct sasl_account *account, struct buf *out);
} rows[MECHANISM_COUNT] = {
    [MECHANISM_SCRAM_SHA_256_PLUS] = {step_scram, credentials_scram},
    [MECHANISM_SCRAM_SHA_256] = {step_scram, credentials_scram},
    [MECHANISM_PLAIN] = {step_plain, credentials_password},
    [MECHANISM_LOGIN] = {step_login, credentials_password},
    [MECHANISM_APOP] = {step_apop, credentials_apop},
};

void sasl_exchange_init(struct sasl_exchange *x, enum mechanism_id mechanism)
{
    *x = (struct sasl_exchange){.mechanism = mechanism, .problem = ""};
    scram_server_init(&x->scram, mechanism == MECHANISM_SCRAM_SHA_256_PLUS);
    buf_init(&x->timestamp, SASL_TIMESTAMP_MAX);
}

void sasl_exchange_release(struct sasl_exchange *x)
{
    scram_server_release(&x->scram);
    buf_release(&x->timestamp);
    explicit_bzero(x, sizeof *x);
}

enum sasl_outcome sasl_step(struct sasl_exchange *x, const struct sasl_input *input, struct buf *out)
{
    if (input->data.size > SASL_MESSAGE_MAX)
        return SASL_MALFORMED;
    return rows[x->mechanism].step(x, input, out);
}

enum sasl_outcome sasl_credentials(struct sasl_exchange *x, const struct sasl_account *account, struct buf *out)
{
    return rows[x->mechanism].credentials(x, account, out);
}
