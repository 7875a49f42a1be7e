#include "smtp/judgement.h"

#include "base/log.h"
#include "base/map.h"
#include "dns/lookup.h"
#include "intake/route.h"
#include "policy/blacklist.h"
#include "smtp/dns_lists.h"
#include "smtp/refusal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define DNS_SECONDS 30
#define ASK_SECONDS 30
#define REASON_MAX 200 /* bytes of a list's reason that are shown to the client */
#define SCRATCH_MEMORY (256u << 10)

/* ---- The client ---- */

static struct span copy_reason(struct smtp_session *s, struct span reason)
{
    return arena_copy(&s->arena, span_head(reason, REASON_MAX));
}

static void set_listed(struct smtp_session *s, enum smtp_standing standing, const char *list, struct span reason)
{
    s->client.standing = standing;
    s->client.list = arena_text(&s->arena, span_text(list));
    s->client.reason = copy_reason(s, reason);
}

/* The client's name by DNS. Asked for only where our own list has names; in any case the client is what it is when the
 * DNS says nothing. */
static int find_name(struct fiber *self, struct smtp_session *s)
{
    struct arena scratch;
    struct dns_ptr ptr;
    arena_init(&scratch, SCRATCH_MEMORY);
    dns_ptr(self, s->context->peers, &s->peer->ip, smtp_deadline(s, DNS_SECONDS), &scratch, &ptr);
    if (ptr.confirmed)
        s->client.ptr = arena_copy(&s->arena, span_text(ptr.confirmed));
    arena_release(&scratch);
    return fiber_is_canceled(self) ? -ECANCELED : 0;
}

/* Our own list. The process may get a new one while the DNS is asked: it is looked up only then. */
static int ask_own_list(struct fiber *self, struct smtp_session *s)
{
    struct blacklist_hit by_address, by_name = {.verdict = BLACKLIST_NOTHING};
    int error = blacklist_name_count(s->context->blacklist) ? find_name(self, s) : 0;
    if (error)
        return error;
    blacklist_find_address(s->context->blacklist, s->peer->ip.bytes, &by_address);
    if (s->client.ptr.size)
        blacklist_find_name(s->context->blacklist, s->client.ptr, &by_name);
    const struct blacklist_hit *hit = blacklist_decide(&by_address, &by_name);
    if (hit->verdict == BLACKLIST_EXCEPTED)
        s->client.standing = SMTP_CLIENT_EXCEPTED;
    else if (hit->verdict == BLACKLIST_LISTED)
        set_listed(s, hit == &by_name ? SMTP_CLIENT_NAME_LISTED : SMTP_CLIENT_LISTED, "this site's black list",
                   hit->reason);
    return 0;
}

static int ask_dns_lists(struct fiber *self, struct smtp_session *s)
{
    struct arena scratch;
    struct dns_list_verdict verdict = {.result = DNS_LISTS_NONE};
    arena_init(&scratch, SCRATCH_MEMORY);
    int error = s->context->dns_lists && s->settings->dns_list_count
                    ? dns_lists_check(self, s->context->dns_lists, &s->peer->ip, &scratch, &verdict)
                    : 0;
    if (!error && verdict.result == DNS_LISTS_BLACK)
        set_listed(s, SMTP_CLIENT_LISTED, verdict.zone, verdict.reason);
    arena_release(&scratch);
    return error;
}

/* Once a connection. Without memory for the lists nobody is listed; that is for next time. */
static int learn_client(struct fiber *self, struct smtp_session *s)
{
    if (s->client.known)
        return 0;
    int error = ask_own_list(self, s);
    if (!error && s->client.standing == SMTP_CLIENT_UNLISTED)
        error = ask_dns_lists(self, s);
    if (error == -ECANCELED)
        return error;
    s->client.known = true;
    return 0;
}

static int refuse_client(struct fiber *self, struct smtp_session *s, struct span recipient)
{
    const struct smtp_client *client = &s->client;
    bool by_name = client->standing == SMTP_CLIENT_NAME_LISTED;
    char reason[REASON_MAX + 1], logged[128];
    smtp_printable(client->reason, reason, sizeof reason);
    snprintf(logged, sizeof logged, "listed by %s", client->list ? client->list : "a list");
    const struct smtp_refusal refusal = {.what = SMTP_REFUSED_RECIPIENT,
                                         .code = 554,
                                         .enhanced = "5.7.1",
                                         .reason = logged,
                                         .evidence = client->reason,
                                         .recipient = recipient};
    return smtp_refuse_reported(self, s, &refusal, "Your %s %.*s is listed by %s%s%s",
                                by_name ? "host's name" : "address", SPAN_ARG(by_name ? client->ptr : span_text(s->ip)),
                                client->list ? client->list : "a list", *reason ? ": " : "", reason);
}

/* ---- The return-path ---- */

#define CACHE_MAX 4096
#define CACHE_LIFE (300 * NANOSECONDS)

/* Full: it is emptied whole. */
struct smtp_domain_cache {
    struct map map;
    uint64_t until[CACHE_MAX];
};

struct smtp_domain_cache *smtp_domain_cache_new(void)
{
    struct smtp_domain_cache *cache = calloc(1, sizeof *cache);
    if (cache)
        map_init(&cache->map);
    return cache;
}

void smtp_domain_cache_free(struct smtp_domain_cache *cache)
{
    if (!cache)
        return;
    map_release(&cache->map);
    free(cache);
}

static bool is_known(const struct smtp_domain_cache *cache, struct span domain)
{
    const uint64_t *until = cache ? map_get(&cache->map, domain) : NULL;
    return until && *until >= clock_monotonic();
}

/* A cache that can't grow knows less, that is all. */
static void remember(struct smtp_domain_cache *cache, struct span domain)
{
    if (!cache)
        return;
    uint64_t *until = map_get(&cache->map, domain);
    if (!until && cache->map.count == CACHE_MAX) {
        map_release(&cache->map);
        map_init(&cache->map);
    }
    if (!until)
        until = &cache->until[cache->map.count];
    *until = map_put(&cache->map, domain, until) ? 0 : clock_monotonic() + CACHE_LIFE;
}

/* Is the domain one of ours? Then what leads to it is known here, and the DNS is not asked. */
static int is_ours(struct fiber *self, struct smtp_session *s, const struct mail_path *path, struct arena *scratch,
                   bool *ours)
{
    const struct intake_question question = {.path = path};
    struct intake_route route;
    int error = intake_route_find(self, &s->intake, scratch, &question, smtp_deadline(s, ASK_SECONDS), &route);
    *ours = !error && route.kind != INTAKE_ROUTE_NOT_OURS && route.kind != INTAKE_ROUTE_PAUSED;
    return error;
}

/* Nothing is known: a domain of ours need not be in the DNS, and what does not answer now may do so later. */
static void note_trouble(struct smtp_session *s, struct span domain, struct span problem)
{
    s->transaction.return_path = SMTP_RETURN_PATH_TROUBLE;
    log_write(LOG_PROBLEM, "smtp", s->peer->session, "return-path not checked domain=%s problem=%s", log_quote(domain),
              log_quote(problem));
}

static int ask_dns(struct fiber *self, struct smtp_session *s, struct span domain)
{
    struct buf problem;
    buf_init(&problem, 512);
    enum dns_mail_domain result =
        dns_can_receive_mail(self, s->context->peers, domain, smtp_deadline(s, DNS_SECONDS), &problem);
    switch (result) {
    case DNS_MAIL_YES:
        s->transaction.return_path = SMTP_RETURN_PATH_FINE;
        remember(s->context->domains, domain);
        break;
    case DNS_MAIL_NO_DOMAIN:
        s->transaction.return_path = SMTP_RETURN_PATH_NO_DOMAIN;
        break;
    case DNS_MAIL_NULL_MX:
        s->transaction.return_path = SMTP_RETURN_PATH_NULL_MX;
        break;
    case DNS_MAIL_TROUBLE:
        note_trouble(s, domain, buf_span(&problem));
        break;
    }
    buf_release(&problem);
    return fiber_is_canceled(self) ? -ECANCELED : 0;
}

/* Once a transaction. <> is nobody to answer to, and an address literal needs no DNS. */
static int learn_return_path(struct fiber *self, struct smtp_session *s)
{
    struct smtp_transaction *t = &s->transaction;
    const struct mail_path *path = &t->mail.path;
    if (t->return_path != SMTP_RETURN_PATH_UNKNOWN)
        return 0;
    t->return_path = SMTP_RETURN_PATH_FINE;
    if (!s->settings->smtp.check_sender || path->is_null || path->is_literal)
        return 0;
    struct arena scratch;
    struct span domain;
    bool ours;
    arena_init(&scratch, 2 * SCRATCH_MEMORY);
    int error = 0;
    if (domain_to_ascii(&scratch, path->domain, &domain) != NULL) {
        t->return_path = SMTP_RETURN_PATH_NO_DOMAIN; /* it can't be in the DNS */
    } else if (!is_known(s->context->domains, domain)) {
        error = is_ours(self, s, path, &scratch, &ours);
        if (error)
            note_trouble(s, domain, span_text(strerror(-error)));
        else if (!ours)
            error = ask_dns(self, s, domain);
        else
            remember(s->context->domains, domain);
    }
    arena_release(&scratch);
    return error == -ECANCELED ? error : 0;
}

static int refuse_return_path(struct fiber *self, struct smtp_session *s, struct span recipient)
{
    static const struct {
        unsigned code;
        const char *enhanced, *reason, *text;
    } rows[] = {
        [SMTP_RETURN_PATH_NO_DOMAIN] = {550, "5.1.8", "its domain takes no mail",
                                        "has a domain without MX, A or AAAA records: no answer could reach you"},
        [SMTP_RETURN_PATH_NULL_MX] = {550, "5.7.27", "its domain has a null MX",
                                      "has a domain that takes no mail (null MX): no answer could reach you"},
        [SMTP_RETURN_PATH_TROUBLE] =
            {451, "4.4.3", "its domain could not be looked up",
             "could not be checked, since its domain can't be looked up now; please try again later"},
    };
    const struct mail_path *path = &s->transaction.mail.path;
    enum smtp_return_path kind = s->transaction.return_path;
    const struct smtp_refusal refusal = {.what = SMTP_REFUSED_RETURN_PATH,
                                         .code = rows[kind].code,
                                         .enhanced = rows[kind].enhanced,
                                         .reason = rows[kind].reason,
                                         .sender = path->text,
                                         .recipient = recipient};
    return smtp_refuse_reported(self, s, &refusal, "Your return-path <%.*s> %s", SPAN_ARG(path->text), rows[kind].text);
}

/* ---- The verdict ---- */

static bool hears_everybody(const struct mail_path *recipient)
{
    return span_is_nocase(recipient->local_part, "postmaster") || span_is_nocase(recipient->local_part, "abuse");
}

int smtp_judge(struct fiber *self, struct smtp_session *s, const struct mail_path *recipient)
{
    if (smtp_account_id(s) || s->is_client_network || hears_everybody(recipient))
        return 1;
    int error = learn_client(self, s);
    if (error)
        return error;
    if (s->client.standing == SMTP_CLIENT_LISTED || s->client.standing == SMTP_CLIENT_NAME_LISTED)
        return refuse_client(self, s, recipient->text);
    error = learn_return_path(self, s);
    if (error)
        return error;
    if (s->transaction.return_path != SMTP_RETURN_PATH_FINE)
        return refuse_return_path(self, s, recipient->text);
    return 1;
}
