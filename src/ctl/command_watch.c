/* watch: what goes on, as it happens */
#include "auth.pb-c.h"
#include "base/clock.h"
#include "ctl/commands.h"
#include "ctl/control_client.h"
#include "ctl/screen.h"
#include "ctl/watch_view.h"
#include "run/fiber.h"
#include "run/loop.h"

#include <errno.h>
#include <sysexits.h>
#include <unistd.h>

#define REST (NANOSECONDS / 4) /* between two looks: however much happens */
#define SCREEN_WAIT_SECONDS 1  /* connections come and go without an event */
#define LINES_WAIT_SECONDS 30
#define ANSWER_SECONDS 30 /* beside the wait */
#define OUTPUT_MAX (4u << 20)

struct watch_work {
    struct control_work work;
    struct watch_view view;
    struct fiber *asking, *reading; /* NULL once they are over */
    struct watch keys;
};

static int look(struct fiber *self, struct control_client *client, uint64_t after, unsigned wait_seconds,
                bool connections, struct answer *answer)
{
    Auth__WatchRequest request = AUTH__WATCH_REQUEST__INIT;
    request.after = after;
    request.wait_seconds = wait_seconds;
    request.connections = connections;
    return control_client_call(self, client, AUTH_WATCH, &request.base, wait_seconds + ANSWER_SECONDS, answer);
}

/* ---- Once ---- */

static void write_state(const Auth__WatchReply *reply, struct buf *out)
{
    uint64_t now = clock_wall();
    watch_services_write(reply, out);
    buf_add_char(out, '\n');
    for (size_t i = 0; i < reply->n_connections; i++) {
        watch_connection_write(reply->connections[i], now, out);
        buf_add_char(out, '\n');
    }
    for (size_t i = 0; i < reply->n_events; i++) {
        watch_event_write(reply->events[i], out);
        buf_add_char(out, '\n');
    }
}

static int run_once(struct fiber *self, struct control_client *client, struct control_work *work)
{
    struct answer answer;
    int status = look(self, client, 0, 0, true, &answer);
    if (status || !answer.message)
        return status;
    const Auth__WatchReply *reply = (const Auth__WatchReply *)answer.message;
    if (work->ctl->json)
        watch_state_write_json(reply, &work->ctl->out);
    else
        write_state(reply, &work->ctl->out);
    answer_release(&answer);
    return EX_OK;
}

/* ---- Lines ---- */

static int write_events(const Auth__WatchReply *reply, bool json)
{
    struct buf out;
    buf_init(&out, OUTPUT_MAX);
    if (reply->lost && !json)
        buf_printf(&out, "(%llu events were lost in between)\n", (unsigned long long)reply->lost);
    for (size_t i = 0; i < reply->n_events; i++) {
        if (json)
            watch_event_write_json(reply->events[i], &out);
        else
            watch_event_write(reply->events[i], &out);
        if (out.size && out.data[out.size - 1] != '\n')
            buf_add_char(&out, '\n');
    }
    int error = buf_failed(&out) ? -ENOMEM : screen_write(buf_span(&out));
    buf_release(&out);
    return error;
}

static int run_lines(struct fiber *self, struct control_client *client, struct control_work *work)
{
    uint64_t after = 0;
    unsigned wait_seconds = 0; /* what there is comes at once */
    int error = 0, status = EX_OK;
    while (!error) {
        struct answer answer;
        status = look(self, client, after, wait_seconds, false, &answer);
        if (status || !answer.message)
            return status;
        const Auth__WatchReply *reply = (const Auth__WatchReply *)answer.message;
        error = write_events(reply, work->ctl->json);
        after = reply->last;
        wait_seconds = LINES_WAIT_SECONDS;
        answer_release(&answer);
        if (!error)
            error = fiber_sleep(self, clock_monotonic() + REST);
    }
    return ctl_fail(work->ctl, EX_IOERR, "the output could not be written: %s", strerror(-error));
}

/* ---- The screen ---- */

static int paint(struct watch_work *w, const Auth__WatchReply *reply)
{
    struct buf out;
    unsigned rows, columns;
    buf_init(&out, OUTPUT_MAX);
    screen_size(&rows, &columns);
    watch_view_add(&w->view, reply);
    watch_view_paint(&w->view, reply, clock_wall(), rows, columns, &out);
    int error = buf_failed(&out) ? -ENOMEM : screen_write(buf_span(&out));
    buf_release(&out);
    return error;
}

/* Ends the other fiber at a key; that one ends this one otherwise. */
static void run_keys(struct fiber *self, void *argument)
{
    struct watch_work *w = argument;
    int error = 0;
    /* A terminal that is gone reads as empty for ever. */
    while (!error && !screen_wants_end() && !w->keys.hung_up)
        error = watch_wait_readable(self, &w->keys, CLOCK_NEVER);
    w->reading = NULL;
    if (error != -ECANCELED)
        fiber_cancel(w->asking);
}

static int run_view(struct fiber *self, struct control_client *client, struct watch_work *w)
{
    uint64_t after = 0;
    int error = 0;
    for (unsigned wait = 0; !error; wait = SCREEN_WAIT_SECONDS) {
        struct answer answer;
        int status = look(self, client, after, wait, true, &answer);
        if (status || !answer.message)
            return status;
        const Auth__WatchReply *reply = (const Auth__WatchReply *)answer.message;
        after = reply->last;
        error = paint(w, reply);
        answer_release(&answer);
        if (!error)
            error = fiber_sleep(self, clock_monotonic() + REST);
    }
    return error == -ECANCELED
               ? EX_OK
               : ctl_fail(w->work.ctl, EX_IOERR, "the terminal can't be written to: %s", strerror(-error));
}

static int run_screen(struct fiber *self, struct control_client *client, struct control_work *work)
{
    struct watch_work *w = container_of(work, struct watch_work, work);
    int status = EX_OSERR;
    w->asking = self;
    int error = watch_view_init(&w->view, work->settings->hostname);
    if (!error)
        error = watch_start(&w->keys, fiber_loop(self), STDIN_FILENO, 0);
    if (!error)
        error = screen_open();
    if (!error && !(w->reading = fiber_start(fiber_loop(self), "keys", run_keys, w)))
        error = -ENOMEM;
    if (!error)
        status = run_view(self, client, w);
    screen_close();
    if (w->reading)
        fiber_cancel(w->reading);
    while (w->reading && !fiber_yield(self))
        ;
    watch_stop(&w->keys);
    watch_view_release(&w->view);
    return error ? ctl_fail(work->ctl, status, "the terminal can't be used: %s", strerror(-error)) : status;
}

int ctl_watch(struct ctl *ctl)
{
    struct watch_work w = {.work = {.ctl = ctl, .run = run_lines}};
    if (ctl_option(ctl, "once"))
        w.work.run = run_once;
    else if (!ctl->json && screen_is_possible())
        w.work.run = run_screen;
    return control_client_run_alone(&w.work, CONTROL_AUTH);
}
