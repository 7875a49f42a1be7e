#include "promises.h"

#include "base/map.h"
#include "store/view.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TEXT_MAX (64u << 20)

static const char *const kinds[PROMISE_KIND_COUNT] = {"mail",   "alias",  "account", "entry",
                                                      "queued", "backup", "rebuild"};

const char *fault_name(enum fault fault)
{
    static const char *const names[FAULT_KIND_COUNT] = {"lost", "doubled", "torn", "back", "start", "check"};
    return names[fault];
}

/* ---- Reading them ---- */

static struct span take_field(struct span *line)
{
    const char *tab = memchr(line->data, '\t', line->size);
    size_t size = tab ? (size_t)(tab - line->data) : line->size;
    struct span field = span_head(*line, size);
    *line = span_skip(*line, tab ? size + 1 : size);
    return field;
}

static bool parse_digest(struct span hex, unsigned char digest[32])
{
    char byte[3] = "";
    if (hex.size != 64)
        return span_is(hex, "-");
    for (size_t i = 0; i < 32; i++) {
        char *end;
        memcpy(byte, hex.data + 2 * i, 2);
        digest[i] = (unsigned char)strtoul(byte, &end, 16);
        if (*end)
            return false;
    }
    return true;
}

static bool parse_promise(struct span line, struct promise *p)
{
    struct span kind = take_field(&line);
    uint64_t *numbers[] = {&p->begun, &p->made, &p->ending, &p->ended, &p->size};
    *p = (struct promise){.kind = PROMISE_KIND_COUNT};
    for (unsigned i = 0; i < PROMISE_KIND_COUNT; i++)
        if (span_is(kind, kinds[i]))
            p->kind = i;
    p->name = take_field(&line);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        if (!span_parse_u64(take_field(&line), INT64_MAX, numbers[i]))
            return false;
    return p->kind < PROMISE_KIND_COUNT && parse_digest(take_field(&line), p->digest);
}

static int read_text(const char *path, struct buf *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : 1;
    while (n > 0) {
        char *place = buf_reserve(text, 65536);
        n = place ? read(fd, place, 65536) : -1;
        text->size += n > 0 ? (size_t)n : 0;
    }
    int rc = n < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    return rc;
}

static int parse_lines(struct promises *p, struct span rest, struct buf *problem)
{
    size_t lines = 0;
    for (size_t i = 0; i < rest.size; i++)
        lines += rest.data[i] == '\n';
    p->list = arena_array(&p->memory, lines + 1, sizeof(*p->list));
    if (!p->list)
        return -ENOMEM;
    while (rest.size) {
        const char *end = memchr(rest.data, '\n', rest.size);
        struct span line = span_head(rest, end ? (size_t)(end - rest.data) : rest.size);
        rest = span_skip(rest, line.size + 1);
        if (!parse_promise(line, &p->list[p->count++])) {
            buf_printf(problem, "line %zu of the promises is none: %.*s", p->count, SPAN_ARG(line));
            return -EINVAL;
        }
    }
    return 0;
}

int promises_read(struct promises *p, const char *path, struct buf *problem)
{
    struct buf text;
    *p = (struct promises){0};
    arena_init(&p->memory, 2ull * TEXT_MAX);
    buf_init(&text, TEXT_MAX);
    int rc = read_text(path, &text);
    struct span kept = rc == 0 ? arena_copy(&p->memory, buf_span(&text)) : (struct span){0};
    if (rc == 0)
        rc = parse_lines(p, kept, problem);
    else
        buf_printf(problem, "%s cannot be read: %s", path, strerror(-rc));
    buf_release(&text);
    return rc;
}

void promises_release(struct promises *p)
{
    arena_release(&p->memory);
}

/* ---- Looking ---- */

struct look {
    const struct promise_check *check;
    struct view view;
    struct buf text;  /* of a message */
    unsigned *seen;   /* of each promise: how often what it promises is there */
    struct map names; /* kind and name -> struct promise */
};

static void say(struct look *l, enum fault fault, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void say(struct look *l, enum fault fault, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    l->check->report(l->check->context, fault, text);
}

static struct span key_of(enum promise_kind kind, struct span name, char room[400])
{
    int size = snprintf(room, 400, "%s\t%.*s", kinds[kind], SPAN_ARG(name));
    return span_from(room, size < 400 ? (size_t)size : 399);
}

static struct promise *find(struct look *l, enum promise_kind kind, struct span name)
{
    char room[400];
    return map_get(&l->names, key_of(kind, name, room));
}

static int index_names(struct look *l)
{
    const struct promises *p = l->check->promises;
    char room[400];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < p->count; i++)
        rc = map_put(&l->names, key_of(p->list[i].kind, p->list[i].name, room), &p->list[i]);
    return rc;
}

static void note_seen(struct look *l, enum promise_kind kind, struct span name)
{
    const struct promise *p = find(l, kind, name);
    if (p)
        l->seen[p - l->check->promises->list]++;
}

/* The message, whole, as a reader serves it. */
static int read_message(struct look *l, uint64_t id)
{
    struct view_message m;
    int rc = view_message_find(&l->view, id, &m);
    buf_reset(&l->text);
    if (rc <= 0)
        return rc ? rc : -ENOENT;
    rc = 0;
    while (rc == 0 && l->text.size < m.size) {
        struct span facts;
        rc = view_message_read(&l->view, &m, l->text.size, FETCH_MAX, &facts, &l->text);
    }
    return rc ? rc : buf_failed(&l->text) ? -ENOMEM : 0;
}

/* The number in "Subject: power 17"; nothing for other mail (a report to a sender). */
static struct span find_number(struct span text)
{
    static const char field[] = "\nSubject: power ";
    const char *at = memmem(text.data, text.size, field, sizeof(field) - 1);
    if (!at)
        return (struct span){0};
    struct span rest = span_skip(text, (size_t)(at - text.data) + sizeof(field) - 1);
    size_t digits = 0;
    while (digits < rest.size && rest.data[digits] >= '0' && rest.data[digits] <= '9')
        digits++;
    return span_head(rest, digits);
}

static bool is_whole(const struct promise *p, struct span text)
{
    unsigned char digest[32];
    unsigned size;
    if (text.size < p->size)
        return false;
    struct span sent = span_skip(text, text.size - (size_t)p->size);
    return EVP_Digest(sent.data, sent.size, digest, &size, EVP_sha256(), NULL) == 1 &&
           memcmp(digest, p->digest, sizeof(digest)) == 0;
}

static void look_at_message(struct look *l, enum promise_kind kind, struct span where, uint64_t id)
{
    char name[400];
    int rc = read_message(l, id);
    if (rc != 0) {
        say(l, FAULT_TORN, "message %" PRIu64 " (%s of %.*s) cannot be read: %s", id, kinds[kind], SPAN_ARG(where),
            strerror(-rc));
        return;
    }
    struct span number = find_number(buf_span(&l->text));
    if (!number.size)
        return;
    snprintf(name, sizeof(name), "%.*s %.*s", SPAN_ARG(where), SPAN_ARG(number));
    const struct promise *p = find(l, kind, span_text(name));
    if (!p && kind == PROMISE_QUEUED) /* a list's or a forwarder's */
        return;
    if (!p || p->begun > l->check->until)
        say(l, FAULT_TORN, "message %s was not sent, and is there", name);
    else if (!is_whole(p, buf_span(&l->text)))
        say(l, FAULT_TORN, "message %s is not what was sent", name);
    if (p)
        l->seen[p - l->check->promises->list]++;
}

static int look_at_mail(struct look *l)
{
    struct statement *st = database_query(
        l->view.db,
        "SELECT a.local_part, e.message_id, COALESCE(g.n, 0)"
        " FROM account a JOIN mailbox b ON b.account_id = a.id JOIN entry e ON e.mailbox_id = b.id"
        " LEFT JOIN (SELECT message_id, mailbox_id, COUNT(*) AS n FROM ledger GROUP BY message_id, mailbox_id) g"
        " ON g.message_id = e.message_id AND g.mailbox_id = e.mailbox_id",
        "");
    int rc;
    while ((rc = database_step(st)) > 0) {
        char where[64];
        uint64_t id = database_u64(st, 1), rows = database_u64(st, 2);
        snprintf(where, sizeof(where), "%.*s", SPAN_ARG(database_bytes(st, 0)));
        look_at_message(l, PROMISE_MAIL, span_text(where), id);
        if (l->check->has_ledger && rows != 1 && find_number(buf_span(&l->text)).size)
            say(l, rows ? FAULT_DOUBLED : FAULT_LOST, "the ledger has %" PRIu64 " rows of message %" PRIu64 " to %s",
                rows, id, where);
    }
    database_end(st);
    return rc;
}

static int look_at_queue(struct look *l)
{
    struct statement *st = database_query(l->view.db, "SELECT address, message_id FROM queue", "");
    int rc;
    while ((rc = database_step(st)) > 0) {
        char where[300];
        uint64_t id = database_u64(st, 1);
        snprintf(where, sizeof(where), "%.*s", SPAN_ARG(database_bytes(st, 0)));
        look_at_message(l, PROMISE_QUEUED, span_text(where), id);
    }
    database_end(st);
    return rc;
}

static int look_at_names(struct look *l, enum promise_kind kind, const char *sql)
{
    struct statement *st = database_query(l->view.db, sql, "");
    int rc;
    while ((rc = database_step(st)) > 0)
        note_seen(l, kind, database_bytes(st, 0));
    database_end(st);
    return rc;
}

static void compare(struct look *l)
{
    const struct promise_check *c = l->check;
    for (size_t i = 0; i < c->promises->count; i++) {
        const struct promise *p = &c->promises->list[i];
        const char *kind = kinds[p->kind];
        if (p->kind == PROMISE_BACKUP || p->kind == PROMISE_REBUILD)
            continue;
        if (p->made && p->made <= c->from && !(p->ending && p->ending <= c->until) && l->seen[i] == 0)
            say(l, FAULT_LOST, "%s %.*s was acknowledged and is not there", kind, SPAN_ARG(p->name));
        if (p->ended && p->ended <= c->from && l->seen[i] > 0)
            say(l, FAULT_BACK, "%s %.*s was acknowledged as gone and is there", kind, SPAN_ARG(p->name));
        if (l->seen[i] > 1)
            say(l, FAULT_DOUBLED, "%s %.*s is there %u times", kind, SPAN_ARG(p->name), l->seen[i]);
    }
}

static int look_at_all(struct look *l)
{
    int rc = database_begin_read(l->view.db);
    if (rc == 0)
        rc = look_at_mail(l);
    if (rc == 0)
        rc = look_at_queue(l);
    if (rc == 0)
        rc = look_at_names(l, PROMISE_ALIAS,
                           "SELECT a.local_part || '@' || d.name FROM alias a JOIN domain d ON d.id = a.domain_id");
    if (rc == 0)
        rc = look_at_names(l, PROMISE_ACCOUNT,
                           "SELECT a.local_part || '@' || d.name FROM account a JOIN domain d ON d.id = a.domain_id");
    if (rc == 0)
        rc = look_at_names(l, PROMISE_ENTRY, "SELECT name FROM door_item");
    int ended = database_commit(l->view.db);
    return rc ? rc : ended;
}

int promises_check(const struct promise_check *check, const char *data_directory)
{
    struct look l = {.check = check};
    struct buf problem;
    buf_init(&problem, 4096);
    buf_init(&l.text, TEXT_MAX);
    map_init(&l.names);
    l.seen = calloc(check->promises->count + 1, sizeof(*l.seen));
    int rc = l.seen ? index_names(&l) : -ENOMEM;
    if (rc == 0)
        rc = view_open(&l.view, data_directory, &problem);
    if (rc == 0) {
        rc = look_at_all(&l);
        view_release(&l.view);
    }
    if (rc == 0)
        compare(&l);
    else
        say(&l, FAULT_START, "the store cannot be read: %.*s %s", SPAN_ARG(buf_span(&problem)), strerror(-rc));
    buf_release(&problem);
    buf_release(&l.text);
    map_release(&l.names);
    free(l.seen);
    return rc;
}
