#include "auth/failures.h"

/* A person mistypes; a network has many persons. */
#define FREE_OF_ADDRESS 1
#define FREE_OF_NETWORK 8
#define FREE_OF_ACCOUNT 1
#define SUSPECT_FROM 3 /* of an address; of a network so many past those that go free */

void failures_init(struct failures *f)
{
    penalties_init(&f->addresses);
    penalties_init(&f->networks);
    penalties_init(&f->accounts);
}

void failures_release(struct failures *f)
{
    penalties_release(&f->addresses);
    penalties_release(&f->networks);
    penalties_release(&f->accounts);
}

static struct span address_key(const struct ip_address *address)
{
    return span_from(address->bytes, sizeof address->bytes);
}

static uint64_t longer(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint64_t failures_add(struct failures *f, const struct ip_address *address, struct span account, uint64_t now)
{
    uint64_t delay = penalties_add(&f->addresses, address_key(address), FREE_OF_ADDRESS, now);
    delay = longer(delay, penalties_add(&f->networks, ip_address_network(address), FREE_OF_NETWORK, now));
    if (account.size)
        delay = longer(delay, penalties_add(&f->accounts, account, FREE_OF_ACCOUNT, now));
    return delay;
}

bool failures_is_suspect(const struct failures *f, const struct ip_address *address, uint64_t now)
{
    return penalties_count(&f->addresses, address_key(address), now) >= SUSPECT_FROM ||
           penalties_count(&f->networks, ip_address_network(address), now) >= FREE_OF_NETWORK + SUSPECT_FROM;
}
