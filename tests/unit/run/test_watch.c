#include "stream_pair.h"

#include <sys/epoll.h>

struct scene {
    struct loop *loop;
    int fds[2];
    struct watch watches[2];
    struct fiber *waiter;
    int outcome, other_outcome;
    int count;
    bool done;
};

static void set_scene(struct scene *scene)
{
    *scene = (struct scene){.loop = loop_new(), .outcome = 1, .other_outcome = 1};
    assert_non_null(scene->loop);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, scene->fds), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(watch_start(&scene->watches[i], scene->loop, scene->fds[i], 0), 0);
}

static struct fiber *start(struct scene *scene, void (*main)(struct fiber *, void *))
{
    struct fiber *fiber = fiber_start(scene->loop, "scene", main, scene);
    assert_non_null(fiber);
    return fiber;
}

static void play(struct scene *scene)
{
    assert_non_null(fiber_start(scene->loop, "stop", stop_when_alone, scene->loop));
    assert_int_equal(loop_run(scene->loop), 0);
    for (int i = 0; i < 2; i++) {
        watch_stop(&scene->watches[i]);
        close(scene->fds[i]);
    }
    loop_free(scene->loop);
}

/* ---- edges ---- */

static void wait_for_three_bytes(struct fiber *self, void *argument)
{
    struct scene *scene = argument;
    for (scene->count = 0; scene->count < 3;) {
        char c;
        if (read(scene->fds[0], &c, 1) == 1)
            scene->count++;
        else
            assert_int_equal(watch_wait_readable(self, &scene->watches[0], LONG), 0);
    }
    assert_int_equal(watch_wait_readable(self, &scene->watches[0], clock_monotonic() + 3000000), -ETIMEDOUT);
}

static void send_three_bytes(struct fiber *self, void *argument)
{
    struct scene *scene = argument;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(write(scene->fds[1], "x", 1), 1);
        while (scene->count <= i)
            assert_int_equal(fiber_yield(self), 0);
    }
}

static void each_edge_wakes_once(void **state)
{
    struct scene scene;
    set_scene(&scene);
    start(&scene, wait_for_three_bytes);
    start(&scene, send_three_bytes);
    play(&scene);
    assert_int_equal(scene.count, 3);
}

/* An edge that comes while nobody waits is kept for the next wait. */
static void wait_later(struct fiber *self, void *argument)
{
    struct scene *scene = argument;
    assert_int_equal(write(scene->fds[1], "x", 1), 1);
    for (int i = 0; i < 5; i++)
        assert_int_equal(fiber_yield(self), 0);
    assert_int_equal(scene->watches[0].ready, EPOLLIN);
    assert_int_equal(watch_wait_readable(self, &scene->watches[0], 0), 0);
    assert_int_equal(scene->watches[0].ready, 0);
}

static void an_early_edge_is_kept(void **state)
{
    struct scene scene;
    set_scene(&scene);
    start(&scene, wait_later);
    play(&scene);
}

static void read_until_hang_up(struct fiber *self, void *argument)
{
    struct scene *scene = argument;
    char c;
    while (read(scene->fds[0], &c, 1) != 0)
        assert_int_equal(watch_wait_readable(self, &scene->watches[0], LONG), 0);
    assert_true(scene->watches[0].hung_up);
    scene->done = true;
}

static void hang_up(struct fiber *self, void *argument)
{
    struct scene *scene = argument;
    assert_int_equal(fiber_yield(self), 0);
    assert_int_equal(shutdown(scene->fds[1], SHUT_WR), 0);
}

static void hang_up_wakes_the_reader(void **state)
{
    struct scene scene;
    set_scene(&scene);
    start(&scene, read_until_hang_up);
    start(&scene, hang_up);
    play(&scene);
    assert_true(scene.done);
}

/* ---- writing ---- */

static void fill_and_wait(struct fiber *self, void *argument)
{
    struct scene *scene = argument;
    static const char piece[65536];
    for (int rounds = 0; rounds < 3; rounds++) {
        while (write(scene->fds[0], piece, sizeof piece) > 0)
            ;
        assert_int_equal(errno, EAGAIN);
        assert_int_equal(watch_wait_writable(self, &scene->watches[0], LONG), 0);
        scene->count++;
    }
    scene->done = true;
}

static void empty_now_and_then(struct fiber *self, void *argument)
{
    struct scene *scene = argument;
    static char piece[65536];
    while (!scene->done) {
        while (read(scene->fds[1], piece, sizeof piece) > 0)
            ;
        assert_int_equal(fiber_yield(self), 0);
    }
    /* Nobody waits to write any more: the interest in output is given up at its next edge. */
    for (int i = 0; i < 3; i++) {
        while (read(scene->fds[1], piece, sizeof piece) > 0)
            ;
        assert_int_equal(fiber_yield(self), 0);
        assert_int_equal(write(scene->fds[0], "x", 1), 1);
    }
    assert_int_equal(scene->watches[0].registered & EPOLLOUT, 0);
}

static void a_full_socket_wakes_its_writer(void **state)
{
    struct scene scene;
    set_scene(&scene);
    start(&scene, fill_and_wait);
    start(&scene, empty_now_and_then);
    play(&scene);
    assert_int_equal(scene.count, 3);
}

/* ---- cancel, stop ---- */

static void wait_both_ways(struct fiber *self, void *argument)
{
    struct scene *scene = argument;
    static const char piece[65536];
    while (write(scene->fds[0], piece, sizeof piece) > 0)
        ;
    scene->outcome = watch_wait_writable(self, &scene->watches[0], LONG);
    scene->other_outcome = watch_wait_readable(self, &scene->watches[0], LONG);
    assert_null(scene->watches[0].writer);
    assert_null(scene->watches[0].reader);
}

static void cancel_waiter(struct fiber *self, void *argument)
{
    struct scene *scene = argument;
    assert_int_equal(fiber_yield(self), 0);
    fiber_cancel(scene->waiter);
}

static void cancel_ends_both_waits(void **state)
{
    struct scene scene;
    set_scene(&scene);
    scene.waiter = start(&scene, wait_both_ways);
    start(&scene, cancel_waiter);
    play(&scene);
    assert_int_equal(scene.outcome, -ECANCELED);
    assert_int_equal(scene.other_outcome, -ECANCELED);
}

static void wait_on_1(struct fiber *self, void *argument)
{
    struct scene *scene = argument;
    scene->other_outcome = watch_wait_readable(self, &scene->watches[1], LONG);
}

/* Wakes in the same turn as what it stops. */
static void stop_the_other(struct fiber *self, void *argument)
{
    struct scene *scene = argument;
    scene->outcome = watch_wait_readable(self, &scene->watches[0], LONG);
    watch_stop(&scene->watches[1]);
    watch_stop(&scene->watches[1]);
    memset(&scene->watches[1], 0, sizeof scene->watches[1]); /* as if it was freed */
}

static void write_both(struct fiber *self, void *argument)
{
    struct scene *scene = argument;
    assert_int_equal(fiber_yield(self), 0);
    assert_int_equal(write(scene->fds[0], "x", 1), 1);
    assert_int_equal(write(scene->fds[1], "x", 1), 1);
}

static void stopping_a_watch_of_the_same_batch(void **state)
{
    struct scene scene;
    set_scene(&scene);
    start(&scene, stop_the_other);
    start(&scene, wait_on_1);
    start(&scene, write_both);
    play(&scene);
    assert_int_equal(scene.outcome, 0);
    assert_int_equal(scene.other_outcome, 0); /* it was woken already */
}

static void stop_at_once(struct fiber *self, void *argument)
{
    struct scene *scene = argument;
    assert_int_equal(fiber_yield(self), 0);
    watch_stop(&scene->watches[1]);
}

static void stopping_wakes_who_waits(void **state)
{
    struct scene scene;
    set_scene(&scene);
    start(&scene, wait_on_1);
    start(&scene, stop_at_once);
    play(&scene);
    assert_int_equal(scene.other_outcome, -ECANCELED);
}

/* ---- listeners ---- */

/* A listener with a connection in its queue that nobody takes must not keep the
 * loop busy, and tells of it once somebody waits again. */
static void listen_lazily(struct fiber *self, void *argument)
{
    struct scene *scene = argument;
    assert_int_equal(watch_wait_readable(self, &scene->watches[0], LONG), 0);
    uint64_t turns = loop_turns(scene->loop);
    assert_int_equal(fiber_sleep(self, clock_monotonic() + 20000000), 0);
    assert_true(loop_turns(scene->loop) - turns < 100);
    for (int i = 0; i < 3; i++) /* level-triggered: as long as it is there */
        assert_int_equal(watch_wait_readable(self, &scene->watches[0], LONG), 0);
    char c;
    assert_int_equal(read(scene->fds[0], &c, 1), 1);
    assert_int_equal(watch_wait_readable(self, &scene->watches[0], clock_monotonic() + 3000000), -ETIMEDOUT);
    loop_stop(scene->loop);
}

static void a_shared_listener_is_silent_while_nobody_waits(void **state)
{
    struct scene scene;
    set_scene(&scene);
    watch_stop(&scene.watches[0]);
    assert_int_equal(watch_start(&scene.watches[0], scene.loop, scene.fds[0], EPOLLEXCLUSIVE), 0);
    assert_int_equal(write(scene.fds[1], "x", 1), 1);
    start(&scene, listen_lazily);
    assert_int_equal(loop_run(scene.loop), 0);
    play(&scene);
}

static void a_bad_descriptor_is_refused(void **state)
{
    struct loop *loop = loop_new();
    struct watch watch;
    assert_int_equal(watch_start(&watch, loop, -1, 0), -EBADF);
    watch_stop(&watch);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_edge_wakes_once),        cmocka_unit_test(an_early_edge_is_kept),
        cmocka_unit_test(hang_up_wakes_the_reader),    cmocka_unit_test(a_full_socket_wakes_its_writer),
        cmocka_unit_test(cancel_ends_both_waits),      cmocka_unit_test(stopping_a_watch_of_the_same_batch),
        cmocka_unit_test(stopping_wakes_who_waits),    cmocka_unit_test(a_shared_listener_is_silent_while_nobody_waits),
        cmocka_unit_test(a_bad_descriptor_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
