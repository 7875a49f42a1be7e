#include "policy/connection_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SEED 0x5eed5eed5eedull

static struct connection_table *new_table(unsigned columns)
{
    int fd = connection_table_create(columns);
    assert_true(fd >= 0);
    struct connection_table *t = connection_table_map(fd, columns, SEED);
    assert_non_null(t);
    close(fd);
    return t;
}

static void ipv4(uint32_t number, unsigned char out[16])
{
    memset(out, 0, 16);
    out[10] = out[11] = 0xff;
    for (int i = 0; i < 4; i++)
        out[12 + i] = (unsigned char)(number >> (24 - 8 * i));
}

static void test_limit(void **state)
{
    struct connection_table *t = new_table(3);
    unsigned char a[16], b[16];
    ipv4(0xc0000201, a);
    ipv4(0xc0000202, b);
    struct connection_ticket tickets[4], other;
    for (unsigned i = 0; i < 4; i++)
        assert_true(connection_table_enter(t, i % 3, a, 4, &tickets[i]));
    assert_int_equal(connection_table_count(t, a), 4);
    assert_false(connection_table_enter(t, 1, a, 4, &other));
    assert_int_equal(connection_table_count(t, a), 4);
    assert_true(connection_table_enter(t, 1, b, 4, &other));
    assert_int_equal(connection_table_count(t, b), 1);
    connection_table_leave(t, 2, tickets[2]);
    assert_int_equal(connection_table_count(t, a), 3);
    assert_true(connection_table_enter(t, 0, a, 4, &tickets[2]));
    connection_table_unmap(t);
}

static void test_keys(void **state)
{
    static const struct {
        unsigned char a[16], b[16];
        bool is_same;
    } rows[] = {
        {{0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 9}, {0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 7, 7}, true}, /* one /64 */
        {{0x20, 1, 0xd, 0xb8, 0, 0, 0, 1}, {0x20, 1, 0xd, 0xb8, 0, 0, 0, 2}, false},
        {{[10] = 0xff, [11] = 0xff, [15] = 1}, {[10] = 0xff, [11] = 0xff, [15] = 2}, false}, /* IPv4: whole */
        {{[15] = 1}, {[10] = 0xff, [11] = 0xff, [15] = 1}, false},                           /* ::1 is no IPv4 */
        {{[15] = 1}, {[15] = 2}, true},
        {{0xff, 0xff}, {0xff, 0xff, 1}, true}, /* multicast can't be a source: all one key, and never a claim */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct connection_table *t = new_table(1);
        struct connection_ticket ticket;
        assert_true(connection_table_enter(t, 0, rows[i].a, 10, &ticket));
        assert_int_not_equal(ticket.slot, CONNECTION_UNCOUNTED);
        assert_int_equal(connection_table_count(t, rows[i].b), rows[i].is_same ? 1 : 0);
        connection_table_unmap(t);
    }
}

static void test_bounds(void **state)
{
    assert_true(connection_table_create(0) < 0);
    assert_true(connection_table_create(CONNECTION_TABLE_COLUMNS + 1) < 0);
    int fd = connection_table_create(1);
    assert_null(connection_table_map(fd, CONNECTION_TABLE_COLUMNS, SEED)); /* the file is smaller */
    assert_int_equal(ftruncate(fd, 0), -1);                                /* and can't be cut under the others */
    close(fd);
    struct connection_table *t = new_table(2);
    unsigned char a[16];
    struct connection_ticket ticket;
    ipv4(1, a);
    assert_true(connection_table_enter(t, 2, a, 1, &ticket)); /* no such column: uncounted */
    assert_int_equal(ticket.slot, CONNECTION_UNCOUNTED);
    connection_table_leave(t, 2, ticket);
    connection_table_unmap(t);
}

/* Twice as many addresses as there are slots: those that find no place are let in, and everything goes back to zero. */
static void test_fails_open(void **state)
{
    struct connection_table *t = new_table(1);
    enum { ADDRESSES = 2 * CONNECTION_TABLE_SLOTS };
    struct connection_ticket *tickets = calloc(ADDRESSES, sizeof *tickets);
    unsigned char a[16];
    unsigned uncounted = 0;
    for (uint32_t i = 0; i < ADDRESSES; i++) {
        ipv4(i, a);
        assert_true(connection_table_enter(t, 0, a, 1, &tickets[i]));
        uncounted += tickets[i].slot == CONNECTION_UNCOUNTED;
    }
    assert_true(uncounted >= CONNECTION_TABLE_SLOTS && uncounted < ADDRESSES);
    for (uint32_t i = 0; i < ADDRESSES; i++)
        connection_table_leave(t, 0, tickets[i]);
    for (uint32_t i = 0; i < ADDRESSES; i++) {
        ipv4(i, a);
        assert_int_equal(connection_table_count(t, a), 0);
    }
    /* Slots of addresses that went away are taken again. */
    ipv4(0x0a0b0c0d, a);
    assert_true(connection_table_enter(t, 0, a, 1, &tickets[0]));
    assert_int_not_equal(tickets[0].slot, CONNECTION_UNCOUNTED);
    free(tickets);
    connection_table_unmap(t);
}

enum { PROCESSES = 4, ROUNDS = 20000, LIMIT = 3 };

/* Enters and leaves a few addresses at random and checks that the limit is never passed; leaves with 0 when all was
 * well. */
static void hammer(struct connection_table *t, unsigned column)
{
    unsigned char a[16];
    struct connection_ticket held[8];
    bool is_held[8] = {false};
    unsigned random = column * 7919 + 1, entered = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        random = random * 1664525u + 1013904223u;
        unsigned which = random >> 29;
        ipv4(0x7f000000 + which, a);
        if (is_held[which]) {
            connection_table_leave(t, column, held[which]);
            is_held[which] = false;
        } else if (connection_table_enter(t, column, a, LIMIT, &held[which])) {
            is_held[which] = true;
            entered++;
        }
    }
    for (unsigned i = 0; i < 8; i++)
        if (is_held[i])
            connection_table_leave(t, column, held[i]);
    _exit(entered ? 0 : 1);
}

static void test_processes(void **state)
{
    struct connection_table *t = new_table(PROCESSES);
    pid_t children[PROCESSES];
    for (unsigned i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (!children[i])
            hammer(t, i);
    }
    for (unsigned i = 0; i < PROCESSES; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    unsigned char a[16];
    for (unsigned i = 0; i < 8; i++) {
        ipv4(0x7f000000 + i, a);
        assert_int_equal(connection_table_count(t, a), 0);
    }
    connection_table_unmap(t);
}

/* A process that dies with connections open: its column goes, the others' counts stay. */
static void test_dead_process(void **state)
{
    struct connection_table *t = new_table(2);
    unsigned char a[16];
    ipv4(0xc0000201, a);
    struct connection_ticket mine, ticket;
    assert_true(connection_table_enter(t, 0, a, 3, &mine));
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        bool is_in = connection_table_enter(t, 1, a, 3, &ticket) && connection_table_enter(t, 1, a, 3, &ticket);
        _exit(is_in ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_false(connection_table_enter(t, 0, a, 3, &ticket));
    connection_table_clear_column(t, 1);
    assert_int_equal(connection_table_count(t, a), 1);
    assert_true(connection_table_enter(t, 0, a, 3, &ticket));
    connection_table_unmap(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit),      cmocka_unit_test(test_keys),      cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_fails_open), cmocka_unit_test(test_processes), cmocka_unit_test(test_dead_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
