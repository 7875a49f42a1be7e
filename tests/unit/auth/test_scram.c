#include "auth/scram.h"
#include "format/base64.h"
#include "scram_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ITERATIONS 4096
#define OUR_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define BARE "n=user,r=" CLIENT_NONCE

static const struct span salt = SPAN("\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81");
static const struct span exporter = SPAN("the exporter's thirty-two bytes!"),
                         end_point = SPAN("the certificate's digest");

static void make_verifier(struct scram_verifier *verifier)
{
    scram_verifier_make(span_text("pencil"), salt, ITERATIONS, verifier);
}

/* RFC 7677 section 3. */
static void test_vector(void **state)
{
    const struct scram_bindings none = {0};
    struct scram_server s;
    struct scram_verifier verifier;
    struct login login;
    struct buf out;
    make_verifier(&verifier);
    buf_init(&out, 1024);
    scram_server_init(&s, false);
    assert_int_equal(scram_client_first(&s, span_text("n,," BARE), &none, &login), SCRAM_GOOD);
    assert_string_equal(login.text, "user");
    scram_server_first(&s, &verifier, false, span_text(OUR_NONCE), &out);
    assert_true(span_is(buf_span(&out), "r=" CLIENT_NONCE OUR_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"));
    buf_reset(&out);
    assert_int_equal(
        scram_client_final(
            &s, span_text("c=biws,r=" CLIENT_NONCE OUR_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), &out),
        SCRAM_GOOD);
    assert_true(span_is(buf_span(&out), "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
    scram_server_release(&s);
    buf_release(&out);
}

enum bindings { NONE, BOTH, END_POINT_ONLY };

struct dialogue_row {
    const char *what;
    struct scram_client client;
    bool plus;
    enum bindings bindings;
    bool is_fake;
    enum scram_result first, final;
    const char *problem;
};

#define C(...) .client = {__VA_ARGS__}
#define EXPORTER                               \
    {                                          \
        "the exporter's thirty-two bytes!", 32 \
    }
#define END_POINT                      \
    {                                  \
        "the certificate's digest", 24 \
    }

static const struct dialogue_row dialogues[] = {
    {"plain", C("n,,", BARE), .problem = ""},
    {"client can bind, server can't", C("y,,", BARE), .problem = ""},
    {"no binding though offered", C("n,,", BARE), .bindings = BOTH, .problem = ""},
    {"exporter", C("p=tls-exporter,,", BARE, .binding = EXPORTER), true, BOTH, .problem = ""},
    {"end point", C("p=tls-server-end-point,,", BARE, .binding = END_POINT), true, END_POINT_ONLY, .problem = ""},
    {"authzid equal", C("n,a=User,", BARE), .problem = ""},
    {"optional extension first", C("n,,", BARE ",x=1"), .problem = ""},
    {"optional extension final", C("n,,", BARE, .extension = ",x=1"), .problem = ""},
    {"comma and equals", C("n,,", "n=us=2Cer=3D,r=" CLIENT_NONCE), .problem = ""},

    {"downgrade", C("y,,", BARE), .bindings = BOTH, .first = SCRAM_REFUSED, .problem = "downgrade"},
    {"plus without binding", C("n,,", BARE), true, BOTH, .first = SCRAM_REFUSED, .problem = "no channel binding"},
    {"plus with y", C("y,,", BARE), true, BOTH, .first = SCRAM_REFUSED, .problem = "no channel binding"},
    {"binding without plus", C("p=tls-exporter,,", BARE), false, BOTH, .first = SCRAM_REFUSED,
     .problem = "unsupported channel binding"},
    {"tls-unique", C("p=tls-unique,,", BARE), true, BOTH, .first = SCRAM_REFUSED,
     .problem = "unsupported channel binding"},
    {"exporter not there", C("p=tls-exporter,,", BARE), true, END_POINT_ONLY, .first = SCRAM_REFUSED,
     .problem = "unsupported channel binding"},
    {"authzid of another", C("n,a=bob,", BARE), .first = SCRAM_REFUSED, .problem = "authorisation identity"},
    {"mandatory extension first", C("n,,", "m=x," BARE), .first = SCRAM_REFUSED, .problem = "mandatory extension"},
    {"mandatory extension later", C("n,,", BARE ",m=x"), .first = SCRAM_REFUSED, .problem = "mandatory extension"},
    {"no flag", C(",,", BARE), .first = SCRAM_MALFORMED, .problem = ""},
    {"unknown flag", C("z,,", BARE), .first = SCRAM_MALFORMED, .problem = ""},
    {"authzid without a=", C("n,bob,", BARE), .first = SCRAM_MALFORMED, .problem = ""},
    {"nothing behind the header", C("n,,", ""), .first = SCRAM_MALFORMED, .problem = ""},
    {"no header", C("", BARE), .first = SCRAM_MALFORMED, .problem = ""},
    {"empty", C("", ""), .first = SCRAM_MALFORMED, .problem = ""},
    {"no name", C("n,,", "n=,r=" CLIENT_NONCE), .first = SCRAM_MALFORMED, .problem = ""},
    {"no nonce", C("n,,", "n=user,r="), .first = SCRAM_MALFORMED, .problem = ""},
    {"nonce missing", C("n,,", "n=user"), .first = SCRAM_MALFORMED, .problem = ""},
    {"nonce with a space", C("n,,", "n=user,r=a b"), .first = SCRAM_MALFORMED, .problem = ""},
    {"bad escape", C("n,,", "n=us=2Eer,r=" CLIENT_NONCE), .first = SCRAM_MALFORMED, .problem = ""},
    {"lower case escape", C("n,,", "n=us=2cer,r=" CLIENT_NONCE), .first = SCRAM_MALFORMED, .problem = ""},
    {"cut escape", C("n,,", "n=user=2,r=" CLIENT_NONCE), .first = SCRAM_MALFORMED, .problem = ""},
    {"bad UTF-8",
     C("n,,", "n=us\xff"
              "er,r=" CLIENT_NONCE),
     .first = SCRAM_MALFORMED, .problem = ""},

    {"wrong password", C("n,,", BARE, .password = "pencils"), .final = SCRAM_REFUSED, .problem = "wrong password"},
    {"broken proof", C("n,,", BARE, .breaks_proof = true), .final = SCRAM_REFUSED, .problem = "wrong password"},
    {"unknown user", C("n,,", BARE), .is_fake = true, .final = SCRAM_REFUSED, .problem = "wrong password"},
    {"wrong nonce", C("n,,", BARE, .nonce = CLIENT_NONCE "x"), .final = SCRAM_REFUSED, .problem = "nonce"},
    {"nonce cut", C("n,,", BARE, .nonce = CLIENT_NONCE), .final = SCRAM_REFUSED, .problem = "nonce"},
    {"mandatory extension final", C("n,,", BARE, .extension = ",m=x"), .final = SCRAM_REFUSED,
     .problem = "mandatory extension"},
    {"wrong binding data", C("p=tls-exporter,,", BARE, .binding = END_POINT), true, BOTH, .final = SCRAM_REFUSED,
     .problem = "channel binding"},
    {"no binding data", C("p=tls-exporter,,", BARE), true, BOTH, .final = SCRAM_REFUSED, .problem = "channel binding"},
    {"another header in c=", C("n,,", BARE, .sent_header = "y,,"), .final = SCRAM_REFUSED,
     .problem = "channel binding"},
};

static void run_dialogue(const struct dialogue_row *row)
{
    const struct scram_bindings bindings = {.exporter = row->bindings == BOTH ? exporter : (struct span){0},
                                            .server_end_point = row->bindings ? end_point : (struct span){0}};
    struct scram_server s;
    struct scram_verifier verifier;
    struct login login;
    struct buf server, client, server_final;
    make_verifier(&verifier);
    buf_init(&server, 4096);
    buf_init(&client, 4096);
    buf_init(&server_final, 4096);
    scram_server_init(&s, row->plus);
    scram_client_first_write(&row->client, &client);
    assert_int_equal(scram_client_first(&s, buf_span(&client), &bindings, &login), row->first);
    if (row->first == SCRAM_GOOD) {
        scram_server_first(&s, &verifier, row->is_fake, span_text(OUR_NONCE), &server);
        buf_reset(&client);
        assert_true(scram_client_final_write(&row->client, buf_span(&server), &client, &server_final));
        buf_reset(&server);
        assert_int_equal(scram_client_final(&s, buf_span(&client), &server), row->final);
        /* An honest server proves itself, and says nothing to a wrong client. */
        assert_true(span_equal(buf_span(&server), row->final ? (struct span){0} : buf_span(&server_final)));
    }
    assert_string_equal(s.problem, row->problem);
    scram_server_release(&s);
    buf_release(&server);
    buf_release(&client);
    buf_release(&server_final);
}

static void test_dialogues(void **state)
{
    for (size_t i = 0; i < sizeof dialogues / sizeof *dialogues; i++) {
        print_message("  %s\n", dialogues[i].what);
        run_dialogue(&dialogues[i]);
    }
}

static void test_names(void **state)
{
    const struct scram_bindings none = {0};
    struct scram_server s;
    struct login login;
    scram_server_init(&s, false);
    assert_int_equal(scram_client_first(&s, span_text("n,,n=us=2Cer=3D,r=abc"), &none, &login), SCRAM_GOOD);
    assert_string_equal(login.text, "us,er=");
    scram_server_release(&s);
    char message[SCRAM_MESSAGE_MAX + 2];
    static const struct span start = SPAN("n,,n=");
    for (size_t size = LOGIN_MAX; size <= LOGIN_MAX + 1; size++) {
        memset(message, 'a', sizeof message);
        memcpy(message, start.data, start.size);
        memcpy(message + start.size + size, ",r=x", 4);
        scram_server_init(&s, false);
        assert_int_equal(scram_client_first(&s, span_from(message, start.size + size + 4), &none, &login),
                         size <= LOGIN_MAX ? SCRAM_GOOD : SCRAM_MALFORMED);
        scram_server_release(&s);
    }
    scram_server_init(&s, false);
    memcpy(message, "n,,n=user,r=abc,x=", 18);
    assert_int_equal(scram_client_first(&s, span_from(message, SCRAM_MESSAGE_MAX + 1), &none, &login), SCRAM_MALFORMED);
    scram_server_release(&s);
}

static void test_malformed_final(void **state)
{
    static const char *const finals[] = {
        "",
        ",",
        "p=",
        "c=biws",
        "c=biws,r=x",
        "c=biws,r=" CLIENT_NONCE OUR_NONCE ",p=",
        "c=biws,r=" CLIENT_NONCE OUR_NONCE ",p=AAAA",                                        /* too short */
        "c=biws,r=" CLIENT_NONCE OUR_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ", /* no padding */
        "c=biws,r=" CLIENT_NONCE OUR_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ= ",
        "r=" CLIENT_NONCE OUR_NONCE ",c=biws,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "c=biws,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    };
    const struct scram_bindings none = {0};
    for (size_t i = 0; i < sizeof finals / sizeof *finals; i++) {
        struct scram_server s;
        struct scram_verifier verifier;
        struct login login;
        struct buf out;
        buf_init(&out, 1024);
        make_verifier(&verifier);
        scram_server_init(&s, false);
        assert_int_equal(scram_client_first(&s, span_text("n,," BARE), &none, &login), SCRAM_GOOD);
        scram_server_first(&s, &verifier, false, span_text(OUR_NONCE), &out);
        buf_reset(&out);
        assert_int_equal(scram_client_final(&s, span_text(finals[i]), &out), SCRAM_MALFORMED);
        assert_int_equal(out.size, 0);
        scram_server_release(&s);
        buf_release(&out);
    }
}

static void test_verifier_text(void **state)
{
    static const char good[] =
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
    static const char *const bad[] = {
        "",
        "SCRAM-SHA-256",
        "SCRAM-SHA-1$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        "SCRAM-SHA-256$0:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        "SCRAM-SHA-256$99999999999:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        "SCRAM-SHA-256$4096:$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=",
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$AAAA:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
    };
    struct scram_verifier made, parsed;
    struct buf text;
    buf_init(&text, 1024);
    make_verifier(&made);
    scram_verifier_write(&made, &text);
    assert_true(span_is(buf_span(&text), good));
    assert_true(scram_verifier_parse(buf_span(&text), &parsed));
    assert_memory_equal(&made, &parsed, sizeof made);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(scram_verifier_parse(span_text(bad[i]), &parsed));
    buf_release(&text);
}

static void test_fake_verifier(void **state)
{
    struct scram_verifier one, again, other, other_key;
    scram_verifier_fake(span_text("key"), span_text("nobody"), &one);
    scram_verifier_fake(span_text("key"), span_text("nobody"), &again);
    scram_verifier_fake(span_text("key"), span_text("nobodies"), &other);
    scram_verifier_fake(span_text("yek"), span_text("nobody"), &other_key);
    assert_int_equal(one.iterations, SCRAM_ITERATIONS);
    assert_int_equal(one.salt_size, SCRAM_SALT_SIZE);
    assert_memory_equal(one.salt, again.salt, SCRAM_SALT_SIZE);
    assert_memory_not_equal(one.stored_key, again.stored_key, SHA256_SIZE);
    assert_memory_not_equal(one.salt, other.salt, SCRAM_SALT_SIZE);
    assert_memory_not_equal(one.salt, other_key.salt, SCRAM_SALT_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vector),        cmocka_unit_test(test_dialogues),
        cmocka_unit_test(test_names),         cmocka_unit_test(test_malformed_final),
        cmocka_unit_test(test_verifier_text), cmocka_unit_test(test_fake_verifier),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
