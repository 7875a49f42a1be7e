#include "auth/account.h"

#include "auth/credentials.h"
#include "auth/dovecot_scheme.h"
#include "auth/password.h"
#include "auth/scram.h"
#include "format/address.h"
#include "format/utf8.h"
#include "ipc/services.h"
#include "store_read.pb-c.h"

#include <errno.h>

void account_secrets_init(struct account_secrets *secrets)
{
    buf_init(&secrets->crypt, CREDENTIAL_SIZE_MAX);
    buf_init(&secrets->scram, CREDENTIAL_SIZE_MAX);
    buf_init(&secrets->apop, CREDENTIAL_SIZE_MAX);
    buf_init(&secrets->dovecot, CREDENTIAL_SIZE_MAX);
}

static void wipe(struct buf *secret)
{
    if (secret->data)
        explicit_bzero(secret->data, secret->room);
    buf_release(secret);
}

void account_secrets_release(struct account_secrets *secrets)
{
    wipe(&secrets->crypt);
    wipe(&secrets->scram);
    wipe(&secrets->apop);
    wipe(&secrets->dovecot);
}

bool account_has_password(const struct account_secrets *secrets)
{
    return secrets->crypt.size || secrets->dovecot.size || secrets->scram.size;
}

int account_compare(const struct account_secrets *secrets, const struct password *password)
{
    struct scram_verifier stored, made;
    if (secrets->crypt.size)
        return password_verify(password, buf_span(&secrets->crypt));
    if (secrets->dovecot.size)
        return dovecot_scheme_verify(password, buf_span(&secrets->dovecot));
    if (!scram_verifier_parse(buf_span(&secrets->scram), &stored))
        return -EINVAL;
    scram_verifier_make(password_span(password), span_from(stored.salt, stored.salt_size), stored.iterations, &made);
    bool equal = span_equal_secret(span_from(made.stored_key, sizeof made.stored_key),
                                   span_from(stored.stored_key, sizeof stored.stored_key));
    explicit_bzero(&made, sizeof made);
    explicit_bzero(&stored, sizeof stored);
    return equal ? 0 : -EACCES;
}

/* Takes the first of each kind, and wipes every one where it came. */
static void take_secret(struct account_secrets *secrets, const StoreRead__Credential *credential)
{
    struct {
        const char *kind;
        struct buf *to;
    } kinds[] = {{CREDENTIAL_CRYPT, &secrets->crypt},
                 {CREDENTIAL_SCRAM_SHA_256, &secrets->scram},
                 {CREDENTIAL_APOP, &secrets->apop},
                 {CREDENTIAL_DOVECOT, &secrets->dovecot}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(credential->kind, kinds[i].kind) == 0 && kinds[i].to->size == 0)
            buf_add(kinds[i].to, credential->value.data, credential->value.len);
    if (credential->value.len)
        explicit_bzero(credential->value.data, credential->value.len);
}

static int take_reply(const StoreRead__CredentialsReply *reply, struct exchange_account *account,
                      struct account_secrets *secrets)
{
    for (size_t i = 0; i < reply->n_credentials; i++)
        take_secret(secrets, reply->credentials[i]);
    if (buf_failed(&secrets->crypt) || buf_failed(&secrets->scram) || buf_failed(&secrets->apop) ||
        buf_failed(&secrets->dovecot))
        return -EPROTO;
    *account = (struct exchange_account){
        .found = reply->found, .enabled = reply->enabled, .id = reply->account_id, .version = reply->version};
    if (!reply->found)
        return 0;
    /* Account 0 is what a forged grant amounts to: never make one for it. */
    bool sane =
        reply->account_id != 0 && login_parse(span_from(reply->address.data, reply->address.len), &account->address);
    return sane ? 0 : -EPROTO;
}

/* The directory knows domains by their A-labels; people type what they read. What has no such form is asked for as it
 * is, and found nowhere. */
static struct span login_to_ascii(struct span login, struct arena *arena)
{
    struct span domain;
    size_t at = span_find_last(login, '@');
    if (utf8_is_ascii(span_skip(login, at)) || domain_to_ascii(arena, span_skip(login, at + 1), &domain))
        return login;
    char *text = arena_alloc(arena, at + 1 + domain.size);
    if (!text)
        return login;
    memcpy(text, login.data, at + 1);
    memcpy(text + at + 1, domain.data, domain.size);
    return span_from(text, at + 1 + domain.size);
}

int account_look_up(struct fiber *self, struct peers *peers, struct span login, uint64_t deadline,
                    struct exchange_account *account, struct account_secrets *secrets)
{
    StoreRead__CredentialsRequest request = STORE_READ__CREDENTIALS_REQUEST__INIT;
    struct arena scratch;
    arena_init(&scratch, 8192);
    struct span name = login_to_ascii(login, &scratch);
    request.login = (ProtobufCBinaryData){name.size, (uint8_t *)(uintptr_t)name.data};
    struct answer answer;
    int error = channel_call(self, peers_get(peers, ROLE_READER), STORE_READ_CREDENTIALS, &request.base,
                             (struct span){0}, -1, deadline, &answer);
    arena_release(&scratch);
    if (error)
        return error;
    error = take_reply((const StoreRead__CredentialsReply *)answer.message, account, secrets);
    answer_release(&answer);
    return error;
}

void login_qualify(struct login *login, const char *default_domain)
{
    size_t domain_size = strlen(default_domain);
    if (domain_size == 0 || memchr(login->text, '@', login->size) || login->size + 1 + domain_size > LOGIN_MAX)
        return;
    login->text[login->size++] = '@';
    for (size_t i = 0; i <= domain_size; i++)
        login->text[login->size + i] = ascii_lower(default_domain[i]);
    login->size += domain_size;
}
