/* Where addresses lead, and what is remembered of it. */
#include "../smtp/fixture.h"
#include "intake/route.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof *(table))

struct asking {
    struct fixture *f;
    const char *address; /* with its angle brackets; NULL: <a0@example.test>, <a1@… */
    struct intake_route route;
    int error;
    unsigned rounds;
};

static void ask_in(struct fiber *self, struct asking *a, struct arena *arena, struct span text)
{
    const struct intake intake = {&a->f->peers, a->f->settings, a->f->routes};
    struct mail_path path;
    assert_null(mail_path_parse(&text, FORWARD_PATH, true, arena, &path));
    const struct intake_question question = {.path = &path};
    a->error = intake_route_find(self, &intake, arena, &question, clock_in_seconds(30), &a->route);
}

static void ask_main(struct fiber *self, void *argument)
{
    struct asking *a = argument;
    struct arena arena;
    arena_init(&arena, 1u << 20);
    for (unsigned i = 0; i < a->rounds; i++) {
        char text[100];
        snprintf(text, sizeof text, "<a%u@example.test>", i);
        ask_in(self, a, &arena, span_text(a->address ? a->address : text));
        arena_reset(&arena);
    }
    arena_release(&arena);
}

static struct asking ask_many(struct fixture *f, const char *address, unsigned rounds)
{
    struct asking a = {.f = f, .address = address, .rounds = rounds};
    fixture_run(f, ask_main, &a);
    return a;
}

static struct asking ask(struct fixture *f, const char *address)
{
    return ask_many(f, address, 1);
}

static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        enum lie lie;
        const char *address;
        int error;
        enum intake_route_kind kind;
        const char *domain; /* that the reader was asked for; NULL: it was not asked */
    } rows[] = {
        {HONEST, "<alice@example.test>", 0, INTAKE_ROUTE_LOCAL, "example.test"},
        {HONEST, "<alice@EXAMPLE.Test>", 0, INTAKE_ROUTE_LOCAL, "example.test"},
        {HONEST, "<postmaster>", 0, INTAKE_ROUTE_LOCAL, ""},
        {HONEST, "<a@ex\xc3\xa4mple.test>", 0, INTAKE_ROUTE_LOCAL, "xn--exmple-cua.test"},
        {HONEST, "<@other.test:a@example.test>", 0, INTAKE_ROUTE_LOCAL, "example.test"},
        {HONEST, "<a@[192.0.2.1]>", 0, INTAKE_ROUTE_NOT_OURS, NULL},
        {READ_NO_USER, "<a@example.test>", 0, INTAKE_ROUTE_NO_USER, "example.test"},
        {READ_NO_USER, "<a%other.test@example.test>", 0, INTAKE_ROUTE_RELAY_FORM, "example.test"},
        {READ_NO_USER, "<other.test!a@example.test>", 0, INTAKE_ROUTE_RELAY_FORM, "example.test"},
        {READ_NO_USER, "<\"a@other.test\"@example.test>", 0, INTAKE_ROUTE_RELAY_FORM, "example.test"},
        {HONEST, "<100%@example.test>", 0, INTAKE_ROUTE_LOCAL, "example.test"}, /* who is really called so */
        {READ_NOT_OURS, "<a%b@example.test>", 0, INTAKE_ROUTE_NOT_OURS, "example.test"},
        {READ_FULL, "<a@example.test>", 0, INTAKE_ROUTE_OVER_QUOTA, "example.test"},
        {READ_DISABLED, "<a@example.test>", 0, INTAKE_ROUTE_DISABLED, "example.test"},
        {READ_UNSET, "<a@example.test>", -EPROTO, 0, "example.test"},
        {READ_UNKNOWN, "<a@example.test>", -EPROTO, 0, "example.test"},
        {READ_NO_TARGETS, "<a@example.test>", -EPROTO, 0, "example.test"},
        {READ_TOO_MANY_TARGETS, "<a@example.test>", -EPROTO, 0, "example.test"},
        {READ_NO_MAILBOX, "<a@example.test>", -EPROTO, 0, "example.test"},
        {READ_NO_GUARD, "<a@example.test>", -EPROTO, 0, "example.test"},
        {READ_GUARD_ZERO, "<a@example.test>", -EPROTO, 0, "example.test"},
        {READ_TOO_MANY_GUARDS, "<a@example.test>", -EPROTO, 0, "example.test"},
        {READ_LIST_REFUSES, "<a@example.test>", 0, INTAKE_ROUTE_LIST_REFUSES, "example.test"},
        {READ_PAUSED, "<a@example.test>", 0, INTAKE_ROUTE_PAUSED, "example.test"},
        {READ_REMOTE, "<a@example.test>", 0, INTAKE_ROUTE_LOCAL, "example.test"},
        {READ_LIST, "<a@example.test>", 0, INTAKE_ROUTE_LOCAL, "example.test"},
        {READ_LIST_BOUNCE, "<a@example.test>", 0, INTAKE_ROUTE_LOCAL, "example.test"},
        {READ_REMOTE_NOWHERE, "<a@example.test>", -EPROTO, 0, "example.test"},
        {READ_LIST_NONE, "<a@example.test>", -EPROTO, 0, "example.test"},
        {READ_UNKNOWN_TARGET, "<a@example.test>", -EPROTO, 0, "example.test"},
        /* Our own addresses have a postmaster and nobody else. */
        {HONEST, "<Postmaster@[127.0.0.1]>", 0, INTAKE_ROUTE_LOCAL, ""},
        {HONEST, "<postmaster@[192.0.2.25]>", 0, INTAKE_ROUTE_LOCAL, ""},
        {HONEST, "<alice@[192.0.2.25]>", 0, INTAKE_ROUTE_NOT_OURS, NULL},
        {HONEST, "<postmaster@[192.0.2.26]>", 0, INTAKE_ROUTE_NOT_OURS, NULL},
        {READ_FAILS, "<a@example.test>", -EIO, 0, "example.test"},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct fixture f;
        fixture_init(&f, "listeners=smtp 192.0.2.25 25\n");
        f.lie = rows[i].lie;
        struct asking a = ask(&f, rows[i].address);
        if (a.error != rows[i].error || (!a.error && a.route.kind != rows[i].kind) ||
            f.resolves != (rows[i].domain != NULL) || strcmp(f.domain, rows[i].domain ? rows[i].domain : "") != 0)
            fail_msg("%s: error %d kind %d asked %u for %s", rows[i].address, a.error, (int)a.route.kind, f.resolves,
                     f.domain);
        fixture_release(&f);
    }
}

/* What becomes of addresses elsewhere when the client may relay. NULL: refused. */
static void test_relay(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        bool literals;
        const char *target;
    } rows[] = {
        {"<a@Other.Test>", false, "a@other.test"},
        {"<A.b+c@other.test>", false, "A.b+c@other.test"},
        {"<\"a b\"@other.test>", false, "\"a b\"@other.test"},
        {"<\"a\"@other.test>", false, "a@other.test"},
        {"<@r.test,@s.test:a@other.test>", false, "a@other.test"}, /* the route is dropped, not followed */
        {"<a%b.test@other.test>", false, "a%b.test@other.test"},   /* for them to judge */
        {"<\xc3\xa9@\xc3\xa9.test>", false, "\xc3\xa9@xn--9ca.test"},
        {"<a@[192.0.2.1]>", true, "a@[192.0.2.1]"},
        {"<a@[IPv6:2001:db8::1]>", true, "a@[ipv6:2001:db8::1]"},
        {"<a@[192.0.2.1]>", false, NULL},
        {"<a@[192.0.2.25]>", true, NULL}, /* ours */
        {"<a@[127.0.0.1]>", true, NULL},
        {"<a@[127.9.9.9]>", true, NULL},
        {"<a@[0.0.0.0]>", true, NULL},
        {"<a@[IPv6:::1]>", true, NULL},
        {"<a@[IPv6:::]>", true, NULL},
        {"<a@[IPv6:::ffff:127.0.0.1]>", true, NULL},
        {"<Postmaster>", true, NULL},
    };
    struct fixture f;
    fixture_init(&f, "listeners=smtp 192.0.2.25 25;submission 0.0.0.0 587\n");
    struct arena arena;
    arena_init(&arena, 1u << 20);
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct mail_path path;
        struct intake_route route;
        struct span text = span_text(rows[i].path);
        assert_null(mail_path_parse(&text, FORWARD_PATH, true, &arena, &path));
        assert_int_equal(intake_route_relay(f.settings, &arena, &path, rows[i].literals, &route), 0);
        bool relayed = route.kind == INTAKE_ROUTE_LOCAL;
        if (relayed != (rows[i].target != NULL) || (!relayed && route.kind != INTAKE_ROUTE_NOT_OURS) ||
            (relayed && (route.count != 1 || route.targets[0].kind != INTAKE_TARGET_REMOTE ||
                         !span_is_nocase(route.targets[0].address, rows[i].target))))
            fail_msg("%s: kind %d %.*s", rows[i].path, (int)route.kind,
                     SPAN_ARG(relayed ? route.targets[0].address : (struct span){0}));
    }
    arena_release(&arena);
    fixture_release(&f);
}

static void test_remembers_for_a_second(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "");
    f.routes = intake_route_cache_new();
    assert_non_null(f.routes);
    for (unsigned i = 0; i < 3; i++) {
        ask(&f, "<alice@example.test>");
        struct asking again = ask(&f, "<alice@example.test>");
        assert_int_equal(again.error, 0);
        assert_int_equal(again.route.kind, INTAKE_ROUTE_LOCAL);
        assert_int_equal(again.route.count, 1);
        assert_int_equal(f.resolves, 1 + i);
        clock_fake_advance(NANOSECONDS);
        ask(&f, "<alice@example.test>");
        assert_int_equal(f.resolves, 1 + i);
        clock_fake_advance(1);
    }
    /* The same person in other letters is asked for again, and another is another. */
    ask(&f, "<Alice@example.test>");
    ask(&f, "<alice@example2.test>");
    assert_int_equal(f.resolves, 5);
    fixture_release(&f);
}

static void test_not_remembered(void **state)
{
    (void)state;
    static const struct {
        enum lie lie;
        uint64_t quota_left;
        unsigned resolves; /* for two questions */
    } rows[] = {
        {HONEST, UINT64_MAX, 1},       {HONEST, 256u << 20, 1},
        {HONEST, (256u << 20) - 1, 2}, {READ_NO_USER, 0, 2},
        {READ_NOT_OURS, 0, 2},         {READ_FULL, 0, 2},
        {READ_DISABLED, 0, 2},         {READ_MANY_TARGETS, 1u << 30, 2},
        {READ_REMOTE, UINT64_MAX, 2},  {READ_LIST, UINT64_MAX, 2},
        {READ_PAUSED, UINT64_MAX, 2},  {READ_LIST_BOUNCE, UINT64_MAX, 2},
        {READ_FAILS, UINT64_MAX, 2},   {READ_UNKNOWN, UINT64_MAX, 2},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct fixture f;
        fixture_init(&f, "");
        f.routes = intake_route_cache_new();
        assert_non_null(f.routes);
        f.lie = rows[i].lie;
        f.quota_left = rows[i].quota_left;
        ask_many(&f, "<a@example.test>", 2);
        if (f.resolves != rows[i].resolves)
            fail_msg("row %zu: asked %u times", i, f.resolves);
        fixture_release(&f);
    }
}

/* More addresses than it has places for: it goes on, and what it says stays true. */
static void test_capacity(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "");
    f.routes = intake_route_cache_new();
    assert_non_null(f.routes);
    ask_many(&f, NULL, 4096);
    assert_int_equal(f.resolves, 4096);
    ask_many(&f, NULL, 4096);
    assert_int_equal(f.resolves, 4096);
    struct asking last = ask(&f, "<bob@example.test>");
    assert_int_equal(f.resolves, 4097);
    last = ask(&f, "<bob@example.test>");
    assert_int_equal(f.resolves, 4097);
    assert_int_equal(last.route.kind, INTAKE_ROUTE_LOCAL);
    ask_many(&f, NULL, 4096);
    assert_true(f.resolves > 4097 && f.resolves <= 2 * 4096 + 2);
    fixture_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_relay),
        cmocka_unit_test(test_remembers_for_a_second),
        cmocka_unit_test(test_not_remembered),
        cmocka_unit_test(test_capacity),
    };
    clock_fake_start(1800000000 * NANOSECONDS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
