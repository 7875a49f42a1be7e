/* Posts to mailing lists: the members are found, the copy gets its header, and all of it goes to the store in one
 * transaction with the end of the entry. Of a list so large that its members do not fit one call, each call also
 * records how far it came, in the entry's last reply: neither a crash nor a restart loses or doubles a member. */
#include "base/clock.h"
#include "deliver/handover.h"
#include "deliver/message.h"
#include "format/address.h"
#include "format/header.h"
#include "format/smtp_command.h"
#include "format/trace.h"
#include "format/verp.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "policy/poison.h"
#include "store_write.pb-c.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGE 500
#define ASK_SECONDS 60
#define MEMORY_MAX (64u << 20)
#define COPIES_MAX 10000 /* in one call */
#define HEADER_MAX (600u << 10)

static const char progress_words[] = "sent to members up to ";

struct expansion {
    struct courier *courier;
    struct entry *entry;
    struct settings *settings;
    struct arena memory; /* of the current call */
    struct message message;
    struct answer list; /* the current page */
    struct intake_body body;
    struct envelope envelope;
    struct buf local_part, domain; /* of the list */
    const char *why;               /* it can't be done now; NULL: the error says it */
    uint64_t after;                /* the last member that has its copy */
    uint64_t reached;              /* the last member in the envelope */
};

static const StoreRead__ListReply *page_of(const struct expansion *x)
{
    return (const StoreRead__ListReply *)x->list.message;
}

static int ask_page(struct fiber *self, struct expansion *x)
{
    StoreRead__ListRequest request = STORE_READ__LIST_REQUEST__INIT;
    request.list_id = x->entry->list_id;
    request.after_member = x->reached;
    request.limit = PAGE;
    answer_release(&x->list);
    return channel_call(self, peers_get(x->courier->peers, ROLE_READER), STORE_READ_LIST, &request.base,
                        (struct span){0}, -1, clock_in_seconds(ASK_SECONDS), &x->list);
}

/* ---- May it be posted? ---- */

static bool holds(struct span text, struct span what)
{
    for (; text.size >= what.size; text = span_skip(text, 1))
        if (span_starts_nocase(text, what))
            return true;
    return false;
}

/* It has been here: our own mark is on it. */
static bool is_loop(struct span header, struct span address, struct span list_id)
{
    struct header_field field;
    while (header_next(&header, &field)) {
        if (span_is_nocase(field.name, "Delivered-To") && span_equal_nocase(span_trim(field.value), address))
            return true;
        if (span_is_nocase(field.name, "List-Id") && holds(field.value, list_id))
            return true;
    }
    return false;
}

/* RFC 3834: what a program sends in answer is not for a list. What a program sends of itself may well be. */
static bool is_automatic_answer(struct span header)
{
    struct header_field field;
    return header_find(header, span_text("Auto-Submitted"), &field) &&
           span_starts_nocase(span_trim(field.value), span_text("auto-replied"));
}

/* ---- The copy ---- */

static bool is_ours_to_write(struct span name)
{
    return span_starts_nocase(name, span_text("List-")) || span_is_nocase(name, "Precedence");
}

static void write_list_id(const struct expansion *x, struct buf *out)
{
    buf_printf(out, "<%.*s.%.*s>", SPAN_ARG(buf_span(&x->local_part)), SPAN_ARG(buf_span(&x->domain)));
}

static void write_list_fields(const struct expansion *x, struct buf *out)
{
    const StoreRead__ListReply *list = page_of(x);
    struct span address = binary_span(list->address), owner = binary_span(list->owner), name = binary_span(list->name);
    buf_add_text(out, "Delivered-To: ");
    buf_add_span(out, address);
    buf_add_text(out, "\r\nList-Id: ");
    if (name.size) {
        buf_add_char(out, '"');
        for (size_t i = 0; i < name.size; i++)
            if (name.data[i] >= ' ' && name.data[i] < 127 && name.data[i] != '"' && name.data[i] != '\\')
                buf_add_char(out, name.data[i]);
        buf_add_text(out, "\" ");
    }
    write_list_id(x, out);
    buf_printf(out, "\r\nList-Post: <mailto:%.*s>\r\n", SPAN_ARG(address));
    if (owner.size)
        buf_printf(out, "List-Owner: <mailto:%.*s>\r\nList-Unsubscribe: <mailto:%.*s?subject=unsubscribe>\r\n",
                   SPAN_ARG(owner), SPAN_ARG(owner));
    buf_add_text(out, "Precedence: list\r\n");
}

/* The list's own reverse path, for one member or for none. */
static void write_bounce_path(const struct expansion *x, uint64_t member, struct buf *out)
{
    verp_write(buf_span(&x->local_part), buf_span(&x->domain), member,
               span_from(x->courier->srs_key, sizeof x->courier->srs_key), out);
}

/* Into x->body: trace, our fields, the header without those that are ours to write. Where that header ends. */
static size_t write_header(const struct expansion *x, struct span rest, struct buf *out)
{
    struct buf path;
    struct header_field field;
    buf_init(&path, 512);
    write_bounce_path(x, 0, &path);
    trace_return_path_write(buf_span(&path), out);
    buf_release(&path);
    write_list_fields(x, out);
    const char *begin = rest.data;
    size_t header_end = 0;
    while (header_next(&rest, &field)) {
        header_end = (size_t)(field.raw.data + field.raw.size - begin);
        if (!is_ours_to_write(field.name))
            buf_add_span(out, field.raw);
    }
    return header_end;
}

static bool is_refused(const struct expansion *x, struct span header)
{
    struct buf list_id;
    buf_init(&list_id, 1024);
    write_list_id(x, &list_id);
    bool refused = is_loop(header, binary_span(page_of(x)->address), buf_span(&list_id)) || is_automatic_answer(header);
    buf_release(&list_id);
    return refused;
}

/* All that looks at the post's header. 1 and where it ends, behind the copy's own in x->body; 0: it is not for the
 * list; -EAGAIN: reading it ends processes, so it waits for a program that can. */
static int read_header(struct expansion *x, size_t *header_end)
{
    struct span head = message_head(&x->message);
    if (!poison_begin(poison_fingerprint(head))) {
        x->why = "Reading this message made the server fail several times";
        return -EAGAIN;
    }
    poison_test(head);
    bool refused = is_refused(x, head);
    *header_end = refused ? 0 : write_header(x, head, &x->body.memory);
    poison_end();
    return !refused;
}

/* ---- The members ---- */

static void count_bounce(const struct expansion *x, const StoreRead__ListMember *member, const char *why,
                         struct intake_target *target)
{
    char id[QUEUE_ID_MAX];
    log_write(LOG_FAILURE, "courier", queue_id(x->entry->message_id, id),
              "no copy for a member of a list: %s member=%s", why, log_quote(binary_span(member->address)));
    *target = (struct intake_target){
        .kind = INTAKE_TARGET_LIST_BOUNCE, .list_id = x->entry->list_id, .list_member = member->number};
}

/* The member's targets, with the list's reverse path for this member on those that leave. */
static int mark_targets(struct expansion *x, const StoreRead__ListMember *member, struct intake_route *route)
{
    struct intake_target *targets = arena_array(&x->memory, route->count ? route->count : 1, sizeof *targets);
    struct buf path;
    if (!targets)
        return -ENOMEM;
    buf_init(&path, 512);
    write_bounce_path(x, member->number, &path);
    struct span verp = {0};
    if (!buf_failed(&path))
        verp = arena_copy(&x->memory, buf_span(&path));
    buf_release(&path);
    if (!verp.size)
        return -ENOMEM;
    for (size_t i = 0; i < route->count; i++) {
        targets[i] = route->targets[i];
        if (targets[i].kind == INTAKE_TARGET_REMOTE)
            targets[i].forwarder = verp;
    }
    if (route->kind != INTAKE_ROUTE_LOCAL) {
        count_bounce(x, member, route->kind == INTAKE_ROUTE_OVER_QUOTA ? "the mailbox is full" : "no such address",
                     targets);
        route->count = 1;
    }
    route->targets = targets;
    return 0;
}

/* 0; -ENOSPC when the envelope is full: then the member waits for the next call. */
static int add_member(struct fiber *self, struct expansion *x, const StoreRead__ListMember *member)
{
    struct intake intake = {.peers = x->courier->peers, .settings = x->settings};
    struct mail_path *path = arena_alloc(&x->memory, sizeof *path);
    struct span address = arena_copy(&x->memory, binary_span(member->address));
    if (!path || !address.data)
        return -ENOMEM;
    struct intake_route route = {.kind = INTAKE_ROUTE_NO_USER};
    struct intake_question question = {.path = path};
    int error = 0;
    if (mail_address_parse(address, true, &x->memory, path) == NULL)
        error = intake_route_find(self, &intake, &x->memory, &question, clock_in_seconds(ASK_SECONDS), &route);
    else if (x->memory.is_starved)
        error = -ENOMEM;
    else
        *path = (struct mail_path){.local_part = address, .text = address};
    if (!error && route.kind == INTAKE_ROUTE_NOT_OURS)
        error = intake_route_relay(x->settings, &x->memory, path, true, &route);
    if (!error && route.kind == INTAKE_ROUTE_PAUSED)
        error = -EAGAIN;
    if (!error)
        error = mark_targets(x, member, &route);
    struct intake_naming naming = {.path = path, .notify = SMTP_NOTIFY_FAILURE};
    if (!error && x->envelope.target_count &&
        (x->envelope.target_count >= COPIES_MAX || !envelope_has_room(&x->envelope, &naming, &route)))
        return -ENOSPC;
    if (!error)
        error = envelope_add(&x->envelope, &x->memory, &naming, &route);
    if (!error)
        x->reached = member->number;
    return error;
}

/* Fills the envelope from where it stands. 0 with *more = false at the end of the list. */
static int gather(struct fiber *self, struct expansion *x, bool *more)
{
    *more = true;
    for (;;) {
        const StoreRead__ListReply *page = page_of(x);
        for (size_t i = 0; i < page->n_members; i++) {
            if (page->members[i]->number <= x->reached)
                continue;
            int error = add_member(self, x, page->members[i]);
            if (error)
                return error == -ENOSPC ? 0 : error;
        }
        *more = page->more && page->n_members;
        if (!*more)
            return 0;
        int error = ask_page(self, x);
        if (error)
            return error;
        if (!page_of(x)->found)
            return -EAGAIN;
    }
}

/* ---- Handing over ---- */

static int hand_over(struct fiber *self, struct expansion *x, bool more)
{
    char words[64], id[QUEUE_ID_MAX];
    struct intake_outcome outcome;
    struct entry *e = x->entry;
    snprintf(words, sizeof words, "%s%llu", progress_words, (unsigned long long)x->reached);
    struct verdict delivered = {.kind = VERDICT_DELIVERED, .status = "2.0.0"};
    entry_settle(e, delivered, (struct span){0}, span_text(words));
    e->outcome = more ? STORE_WRITE__QUEUE_OUTCOME__QUEUE_DEFERRED : STORE_WRITE__QUEUE_OUTCOME__QUEUE_DONE;
    e->retry_at = clock_steady();
    struct handover h = {.entry = e,
                         .count = 1,
                         .envelope = &x->envelope,
                         .body = &x->body,
                         .eight_bit = x->message.facts->eight_bit,
                         .memory = &x->memory};
    int error = handover_send(self, x->courier, &h, &outcome);
    if (error)
        return error;
    log_write(LOG_LOW, "courier", queue_id(e->message_id, id), "list copies made list=%s copies=%u message=%llx%s",
              log_quote(binary_span(page_of(x)->address)), x->envelope.target_count,
              (unsigned long long)outcome.message_id, more ? " more=yes" : "");
    x->after = x->reached;
    return 0;
}

static int send_copies(struct fiber *self, struct expansion *x)
{
    bool more = true;
    int error = 0;
    while (more && !error) {
        arena_reset(&x->memory);
        envelope_init(&x->envelope);
        struct buf path;
        buf_init(&path, 512);
        write_bounce_path(x, 0, &path);
        x->envelope.reverse_path = arena_copy(&x->memory, buf_span(&path));
        buf_release(&path);
        x->envelope.smtputf8 = x->message.facts->smtputf8;
        error = x->envelope.reverse_path.data ? gather(self, x, &more) : -ENOMEM;
        if (!error)
            error = hand_over(self, x, more);
    }
    return error;
}

/* ---- All of it ---- */

static void read_progress(struct expansion *x)
{
    struct span reply = x->entry->last_reply, words = span_text(progress_words);
    if (span_starts_nocase(reply, words) && span_parse_u64(span_skip(reply, words.size), UINT64_MAX, &x->after))
        x->reached = x->after;
}

static int split_address(struct expansion *x)
{
    struct span address = binary_span(page_of(x)->address);
    struct mail_path path;
    if (mail_address_parse(address, true, &x->memory, &path) != NULL)
        return x->memory.is_starved ? -ENOMEM : -EPROTO;
    buf_add_span(&x->local_part, path.local_part);
    buf_add_span(&x->domain, path.domain);
    return buf_failed(&x->local_part) || buf_failed(&x->domain) ? -ENOMEM : 0;
}

/* Refused without a word: answers of programs to programs never end. */
static void drop(struct entry *e, enum verdict_trouble trouble)
{
    e->notify = SMTP_NOTIFY_NEVER;
    entry_settle_trouble(e, trouble, (struct span){0});
}

static int expand(struct fiber *self, struct expansion *x)
{
    read_progress(x);
    int error = ask_page(self, x);
    if (error)
        return error;
    if (!page_of(x)->found) {
        entry_settle_trouble(x->entry, TROUBLE_LIST_GONE, (struct span){0});
        return 0;
    }
    error = message_open(self, &x->message, x->courier, x->entry->message_id);
    if (!error)
        error = split_address(x);
    if (error)
        return error;
    size_t header_end;
    error = read_header(x, &header_end);
    if (error < 0)
        return error;
    if (error == 0) {
        drop(x->entry, TROUBLE_LIST_LOOP);
        return 0;
    }
    error = message_copy(self, &x->message, header_end, &x->body);
    return error ? error : send_copies(self, x);
}

void expand_list(struct fiber *self, struct courier *c, struct entry *e, bool *done)
{
    struct expansion *x = calloc(1, sizeof *x);
    *done = false;
    if (!x) {
        entry_settle_trouble(e, TROUBLE_OURS, (struct span){0});
        return;
    }
    *x = (struct expansion){.courier = c, .entry = e, .settings = settings_ref(c->settings), .list = {.fd = -1}};
    x->message = (struct message){.first = {.fd = -1}, .piece = {.fd = -1}};
    arena_init(&x->memory, MEMORY_MAX);
    buf_init(&x->local_part, PATH_MAX_SMTP);
    buf_init(&x->domain, DOMAIN_MAX);
    intake_body_init(&x->body);
    int error = expand(self, x);
    char words[64];
    snprintf(words, sizeof words, "%s%llu", progress_words, (unsigned long long)x->after);
    /* How far it came must not be lost. */
    if (error)
        entry_settle_trouble(e, TROUBLE_OURS, span_text(x->after ? words : x->why ? x->why : strerror(-error)));
    else
        *done = e->verdict.kind == VERDICT_DELIVERED;
    message_close(&x->message);
    answer_release(&x->list);
    intake_body_release(&x->body);
    buf_release(&x->local_part);
    buf_release(&x->domain);
    arena_release(&x->memory);
    settings_unref(x->settings);
    free(x);
}
