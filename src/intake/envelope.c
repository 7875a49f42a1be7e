#include "intake/envelope.h"

#include "base/map.h"
#include "format/summary.h"
#include "policy/poison.h"

#include <errno.h>

/* What the one call that delivers may carry: the store's count of targets, and a frame's bytes without the summary's.
 */
#define TARGETS_MAX 10000
#define REQUEST_BYTES_MAX (CHANNEL_MESSAGE_MAX - SUMMARY_SIZE_MAX - (16u << 10))
#define RECIPIENT_OVERHEAD 40 /* numbers and tags */
#define ADDRESS_TEXT_MAX 1024

void envelope_init(struct envelope *envelope)
{
    *envelope = (struct envelope){0};
    envelope->last = &envelope->recipients;
}

static size_t bytes_of(const struct intake_target *target, size_t naming)
{
    return naming + target->address.size + target->next_hop.size + target->forwarder.size + RECIPIENT_OVERHEAD;
}

bool envelope_has_room(const struct envelope *envelope, const struct intake_naming *naming,
                       const struct intake_route *route)
{
    size_t bytes = envelope->request_bytes;
    for (size_t i = 0; i < route->count; i++)
        bytes += bytes_of(&route->targets[i], naming->path->text.size + naming->orcpt.size);
    return envelope->accepted == 0 ||
           (envelope->target_count + route->count <= TARGETS_MAX && bytes <= REQUEST_BYTES_MAX);
}

size_t envelope_bytes_left(const struct envelope *envelope)
{
    return envelope->request_bytes < REQUEST_BYTES_MAX ? REQUEST_BYTES_MAX - envelope->request_bytes : 0;
}

static uint64_t hash_target(const struct intake_target *target)
{
    const uint64_t numbers[] = {target->kind, target->mailbox_id, target->list_id, target->list_member};
    return hash_bytes(target->kind == INTAKE_TARGET_REMOTE ? target->address : span_from(numbers, sizeof numbers));
}

/* The same place for a message to go to. The hosts on the way there do not make it another. */
static bool is_same(const struct intake_target *a, const struct intake_target *b)
{
    return a->kind == b->kind && a->mailbox_id == b->mailbox_id && a->list_id == b->list_id &&
           a->list_member == b->list_member && span_equal(a->address, b->address);
}

static struct intake_recipient *find_target(const struct envelope *envelope, const struct intake_target *target,
                                            uint64_t hash)
{
    for (struct intake_recipient *r = envelope->buckets[hash % ENVELOPE_BUCKETS]; r; r = r->next_in_bucket)
        if (r->hash == hash && is_same(r->target, target))
            return r;
    return NULL;
}

/* The address as it is stored and shown: without the source route that the client may have written before it. */
static int copy_address(struct arena *arena, const struct mail_path *path, struct span *address)
{
    struct buf text;
    buf_init(&text, ADDRESS_TEXT_MAX);
    mail_path_write(path->local_part, path->domain, &text);
    *address = arena_copy(arena, buf_span(&text));
    bool failed = buf_failed(&text) || !address->data;
    buf_release(&text);
    return failed ? -ENOMEM : 0;
}

static void add_recipient(struct envelope *envelope, struct intake_recipient *r)
{
    struct intake_recipient **bucket = &envelope->buckets[r->hash % ENVELOPE_BUCKETS];
    r->next_in_bucket = *bucket;
    *bucket = r;
    *envelope->last = r;
    envelope->last = &r->next;
    envelope->target_count++;
    envelope->remote_count +=
        r->target->kind == INTAKE_TARGET_REMOTE && !span_is(r->target->next_hop, INTAKE_ASK_AGAIN);
    envelope->request_bytes += bytes_of(r->target, r->address.size + r->orcpt.size);
}

void envelope_hold(struct envelope *envelope)
{
    static const struct span folder = SPAN(POISON_FOLDER);
    size_t left = envelope_bytes_left(envelope);
    for (struct intake_recipient *r = envelope->recipients; r; r = r->next) {
        if (r->target->kind != INTAKE_TARGET_MAILBOX || left < folder.size + 4)
            continue;
        r->folder = folder;
        left -= folder.size + 4;
    }
}

void envelope_keep(struct envelope *envelope, bool (*is_kept)(const struct intake_recipient *r))
{
    envelope->last = &envelope->recipients;
    for (struct intake_recipient *r = envelope->recipients; r; r = r->next) {
        if (is_kept(r)) {
            *envelope->last = r;
            envelope->last = &r->next;
        } else {
            envelope->target_count--;
        }
    }
    *envelope->last = NULL;
}

int envelope_add(struct envelope *envelope, struct arena *arena, const struct intake_naming *naming,
                 const struct intake_route *route)
{
    struct span address;
    struct intake_recipient *places = arena_array(arena, route->count, sizeof *places);
    if (!places || copy_address(arena, naming->path, &address))
        return -ENOMEM;
    for (size_t i = 0; i < route->count; i++) {
        uint64_t hash = hash_target(&route->targets[i]);
        struct intake_recipient *there = find_target(envelope, &route->targets[i], hash);
        places[i] =
            (struct intake_recipient){.hash = hash,
                                      .target = &route->targets[i],
                                      .address = address,
                                      .orcpt = naming->orcpt,
                                      .notify = naming->notify,
                                      .judged = naming->by_door ? naming->by_door[route->targets[i].door] : NULL,
                                      .by_door = naming->by_door};
        if (there) {
            places[i].again = there->again;
            there->again = &places[i];
        } else {
            add_recipient(envelope, &places[i]);
        }
    }
    envelope->accepted++;
    return 0;
}
