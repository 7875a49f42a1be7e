#include "intake/route.h"

#include "base/clock.h"
#include "intake/route_cache.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "policy/ruleset.h"
#include "store_read.pb-c.h"

#include <errno.h>

#define ADDRESS_TEXT_MAX 1024
#define ENTRY_MAX 512 /* bytes of a list's entry and of a passcode's name that are shown */

/* The forms by which the relays of the 1990s were talked into relaying. */
static bool names_another_host(struct span local_part)
{
    return span_find(local_part, '%') < local_part.size || span_find(local_part, '!') < local_part.size ||
           span_find(local_part, '@') < local_part.size;
}

/* ---- The reader's answer ---- */

static const enum intake_route_kind kinds[] = {
    [STORE_READ__ROUTE__ROUTE_LOCAL] = INTAKE_ROUTE_LOCAL,
    [STORE_READ__ROUTE__ROUTE_NO_USER] = INTAKE_ROUTE_NO_USER,
    [STORE_READ__ROUTE__ROUTE_NOT_OURS] = INTAKE_ROUTE_NOT_OURS,
    [STORE_READ__ROUTE__ROUTE_OVER_QUOTA] = INTAKE_ROUTE_OVER_QUOTA,
    [STORE_READ__ROUTE__ROUTE_DISABLED] = INTAKE_ROUTE_DISABLED,
    [STORE_READ__ROUTE__ROUTE_LIST_REFUSES] = INTAKE_ROUTE_LIST_REFUSES,
};

_Static_assert((int)INTAKE_TARGET_MAILBOX == STORE_READ__TARGET_KIND__TARGET_MAILBOX &&
                   (int)INTAKE_TARGET_REMOTE == STORE_READ__TARGET_KIND__TARGET_REMOTE &&
                   (int)INTAKE_TARGET_LIST == STORE_READ__TARGET_KIND__TARGET_LIST &&
                   (int)INTAKE_TARGET_LIST_BOUNCE == STORE_READ__TARGET_KIND__TARGET_LIST_BOUNCE,
               "the same order as in the contract");

/* A target that lacks what its kind needs: the writer would call it gone, and the sender would be told so for ever. */
static bool is_whole(const StoreRead__Target *t)
{
    switch (t->kind) {
    case STORE_READ__TARGET_KIND__TARGET_MAILBOX:
        return t->account_id && t->mailbox_id;
    case STORE_READ__TARGET_KIND__TARGET_REMOTE: {
        size_t at = span_find_last(binary_span(t->address), '@');
        return at > 0 && at + 1 < t->address.len && t->address.len < ADDRESS_TEXT_MAX && t->next_hop.len <= 270 &&
               t->forwarder.len <= DOMAIN_MAX;
    }
    case STORE_READ__TARGET_KIND__TARGET_LIST:
        return t->list_id != 0;
    case STORE_READ__TARGET_KIND__TARGET_LIST_BOUNCE:
        return t->list_id;
    default:
        return false;
    }
}

static int read_guards(struct arena *arena, const StoreRead__Target *from, struct intake_target *to)
{
    unsigned *guards = from->n_guards ? arena_array(arena, from->n_guards, sizeof *guards) : NULL;
    for (size_t i = 0; guards && i < from->n_guards; i++)
        guards[i] = from->guards[i];
    to->guards = guards;
    to->guard_count = from->n_guards;
    return guards || !from->n_guards ? 0 : -ENOMEM;
}

static int read_target(struct arena *arena, const StoreRead__Target *from, struct intake_target *to)
{
    if (!is_whole(from) || from->n_guards > INTAKE_GUARDS_MAX)
        return -EPROTO;
    *to = (struct intake_target){.kind = (enum intake_target_kind)from->kind, .door = from->door};
    if (read_guards(arena, from, to))
        return -ENOMEM;
    switch (to->kind) {
    case INTAKE_TARGET_MAILBOX:
        to->account_id = from->account_id;
        to->mailbox_id = from->mailbox_id;
        to->quota_left = from->quota_left;
        return 0;
    case INTAKE_TARGET_REMOTE:
        to->address = arena_copy(arena, binary_span(from->address));
        to->next_hop = arena_copy(arena, binary_span(from->next_hop));
        to->forwarder = arena_copy(arena, binary_span(from->forwarder));
        to->verify = from->verify;
        return to->address.data && to->next_hop.data && to->forwarder.data ? 0 : -ENOMEM;
    case INTAKE_TARGET_LIST_BOUNCE:
        to->list_member = from->list_member;
        to->list_id = from->list_id;
        return 0;
    case INTAKE_TARGET_LIST:
        to->list_id = from->list_id;
        return 0;
    }
    return -EPROTO;
}

static int read_hits(struct arena *arena, const StoreRead__Door *from, struct intake_door *to)
{
    to->hit_count = from->n_hits < LIST_HITS_MAX ? from->n_hits : LIST_HITS_MAX;
    struct list_hit *hits = arena_array(arena, to->hit_count, sizeof *hits);
    to->hits = hits;
    if (!hits)
        return -ENOMEM;
    for (size_t i = 0; i < to->hit_count; i++) {
        const StoreRead__ListHit *hit = from->hits[i];
        if (hit->kind >= LIST_KIND_COUNT || hit->level >= LEVEL_COUNT)
            return -EPROTO;
        hits[i] = (struct list_hit){(enum list_kind)hit->kind, hit->level,
                                    arena_copy(arena, span_head(binary_span(hit->entry), ENTRY_MAX))};
        if (!hits[i].entry.data)
            return -ENOMEM;
    }
    return 0;
}

/* `place` is its own, from 0; `doors` are those before it. */
static int read_door(struct arena *arena, const StoreRead__Door *from, const struct intake_door *doors, size_t place,
                     struct intake_door *to)
{
    static const enum passcode_fact passcodes[] = {
        [STORE_READ__PASSCODE__PASSCODE_NONE] = PASSCODE_NONE,
        [STORE_READ__PASSCODE__PASSCODE_RIGHT] = PASSCODE_RIGHT,
        [STORE_READ__PASSCODE__PASSCODE_WRONG] = PASSCODE_WRONG,
        [STORE_READ__PASSCODE__PASSCODE_EXPIRED] = PASSCODE_EXPIRED,
    };
    if ((unsigned)from->passcode >= sizeof passcodes / sizeof *passcodes || from->rules.len > RULESET_TEXT_MAX ||
        from->address.len > ADDRESS_TEXT_MAX || from->same_rules > place)
        return -EPROTO;
    *to = (struct intake_door){
        .account_id = from->account_id,
        .mailbox_id = from->mailbox_id,
        .address = arena_copy(arena, binary_span(from->address)),
        .rules = from->same_rules ? doors[from->same_rules - 1].rules : arena_copy(arena, binary_span(from->rules)),
        .passcode = passcodes[from->passcode],
        .passcode_name = arena_copy(arena, span_head(binary_span(from->passcode_name), ENTRY_MAX)),
        .limited = from->limited,
        .limited_expired = from->limited_expired,
        .limited_sender_fits = from->limited_sender_fits,
    };
    return to->address.data && to->rules.data && to->passcode_name.data ? read_hits(arena, from, to) : -ENOMEM;
}

static bool is_led(const struct intake_target *target, size_t doors)
{
    bool is_right = target->door <= doors;
    for (size_t i = 0; i < target->guard_count; i++)
        is_right &= target->guards[i] && target->guards[i] <= doors;
    return is_right;
}

static int read_doors(struct arena *arena, const StoreRead__ResolveReply *reply, struct intake_route *route)
{
    if (reply->n_doors > INTAKE_ROUTE_TARGETS_MAX)
        return -EPROTO;
    struct intake_door *doors = arena_array(arena, reply->n_doors, sizeof *doors);
    int error = doors ? 0 : -ENOMEM;
    for (size_t i = 0; !error && i < reply->n_doors; i++)
        error = read_door(arena, reply->doors[i], doors, i, &doors[i]);
    for (size_t i = 0; !error && i < route->count; i++)
        error = is_led(&route->targets[i], reply->n_doors) ? 0 : -EPROTO;
    route->doors = doors;
    route->door_count = reply->n_doors;
    return error;
}

static int read_reply(struct arena *arena, const StoreRead__ResolveReply *reply, struct intake_route *route)
{
    unsigned kind = (unsigned)reply->route;
    if (kind == STORE_READ__ROUTE__ROUTE_UNSET || kind >= sizeof kinds / sizeof *kinds ||
        reply->n_targets > INTAKE_ROUTE_TARGETS_MAX)
        return -EPROTO;
    if (reply->intake_paused) {
        *route = (struct intake_route){.kind = INTAKE_ROUTE_PAUSED};
        return 0;
    }
    struct intake_target *targets = arena_array(arena, reply->n_targets, sizeof *targets);
    if (!targets)
        return -ENOMEM;
    for (size_t i = 0; i < reply->n_targets; i++) {
        int error = read_target(arena, reply->targets[i], &targets[i]);
        if (error)
            return error;
    }
    *route = (struct intake_route){.kind = kinds[kind], .targets = targets, .count = reply->n_targets};
    route->sender.is_protected = reply->sender_protected;
    route->sender.level = reply->sender_protected_level;
    if (reply->sender_protected && reply->sender_account.len) {
        route->sender.account = arena_copy(arena, span_head(binary_span(reply->sender_account), ENTRY_MAX));
        if (!route->sender.account.data)
            return -ENOMEM;
    }
    route->has_approved_names = reply->has_approved_names;
    route->has_denied_names = reply->has_denied_names;
    if (route->sender.level >= LEVEL_COUNT || (route->kind == INTAKE_ROUTE_LOCAL && route->count == 0))
        return -EPROTO;
    return read_doors(arena, reply, route);
}

/* ---- Asking ---- */

/* Is it nobody's here, or sent on under the very name that was asked for, to a server that knows the names and trusts
 * us: we would bring it what it refuses from strangers. A local name with such a character that does exist is none. */
static bool is_relay_form(const struct intake_route *route, struct span local_part)
{
    if (!names_another_host(local_part))
        return false;
    for (size_t i = 0; i < route->count; i++) {
        struct span address = route->targets[i].address;
        if (span_equal_nocase(span_head(address, span_find_last(address, '@')), local_part))
            return true;
    }
    return route->kind == INTAKE_ROUTE_NO_USER;
}

/* What is asked and where the answer goes. */
struct asking {
    const struct intake *intake;
    struct arena *arena;
    const struct intake_question *question;
    struct span domain, key;
    uint64_t deadline;
};

static void fill_request(const struct asking *a, StoreRead__ResolveRequest *request)
{
    const struct intake_question *question = a->question;
    request->local_part = binary_from_span(question->path->local_part);
    request->domain = binary_from_span(a->domain);
    request->reverse_path = binary_from_span(question->reverse_path);
    request->authenticated = question->authenticated;
    request->sent_on_to = binary_from_span(question->sent_on_to);
    if (!question->judged)
        return;
    request->judged = true;
    request->passcode = binary_from_span(question->passcode);
    request->helo = binary_from_span(question->helo);
    if (question->ip)
        request->ip = binary_from_span(span_from(question->ip->bytes, sizeof question->ip->bytes));
}

/* A single door may be remembered where the reader says that nothing but the address decided about it. */
static bool is_by_address_only(const StoreRead__ResolveReply *reply)
{
    return reply->n_doors == 1 && reply->doors[0]->only_by_sender;
}

static int ask(struct fiber *self, const struct asking *a, struct intake_route *route)
{
    StoreRead__ResolveRequest request = STORE_READ__RESOLVE_REQUEST__INIT;
    struct answer answer;
    struct channel *reader;
    int error;
    fill_request(a, &request);
    /* A question may be asked twice. */
    do {
        reader = intake_channel(self, a->intake, ROLE_READER);
        error =
            channel_call(self, reader, STORE_READ_RESOLVE, &request.base, (struct span){0}, -1, a->deadline, &answer);
    } while (error == -EPIPE && reader && clock_monotonic() < a->intake->patient_until);
    if (error)
        return error;
    const StoreRead__ResolveReply *reply = (const StoreRead__ResolveReply *)answer.message;
    error = read_reply(a->arena, reply, route);
    if (!error && is_relay_form(route, a->question->path->local_part))
        *route = (struct intake_route){.kind = INTAKE_ROUTE_RELAY_FORM};
    if (!error && !a->question->sent_on_to.size)
        intake_route_remember(a->intake->routes, a->key, a->question, route, is_by_address_only(reply));
    answer_release(&answer);
    return error;
}

/* An address of this machine: what is sent there would come back to us, or reach what listens for this machine only. */
static bool is_own_address(const struct settings *settings, const struct ip_address *address)
{
    static const struct ip_address none4 = {.bytes = {[10] = 255, [11] = 255}}, none6;
    if (ip_address_is_loopback(address) || ip_address_equal(address, &none4) || ip_address_equal(address, &none6))
        return true;
    for (size_t i = 0; i < settings->listener_count; i++) {
        struct ip_address own;
        if (ip_address_parse(span_text(settings->listeners[i].address), &own) && ip_address_equal(address, &own))
            return true;
    }
    return false;
}

/* The postmaster is reached at our address, too, when our name is in no DNS: RFC 5321 section 4.5.1. */
static bool is_own_postmaster(const struct settings *settings, const struct mail_path *path)
{
    return span_is_nocase(path->local_part, "postmaster") && is_own_address(settings, &path->literal);
}

int intake_route_find(struct fiber *self, const struct intake *intake, struct arena *arena,
                      const struct intake_question *question, uint64_t deadline, struct intake_route *route)
{
    const struct mail_path *path = question->path;
    struct span domain = {0}; /* empty for <Postmaster> alone: RFC 5321 section 4.5.1 */
    *route = (struct intake_route){.kind = INTAKE_ROUTE_NOT_OURS};
    if (path->is_literal && !is_own_postmaster(intake->settings, path))
        return 0;
    if (path->domain.size && !path->is_literal && domain_to_ascii(arena, path->domain, &domain) != NULL)
        return arena->is_starved ? -ENOMEM : 0; /* a name that can't be in the DNS is nobody's */
    struct buf key;
    buf_init(&key, ADDRESS_TEXT_MAX);
    buf_add_span(&key, path->local_part);
    buf_add_char(&key, '@');
    buf_add_span(&key, domain);
    const struct asking a = {intake, arena, question, domain, buf_span(&key), deadline};
    int error = buf_failed(&key) ? -ENOMEM : 0;
    struct intake_route_cache *routes = question->sent_on_to.size ? NULL : intake->routes;
    if (!error && !intake_route_recall(routes, arena, a.key, question, route))
        error = ask(self, &a, route);
    buf_release(&key);
    return error;
}

int intake_route_relay(const struct settings *settings, struct arena *arena, const struct mail_path *path,
                       bool literals, struct intake_route *route)
{
    struct span domain;
    *route = (struct intake_route){.kind = INTAKE_ROUTE_NOT_OURS};
    if (path->is_literal && (!literals || is_own_address(settings, &path->literal)))
        return 0;
    if (path->domain.size == 0 || domain_to_ascii(arena, path->domain, &domain) != NULL)
        return arena->is_starved ? -ENOMEM : 0;
    struct buf text;
    buf_init(&text, ADDRESS_TEXT_MAX);
    mail_path_write(path->local_part, domain, &text);
    struct intake_target *target = arena_alloc(arena, sizeof *target);
    struct span address = arena_copy(arena, buf_span(&text));
    bool failed = buf_failed(&text) || !target || !address.data;
    buf_release(&text);
    if (failed)
        return -ENOMEM;
    *target = (struct intake_target){.kind = INTAKE_TARGET_REMOTE, .address = address};
    *route = (struct intake_route){.kind = INTAKE_ROUTE_LOCAL, .targets = target, .count = 1, .is_relayed = true};
    return 0;
}
