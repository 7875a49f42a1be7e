/* Asking a next hop whether it takes a recipient, so that gates refuse unknown names while the sender is on the line.
 * Answers are remembered: a yes for ten minutes, all others for one. */
#include "base/clock.h"
#include "courier.pb-c.h"
#include "deliver/connection.h"
#include "ipc/binary.h"

#include <errno.h>
#include <stdlib.h>

#define CACHE_MAX 10000
#define GOOD_SECONDS 600
#define OTHER_SECONDS 60
#define ASK_SECONDS 20
#define PROBES_MAX 50 /* at a time */
#define KEY_MAX 1024
#define REPLY_MAX 600

struct probe_cache {
    struct map map; /* "address next-hop" to struct remembered */
    unsigned under_way;
};

struct remembered {
    uint64_t until;
    Courier__Verdict verdict;
    size_t size;
    char reply[];
};

struct probe {
    struct courier *courier;
    struct call *call;
};

struct probe_cache *probe_cache_new(void)
{
    struct probe_cache *cache = calloc(1, sizeof *cache);
    if (cache)
        map_init(&cache->map);
    return cache;
}

/* ---- What is remembered ---- */

static void key_write(const Courier__ProbeRequest *request, struct buf *key)
{
    buf_add_span(key, binary_span(request->address));
    buf_add_char(key, ' ');
    buf_add_span(key, binary_span(request->next_hop));
}

static void empty(struct probe_cache *cache)
{
    struct span key;
    void *value;
    for (size_t position = 0; map_next(&cache->map, &position, &key, &value);)
        free(value);
    map_release(&cache->map);
    map_init(&cache->map);
}

/* Full: it is emptied whole. It is soon learned again. */
static void remember(struct probe_cache *cache, struct span key, Courier__Verdict verdict, struct span reply)
{
    struct remembered *r = malloc(sizeof *r + reply.size);
    if (!r)
        return;
    bool good = verdict == COURIER__VERDICT__VERDICT_TAKES;
    *r = (struct remembered){clock_in_seconds(good ? GOOD_SECONDS : OTHER_SECONDS), verdict, reply.size};
    if (reply.size)
        memcpy(r->reply, reply.data, reply.size);
    struct remembered *old = map_get(&cache->map, key);
    if (!old && cache->map.count >= CACHE_MAX)
        empty(cache);
    if (map_put(&cache->map, key, r))
        free(r);
    else
        free(old);
}

static void answer_call(struct call *call, Courier__Verdict verdict, struct span text)
{
    Courier__ProbeReply reply = COURIER__PROBE_REPLY__INIT;
    reply.verdict = verdict;
    reply.reply = binary_from_span(text);
    call_reply(call, &reply.base, (struct span){0}, -1);
}

/* ---- Asking ---- */

static Courier__Verdict verdict_of(const struct smtp_reply *reply)
{
    struct verdict v = verdict_of_smtp_reply(VERDICT_AT_RCPT, reply, false);
    return v.kind == VERDICT_DELIVERED ? COURIER__VERDICT__VERDICT_TAKES
           : v.kind == VERDICT_FAILED  ? COURIER__VERDICT__VERDICT_REFUSES
                                       : COURIER__VERDICT__VERDICT_UNKNOWN;
}

/* A server that sends us away altogether says nothing about this recipient. */
static Courier__Verdict ask(struct fiber *self, struct courier *c, const Courier__ProbeRequest *request,
                            struct buf *text)
{
    Courier__Verdict verdict = COURIER__VERDICT__VERDICT_UNKNOWN;
    struct site *site = site_get(c, binary_span(request->next_hop));
    struct connection *conn = calloc(1, sizeof *conn);
    struct smtp_client_recipient *recipient = calloc(1, sizeof *recipient);
    if (site)
        site->sources++; /* it stays while we use it */
    if (!site || !conn || !recipient || site->route.kind != SITE_NEXT_HOP)
        goto out;
    uint64_t deadline = clock_in_seconds(ASK_SECONDS);
    int error = connection_open(self, site, deadline, conn);
    if (!error) {
        recipient->address = binary_span(request->address);
        error = smtp_client_probe(self, &conn->client, (struct span){0}, recipient);
    }
    if (!error && recipient->final.code) {
        verdict = verdict_of(&recipient->final);
        smtp_reply_write(&recipient->final, text);
    }
    connection_close(self, conn);
out:
    if (site) {
        site->sources--;
        site_leave(site);
    }
    free(conn);
    free(recipient);
    return verdict;
}

static void probe_main(struct fiber *self, void *argument)
{
    struct probe *probe = argument;
    struct courier *c = probe->courier;
    const Courier__ProbeRequest *request = (const Courier__ProbeRequest *)probe->call->request;
    struct buf key, text;
    buf_init(&key, KEY_MAX);
    buf_init(&text, REPLY_MAX);
    key_write(request, &key);
    Courier__Verdict verdict = COURIER__VERDICT__VERDICT_UNKNOWN;
    if (!buf_failed(&key)) {
        verdict = ask(self, c, request, &text);
        remember(c->probes, buf_span(&key), verdict, buf_span(&text));
    }
    answer_call(probe->call, verdict, buf_span(&text));
    c->probes->under_way--;
    buf_release(&key);
    buf_release(&text);
    free(probe);
}

void probe_start(struct courier *c, struct call *call)
{
    struct buf key;
    buf_init(&key, KEY_MAX);
    key_write((const Courier__ProbeRequest *)call->request, &key);
    const struct remembered *known = buf_failed(&key) ? NULL : map_get(&c->probes->map, buf_span(&key));
    buf_release(&key);
    if (known && known->until > clock_monotonic()) {
        answer_call(call, known->verdict, span_from(known->reply, known->size));
        return;
    }
    struct probe *probe = c->probes->under_way < PROBES_MAX && !c->is_stopping ? calloc(1, sizeof *probe) : NULL;
    if (!probe) {
        answer_call(call, COURIER__VERDICT__VERDICT_UNKNOWN, (struct span){0});
        return;
    }
    *probe = (struct probe){c, call};
    c->probes->under_way++;
    if (fiber_start(c->loop, "probe", probe_main, probe))
        return;
    c->probes->under_way--;
    free(probe);
    call_fail(call, -ENOMEM);
}
