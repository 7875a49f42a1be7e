#include "auth/account.h"
#include "auth/dovecot_scheme.h"
#include "auth/password.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct password password_of(const char *text)
{
    struct password password;
    assert_true(password_parse(span_text(text), &password));
    return password;
}

static int compare(enum dovecot_kind kind, struct span value, const char *text)
{
    struct password password = password_of(text);
    struct account_secrets secrets;
    account_secrets_init(&secrets);
    buf_add_span(kind == DOVECOT_CRYPT           ? &secrets.crypt
                 : kind == DOVECOT_SCRAM_SHA_256 ? &secrets.scram
                                                 : &secrets.dovecot,
                 value);
    int rc = account_has_password(&secrets) ? account_compare(&secrets, &password) : -ENOENT;
    account_secrets_release(&secrets);
    return rc;
}

/* All of "secret word", made by Dovecot 2.3's own tool. */
static void test_made_by_dovecot(void **state)
{
    static const struct {
        const char *text;
        enum dovecot_kind kind;
    } rows[] = {
        {"{SHA}PDUC6jG3V40qqE4XqHRFLkyoMVM=", DOVECOT_OWN},
        {"{sha1}PDUC6jG3V40qqE4XqHRFLkyoMVM=", DOVECOT_OWN},
        {"{SHA.B64}PDUC6jG3V40qqE4XqHRFLkyoMVM=", DOVECOT_OWN},
        {"{SSHA}IEWIctCfoTn5vUSgjBULOJyYq6fDHdrA", DOVECOT_OWN},
        {"{SSHA.HEX}9ecd26988a890b03a652dc4130ff245160c60ee9b240977e", DOVECOT_OWN},
        {"{SHA256}IayyjA3gWZZbR1sHRtCwKExgzKYGpItNvBowIpWLrRY=", DOVECOT_OWN},
        {"{SHA256.HEX}21acb28c0de059965b475b0746d0b0284c60cca606a48b4dbc1a3022958bad16", DOVECOT_OWN},
        {"{SHA256}21ACB28C0DE059965B475B0746D0B0284C60CCA606A48B4DBC1A3022958BAD16", DOVECOT_OWN},
        {"{SSHA256}7kmJXHTezBOGoIDsgOvdHcVv4CmEyVj/xB3zTO4r4tKVs+4i", DOVECOT_OWN},
        {"{SHA512}fOXiyQ05YN/eMu5/hCegoO0CDda5pBYuEaN9EuqV1ZbWIQdXvnQnyj+5FCqAQGUGeGjr7aZ9mJtfWlX0sA11kA==",
         DOVECOT_OWN},
        {"{SSHA512}/TIMfDgUFmmJv627dxrW4ERB8Bp1tOEn4wMec0y517a6SvJLLWUVVrZzIad/8693PIDlRTjCX9YuGeXTHW+QNwRgSgE=",
         DOVECOT_OWN},
        {"{SMD5}yH2tYiT3lS6w67mJ7HFyxS7FhlE=", DOVECOT_OWN},
        {"{PLAIN-MD5}74a11ef33c5252edfa87c4eb8b566c2a", DOVECOT_OWN},
        {"{LDAP-MD5}dKEe8zxSUu36h8Tri1ZsKg==", DOVECOT_OWN},
        {"{PBKDF2}$1$SAVmMo8rBli8BBXh$5000$b4cc13b035b5c7c90ad41b482a57450769637db6", DOVECOT_OWN},
        {"{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$b7ZwLreaZTfRyBaVKHsSWA$M7eIVYK31gvZgENq+G2d6xxN1XIweY0voSD6ONP2AVY",
         DOVECOT_OWN},
        {"{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$IRgk0fVYKjt7E+/"
         "FcMBbEQ$WVrSgn50vv9KncAz806NRam621rwqCO9WeuIWSQlSkQ",
         DOVECOT_OWN},
        {"{SCRAM-SHA-256}4096,EkbIYkFX8K9hN7DUHQWRuQ==,rsq4WeN8y0RA5Jkde07Phlr5wHCUXmKBrY3dytewHY8=,+FvU/"
         "QFB0TiMS/LmIpdZB5ofI3KjYdIxafRqjV+TeHs=",
         DOVECOT_SCRAM_SHA_256},
        {"{CRYPT}$2y$05$vkec6Zw3R.xvCNqiLnh27eF8pXxYakJ45CWYkKai8axyHcTzrjF5e", DOVECOT_CRYPT},
        {"{BLF-CRYPT}$2y$05$UcL9vbdb58tBFNodfqbDQelWIig94.m8PpYkMP/EVQ5.nnChlwsoC", DOVECOT_CRYPT},
        {"{SHA256-CRYPT}$5$kAzVnH6FchyiDq4B$opOuAAeEJT1UnzRSfpsRgd3OdRojRuLv8J6/DI6Lxv2", DOVECOT_CRYPT},
        {"{SHA512-CRYPT}$6$JHmCcWcCq4mYqaDv$Eyc7lFmLQOV4h0eBp8xKh1zO./"
         "UL8.yVuRTJ50e6Xk01lwb/FkhGWc9pDqBOP3/CAMvbLWXMHgz4S6pe0vppa0",
         DOVECOT_CRYPT},
        {"{MD5-CRYPT}$1$qFcGA2w5$9t9WvBfdLUA1WW488Z37Y1", DOVECOT_CRYPT},
        {"{MD5}$1$BiWqyAhQ$37tT.p6GuTWAhtC6R4pRy1", DOVECOT_CRYPT},
        {"{DES-CRYPT}JUSv5ytXCeaUg", DOVECOT_CRYPT},
        {"$1$qFcGA2w5$9t9WvBfdLUA1WW488Z37Y1", DOVECOT_CRYPT},
        {"{CRYPT.B64}JDJ5JDA1JDEzZC5NS0hsb2xudTd5UFRMbktxUHVsd0EuTHVxOGY1aVU2MXd6V0dCMDlDYkp1MEZKL1l5", DOVECOT_CRYPT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf value;
        enum dovecot_kind kind;
        buf_init(&value, 2048);
        const char *problem = dovecot_scheme_parse(span_text(rows[i].text), &kind, &value);
        if (problem)
            fail_msg("%s: %s", rows[i].text, problem);
        assert_int_equal(kind, rows[i].kind);
        if (compare(kind, buf_span(&value), "secret word") != 0)
            fail_msg("%s: not the password", rows[i].text);
        assert_int_equal(compare(kind, buf_span(&value), "secret Word"), -EACCES);
        buf_release(&value);
    }
}

static void test_plain(void **state)
{
    static const char *const rows[] = {"{PLAIN}secret word", "{CLEAR}secret word", "{cleartext}secret word",
                                       "{PLAIN.B64}c2VjcmV0IHdvcmQ=", "{PLAIN.HEX}73656372657420776f7264"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf value;
        enum dovecot_kind kind;
        buf_init(&value, 2048);
        assert_null(dovecot_scheme_parse(span_text(rows[i]), &kind, &value));
        assert_int_equal(kind, DOVECOT_PLAIN);
        assert_true(span_is(buf_span(&value), "secret word"));
        buf_release(&value);
    }
    assert_true(dovecot_scheme_is_named(span_text("{PLAIN}x")));
    assert_true(dovecot_scheme_is_named(span_text("{PLAIN.B64}")));
    assert_false(dovecot_scheme_is_named(span_text("{plain}x")));
    assert_false(dovecot_scheme_is_named(span_text("{}x")));
    assert_false(dovecot_scheme_is_named(span_text("{PLAIN")));
    assert_false(dovecot_scheme_is_named(span_text("")));
}

static void test_refused(void **state)
{
    static const struct {
        const char *text, *problem;
    } rows[] = {
        {"", "no password"},
        {"{PLAIN}", "no password"},
        {"{PLAIN.ROT13}x", "a password encoding"},
        {"{PLAIN", "a password scheme without its '}'"},
        {"{NOSUCH}x", "a password scheme that this server does not know"},
        {"{CRAM-MD5}118e3daefda758fc5ba3bc52873914a7908a4818ff5e5545c543ef98290b15a4", "a password scheme with which"},
        {"{DIGEST-MD5}118e3daefda758fc5ba3bc52873914a7", "a password scheme with which"},
        {"{SCRAM-SHA-1}4096,m5WXKOLAtYXNc1jcVVVhAw==,8JjGYaUCZqNZBtZvr9nuc05wirA=,87oJKqOaJdySmFg9XOYKUVGRki4=",
         "a password scheme with which"},
        {"{SHA}PDUC6jG3V40qqE4XqHRFLkyoMV", "a password hash that is cut off"},
        {"{SHA256}PDUC6jG3V40qqE4XqHRFLkyoMVM=", "a password hash that is cut off"},
        {"{SSHA}PDUC6jG3V40qqE4XqHRFLkyoMVM=", "a password hash that is cut off"}, /* no salt */
        {"{PLAIN-MD5}74a11ef33c5252edfa87c4eb8b566c2", "a password hash that is cut off"},
        {"{PLAIN-MD5}74a11ef33c5252edfa87c4eb8b566cxx", "a password hash that is cut off"},
        {"{PBKDF2}$1$salt$0$b4cc13b035b5c7c90ad41b482a57450769637db6", "a PBKDF2 hash"},
        {"{PBKDF2}$1$salt$99999999$b4cc13b035b5c7c90ad41b482a57450769637db6", "a PBKDF2 hash"},
        {"{PBKDF2}$2$salt$5000$b4cc13b035b5c7c90ad41b482a57450769637db6", "a PBKDF2 hash"},
        {"{PBKDF2}$1$salt$5000$b4cc13b0", "a PBKDF2 hash"},
        {"{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=0$IRgk0fVYKjt7E+/FcMBbEQ$WVrSgn50vv9KncAz806NRQ", "an Argon2 hash"},
        {"{ARGON2ID}$argon2id$v=19$m=1000000,t=3,p=1$IRgk0fVYKjt7E+/FcMBbEQ$WVrSgn50vv9KncAz806NRQ",
         "an Argon2 hash that takes more memory"},
        {"{ARGON2ID}$argon2d$v=19$m=65536,t=3,p=1$IRgk0fVYKjt7E+/FcMBbEQ$WVrSgn50vv9KncAz806NRQ", "an Argon2 hash"},
        {"{ARGON2ID}$argon2id$v=18$m=65536,t=3,p=1$IRgk0fVYKjt7E+/FcMBbEQ$WVrSgn50vv9KncAz806NRQ", "an Argon2 hash"},
        {"{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$x$WVrSgn50vv9KncAz806NRQ", "an Argon2 hash"},
        {"{SCRAM-SHA-256}4096,salt,x,y", "a SCRAM-SHA-256 verifier"},
        {"{CRYPT}!", "a locked password"},
        {"*", "a locked password"},
        {"{CRYPT}sandbox", "a password hash that crypt(5) does not know"}, /* not a DES hash: too short */
        {"{CRYPT}$nosuch$salt$hash", "a password hash that crypt(5) does not know"},
        {"{CRYPT.B64}!!!", "a password that is not encoded as its scheme says"},
        {"{PLAIN.HEX}7", "a password that is not encoded as its scheme says"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf value;
        enum dovecot_kind kind;
        buf_init(&value, 2048);
        const char *problem = dovecot_scheme_parse(span_text(rows[i].text), &kind, &value);
        if (!problem || strncmp(problem, rows[i].problem, strlen(rows[i].problem)) != 0)
            fail_msg("%s: %s", rows[i].text, problem ? problem : "taken");
        buf_release(&value);
    }
    char endless[2000];
    memset(endless, 'x', sizeof endless);
    struct buf value;
    enum dovecot_kind kind;
    buf_init(&value, 4096);
    assert_non_null(dovecot_scheme_parse(span_from(endless, sizeof endless), &kind, &value));
    buf_release(&value);
    struct password password = password_of("x");
    static const char *const stored[] = {"", "{SHA}", "{PLAIN}x", "x", "{SHA}x", "{PBKDF2}x", "{ARGON2ID}x", "{SHA"};
    for (size_t i = 0; i < sizeof stored / sizeof *stored; i++)
        assert_int_equal(dovecot_scheme_verify(&password, span_text(stored[i])), -EINVAL);
    assert_int_equal(dovecot_scheme_verify(&password, span_from(endless, sizeof endless)), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made_by_dovecot),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
