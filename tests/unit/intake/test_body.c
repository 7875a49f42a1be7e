/* The body on its way from memory to the spool. */
#include "../smtp/fixture.h"
#include "intake/body.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof *(table))
#define PIECE 65536

struct filling {
    struct fixture *f;
    struct intake_body body;
    size_t pieces, more; /* taken with make_room behind each, and then without */
    int error;
};

static void add_piece(struct intake_body *body, unsigned char number)
{
    char *to = buf_reserve(&body->memory, PIECE);
    assert_non_null(to);
    memset(to, number, PIECE);
    body->memory.size += PIECE;
}

static void fill_main(struct fiber *self, void *argument)
{
    struct filling *x = argument;
    intake_body_init(&x->body);
    for (size_t i = 0; i < x->pieces && !x->error; i++) {
        add_piece(&x->body, (unsigned char)i);
        if (intake_body_is_large(&x->body, true))
            x->error = intake_body_make_room(self, &x->body, &x->f->peers, clock_in_seconds(30));
    }
    for (size_t i = 0; i < x->more && !x->error; i++)
        add_piece(&x->body, (unsigned char)(x->pieces + i));
}

/* Many small bodies make each other go to the spool early, but never within a header; when they are gone all is as
 * before. */
static void press_main(struct fiber *self, void *argument)
{
    struct filling *x = argument;
    enum { MANY = INTAKE_BODIES_IN_MEMORY / PIECE + 1 };
    struct intake_body *many = calloc(MANY, sizeof *many);
    assert_non_null(many);
    intake_body_init(&x->body);
    add_piece(&x->body, 1);
    assert_false(intake_body_is_large(&x->body, true));
    for (size_t i = 0; i < MANY; i++) {
        intake_body_init(&many[i]);
        add_piece(&many[i], 0);
        assert_false(intake_body_is_large(&many[i], false));
    }
    assert_true(intake_body_is_large(&x->body, true));
    assert_false(intake_body_is_large(&x->body, false));
    x->error = intake_body_make_room(self, &x->body, &x->f->peers, clock_in_seconds(30));
    assert_int_equal(x->error, 0);
    assert_int_equal(x->body.spooled, PIECE);
    assert_int_equal(x->body.memory.room, 0);
    for (size_t i = 0; i < MANY; i++)
        intake_body_release(&many[i]);
    free(many);
    add_piece(&x->body, 2);
    assert_false(intake_body_is_large(&x->body, true));
}

static void test_pressure(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "");
    struct filling x = {.f = &f};
    fixture_run(&f, press_main, &x);
    intake_body_release(&x.body);
    fixture_release(&f);
}

static void test_filling(void **state)
{
    (void)state;
    static const struct {
        enum lie lie;
        size_t pieces, more;
        int error;
        unsigned spools;
        size_t in_memory; /* pieces, before it is mapped */
    } rows[] = {
        {HONEST, 0, 0, 0, 0, 0},
        {HONEST, 1, 0, 0, 0, 1},
        {HONEST, 8, 0, 0, 0, 8}, /* just INTAKE_BODY_IN_MEMORY */
        {HONEST, 9, 0, 0, 1, 0},
        {HONEST, 9, 3, 0, 1, 3},
        {HONEST, 17, 0, 0, 1, 8},
        {HONEST, 18, 0, 0, 1, 0},
        {HONEST, 100, 2, 0, 1, 3},
        {SPOOL_FAILS, 9, 0, -ENOSPC, 1, 9},
        {SPOOL_WITHOUT_FD, 9, 0, -EPROTO, 1, 9},
        {SPOOL_READ_ONLY, 9, 0, -EBADF, 1, 9},
        {STORE_DIES, 9, 0, -EPIPE, 0, 9},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct fixture f;
        fixture_init(&f, "");
        f.lie = rows[i].lie;
        struct filling x = {.f = &f, .pieces = rows[i].pieces, .more = rows[i].more};
        fixture_run(&f, fill_main, &x);
        size_t pieces = rows[i].pieces + rows[i].more;
        if ((x.error != rows[i].error && rows[i].lie != STORE_DIES) || (x.error != 0) != (rows[i].error != 0) ||
            f.spools != rows[i].spools || x.body.memory.size != rows[i].in_memory * PIECE)
            fail_msg("row %zu: error %d, spools %u, in memory %zu", i, x.error, f.spools, x.body.memory.size);
        struct span whole;
        if (!x.error) {
            assert_int_equal(intake_body_map(&x.body, &whole), 0);
            assert_int_equal(whole.size, pieces * PIECE);
            for (size_t n = 0; n < whole.size; n += 1021)
                assert_int_equal((unsigned char)whole.data[n], (unsigned char)(n / PIECE));
            intake_body_unmap(&x.body, whole);
        }
        intake_body_release(&x.body);
        intake_body_release(&x.body); /* twice does no harm */
        assert_int_equal(x.body.spool, -1);
        fixture_release(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_filling), cmocka_unit_test(test_pressure)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
