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

int credentials_make(const struct settings *settings, struct span given, struct credential_set *set,
                     struct buf *problem)
{
    struct password password;
    *set = (struct credential_set){0};
    if (!password_parse(given, &password)) {
        buf_printf(problem, "a password has 1 to %d bytes of UTF-8 text without NUL; choose another", PASSWORD_MAX);
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
