/* What a client may send to log in: the first byte chooses the mechanism and the account, the rest is messages, each
 * behind a byte that says how long it is (0: no message). */
#include "auth/sasl.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EXCHANGE_STEPS 6
#define HAS_ACCOUNT 8
#define HAS_BINDING 16

static struct sasl_account make_account(unsigned choice)
{
    static const char verifier[] = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
                                   "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
                                   "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
    struct sasl_account account = {.found = choice & HAS_ACCOUNT, .fake_key = SPAN("key")};
    if (account.found) {
        account.scram = span_text(verifier);
        account.apop = span_text("pencil");
    }
    return account;
}

static struct span take_message(struct span *input)
{
    size_t length = input->size ? (unsigned char)input->data[0] : 0;
    struct span rest = span_skip(*input, 1);
    *input = span_skip(rest, length);
    return length ? span_head(rest, length) : (struct span){0};
}

/* What the outcome promises. */
static void check_outcome(const struct sasl_exchange *x, enum sasl_outcome outcome, const struct buf *out)
{
    bool named = x->login.size > 0 && x->login.size <= LOGIN_MAX && !x->login.text[x->login.size];
    if (outcome == SASL_LOOKUP && !named)
        abort();
    if (outcome == SASL_CHECK_PASSWORD && (x->password.size == 0 || x->password.size > PASSWORD_MAX))
        abort();
    if (outcome == SASL_REFUSED && !*x->problem)
        abort();
    if (outcome != SASL_CHALLENGE && out->size)
        abort(); /* nothing leaves beside a challenge */
    if (outcome == SASL_PROVEN && x->mechanism != MECHANISM_APOP)
        abort(); /* nobody guesses a proof */
}

static void check_verifier(struct span text)
{
    struct scram_verifier verifier, again;
    struct buf written;
    buf_init(&written, 1024);
    if (scram_verifier_parse(text, &verifier)) {
        scram_verifier_write(&verifier, &written);
        if (!scram_verifier_parse(buf_span(&written), &again) || memcmp(&verifier, &again, sizeof verifier) != 0)
            abort();
    }
    buf_release(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct span rest = span_from(data + 1, size - 1);
    struct sasl_account account = make_account(data[0]);
    struct sasl_exchange x;
    struct buf out;
    check_verifier(rest);
    buf_init(&out, SASL_MESSAGE_MAX);
    sasl_exchange_init(&x, (enum mechanism_id)(data[0] % 8 % MECHANISM_COUNT));
    enum sasl_outcome outcome = SASL_CHALLENGE;
    for (int step = 0; step < EXCHANGE_STEPS && outcome == SASL_CHALLENGE; step++) {
        struct span message = take_message(&rest);
        struct sasl_input input = {
            .has_data = message.data != NULL, .data = message, .apop_timestamp = SPAN("<1@example.test>")};
        if (data[0] & HAS_BINDING)
            input.bindings = (struct scram_bindings){SPAN("exporter"), SPAN("end point")};
        buf_reset(&out);
        outcome = sasl_step(&x, &input, &out);
        if (outcome == SASL_LOOKUP) {
            check_outcome(&x, outcome, &out);
            outcome = sasl_credentials(&x, &account, &out);
        }
        check_outcome(&x, outcome, &out);
        if (buf_failed(&out))
            abort();
    }
    sasl_exchange_release(&x);
    buf_release(&out);
    return 0;
}
