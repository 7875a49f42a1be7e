/* How many connections a destination may have: opened up by success, halved by failure, and shared by all. Runners are
 * only started here, never run. */
#include "base/clock.h"
#include "deliver/internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static unsigned until_failure; /* allocations until one fails; 0: none does */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    return until_failure && --until_failure == 0 ? NULL : __real_malloc(size);
}

static struct courier *make_courier(unsigned connections, unsigned per_destination)
{
    char text[300];
    struct buf problem;
    struct courier *c = calloc(1, sizeof *c);
    assert_non_null(c);
    snprintf(text, sizeof text,
             "hostname = \"us.example\"\ncourier = { connections = %u, connections_per_destination = %u, "
             "retry_first = \"100s\", retry_longest = \"1000s\" }",
             connections, per_destination);
    buf_init(&problem, 1000);
    c->settings = settings_read_text("test", span_text(text), &problem);
    assert_non_null(c->settings);
    buf_release(&problem);
    c->loop = loop_new();
    map_init(&c->in_hand);
    map_init(&c->sources);
    map_init(&c->sites);
    list_init(&c->starving);
    condition_init(&c->room);
    condition_init(&c->scan);
    return c;
}

static void stop_main(struct fiber *self, void *argument)
{
    struct courier *c = argument;
    while (c->runners && fiber_yield(self) == 0)
        ;
    loop_stop(c->loop);
}

/* Runners that find no job end. */
static void free_courier(struct courier *c)
{
    struct span key;
    void *value;
    c->is_stopping = true;
    for (size_t position = 0; map_next(&c->sites, &position, &key, &value);)
        for (struct job *job; (job = site_take(value));)
            job_put_back(job);
    assert_non_null(fiber_start(c->loop, "stop", stop_main, c));
    assert_int_equal(loop_run(c->loop), 0);
    assert_int_equal(c->runners, 0);
    for (size_t position = 0; map_next(&c->sites, &position, &key, &value); position = 0)
        site_leave(value);
    map_release(&c->in_hand);
    map_release(&c->sources);
    map_release(&c->sites);
    loop_free(c->loop);
    settings_unref(c->settings);
    free(c);
}

static void add_jobs(struct site *site, unsigned count)
{
    while (count--) {
        struct job *job = calloc(1, sizeof *job);
        assert_non_null(job);
        list_init(&job->node);
        list_init(&job->entries);
        site_add(site, job);
    }
}

static void go_down(struct site *site)
{
    struct verdict down = verdict_of_trouble(TROUBLE_UNREACHABLE);
    site_failed(site, &down, span_text("no connection"));
}

/* One event a letter: g greeted (a connection stands), s a success, f all that stand fail, n one more is turned away,
 * w the back-off is over. */
static void windows(void **state)
{
    static const struct {
        const char *events;
        unsigned most, runners;
    } rows[] = {
        {"", 20, 2},
        {"g", 20, 5},
        {"gs", 20, 6},
        {"gsssss", 20, 10},
        {"gssssssss", 9, 9},
        {"g", 3, 3},
        {"", 1, 1},
        {"gf", 20, 2},
        {"gsssf", 20, 4},
        {"gsssff", 20, 4},
        {"gsssfwf", 20, 2},
        {"gsssfwfwfwfwf", 20, 1},
        {"gfs", 20, 3},
        {"gsssgggggggn", 20, 4},
        {"gsssn", 20, 1},
        {"gsssgggggggnsssss", 20, 9},
        {"gsssgggggggnss", 20, 6},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct courier *c = make_courier(1000, rows[i].most);
        struct site *site = site_get(c, span_text("one.example"));
        assert_non_null(site);
        for (const char *event = rows[i].events; *event; event++) {
            site->connected += *event == 'g';
            if (*event == 's')
                site_succeeded(site);
            else if (*event == 'f')
                go_down(site);
            else if (*event == 'n')
                site_narrow(site);
            else if (*event == 'w')
                clock_fake_advance(2000 * NANOSECONDS);
        }
        add_jobs(site, 100);
        if (site->runners != rows[i].runners)
            fail_msg("\"%s\" of %u: %u connections, not %u", rows[i].events, rows[i].most, site->runners,
                     rows[i].runners);
        site->connected = 0;
        free_courier(c);
    }
}

/* Not only when more work comes. */
static void a_success_starts_one_more(void **state)
{
    struct courier *c = make_courier(1000, 8);
    struct site *site = site_get(c, span_text("one.example"));
    site->connected = 1;
    add_jobs(site, 100);
    for (unsigned runners = 5; runners <= 8; runners++) {
        assert_int_equal(site->runners, runners);
        site_succeeded(site);
    }
    assert_int_equal(site->runners, 8);
    site->connected = 0;
    free_courier(c);
}

static void back_off_grows_and_ends(void **state)
{
    static const unsigned seconds[] = {100, 200, 400, 800, 900, 900};
    struct courier *c = make_courier(1000, 20);
    struct site *site = site_get(c, span_text("one.example"));
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
        go_down(site);
        uint64_t middle = seconds[i] * NANOSECONDS, wait = site->closed_until - clock_monotonic();
        assert_true(site_is_closed(site));
        assert_true(wait >= middle - middle / 5 && wait <= middle + middle / 5 && wait <= 900 * NANOSECONDS);
        /* What else fails meanwhile changes nothing. */
        go_down(site);
        assert_true(site->closed_until - clock_monotonic() == wait);
        clock_fake_advance(wait);
        assert_false(site_is_closed(site));
    }
    site_succeeded(site);
    go_down(site);
    assert_true(site->closed_until - clock_monotonic() <= 120 * NANOSECONDS);
    site_open(c, span_text("one.example"));
    assert_false(site_is_closed(site));
    free_courier(c);
}

static void the_connections_of_all(void **state)
{
    struct courier *c = make_courier(6, 20);
    struct site *first = site_get(c, span_text("one.example")), *second = site_get(c, span_text("two.example"));
    first->connected = second->connected = 1;
    add_jobs(first, 100);
    add_jobs(second, 100);
    assert_int_equal(first->runners, 5);
    assert_int_equal(second->runners, 1);
    assert_true(courier_has_starving(c));
    first->connected = second->connected = 0;
    free_courier(c);
}

static void sites_are_told_apart(void **state)
{
    struct courier *c = make_courier(1000, 20);
    struct site *one = site_get(c, span_text("one.example"));
    assert_ptr_equal(site_get(c, span_text("one.example")), one);
    assert_ptr_not_equal(site_get(c, span_text("two.example")), one);
    assert_ptr_not_equal(site_get(c, span_text("one.example:26")), one);
    go_down(one);
    site_leave(one); /* its back-off is remembered */
    assert_ptr_equal(site_get(c, span_text("one.example")), one);
    assert_true(site_is_closed(one));
    free_courier(c);
}

/* Without memory there is no site, for now; never one that makes no sense and fails its mail for good. */
static void no_memory_is_no_bad_address(void **state)
{
    struct courier *c = make_courier(1000, 20);
    unsigned missing = 0;
    bool struck = true;
    for (unsigned i = 1; struck; i++) {
        char name[40];
        snprintf(name, sizeof name, "host-%u.example", i);
        until_failure = i;
        struct site *site = site_get(c, span_text(name));
        struck = until_failure == 0;
        until_failure = 0;
        missing += !site;
        if (site)
            assert_string_equal(site->route.host, name);
    }
    assert_true(missing > 0);
    free_courier(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows),
        cmocka_unit_test(a_success_starts_one_more),
        cmocka_unit_test(back_off_grows_and_ends),
        cmocka_unit_test(the_connections_of_all),
        cmocka_unit_test(sites_are_told_apart),
        cmocka_unit_test(no_memory_is_no_bad_address),
    };
    clock_fake_start(0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
