#include "dns/context.h"

#include <stdio.h>
#include <unbound-event.h>
#include <unbound.h>

/* Memory of the caches together stays below some 40 MB. */
static const struct {
    const char *name, *value;
} options[] = {
    {"msg-cache-size:", "8m"},
    {"rrset-cache-size:", "16m"},
    {"key-cache-size:", "2m"},
    {"neg-cache-size:", "1m"},
    {"infra-cache-numhosts:", "10000"},
    {"outgoing-range:", "512"}, /* sockets, each with a random source port */
    {"outgoing-num-tcp:", "16"},
    {"num-queries-per-thread:", "1024"},
    {"cache-max-ttl:", "86400"},
    /* A name that is new to the DNS has to be found soon: somebody is mending their zone. */
    {"cache-max-negative-ttl:", "900"},
    /* A server that was dead is tried again after a minute, not after a quarter of an hour. */
    {"infra-host-ttl:", "60"},
    {"infra-keep-probing:", "yes"},
    {"do-not-query-localhost:", "no"}, /* dns.servers and dns.zones may well be on this machine */
    {"unblock-lan-zones:", "no"},
    {"use-syslog:", "no"},
};

static int fail(struct buf *problem, const char *what, const char *value, int error)
{
    buf_printf(problem, "libunbound does not take %s %s: %s", what, value, ub_strerror(error));
    return error;
}

static int set_option(struct ub_ctx *context, const char *name, const char *value, struct buf *problem)
{
    int error = ub_ctx_set_option(context, name, value);
    return error ? fail(problem, name, value, error) : 0;
}

/* "zone=server": asked there, believed unsigned, and not answered out of the built-in zones (such as
 * 127.in-addr.arpa). */
static int add_zone(struct ub_ctx *context, const char *word, struct buf *problem)
{
    char zone[512];
    snprintf(zone, sizeof zone, "%s", word);
    char *server = strchr(zone, '=');
    if (!server)
        return fail(problem, "dns.zones", word, UB_SYNTAX);
    *server++ = 0;
    int error = ub_ctx_set_stub(context, zone, server, 0);
    if (error)
        return fail(problem, "dns.zones", word, error);
    return set_option(context, "domain-insecure:", zone, problem);
}

/* Of a context that has all its options: from here on they are fixed. */
static int open_zone(struct ub_ctx *context, const char *word, struct buf *problem)
{
    char zone[512];
    snprintf(zone, sizeof zone, "%.*s", (int)strcspn(word, "="), word);
    int error = ub_ctx_zone_add(context, zone, "transparent");
    return error ? fail(problem, "dns.zones", word, error) : 0;
}

static int add_anchors(struct ub_ctx *context, struct span anchors, struct buf *problem)
{
    int error = 0;
    while (!error && anchors.size) {
        char line[4096];
        struct span anchor = span_trim(span_cut(&anchors, '\n'));
        if (!anchor.size || anchor.data[0] == ';')
            continue;
        snprintf(line, sizeof line, "%.*s", SPAN_ARG(anchor));
        error = ub_ctx_add_ta(context, line);
        if (error)
            fail(problem, "the trust anchor", line, error);
    }
    return error;
}

static int configure(struct ub_ctx *context, const struct settings *settings, struct span anchors, struct buf *problem)
{
    int error = ub_ctx_debugout(context, NULL);
    for (size_t i = 0; !error && i < sizeof options / sizeof *options; i++)
        error = set_option(context, options[i].name, options[i].value, problem);
    for (size_t i = 0; !error && i < settings->dns.servers.count; i++) {
        error = ub_ctx_set_fwd(context, settings->dns.servers.words[i]);
        if (error)
            fail(problem, "dns.servers", settings->dns.servers.words[i], error);
    }
    for (size_t i = 0; !error && i < settings->dns.zones.count; i++)
        error = add_zone(context, settings->dns.zones.words[i], problem);
    if (!error)
        error = add_anchors(context, anchors, problem);
    for (size_t i = 0; !error && i < settings->dns.zones.count; i++)
        error = open_zone(context, settings->dns.zones.words[i], problem);
    return error;
}

struct ub_ctx *dns_context_new(struct ub_event_base *base, const struct settings *settings, struct span anchors,
                               struct buf *problem)
{
    struct ub_ctx *context = ub_ctx_create_ub_event(base);
    if (!context)
        buf_add_text(problem, "libunbound can't start: out of memory");
    else if (configure(context, settings, anchors, problem)) {
        ub_ctx_delete(context);
        context = NULL;
    }
    return context;
}
