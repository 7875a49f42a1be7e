#include "auth/recent.h"

#include "auth/words.h"
#include "base/clock.h"

#include <stdlib.h>

struct visit {
    struct list_node node;
    uint64_t account_id;
    uint64_t version;
    unsigned char mac[SHA256_SIZE]; /* of the password, while now < mac_until */
    uint64_t mac_until;
    uint64_t pwd_until; /* the password may be changed while now is before it */
    bool has_pop3_login;
    uint64_t pop3_login_at;
};

void recent_init(struct recent *r)
{
    digest_random(r->key, sizeof r->key);
    map_init(&r->accounts);
    list_init(&r->by_use);
}

static struct span key_of(const uint64_t *account_id)
{
    return span_from(account_id, sizeof *account_id);
}

static void forget(struct recent *r, struct visit *visit)
{
    list_remove(&visit->node);
    map_remove(&r->accounts, key_of(&visit->account_id));
    explicit_bzero(visit, sizeof *visit);
    free(visit);
}

void recent_release(struct recent *r)
{
    list_each_safe (node, &r->by_use)
        forget(r, container_of(node, struct visit, node));
    map_release(&r->accounts);
    explicit_bzero(r->key, sizeof r->key);
}

/* The account's entry, made if need be, as the one used last; NULL without memory. */
static struct visit *use(struct recent *r, uint64_t account_id)
{
    struct visit *visit = map_get(&r->accounts, key_of(&account_id));
    if (!visit) {
        if (r->accounts.count >= RECENT_MAX)
            forget(r, container_of(r->by_use.next, struct visit, node));
        visit = calloc(1, sizeof *visit);
        if (!visit)
            return NULL;
        visit->account_id = account_id;
        list_init(&visit->node);
        if (map_put(&r->accounts, key_of(&account_id), visit)) {
            free(visit);
            return NULL;
        }
    }
    list_remove(&visit->node);
    list_append(&r->by_use, &visit->node);
    return visit;
}

/* The account and the version are under the HMAC too: no entry can ever speak for another. */
static void seal(const struct recent *r, uint64_t account_id, uint64_t version, struct span password,
                 unsigned char out[SHA256_SIZE])
{
    char text[2 * sizeof(uint64_t) + PASSWORD_MAX];
    memcpy(text, &account_id, sizeof account_id);
    memcpy(text + sizeof account_id, &version, sizeof version);
    size_t size = password.size > PASSWORD_MAX ? PASSWORD_MAX : password.size;
    memcpy(text + 2 * sizeof(uint64_t), password.data, size);
    digest_hmac_sha256(span_from(r->key, sizeof r->key), span_from(text, 2 * sizeof(uint64_t) + size), out);
    explicit_bzero(text, sizeof text);
}

bool recent_has(const struct recent *r, uint64_t account_id, uint64_t version, struct span password, uint64_t now)
{
    const struct visit *visit = map_get(&r->accounts, key_of(&account_id));
    if (!visit || visit->version != version || now >= visit->mac_until)
        return false;
    unsigned char mac[SHA256_SIZE];
    seal(r, account_id, version, password, mac);
    bool equal = span_equal_secret(span_from(mac, sizeof mac), span_from(visit->mac, sizeof visit->mac));
    explicit_bzero(mac, sizeof mac);
    return equal;
}

void recent_put(struct recent *r, uint64_t account_id, uint64_t version, struct span password, uint64_t now)
{
    struct visit *visit = use(r, account_id);
    if (!visit)
        return;
    visit->version = version;
    visit->mac_until = now + RECENT_SECONDS * NANOSECONDS;
    seal(r, account_id, version, password, visit->mac);
}

bool recent_is_too_soon(struct recent *r, uint64_t account_id, unsigned delay_seconds, uint64_t now)
{
    if (delay_seconds == 0)
        return false;
    struct visit *visit = use(r, account_id);
    if (!visit)
        return false;
    if (visit->has_pop3_login && now - visit->pop3_login_at < delay_seconds * NANOSECONDS)
        return true;
    visit->has_pop3_login = true;
    visit->pop3_login_at = now;
    return false;
}

void recent_put_pwd_login(struct recent *r, uint64_t account_id, uint64_t now)
{
    struct visit *visit = use(r, account_id);
    if (visit)
        visit->pwd_until = now + RECENT_SECONDS * NANOSECONDS;
}

bool recent_has_pwd_login(const struct recent *r, uint64_t account_id, uint64_t now)
{
    const struct visit *visit = map_get(&r->accounts, key_of(&account_id));
    return visit && now < visit->pwd_until;
}

void recent_forget_password(struct recent *r, uint64_t account_id)
{
    struct visit *visit = map_get(&r->accounts, key_of(&account_id));
    if (!visit)
        return;
    visit->mac_until = visit->pwd_until = 0;
    explicit_bzero(visit->mac, sizeof visit->mac);
}
