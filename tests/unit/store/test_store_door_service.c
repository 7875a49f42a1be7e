/* Doors over the channels: who may change and see what, and what a reader says of them. */
#include "services.h"

#include "base/clock.h"
#include "policy/door_item.h"

#include "store_read.pb-c.h"
#include "store_write.pb-c.h"

#include <errno.h>

struct house {
    struct fixture fixture;
    struct services services;
    struct channel *desk, *admin, *courier, *read_gate, *read_courier;
    unsigned char grant[GRANT_SIZE];
    uint64_t alice, remote;
};

static StoreWrite__DoorItem item(enum door_kind kind, enum rule_level level, const char *owner, const char *name,
                                 const char *value)
{
    StoreWrite__DoorItem i = STORE_WRITE__DOOR_ITEM__INIT;
    i.kind = kind;
    i.level = level;
    i.owner = binary(owner);
    i.name = binary(name);
    i.value = binary(value);
    return i;
}

/* The history's number; 0 where the problem has `sentence` in it. */
static uint64_t change(struct fiber *self, struct house *h, bool as_person, StoreWrite__DoorItem i,
                       const char *sentence)
{
    StoreWrite__DoorChangeRequest q = STORE_WRITE__DOOR_CHANGE_REQUEST__INIT;
    StoreWrite__DoorItem *list = &i;
    struct answer answer;
    q.items = &list;
    q.n_items = 1;
    if (as_person)
        q.grant = (ProtobufCBinaryData){GRANT_SIZE, h->grant};
    assert_int_equal(ask(self, as_person ? h->desk : h->admin, STORE_WRITE_DOOR_CHANGE, &q.base, &answer), 0);
    const StoreWrite__DoorChangeReply *r = (const StoreWrite__DoorChangeReply *)answer.message;
    if (!sentence)
        assert_string_equal(r->problem, "");
    else if (!strstr(r->problem, sentence))
        fail_msg("the problem is \"%s\", and should have \"%s\" in it", r->problem, sentence);
    uint64_t number = r->number;
    if (!sentence) {
        assert_int_equal(r->changed, 1);
        assert_true(r->n_items == 1 && r->items[0]->name.len > 0);
        if (i.kind == DOOR_REMOTE)
            h->remote = r->items[0]->id;
    }
    answer_release(&answer);
    return number;
}

static void changes(struct fiber *self, struct house *h)
{
    assert_int_equal(change(self, h, true, item(DOOR_WHITE, LEVEL_ACCOUNT, "alice@example.test", "A@b.test", ""), NULL),
                     1);
    assert_int_equal(
        change(self, h, true, item(DOOR_WHITE, LEVEL_ACCOUNT, "bob@example.test", "a@b.test", ""), "is not yours"), 0);
    assert_int_equal(
        change(self, h, false, item(DOOR_PASSCODE, LEVEL_ACCOUNT, "alice@example.test", "May", "123456"), NULL), 2);
    assert_int_equal(change(self, h, false, item(DOOR_CODE_FOR, LEVEL_SITE, "", "x@away.test", "999999"), NULL), 3);
    assert_int_equal(
        change(self, h, true, item(DOOR_CODE_FOR, LEVEL_ACCOUNT, "alice@example.test", "X@Away.test", "1111"), NULL),
        4);
    assert_int_equal(
        change(self, h, true,
               item(DOOR_REMOTE, LEVEL_ACCOUNT, "alice@example.test", "provider", "host=pop.test login=a secret=A"),
               NULL),
        5);
    assert_int_equal(change(self, h, true,
                            item(DOOR_REMOTE, LEVEL_ACCOUNT, "alice@example.test", "all",
                                 "host=pop.test login=a split=example.test secret=A"),
                            "Only the administrator"),
                     0);
    assert_int_equal(change(self, h, false, item(DOOR_RULE, LEVEL_SITE, "", "no-ptr", "on"), NULL), 6);
    assert_int_equal(change(self, h, false, item(DOOR_DENIED_NAME, LEVEL_SITE, "", "dyn-*", ""), NULL), 7);
    /* Who has no grant is nobody. */
    StoreWrite__DoorChangeRequest q = STORE_WRITE__DOOR_CHANGE_REQUEST__INIT;
    struct answer answer;
    q.undo = true;
    assert_int_equal(ask(self, h->desk, STORE_WRITE_DOOR_CHANGE, &q.base, &answer), -EACCES);
    StoreWrite__DoorListRequest l = STORE_WRITE__DOOR_LIST_REQUEST__INIT;
    assert_int_equal(ask(self, h->desk, STORE_WRITE_DOOR_LIST, &l.base, &answer), -EACCES);
    StoreWrite__DoorHistoryRequest t = STORE_WRITE__DOOR_HISTORY_REQUEST__INIT;
    assert_int_equal(ask(self, h->desk, STORE_WRITE_DOOR_HISTORY, &t.base, &answer), -EACCES);
}

static void expect_list(struct fiber *self, struct house *h, bool as_person, StoreWrite__DoorListRequest q,
                        const char *wanted)
{
    struct answer answer;
    struct buf out;
    buf_init(&out, 4096);
    if (as_person)
        q.grant = (ProtobufCBinaryData){GRANT_SIZE, h->grant};
    assert_int_equal(ask(self, as_person ? h->desk : h->admin, STORE_WRITE_DOOR_LIST, &q.base, &answer), 0);
    const StoreWrite__DoorListReply *r = (const StoreWrite__DoorListReply *)answer.message;
    if (r->problem[0])
        buf_add_text(&out, r->problem);
    for (size_t i = 0; i < r->n_items; i++)
        buf_printf(&out, "%.*s %.*s=%.*s,", (int)r->items[i]->owner.len, r->items[i]->owner.data,
                   (int)r->items[i]->name.len, r->items[i]->name.data, (int)r->items[i]->value.len,
                   r->items[i]->value.data);
    buf_add_text(&out, r->more ? "more" : "");
    buf_add_char(&out, '\0');
    assert_string_equal(out.data, wanted);
    buf_release(&out);
    answer_release(&answer);
}

static void lists(struct fiber *self, struct house *h)
{
    StoreWrite__DoorListRequest q = STORE_WRITE__DOOR_LIST_REQUEST__INIT;
#define A "alice@example.test "
    /* A person sees their own, and of the site what concerns everybody; codes only where they are asked for. */
    expect_list(self, h, true, q,
                A "a@b.test=," A "May=," A "x@away.test=," A "provider=host=pop.test login=a secret=A,");
    q.levels_above = true;
    expect_list(self, h, true, q,
                A "a@b.test=," A "May=," A "x@away.test=," A "provider=host=pop.test login=a secret=A, no-ptr=on,");
    q.secrets = true;
    q.kinds = 1u << DOOR_PASSCODE | 1u << DOOR_CODE_FOR;
    expect_list(self, h, true, q, A "May=123456," A "x@away.test=1111,");
    q.owner = binary("bob@example.test");
    expect_list(self, h, true, q, "'bob@example.test' is not yours");
    q.owner = binary("nobody@example.test");
    expect_list(self, h, false, q,
                "there is no account nobody@example.test: doors belong to accounts, 'ostiary account list' shows them");
    q = (StoreWrite__DoorListRequest)STORE_WRITE__DOOR_LIST_REQUEST__INIT;
    expect_list(self, h, false, q, " x@away.test=, no-ptr=on, dyn-*=,");
    q.limit = 2;
    expect_list(self, h, false, q, " x@away.test=, no-ptr=on,more");
    q.everything = true;
    q.match = binary("@away.test");
    expect_list(self, h, false, q, " x@away.test=," A "x@away.test=,");
    q.match = binary("*b.test");
    expect_list(self, h, false, q, A "a@b.test=,");
#undef A
}

static void history(struct fiber *self, struct house *h)
{
    StoreWrite__DoorHistoryRequest q = STORE_WRITE__DOOR_HISTORY_REQUEST__INIT;
    StoreWrite__DoorChangeRequest undo = STORE_WRITE__DOOR_CHANGE_REQUEST__INIT;
    struct answer answer;
    q.grant = undo.grant = (ProtobufCBinaryData){GRANT_SIZE, h->grant};
    undo.undo = true;
    undo.number = 3;
    assert_int_equal(ask(self, h->desk, STORE_WRITE_DOOR_CHANGE, &undo.base, &answer), 0);
    assert_non_null(strstr(((const StoreWrite__DoorChangeReply *)answer.message)->problem, "there is no change 3"));
    answer_release(&answer);
    undo.number = 1;
    undo.words = binary("never mind");
    assert_int_equal(ask(self, h->desk, STORE_WRITE_DOOR_CHANGE, &undo.base, &answer), 0);
    const StoreWrite__DoorChangeReply *undone = (const StoreWrite__DoorChangeReply *)answer.message;
    assert_true(undone->number == 8 && undone->n_items == 1 && undone->items[0]->remove);
    answer_release(&answer);
    q.limit = 2;
    assert_int_equal(ask(self, h->desk, STORE_WRITE_DOOR_HISTORY, &q.base, &answer), 0);
    const StoreWrite__DoorHistoryReply *r = (const StoreWrite__DoorHistoryReply *)answer.message;
    assert_true(r->n_entries == 2 && r->more && r->entries[0]->number == 8 && r->entries[1]->number == 5);
    assert_true(is(r->entries[0]->by, "alice@example.test") && is(r->entries[0]->words, "never mind"));
    assert_true(r->entries[0]->n_before == 1 && r->entries[0]->n_after == 0);
    assert_true(is(r->entries[0]->before[0]->name, "a@b.test"));
    answer_release(&answer);
    q.before = 5;
    q.limit = 0;
    assert_int_equal(ask(self, h->desk, STORE_WRITE_DOOR_HISTORY, &q.base, &answer), 0);
    r = (const StoreWrite__DoorHistoryReply *)answer.message;
    assert_true(r->n_entries == 3 && !r->more && r->entries[2]->number == 1 && r->entries[2]->undone);
    /* No code stands in it. */
    assert_true(r->entries[1]->number == 2 && is(r->entries[1]->by, "admin") &&
                r->entries[1]->after[0]->value.len == 0);
    answer_release(&answer);
}

static void expect_code(struct fiber *self, struct house *h, uint64_t account, const char *address, const char *wanted)
{
    StoreRead__CodeForRequest q = STORE_READ__CODE_FOR_REQUEST__INIT;
    struct answer answer;
    q.sender_account_id = account;
    q.address = binary(address);
    assert_int_equal(ask(self, h->read_courier, STORE_READ_CODE_FOR, &q.base, &answer), 0);
    assert_true(is(((const StoreRead__CodeForReply *)answer.message)->code, wanted));
    answer_release(&answer);
}

static void courier(struct fiber *self, struct house *h)
{
    struct answer answer;
    expect_code(self, h, h->alice, "x@away.test", "1111");
    expect_code(self, h, h->alice + 1, "X@AWAY.test", "999999");
    expect_code(self, h, 0, "x@away.test", "999999");
    expect_code(self, h, h->alice, "y@away.test", "");
    expect_code(self, h, h->alice, "no address", "");
    StoreRead__RemotesRequest q = STORE_READ__REMOTES_REQUEST__INIT;
    assert_int_equal(ask(self, h->read_courier, STORE_READ_REMOTES, &q.base, &answer), 0);
    const StoreRead__RemotesReply *r = (const StoreRead__RemotesReply *)answer.message;
    assert_true(r->n_remotes == 1 && !r->more && r->remotes[0]->id == h->remote &&
                is(r->remotes[0]->name, "provider") && is(r->remotes[0]->account, "alice@example.test") &&
                is(r->remotes[0]->value, "host=pop.test login=a secret=A"));
    answer_release(&answer);
    StoreWrite__RemoteSeenRequest note = STORE_WRITE__REMOTE_SEEN_REQUEST__INIT;
    ProtobufCBinaryData uidls[] = {binary("u1"), binary("u2"), binary("u3")};
    note.remote_id = h->remote;
    note.uidls = uidls;
    note.n_uidls = 2;
    assert_int_equal(ask(self, h->courier, STORE_WRITE_REMOTE_SEEN, &note.base, &answer), 0);
    answer_release(&answer);
    StoreRead__RemoteSeenRequest seen = STORE_READ__REMOTE_SEEN_REQUEST__INIT;
    seen.remote_id = h->remote;
    seen.uidls = &uidls[1];
    seen.n_uidls = 2;
    assert_int_equal(ask(self, h->read_courier, STORE_READ_REMOTE_SEEN, &seen.base, &answer), 0);
    const StoreRead__RemoteSeenReply *s = (const StoreRead__RemoteSeenReply *)answer.message;
    assert_true(s->n_seen == 1 && is(s->seen[0]->uidl, "u2") && s->seen[0]->seen_at > 0);
    answer_release(&answer);
    /* Only the courier fetches. */
    StoreWrite__DeliverRequest d = STORE_WRITE__DELIVER_REQUEST__INIT;
    StoreWrite__Recipient to = STORE_WRITE__RECIPIENT__INIT, *list = &to;
    d.recipients = &list;
    d.n_recipients = 1;
    d.remote_id = h->remote;
    d.uidl = uidls[2];
    assert_int_equal(ask(self, h->desk, STORE_WRITE_DELIVER, &d.base, &answer), -EINVAL);
}

static void judged(struct fiber *self, struct house *h)
{
    StoreRead__ResolveRequest q = STORE_READ__RESOLVE_REQUEST__INIT;
    struct answer answer;
    q.local_part = binary("alice");
    q.domain = binary("example.test");
    q.reverse_path = binary("a@b.test");
    assert_int_equal(ask(self, h->read_gate, STORE_READ_RESOLVE, &q.base, &answer), 0);
    assert_int_equal(((const StoreRead__ResolveReply *)answer.message)->n_doors, 0);
    answer_release(&answer);
    q.judged = true;
    q.passcode = binary("123456");
    assert_int_equal(ask(self, h->read_gate, STORE_READ_RESOLVE, &q.base, &answer), 0);
    const StoreRead__ResolveReply *r = (const StoreRead__ResolveReply *)answer.message;
    assert_true(r->n_doors == 1 && r->n_targets == 1 && r->targets[0]->door == 1);
    assert_true(r->doors[0]->account_id == h->alice && is(r->doors[0]->rules, "0 no-ptr=on\n") &&
                is(r->doors[0]->address, "alice@example.test"));
    assert_true(r->doors[0]->passcode == STORE_READ__PASSCODE__PASSCODE_RIGHT && is(r->doors[0]->passcode_name, "May"));
    assert_true(r->has_denied_names && !r->has_approved_names && !r->doors[0]->only_by_sender);
    answer_release(&answer);
    StoreRead__NameHitsRequest n = STORE_READ__NAME_HITS_REQUEST__INIT;
    n.name = binary("dyn-7.away.test");
    assert_int_equal(ask(self, h->read_gate, STORE_READ_NAME_HITS, &n.base, &answer), 0);
    const StoreRead__NameHitsReply *hits = (const StoreRead__NameHitsReply *)answer.message;
    assert_true(hits->n_hits == 1 && hits->hits[0]->kind == LIST_KIND_DENIED_NAME && is(hits->hits[0]->entry, "dyn-*"));
    answer_release(&answer);
}

static void set_with_end(struct fiber *self, struct house *h, StoreWrite__DoorItem i, uint64_t expires_at)
{
    i.expires_at = expires_at;
    change(self, h, false, i, NULL);
}

static void expect_alive(struct fiber *self, struct house *h, const char *code, const char *name, bool is_alive)
{
    StoreRead__ResolveRequest q = STORE_READ__RESOLVE_REQUEST__INIT;
    StoreRead__NameHitsRequest n = STORE_READ__NAME_HITS_REQUEST__INIT;
    struct answer answer;
    q.local_part = binary("alice");
    q.domain = binary("example.test");
    q.judged = true;
    q.passcode = binary(code);
    n.name = binary(name);
    assert_int_equal(ask(self, h->read_gate, STORE_READ_RESOLVE, &q.base, &answer), 0);
    assert_int_equal(((const StoreRead__ResolveReply *)answer.message)->doors[0]->passcode,
                     is_alive ? STORE_READ__PASSCODE__PASSCODE_RIGHT : STORE_READ__PASSCODE__PASSCODE_EXPIRED);
    answer_release(&answer);
    assert_int_equal(ask(self, h->read_gate, STORE_READ_NAME_HITS, &n.base, &answer), 0);
    assert_int_equal(((const StoreRead__NameHitsReply *)answer.message)->n_hits, is_alive);
    answer_release(&answer);
}

/* What had an end: a clock in doubt ends nothing, and brings nothing back that had ended before. */
static void ended(struct fiber *self, struct house *h)
{
    uint64_t now = clock_wall() / NANOSECONDS;
    struct clock_page page = {.offset = (int64_t)(clock_wall() - clock_monotonic()) + 1000 * (int64_t)NANOSECONDS,
                              .sure = now * NANOSECONDS};
    set_with_end(self, h, item(DOOR_PASSCODE, LEVEL_ACCOUNT, "alice@example.test", "Old", "777777"), now - 100);
    set_with_end(self, h, item(DOOR_PASSCODE, LEVEL_ACCOUNT, "alice@example.test", "Late", "888888"), now + 100);
    set_with_end(self, h, item(DOOR_DENIED_NAME, LEVEL_SITE, "", "old-*", ""), now - 100);
    set_with_end(self, h, item(DOOR_DENIED_NAME, LEVEL_SITE, "", "late-*", ""), now + 100);
    clock_follow(&page);
    expect_alive(self, h, "888888", "late-7.away.test", false);
    page.trusted_from = CLOCK_NEVER;
    expect_alive(self, h, "777777", "old-7.away.test", false);
    expect_alive(self, h, "888888", "late-7.away.test", true);
    clock_follow(NULL);
}

static void whole_way(struct fiber *self, void *argument)
{
    struct house *h = argument;
    changes(self, h);
    lists(self, h);
    courier(self, h);
    judged(self, h);
    history(self, h);
    ended(self, h);
    loop_stop(h->services.loop);
}

static void house_start(struct house *h)
{
    memset(h, 0, sizeof(*h));
    fixture_start(&h->fixture);
    h->alice = fixture_recipient(&h->fixture, "alice@example.test").account_id;
    grant_make(services_key, h->alice, 4000000000u, h->grant);
    services_start(&h->services, &h->fixture);
    h->desk = services_attach(&h->services, ROLE_DESK, true);
    h->admin = services_attach(&h->services, ROLE_ADMIN, true);
    h->courier = services_attach(&h->services, ROLE_COURIER, true);
    h->read_gate = services_attach(&h->services, ROLE_GATE, false);
    h->read_courier = services_attach(&h->services, ROLE_COURIER, false);
}

static void house_stop(struct house *h)
{
    services_stop(&h->services);
    fixture_stop(&h->fixture);
}

static void service(void **state)
{
    struct house h;
    house_start(&h);
    assert_non_null(fiber_start(h.services.loop, "client", whole_way, &h));
    assert_int_equal(loop_run(h.services.loop), 0);
    house_stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(service),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
