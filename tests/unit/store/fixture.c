#include "fixture.h"

#include "store/directory.h"
#include "store/view.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void fixture_open(struct fixture *f)
{
    struct buf problem;
    buf_init(&problem, 4096);
    f->store = store_open(&f->settings, &problem);
    if (!f->store)
        fail_msg("store_open: %.*s", SPAN_ARG(buf_span(&problem)));
    buf_release(&problem);
}

void fixture_close(struct fixture *f)
{
    store_close(f->store);
    f->store = NULL;
}

void fixture_start(struct fixture *f)
{
    fixture_start_in(f, "/tmp");
}

void fixture_start_in(struct fixture *f, const char *base)
{
    memset(f, 0, sizeof(*f));
    snprintf(f->directory, sizeof(f->directory), "%.80s/ostiary-store-XXXXXX", base);
    assert_non_null(mkdtemp(f->directory));
    f->settings.data_directory = f->directory;
    f->settings.smtp.message_size = 64 << 20;
    f->settings.smtp.detail_separator = "+";
    f->settings.auth.default_domain = "example.test";
    f->settings.store.volume_size = 64 << 20;
    f->settings.store.compress_from = 16384;
    f->settings.store.compact_dead_percent = 50;
    f->settings.store.batch_messages = 100;
    fixture_open(f);
    fixture_change(f, &(struct change){.kind = CHANGE_DOMAIN_ADD, .subject = span_text("example.test")}, NULL);
    fixture_account(f, "alice@example.test", 0);
    fixture_account(f, "bob@example.test", 0);
    fixture_account(f, "carol@example.test", 0);
}

void fixture_stop(struct fixture *f)
{
    fixture_close(f);
    remove_directory(f->directory);
}

uint64_t fixture_change(struct fixture *f, const struct change *change, const char *sentence)
{
    struct buf problem;
    uint64_t id;
    buf_init(&problem, 4096);
    assert_int_equal(store_begin(f->store), 0);
    assert_int_equal(store_change(f->store, change, &id, &problem), 0);
    assert_int_equal(store_commit(f->store), 0);
    buf_add_char(&problem, '\0');
    if (!sentence)
        assert_string_equal(problem.data, "");
    else if (!strstr(problem.data, sentence))
        fail_msg("the problem is \"%s\", and should have \"%s\" in it", problem.data, sentence);
    if (!sentence)
        assert_int_not_equal(id, 0);
    buf_release(&problem);
    return id;
}

uint64_t fixture_account(struct fixture *f, const char *address, uint64_t quota)
{
    struct credential_facts credential = {span_text("crypt"), span_text("$y$secret")};
    struct change change = {.kind = CHANGE_ACCOUNT_ADD,
                            .subject = span_text(address),
                            .name = span_text("A Person"),
                            .quota = quota,
                            .credentials = &credential,
                            .credential_count = 1};
    return fixture_change(f, &change, NULL);
}

struct delivery_recipient fixture_recipient(struct fixture *f, const char *address)
{
    struct directory directory = {.db = f->store->db, .detail_separator = span_text("+")};
    struct arena arena;
    struct routing routing;
    struct directory_query query = {.reverse_path = {"", 0}};
    arena_init(&arena, 1 << 20);
    assert_true(directory_split(span_text(address), &query.local_part, &query.domain));
    assert_int_equal(directory_resolve(&directory, &query, &arena, &routing), 0);
    assert_true(routing.route == ROUTED_LOCAL || routing.route == ROUTED_OVER_QUOTA);
    struct delivery_recipient r = {.address = span_text(address)};
    if (routing.count) {
        r.account_id = routing.targets[0].account_id;
        r.mailbox_id = routing.targets[0].mailbox_id;
    }
    arena_release(&arena);
    return r;
}

uint64_t fixture_deliver(struct fixture *f, const char *const *addresses, size_t count, struct span body)
{
    struct delivery_recipient *recipients = calloc(count, sizeof(*recipients));
    uint64_t id;
    assert_non_null(recipients);
    for (size_t i = 0; i < count; i++)
        recipients[i] = fixture_recipient(f, addresses[i]);
    struct delivery d = {.facts = {.received_at = 1700000000000000000u,
                                   .reverse_path = span_text("x@y.test"),
                                   .summary = span_text("sum")},
                         .recipients = recipients,
                         .recipient_count = count,
                         .body = body,
                         .body_fd = -1};
    assert_int_equal(store_begin(f->store), 0);
    assert_int_equal(store_deliver(f->store, &d, &id), 0);
    assert_int_equal(store_commit(f->store), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(recipients[i].outcome, DELIVERY_STORED);
    free(recipients);
    return id;
}

uint64_t fixture_mail(struct fixture *f, const char *address, const char *body)
{
    return fixture_deliver(f, &address, 1, span_text(body));
}

uint64_t fixture_gather(struct fixture *f, const char *address, struct span body)
{
    struct delivery_recipient r = fixture_recipient(f, address);
    uint64_t id;
    struct delivery d = {.recipients = &r, .recipient_count = 1, .body = body, .body_fd = -1};
    assert_int_equal(store_deliver(f->store, &d, &id), 0);
    assert_int_equal(r.outcome, DELIVERY_STORED);
    return id;
}

uint32_t fixture_expunge(struct fixture *f, const char *address, const uint32_t *uids, size_t count)
{
    struct delivery_recipient r = fixture_recipient(f, address);
    uint32_t expunged;
    assert_int_equal(store_begin(f->store), 0);
    assert_int_equal(store_expunge(f->store, r.account_id, r.mailbox_id, uids, count, &expunged), 0);
    assert_int_equal(store_commit(f->store), 0);
    return expunged;
}

static void list(struct database *db, struct buf *out, const char *sql, int columns)
{
    struct statement *st = database_query(db, sql, "");
    int rc;
    while ((rc = database_step(st)) > 0) {
        for (int i = 0; i < columns; i++) {
            buf_add_span(out, database_bytes(st, i));
            buf_add_char(out, i + 1 < columns ? '|' : '\n');
        }
    }
    assert_int_equal(rc, 0);
    database_end(st);
}

void fixture_list(struct fixture *f, struct buf *out)
{
    struct database *db = f->store->db;
    buf_reset(out);
    list(db, out, "SELECT id, name, kind, alias_of, next_hop FROM domain ORDER BY id", 5);
    list(db, out, "SELECT id, domain_id, local_part, name, owner, posting FROM list ORDER BY id", 6);
    list(db, out, "SELECT list_id, number, address, bounces, suspended FROM list_member ORDER BY list_id, number", 5);
    list(db, out,
         "SELECT id, domain_id, local_part, name, enabled, quota, created_at, version FROM account ORDER BY id", 8);
    list(db, out, "SELECT account_id, kind, value FROM credential ORDER BY account_id, kind", 3);
    list(db, out, "SELECT id, domain_id, local_part FROM alias ORDER BY id", 3);
    list(db, out, "SELECT alias_id, place, address FROM alias_target ORDER BY alias_id, place", 3);
    list(db, out,
         "SELECT id, account_id, name, uidvalidity, uidnext, highest_modseq, special_use, messages, bytes FROM mailbox "
         "ORDER BY id",
         9);
    list(db, out, "SELECT mailbox_id, uid, size, flags, modseq, message_id FROM entry ORDER BY mailbox_id, uid", 6);
    list(db, out, "SELECT id, size, living, received_at FROM message WHERE living > 0 ORDER BY id", 4);
    list(db, out,
         "SELECT message_id, number, kind, state, created_at, notify, list_id, account_id, size, destination, address,"
         " original, orcpt, forwarder, reverse_path FROM queue ORDER BY message_id, number",
         15);
    list(db, out,
         "SELECT id, kind, level, owner_id, detail, name, value, expires_at, locked, set_at, set_by FROM door_item"
         " ORDER BY id",
         11);
    list(db, out, "SELECT remote_id, uidl, seen_at FROM remote_seen ORDER BY remote_id, uidl", 3);
    buf_add_char(out, '\0');
    assert_false(buf_failed(out));
}

void fixture_fetch(struct fixture *f, const char *address, uint32_t uid, struct buf *out)
{
    struct buf problem;
    struct view view;
    struct piece piece;
    struct delivery_recipient r = fixture_recipient(f, address);
    buf_init(&problem, 4096);
    if (view_open(&view, f->directory, &problem) != 0)
        fail_msg("view_open: %.*s", SPAN_ARG(buf_span(&problem)));
    buf_reset(out);
    uint64_t offset = 0;
    do {
        size_t count = 1;
        int rc = view_fetch(&view, r.mailbox_id, &uid, 1, offset, FETCH_MAX, &piece, &count, out);
        if (rc == -EIO) {
            buf_reset(out);
            buf_add_text(out, "DAMAGED");
            break;
        }
        assert_int_equal(rc, 0);
        assert_int_equal(count, 1);
        if (piece.gone)
            buf_add_text(out, "GONE");
        offset += piece.size;
    } while (!piece.gone && offset < piece.total);
    view_release(&view);
    buf_release(&problem);
}

uint64_t fixture_count(struct fixture *f, const char *sql)
{
    uint64_t value = 0;
    assert_int_equal(database_find(f->store->db, &value, sql, ""), 1);
    return value;
}

void fixture_path(struct fixture *f, const char *name, char out[256])
{
    snprintf(out, 256, "%s/%s", f->directory, name);
}

uint64_t file_size(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return (uint64_t)st.st_size;
}

static void copy_file(const char *from, const char *to)
{
    char bytes[65536];
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ssize_t n;
    assert_true(in >= 0 && out >= 0);
    while ((n = read(in, bytes, sizeof(bytes))) > 0)
        assert_int_equal(write(out, bytes, (size_t)n), n);
    assert_int_equal(n, 0);
    close(in);
    close(out);
}

static void each_file(const char *path, const char *to)
{
    DIR *dir = opendir(path);
    assert_non_null(dir);
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        char from[512], target[512];
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(from, sizeof(from), "%s/%s", path, entry->d_name);
        assert_int_equal(lstat(from, &st), 0);
        if (to)
            snprintf(target, sizeof(target), "%s/%s", to, entry->d_name);
        if (S_ISDIR(st.st_mode) && to)
            copy_directory(from, target);
        else if (S_ISDIR(st.st_mode))
            remove_directory(from);
        else if (to)
            copy_file(from, target);
        else
            assert_int_equal(unlink(from), 0);
    }
    closedir(dir);
}

void copy_directory(const char *from, const char *to)
{
    assert_true(mkdir(to, 0700) == 0 || errno == EEXIST);
    each_file(from, to);
}

void remove_directory(const char *path)
{
    each_file(path, NULL);
    assert_int_equal(rmdir(path), 0);
}
