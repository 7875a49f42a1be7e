#include "facts/pregreet.h"

#include "base/clock.h"
#include "base/map.h"

#include <stdlib.h>

#define POLITE_MAX 4096
#define DAY (86400 * NANOSECONDS)

/* Full: it is emptied whole. */
struct pregreet {
    uint64_t wanted_until;
    struct map polite;
    uint64_t until[POLITE_MAX];
};

struct pregreet *pregreet_new(void)
{
    struct pregreet *p = calloc(1, sizeof *p);
    if (p)
        map_init(&p->polite);
    return p;
}

static struct span key_of(const struct ip_address *ip)
{
    return span_from(ip->bytes, sizeof ip->bytes);
}

void pregreet_ask(struct pregreet *p)
{
    if (p)
        p->wanted_until = clock_monotonic() + DAY;
}

bool pregreet_is_wanted(struct pregreet *p, const struct ip_address *ip)
{
    if (!p || p->wanted_until == 0 || p->wanted_until < clock_monotonic())
        return false;
    const uint64_t *until = map_get(&p->polite, key_of(ip));
    return !until || *until < clock_monotonic();
}

void pregreet_note_polite(struct pregreet *p, const struct ip_address *ip)
{
    if (!p)
        return;
    uint64_t *until = map_get(&p->polite, key_of(ip));
    if (!until && p->polite.count == POLITE_MAX) {
        map_release(&p->polite);
        map_init(&p->polite);
    }
    if (!until)
        until = &p->until[p->polite.count];
    *until = map_put(&p->polite, key_of(ip), until) ? 0 : clock_monotonic() + DAY;
}
