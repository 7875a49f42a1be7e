/* What doors have to do with mail that comes in: folders, fetched mail, people that are learned; and that all of it
 * outlives the database. */
#include "door_fixture.h"

#include "base/clock.h"
#include "store/check.h"
#include "store/compact.h"
#include "store/folder.h"
#include "store/learn.h"
#include "store/rebuild.h"
#include "store/remote_seen.h"

#include <errno.h>
#include <stdio.h>

#define ALICE "alice@example.test"
#define BOB "bob@example.test"
#define SET(f, ...)                                       \
    door_set(f, (const struct door_words[]){__VA_ARGS__}, \
             sizeof((const struct door_words[]){__VA_ARGS__}) / sizeof(struct door_words), NULL)

static void check_is_clean(struct fixture *f)
{
    struct store_check_report report;
    assert_int_equal(store_check(f->directory, &report, NULL, NULL), 0);
    if (report.problems)
        fail_msg("check: %.*s", SPAN_ARG(buf_span(&report.text)));
    buf_release(&report.text);
}

/* A rebuild finds everything that there is. */
static void survives(struct fixture *f)
{
    struct store_rebuild_report report;
    struct buf before, after, problem;
    buf_init(&before, 1 << 20);
    buf_init(&after, 1 << 20);
    buf_init(&problem, 4096);
    fixture_list(f, &before);
    fixture_close(f);
    assert_int_equal(store_rebuild(f->directory, &report, NULL, NULL, &problem), 0);
    fixture_open(f);
    fixture_list(f, &after);
    assert_string_equal(after.data, before.data);
    check_is_clean(f);
    buf_release(&before);
    buf_release(&after);
    buf_release(&problem);
}

static void compact_all(struct fixture *f)
{
    for (int round = 0; round < 20 && compaction_start(f->store, 1) == 1; round++)
        while (compaction_is_running(f->store))
            assert_true(compaction_step(f->store) >= 0);
    check_is_clean(f);
}

static int give(struct fixture *f, struct delivery *d, uint64_t *id)
{
    d->body = span_text("hello");
    d->body_fd = -1;
    d->facts.received_at = 1700000000000000000u;
    assert_int_equal(store_begin(f->store), 0);
    int rc = store_deliver(f->store, d, id);
    assert_int_equal(store_commit(f->store), 0);
    return rc;
}

static void file_into(struct fixture *f, const char *folder)
{
    struct delivery_recipient r = fixture_recipient(f, ALICE);
    struct delivery d = {.recipients = &r, .recipient_count = 1};
    uint64_t id;
    r.folder = span_text(folder);
    assert_int_equal(give(f, &d, &id), 0);
    assert_true(id != 0 && r.outcome == DELIVERY_STORED);
}

static uint64_t messages_in(struct fixture *f, const char *folder)
{
    uint64_t count = 0;
    int rc = database_find(f->store->db, &count,
                           "SELECT m.messages FROM mailbox m JOIN account a ON a.id = m.account_id WHERE"
                           " a.local_part = 'alice' AND m.name = $1",
                           "t", span_text(folder));
    return rc == 1 ? count : UINT64_MAX;
}

static void folders(void **state)
{
    struct fixture f;
    fixture_start(&f);
    static const char *const names[] = {"Junk", "Junk", "inbox", "", "Blocked/2026", "bad\nname", "/x", "junk"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        file_into(&f, names[i]);
    assert_int_equal(messages_in(&f, "Junk"), 2);
    assert_int_equal(messages_in(&f, "Blocked/2026"), 1);
    assert_int_equal(messages_in(&f, "INBOX"), 4);
    assert_int_equal(messages_in(&f, "junk"), 1);
    /* One of them has the special use. */
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM mailbox WHERE special_use = 4 AND name = 'Junk'"), 1);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM mailbox WHERE special_use <> 0"), 1);
    /* A mailbox of somebody else is not made, nor filed into. */
    struct delivery_recipient r = fixture_recipient(&f, ALICE);
    struct delivery d = {.recipients = &r, .recipient_count = 1};
    uint64_t id;
    r.account_id = fixture_recipient(&f, BOB).account_id;
    r.folder = span_text("Taken");
    assert_int_equal(give(&f, &d, &id), 0);
    assert_true(id == 0 && r.outcome == DELIVERY_GONE);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM mailbox WHERE name = 'Taken'"), 0);
    /* Mail makes so many folders and no more. */
    assert_int_equal(store_begin(f.store), 0);
    for (int i = 0; i < FOLDERS_BY_DELIVERY; i++) {
        char name[20];
        snprintf(name, sizeof(name), "f%d", i);
        struct delivery_recipient to = fixture_recipient(&f, ALICE);
        to.folder = span_text(name);
        struct delivery one = {.recipients = &to, .recipient_count = 1, .body = span_text("x"), .body_fd = -1};
        assert_int_equal(store_deliver(f.store, &one, &id), 0);
    }
    assert_int_equal(store_commit(f.store), 0);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM mailbox m JOIN account a ON a.id = m.account_id WHERE"
                                       " a.local_part = 'alice'"),
                     FOLDERS_BY_DELIVERY);
    survives(&f);
    fixture_stop(&f);
}

static uint64_t fetch(struct fixture *f, uint64_t remote, const char *uidl)
{
    struct delivery_recipient r = fixture_recipient(f, ALICE);
    struct delivery d = {
        .facts = {.remote_id = remote, .uidl = span_text(uidl)}, .recipients = &r, .recipient_count = 1};
    uint64_t id;
    assert_int_equal(give(f, &d, &id), 0);
    assert_int_equal(r.outcome, DELIVERY_STORED);
    return id;
}

static int note(struct fixture *f, uint64_t remote, const struct span *uidls, size_t count, bool forget)
{
    assert_int_equal(store_begin(f->store), 0);
    int rc = store_remote_seen(f->store, remote, uidls, count, forget);
    assert_int_equal(store_commit(f->store), 0);
    return rc;
}

static uint64_t add_remote(struct fixture *f)
{
    struct door_item item = {.kind = DOOR_REMOTE,
                             .level = LEVEL_ACCOUNT,
                             .owner_id = fixture_recipient(f, ALICE).account_id,
                             .detail = {"", 0},
                             .name = span_text("provider"),
                             .value = span_text("anything"),
                             .set_at = 5,
                             .set_by = span_text("test")};
    assert_int_equal(store_begin(f->store), 0);
    assert_int_equal(door_put(f->store, &item), 0);
    assert_int_equal(store_commit(f->store), 0);
    return item.id;
}

static void fetched_mail(void **state)
{
    struct fixture f;
    struct span uidls[] = {span_text("refused-1"), span_text("refused-2"), span_text("u1")};
    struct span bad[] = {span_text("good"), span_text("")};
    uint32_t uid = 1;
    fixture_start(&f);
    f.settings.store.volume_size = 1;
    uint64_t remote = add_remote(&f);
    assert_true(fetch(&f, remote, "u1") != 0);
    /* Whose answer was lost is brought again, and stored once. */
    assert_true(fetch(&f, remote, "u1") == 0);
    assert_true(fetch(&f, remote, "u2") != 0);
    assert_int_equal(messages_in(&f, "INBOX"), 2);
    assert_int_equal(note(&f, remote, uidls, 3, false), 0);
    assert_int_equal(note(&f, remote, uidls, 2, false), 0);
    assert_int_equal(note(&f, remote, bad, 2, false), -EINVAL);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM remote_seen"), 4);
    assert_true(fetch(&f, remote, "refused-2") == 0);
    survives(&f);
    /* Forgotten is forgotten, whatever older records say. */
    assert_int_equal(note(&f, remote, &uidls[1], 2, true), 0);
    survives(&f);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM remote_seen"), 2);
    /* Deleted here, still there: it does not come again, not even when its volume is gone. */
    uid = 2;
    assert_int_equal(fixture_expunge(&f, ALICE, &uid, 1), 1);
    fixture_close(&f);
    fixture_open(&f);
    compact_all(&f);
    assert_in_range(f.store->counts.volumes_removed, 1, 100);
    survives(&f);
    assert_true(fetch(&f, remote, "u2") == 0);
    assert_true(fetch(&f, remote, "u1") != 0);
    /* Without the account's door item nothing more is noted; what was under way is stored all the same. */
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM remote_seen"), 3);
    assert_int_equal(store_begin(f.store), 0);
    assert_int_equal(door_remove(f.store, remote), 0);
    assert_int_equal(store_commit(f.store), 0);
    assert_true(fetch(&f, remote, "u3") != 0);
    assert_int_equal(note(&f, remote, uidls, 2, false), 0);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM remote_seen"), 3);
    check_is_clean(&f);
    fixture_stop(&f);
}

#define REMOTE "host=pop.test login=a secret=A"

static uint64_t remote_of(struct fixture *f)
{
    return (uint64_t)fixture_count(f, "SELECT COALESCE(MAX(id), 0) FROM door_item WHERE kind = 11");
}

static void age(struct fixture *f, const char *by)
{
    char text[200];
    snprintf(text, sizeof text, "UPDATE meta SET value = value - %s WHERE name LIKE 'remote-removed:%%'", by);
    assert_int_equal(store_begin(f->store), 0);
    assert_int_equal(database_run(f->store->db, text, ""), 0);
    assert_int_equal(store_commit(f->store), 0);
}

/* Who takes the removal back does not get everything again; after a month nothing of it is kept. */
static void removal_is_taken_back(void **state)
{
    struct fixture f;
    fixture_start(&f);
    f.settings.store.volume_size = 1;
    SET(&f, {ALICE, "remote", "work", REMOTE});
    uint64_t remote = remote_of(&f);
    assert_true(remote && fetch(&f, remote, "u1") != 0);
    SET(&f, {ALICE, "-remote", "work", ""});
    check_is_clean(&f);
    age(&f, "29 * 86400000000000");
    door_undo(&f, ALICE, 0, NULL);
    assert_int_equal(remote_of(&f), remote);
    assert_true(fetch(&f, remote, "u1") == 0);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM meta WHERE name LIKE 'remote-removed:%'"), 0);
    survives(&f);
    /* The record of the removal, when it is carried on, does not take away what came back after it. */
    compact_all(&f);
    survives(&f);
    assert_int_equal(remote_of(&f), remote);
    assert_true(fetch(&f, remote, "u1") == 0);
    SET(&f, {ALICE, "-remote", "work", ""});
    age(&f, "31 * 86400000000000");
    /* By a clock in doubt nothing is that old. */
    struct clock_page in_doubt = {.offset = (int64_t)(clock_wall() - clock_monotonic()), .trusted_from = CLOCK_NEVER};
    clock_follow(&in_doubt);
    SET(&f, {ALICE, "white", "a@b.test", ""});
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM remote_seen"), 1);
    clock_follow(NULL);
    SET(&f, {ALICE, "remote", "work", REMOTE});
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM remote_seen"), 0);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM meta WHERE name LIKE 'remote-removed:%'"), 0);
    assert_true(remote_of(&f) != remote);
    fixture_stop(&f);
}

static void items_outlive_the_database(void **state)
{
    struct fixture f;
    uint32_t uid = 1;
    fixture_start(&f);
    SET(&f, {"", "rule", "no-ptr", "on", .locked = true}, {"example.test", "black", "@spam.test", "a remark"},
        {ALICE, "white", "a@b.test", ""}, {ALICE, "white", "gone@b.test", ""}, {BOB, "white", "a@b.test", ""},
        {"alice+x@example.test", "passcode", "Aunt May", "123456", .expires_at = 77});
    SET(&f, {ALICE, "-white", "gone@b.test", ""}, {ALICE, "white", "a@b.test", "changed"});
    fixture_mail(&f, ALICE, "to be deleted");
    assert_int_equal(fixture_expunge(&f, ALICE, &uid, 1), 1);
    fixture_change(&f, &(struct change){.kind = CHANGE_ACCOUNT_REMOVE, .subject = span_text(BOB)}, NULL);
    survives(&f);
    compact_all(&f);
    assert_in_range(f.store->counts.volumes_removed, 1, 100);
    survives(&f);
    door_expect(&f, " rule! no-ptr=on\nexample.test black @spam.test=a remark\n" ALICE " white a@b.test=changed\n"
                    "alice+x@example.test passcode Aunt May=123456 until 77\n");
    fixture_stop(&f);
}

static void write_to(struct fixture *f, const char *const *addresses, size_t count, bool automatic,
                     enum delivery_kind kind)
{
    struct delivery_recipient recipients[LEARN_RECIPIENTS_MAX + 1];
    struct delivery d = {
        .facts = {.sender_account_id = fixture_recipient(f, ALICE).account_id, .reverse_path = span_text(ALICE)},
        .recipients = recipients,
        .recipient_count = count,
        .automatic = automatic};
    uint64_t id;
    for (size_t i = 0; i < count; i++)
        recipients[i] = (struct delivery_recipient){
            .kind = kind, .address = span_text(addresses[i % 2]), .target = span_text(addresses[i % 2]), .list_id = 1};
    assert_int_equal(give(f, &d, &id), 0);
}

static void learned(void **state)
{
    static const char *const friends[] = {"Aunt@May.test", "Uncle@May.test"};
    struct fixture f;
    fixture_start(&f);
    write_to(&f, friends, 2, false, DELIVERY_REMOTE);
    door_expect(&f, "");
    SET(&f, {"", "rule", "white-list.learn", "on"});
    write_to(&f, friends, 2, true, DELIVERY_REMOTE);
    write_to(&f, friends, LEARN_RECIPIENTS_MAX + 1, false, DELIVERY_REMOTE);
    write_to(&f, friends, 2, false, DELIVERY_LIST);
    door_expect(&f, " rule white-list.learn=on\n");
    write_to(&f, friends, 2, false, DELIVERY_REMOTE);
    write_to(&f, friends, 2, false, DELIVERY_REMOTE);
    door_expect(&f, " rule white-list.learn=on\n" ALICE " known aunt@may.test=\n" ALICE " known uncle@may.test=\n");
    survives(&f);
    /* Who does not want it at their own door has it not, unless the site insists. */
    SET(&f, {ALICE, "rule", "white-list.learn", "off"}, {ALICE, "-known", "aunt@may.test", ""});
    write_to(&f, friends, 1, false, DELIVERY_REMOTE);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM door_item WHERE kind = 4"), 1);
    SET(&f, {"", "rule", "white-list.learn", "on", .locked = true});
    write_to(&f, friends, 1, false, DELIVERY_REMOTE);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM door_item WHERE kind = 4"), 2);
    /* A lock of any of the rule's settings holds all of them. */
    SET(&f, {"", "rule", "white-list.learn", "on"}, {ALICE, "-known", "aunt@may.test", ""});
    write_to(&f, friends, 1, false, DELIVERY_REMOTE);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM door_item WHERE kind = 4"), 1);
    SET(&f, {"", "rule", "white-list.bounces", "on", .locked = true});
    write_to(&f, friends, 1, false, DELIVERY_REMOTE);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM door_item WHERE kind = 4"), 2);
    fixture_stop(&f);
}

/* The oldest go first. */
static void learned_within_bounds(void **state)
{
    static const char *const friends[] = {"new@may.test", "new@may.test"};
    struct fixture f;
    fixture_start(&f);
    SET(&f, {ALICE, "rule", "white-list.learn", "on"});
    uint64_t alice = fixture_recipient(&f, ALICE).account_id;
    assert_int_equal(store_begin(f.store), 0);
    for (int i = 0; i < LEARN_MAX; i++) {
        char name[40];
        snprintf(name, sizeof(name), "f%d@may.test", i);
        struct door_item item = {.kind = DOOR_KNOWN,
                                 .level = LEVEL_ACCOUNT,
                                 .owner_id = alice,
                                 .detail = {"", 0},
                                 .name = span_text(name),
                                 .value = {"", 0},
                                 .set_at = (uint64_t)i + 1,
                                 .set_by = span_text("learned")};
        assert_int_equal(door_put(f.store, &item), 0);
    }
    assert_int_equal(store_commit(f.store), 0);
    write_to(&f, friends, 1, false, DELIVERY_REMOTE);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM door_item WHERE kind = 4"), LEARN_MAX - 99);
    assert_int_equal(fixture_count(&f, "SELECT MIN(set_at) FROM door_item WHERE kind = 4"), 101);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM door_item WHERE name = 'new@may.test'"), 1);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders),
        cmocka_unit_test(fetched_mail),
        cmocka_unit_test(removal_is_taken_back),
        cmocka_unit_test(items_outlive_the_database),
        cmocka_unit_test(learned),
        cmocka_unit_test(learned_within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
