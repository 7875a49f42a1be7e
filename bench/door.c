/* What it costs a reader to say what is in force at a door: the way of an address alone, and with the judged part.
 *
 *   door DIRECTORY ACCOUNTS LOOKUPS
 *
 * The directory must be empty. An account in ten has rules and lists of its own. JSON on standard output: microseconds
 * of CPU time of this process for one look-up. */
#include "store/change.h"
#include "store/door_change.h"
#include "store/door_judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void need(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "door: %s\n", what);
    exit(1);
}

static void make_directory(struct store *s, unsigned accounts)
{
    struct buf problem;
    uint64_t id;
    buf_init(&problem, 4096);
    need(store_begin(s) == 0, "begin");
    struct change domain = {.kind = CHANGE_DOMAIN_ADD, .subject = span_text("example.test")};
    need(store_change(s, &domain, &id, &problem) == 0 && id, "domain");
    for (unsigned i = 0; i < accounts; i++) {
        char name[40];
        snprintf(name, sizeof(name), "user%u@example.test", i);
        struct change account = {.kind = CHANGE_ACCOUNT_ADD, .subject = span_text(name)};
        need(store_change(s, &account, &id, &problem) == 0 && id, "account");
    }
    need(store_commit(s) == 0, "commit");
    buf_release(&problem);
}

static void wish(struct store *s, enum rule_level level, const char *owner, enum door_kind kind, const char *name,
                 const char *value)
{
    struct buf problem;
    struct door_outcome outcome;
    struct door_wish w = {kind, level, span_text(owner), span_text(name), span_text(value), 0, false, false};
    struct door_change change = {.wishes = &w, .count = 1};
    buf_init(&problem, 4096);
    need(store_door_change(s, &change, &outcome, &problem) == 0, "change");
    buf_add_char(&problem, '\0');
    need(outcome.count == 1, problem.data);
    buf_release(&problem);
}

static void set_doors(struct store *s, unsigned accounts)
{
    need(store_begin(s) == 0, "begin");
    for (unsigned i = 0; i < accounts; i += 10) {
        char owner[40], name[40];
        snprintf(owner, sizeof(owner), "user%u@example.test", i);
        wish(s, LEVEL_ACCOUNT, owner, DOOR_RULE, "white-list", "on");
        wish(s, LEVEL_ACCOUNT, owner, DOOR_RULE, "helo-not-ip", "on");
        for (unsigned n = 0; n < 20; n++) {
            snprintf(name, sizeof(name), "friend%u@away.test", n);
            wish(s, LEVEL_ACCOUNT, owner, DOOR_WHITE, name, "");
        }
    }
    need(store_commit(s) == 0, "commit");
}

static void set_site(struct store *s)
{
    char name[40];
    need(store_begin(s) == 0, "begin");
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "10.%u.%u.0/24", i / 250, i % 250);
        wish(s, LEVEL_SITE, "", DOOR_DENIED, name, "");
        snprintf(name, sizeof(name), "@spam%u.test", i);
        wish(s, LEVEL_SITE, "", DOOR_BLACK, name, "");
    }
    need(store_commit(s) == 0, "commit");
}

/* As a reader does it, in one transaction. Microseconds a look-up; every `step`th account is asked for. */
static double measure(struct database *db, unsigned accounts, unsigned lookups, unsigned step, unsigned first,
                      bool judged)
{
    struct directory directory = {.db = db, .detail_separator = span_text("+")};
    struct door_question question = {.reverse_path = span_text("someone@mail.away.test"),
                                     .helo = span_text("mx.mail.away.test"),
                                     .has_ip = true,
                                     .now = 1700000000};
    struct door_cache cache;
    struct arena arena;
    need(ip_address_parse(span_text("192.0.2.7"), &question.ip), "address");
    arena_init(&arena, 16 << 20);
    door_cache_init(&cache, db);
    double start = seconds();
    for (unsigned i = 0; i < lookups; i++) {
        char name[24];
        struct routing routing;
        struct judged_doors doors;
        arena_reset(&arena);
        snprintf(name, sizeof(name), "user%u", (first + i * step) % accounts);
        struct directory_query query = {span_text(name), span_text("example.test"), question.reverse_path};
        need(database_begin_read(db) == 0, "begin");
        need(directory_resolve(&directory, &query, &arena, &routing) == 0 && routing.count == 1, name);
        if (judged)
            need(doors_judge(&cache, &directory, &question, &routing, &arena, &doors) == 0 && doors.count == 1,
                 "judge");
        need(database_commit(db) == 0, "end");
    }
    double used = seconds() - start;
    door_cache_release(&cache);
    arena_release(&arena);
    return used / lookups * 1e6;
}

int main(int argc, char **argv)
{
    struct settings settings = {.data_directory = argc == 4 ? argv[1] : NULL};
    struct buf problem;
    need(argc == 4, "door DIRECTORY ACCOUNTS LOOKUPS");
    unsigned accounts = (unsigned)strtoul(argv[2], NULL, 10), lookups = (unsigned)strtoul(argv[3], NULL, 10);
    need(accounts >= 10 && lookups > 0, "at least 10 accounts and a look-up");
    accounts -= accounts % 10;
    settings.smtp.message_size = 1 << 20;
    settings.smtp.detail_separator = (char[]){"+"};
    settings.store.volume_size = 64 << 20;
    settings.store.compress_from = 16384;
    buf_init(&problem, 4096);
    struct store *s = store_open(&settings, &problem);
    need(s != NULL, "the store cannot be opened");
    make_directory(s, accounts);
    double way = measure(s->db, accounts, lookups, 1, 0, false);
    double nothing = measure(s->db, accounts, lookups, 1, 0, true);
    set_doors(s, accounts);
    double none = measure(s->db, accounts, lookups, 10, 1, true), own = measure(s->db, accounts, lookups, 10, 0, true);
    set_site(s);
    double site = measure(s->db, accounts, lookups, 10, 1, true);
    printf("{\"way_us\": %.2f, \"nobody_set_anything_us\": %.2f, \"others_did_us\": %.2f, \"own_rules_and_lists_us\": "
           "%.2f,"
           " \"site_lists_us\": %.2f}\n",
           way, nothing, none, own, site);
    store_close(s);
    buf_release(&problem);
    return 0;
}
