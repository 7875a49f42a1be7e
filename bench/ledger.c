/* What the ledger costs the writer: CPU of a message with and without a row, of a refusal's row, and of pruning one.
 *
 *   ledger DIRECTORY ROWS
 *
 * CPU time of this process: the disk's mood does not matter. */
#include "base/clock.h"
#include "policy/rule.h"
#include "store/change.h"
#include "store/core.h"
#include "store/directory.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BATCH 50
#define SLICE 300

static double cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void need(int rc, const char *what)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%s: %s\n", what, strerror(-rc));
    exit(1);
}

static void change(struct store *s, enum change_kind kind, const char *subject)
{
    struct change c = {.kind = kind, .subject = span_text(subject), .name = span_text("A Person"), .enabled = true};
    struct buf problem;
    uint64_t id;
    buf_init(&problem, 4096);
    need(store_begin(s), "begin");
    need(store_change(s, &c, &id, &problem), "change");
    need(store_commit(s), "commit");
    buf_release(&problem);
}

static struct ledger_row row_of(uint64_t number, enum verdict_kind verdict, uint64_t account_id)
{
    static const char facts[250];
    return (struct ledger_row){.reference = verdict == VERDICT_REFUSE ? number * 7919 % LEDGER_REFERENCE_MAX + 1 : 0,
                               .at = clock_wall(),
                               .attempts = 1,
                               .account_id = account_id,
                               .verdict = verdict,
                               .rule = span_text("sender-tld"),
                               .ip = span_text("192.0.2.7"),
                               .ptr = span_text("mx17.mail.example.net"),
                               .helo = span_text("mx17.mail.example.net"),
                               .reverse_path = span_text("someone.else@mail.example.net"),
                               .recipient = span_text("alice@example.test"),
                               .subject = span_text("An ordinary subject of mail"),
                               .header_message_id = span_text("<20261122073900.1234@mail.example.net>"),
                               .evidence = span_text("mail.example.net"),
                               .sentence = span_text("mail from .net is not taken (your sender is <someone.else@…>)"),
                               .reply = span_text("550 5.7.1 alice@example.test does not take this: mail from .net is "
                                                  "not taken. Reference 7F3K-2QXD"),
                               .facts = span_from(facts, sizeof(facts)),
                               .asked = 127};
}

static double deliver(struct store *s, struct delivery_recipient to, uint64_t count, bool has_row)
{
    static char body[4096];
    memset(body, 'x', sizeof(body));
    double began = cpu();
    for (uint64_t i = 0; i < count; i += BATCH) {
        struct ledger_row rows[BATCH];
        need(store_begin(s), "begin");
        for (int n = 0; n < BATCH; n++) {
            struct delivery_recipient r = to;
            rows[n] = row_of(i, VERDICT_ACCEPT, to.account_id);
            r.ledger = has_row ? &rows[n] : NULL;
            struct delivery d = {
                .recipients = &r, .recipient_count = 1, .body = span_from(body, sizeof(body)), .body_fd = -1};
            uint64_t id;
            need(store_deliver(s, &d, &id), "deliver");
        }
        need(store_commit(s), "commit");
    }
    return (cpu() - began) / (double)count;
}

static double note(struct store *s, uint64_t count)
{
    double began = cpu();
    for (uint64_t i = 0; i < count; i += SLICE) {
        need(ledger_begin(s), "begin");
        for (uint64_t n = 0; n < SLICE; n++) {
            struct ledger_row row = row_of(i + n, VERDICT_REFUSE, 5);
            need(ledger_insert(s, &row), "insert");
        }
        need(ledger_commit(s), "commit");
        reject_log_flush(&s->ledger.reject_log);
    }
    return (cpu() - began) / (double)count;
}

static double prune(struct store *s, uint64_t keep)
{
    uint64_t before, after;
    need(ledger_count(s, &before), "count");
    s->ledger.rows_max = keep;
    double began = cpu();
    while (ledger_is_prunable(&s->ledger, clock_wall())) {
        need(ledger_begin(s), "begin");
        need(ledger_prune(s, clock_wall(), 1000), "prune");
        need(ledger_commit(s), "commit");
    }
    double spent = cpu() - began;
    need(ledger_count(s, &after), "count");
    return spent / (double)(before - after);
}

static struct delivery_recipient find(struct store *s, const char *address)
{
    struct directory directory = {.db = s->db, .detail_separator = span_text("")};
    struct directory_query query = {.reverse_path = {"", 0}};
    struct routing routing;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    bool ok = directory_split(span_text(address), &query.local_part, &query.domain);
    need(ok ? directory_resolve(&directory, &query, &arena, &routing) : -1, "resolve");
    struct delivery_recipient r = {.address = span_text(address),
                                   .account_id = routing.targets[0].account_id,
                                   .mailbox_id = routing.targets[0].mailbox_id};
    arena_release(&arena);
    return r;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return fputs("usage: ledger DIRECTORY ROWS\n", stderr), 64;
    struct settings settings = {.data_directory = argv[1]};
    struct buf problem;
    buf_init(&problem, 4096);
    settings.smtp.message_size = 1 << 20;
    settings.smtp.detail_separator = "";
    settings.store.volume_size = 1 << 30;
    settings.ledger.reject_log = true;
    settings.ledger.reject_log_size = 10 << 20;
    settings.ledger.reject_log_keep = 3;
    struct store *s = store_open(&settings, &problem);
    if (!s)
        return fprintf(stderr, "%.*s\n", SPAN_ARG(buf_span(&problem))), 1;
    uint64_t rows = strtoull(argv[2], NULL, 10);
    change(s, CHANGE_DOMAIN_ADD, "example.test");
    change(s, CHANGE_ACCOUNT_ADD, "alice@example.test");
    struct delivery_recipient alice = find(s, "alice@example.test");
    deliver(s, alice, 1000, true);
    double without = deliver(s, alice, 10000, false), with = deliver(s, alice, 10000, true);
    double noted = note(s, rows), with_many = deliver(s, alice, 10000, true);
    uint64_t count;
    need(ledger_count(s, &count), "count");
    printf("{\"rows\": %ju, \"message_us\": %.2f, \"message_with_row_us\": %.2f, \"message_beside_rows_us\": %.2f, "
           "\"refusal_us\": %.2f, ",
           (uintmax_t)count, without, with, with_many, noted);
    printf("\"prune_us\": %.2f}\n", prune(s, count / 2));
    store_close(s);
    buf_release(&problem);
    return 0;
}
