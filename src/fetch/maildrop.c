#include "fetch/maildrop.h"

#include "base/clock.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "store_read.pb-c.h"

#include <errno.h>
#include <stdlib.h>

#define ASK_SECONDS 60
#define PAGE 1000
/* A server may list as much as it likes; we read no more lines than this. */
#define LINES_MAX 2000000u

void maildrop_init(struct maildrop *m)
{
    *m = (struct maildrop){0};
    buf_init(&m->uidls, (size_t)MAILDROP_MESSAGES_MAX * POP3_UIDL_MAX);
}

void maildrop_release(struct maildrop *m)
{
    free(m->messages);
    buf_release(&m->uidls);
    m->messages = NULL;
}

struct span maildrop_uidl(const struct maildrop *m, const struct remote_message *message)
{
    return span_from(m->uidls.data + message->uidl_at, message->uidl_size);
}

/* ---- The server's listings ---- */

static int add(struct maildrop *m, uint32_t number, uint64_t size)
{
    /* Each number once and rising: RFC 1939 numbers them so, and one that is told twice would be fetched twice. */
    if (!number || (m->count && number <= m->messages[m->count - 1].number))
        return -EPROTO;
    if (m->count == MAILDROP_MESSAGES_MAX) {
        m->is_cut = true;
        return 0;
    }
    if (m->count == m->room) {
        size_t room = m->room ? 2 * m->room : 64;
        struct remote_message *grown = realloc(m->messages, room * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        m->messages = grown;
        m->room = room;
    }
    m->messages[m->count++] = (struct remote_message){.number = number, .size = size};
    return 0;
}

static struct remote_message *find(struct maildrop *m, uint32_t number)
{
    size_t low = 0, high = m->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (m->messages[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < m->count && m->messages[low].number == number ? &m->messages[low] : NULL;
}

static int take_listing(struct maildrop *m, struct span line)
{
    uint32_t number = 0;
    uint64_t size = 0;
    return pop3_listing_parse(line, &number, &size) ? add(m, number, size) : -EPROTO;
}

/* A message that LIST does not have is none. */
static int take_uidl(struct maildrop *m, struct span line)
{
    uint32_t number = 0;
    struct span uidl;
    if (!pop3_uidl_parse(line, &number, &uidl))
        return -EPROTO;
    struct remote_message *message = find(m, number);
    if (!message || message->uidl_size)
        return message ? -EPROTO : 0;
    return maildrop_set_uidl(m, message, uidl);
}

/* -EREMOTEIO where the server refuses the command. */
static int read_listing(struct fiber *self, struct pop3_client *c, const char *name, struct maildrop *m,
                        int (*take)(struct maildrop *, struct span))
{
    struct pop3_reply reply;
    bool end = false;
    int error = pop3_client_command(self, c, name, &reply, "%s", name);
    for (unsigned lines = 0; !error && !end; lines++) {
        struct span line;
        error = pop3_client_line(self, c, name, &line, &end);
        if (error || end)
            break;
        error = lines < LINES_MAX ? take(m, line) : -EMSGSIZE;
        if (error)
            return pop3_client_fail(c, error, "the answer to %s makes no sense or has no end", name);
    }
    return error;
}

/* Of messages that share an id the first keeps it; the others can't be told apart by it, but by their bytes (see
 * arrival.h). */
static int drop_doubles(struct maildrop *m)
{
    struct map map;
    int error = 0;
    map_init(&map);
    for (size_t i = 0; !error && i < m->count; i++) {
        struct span uidl = maildrop_uidl(m, &m->messages[i]);
        if (uidl.size && map_get(&map, uidl))
            m->messages[i].uidl_size = 0;
        else if (uidl.size)
            error = map_put(&map, uidl, &m->messages[i]);
    }
    map_release(&map);
    return error;
}

int maildrop_set_uidl(struct maildrop *m, struct remote_message *message, struct span uidl)
{
    message->uidl_at = (uint32_t)m->uidls.size;
    message->uidl_size = (uint8_t)uidl.size;
    buf_add_span(&m->uidls, uidl);
    return uidl.size > POP3_UIDL_MAX || buf_failed(&m->uidls) ? -ENOMEM : 0;
}

int maildrop_list(struct fiber *self, struct pop3_client *c, struct maildrop *m)
{
    int error = read_listing(self, c, "LIST", m, take_listing);
    if (error == -EREMOTEIO) { /* it has to know LIST; the sentence is that of the refusal */
        c->over = true;
        return -EBUSY;
    }
    if (error || !m->count)
        return error;
    error = read_listing(self, c, "UIDL", m, take_uidl);
    m->has_uidls = !error;
    if (error == -EREMOTEIO) /* it is optional: RFC 1939 section 7 */
        return 0;
    if (!error)
        error = drop_doubles(m);
    return error;
}

/* ---- The store's notes ---- */

static int ask_page(struct fiber *self, struct peers *peers, uint64_t remote_id, struct maildrop *m,
                    const struct map *by_uidl, ProtobufCBinaryData *page, size_t count)
{
    StoreRead__RemoteSeenRequest request = STORE_READ__REMOTE_SEEN_REQUEST__INIT;
    struct answer answer;
    uint64_t deadline = clock_in_seconds(ASK_SECONDS);
    request.remote_id = remote_id;
    request.uidls = page;
    request.n_uidls = count;
    int error = channel_call(self, peers_wait(self, peers, ROLE_READER, deadline), STORE_READ_REMOTE_SEEN,
                             &request.base, (struct span){0}, -1, deadline, &answer);
    if (error)
        return error;
    const StoreRead__RemoteSeenReply *reply = (const StoreRead__RemoteSeenReply *)answer.message;
    for (size_t i = 0; i < reply->n_seen; i++) {
        struct remote_message *message = map_get(by_uidl, binary_span(reply->seen[i]->uidl));
        if (message) {
            message->is_seen = true;
            message->seen_at = reply->seen[i]->seen_at;
        }
    }
    answer_release(&answer);
    return 0;
}

int maildrop_ask_seen(struct fiber *self, struct peers *peers, uint64_t remote_id, struct maildrop *m)
{
    struct map by_uidl;
    ProtobufCBinaryData *page = calloc(PAGE, sizeof *page);
    int error = page ? 0 : -ENOMEM;
    size_t count = 0;
    map_init(&by_uidl);
    for (size_t i = 0; !error && i < m->count; i++)
        if (m->messages[i].uidl_size)
            error = map_put(&by_uidl, maildrop_uidl(m, &m->messages[i]), &m->messages[i]);
    for (size_t i = 0; !error && i < m->count; i++) {
        if (m->messages[i].uidl_size)
            page[count++] = binary_from_span(maildrop_uidl(m, &m->messages[i]));
        if (count && (count == PAGE || i + 1 == m->count)) {
            error = ask_page(self, peers, remote_id, m, &by_uidl, page, count);
            count = 0;
        }
    }
    map_release(&by_uidl);
    free(page);
    return error;
}
