#include "auth/credentials.h"

#include "auth/password.h"
#include "auth/scram.h"

#include <errno.h>

static struct buf *add_kind(struct credential_set *set, const char *kind)
{
    struct credential *item = &set->items[set->count++];
    item->kind = kind;
    buf_init(&item->value, CREDENTIAL_SIZE_MAX);
    return &item->value;
}

static void add_scram(struct credential_set *set, const struct password *password)
{
    unsigned char salt[SCRAM_SALT_SIZE];
    struct scram_verifier verifier;
    digest_random(salt, sizeof salt);
    scram_verifier_make(password_span(password), span_from(salt, sizeof salt), SCRAM_ITERATIONS, &verifier);
    scram_verifier_write(&verifier, add_kind(set, CREDENTIAL_SCRAM_SHA_256));
    explicit_bzero(&verifier, sizeof verifier);
}

static void say_malformed(struct buf *problem)
{
    buf_printf(problem, "a password has 1 to %d bytes of UTF-8 text without NUL; choose another", PASSWORD_MAX);
}

int credentials_make(const struct settings *settings, struct span given, struct credential_set *set,
                     struct buf *problem)
{
    struct password password;
    *set = (struct credential_set){0};
    if (!password_parse(given, &password)) {
        say_malformed(problem);
        return -EINVAL;
    }
    int error = password_hash(&password, settings->auth.password_hash, settings->auth.hash_cost,
                              add_kind(set, CREDENTIAL_CRYPT));
    if (error == -EINVAL)
        buf_printf(problem, "auth.password_hash \"%s\" with auth.hash_cost %u can't hash this password; see crypt(5)",
                   settings->auth.password_hash, settings->auth.hash_cost);
    else if (error)
        buf_add_text(problem, "no memory to hash the password; try again");
    if (error)
        goto out;
    add_scram(set, &password);
    if (settings->pop3.apop)
        buf_add_span(add_kind(set, CREDENTIAL_APOP), password_span(&password));
    for (size_t i = 0; i < set->count && !error; i++)
        if (buf_failed(&set->items[i].value)) {
            buf_add_text(problem, "no memory for the credentials; try again");
            error = -ENOMEM;
        }
out:
    password_wipe(&password);
    if (error)
        credentials_release(set);
    return error;
}

/* Shorter names stand in many a good password by chance. */
#define NAME_MIN 3

static size_t count_characters(struct span utf8)
{
    size_t count = 0;
    for (size_t i = 0; i < utf8.size; i++)
        count += ((unsigned char)utf8.data[i] & 0xc0) != 0x80;
    return count;
}

static bool contains_nocase(struct span s, struct span word)
{
    for (size_t at = 0; at + word.size <= s.size; at++)
        if (span_equal_nocase(span_head(span_skip(s, at), word.size), word))
            return true;
    return false;
}

bool credentials_are_good(const struct settings *settings, struct span address, struct span given, struct buf *problem)
{
    struct password password;
    struct span name = span_head(address, span_find_last(address, '@'));
    bool good = password_parse(given, &password);
    if (!good) {
        say_malformed(problem);
    } else if (count_characters(password_span(&password)) < settings->auth.password_min_length) {
        buf_printf(problem, "a password has at least %u characters; choose a longer one",
                   settings->auth.password_min_length);
        good = false;
    } else if (name.size >= NAME_MIN && contains_nocase(password_span(&password), name)) {
        buf_printf(problem, "the name %.*s must not be part of its password; choose another", SPAN_ARG(name));
        good = false;
    }
    password_wipe(&password);
    return good;
}

void credentials_release(struct credential_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        struct buf *value = &set->items[i].value;
        if (value->data)
            explicit_bzero(value->data, value->room);
        buf_release(value);
    }
    set->count = 0;
}
