/* mail import */
#include "base/clock.h"
#include "base/list.h"
#include "ctl/address.h"
#include "ctl/commands.h"
#include "ctl/json.h"
#include "ctl/mail_source.h"
#include "ctl/progress.h"
#include "ctl/store_client.h"
#include "format/summary.h"
#include "ipc/binary.h"
#include "store_write.pb-c.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

/* Calls under way: the store gathers them into one sync. */
#define WORKERS 32
#define ATTACHMENT_MAX (1u << 20) /* larger bodies go as a descriptor */
#define MESSAGE_MAX (1u << 30)
#define PROBLEMS_SHOWN 20

struct import_work {
    struct store_work work;
    struct store_client *client;
    struct mail_source *source;
    struct span account;
    struct arena scratch; /* between two waits only */
    struct progress progress;
    struct condition ended;
    unsigned running;
    uint64_t imported, failed, bytes;
    int status; /* of what ends the whole import */
};

static void tell(struct import_work *w, const char *place, struct span problem)
{
    if (w->failed++ < PROBLEMS_SHOWN)
        fprintf(stderr, "ostiary: %s: %.*s\n", place, SPAN_ARG(problem));
}

static int make_file(struct span text)
{
    int fd = memfd_create("ostiary-import", MFD_CLOEXEC);
    while (fd >= 0 && text.size) {
        ssize_t n = write(fd, text.data, text.size);
        if (n < 0 && errno != EINTR) {
            close(fd);
            return -1;
        }
        text = span_skip(text, n > 0 ? (size_t)n : 0);
    }
    return fd;
}

static int call_import(struct fiber *self, struct import_work *w, const struct mail_item *item, struct span summary)
{
    StoreWrite__ImportRequest request = STORE_WRITE__IMPORT_REQUEST__INIT;
    struct answer answer;
    struct span body = buf_span(&item->text);
    int fd = body.size > ATTACHMENT_MAX ? make_file(body) : -1;
    if (body.size > ATTACHMENT_MAX && fd < 0)
        return ctl_fail(w->work.ctl, EX_OSERR, "there is no memory for a message of %zu bytes", body.size);
    request.account = binary_from_span(w->account);
    request.mailbox = binary_from_span(span_text(item->mailbox));
    request.flags = item->marks;
    request.received_at = item->received_seconds ? item->received_seconds * NANOSECONDS : clock_wall();
    request.summary = binary_from_span(summary);
    request.reverse_path = binary_from_span(span_text(item->sender));
    int status = store_client_send(self, w->client, STORE_WRITE_IMPORT, &request.base,
                                   fd < 0 ? body : (struct span){NULL, 0}, fd, &answer);
    if (fd >= 0)
        close(fd);
    if (status)
        return status;
    const StoreWrite__ImportReply *reply = (const StoreWrite__ImportReply *)answer.message;
    if (reply->problem && *reply->problem)
        tell(w, item->place, span_text(reply->problem));
    else {
        w->imported++;
        w->bytes += body.size;
    }
    answer_release(&answer);
    return EX_OK;
}

static int import_item(struct fiber *self, struct import_work *w, const struct mail_item *item)
{
    struct buf summary;
    buf_init(&summary, SUMMARY_SIZE_MAX);
    int error = summary_make(buf_span(&item->text), &w->scratch, &summary);
    arena_reset(&w->scratch);
    int status = error ? ctl_fail(w->work.ctl, EX_OSERR, "out of memory") : EX_OK;
    if (!status)
        status = call_import(self, w, item, buf_span(&summary));
    buf_release(&summary);
    return status;
}

static void run_worker(struct fiber *self, void *argument)
{
    struct import_work *w = argument;
    struct mail_item *item = calloc(1, sizeof *item);
    struct buf problem;
    buf_init(&problem, 1000);
    if (!item)
        w->status = ctl_fail(w->work.ctl, EX_OSERR, "out of memory");
    else
        buf_init(&item->text, MESSAGE_MAX);
    while (item && !w->status) {
        uint64_t done, all;
        int result = mail_source_next(w->source, item, &problem);
        if (!result)
            break;
        mail_source_progress(w->source, &done, &all);
        progress_update(&w->progress, done, all);
        if (result < 0) {
            tell(w, item->place, buf_span(&problem));
            buf_reset(&problem);
            continue;
        }
        int status = import_item(self, w, item);
        w->status = w->status ? w->status : status;
    }
    if (item)
        buf_release(&item->text);
    free(item);
    buf_release(&problem);
    w->running--;
    condition_wake_all(&w->ended);
}

static int run_import(struct fiber *self, struct store_client *client, struct store_work *work)
{
    struct import_work *w = container_of(work, struct import_work, work);
    w->client = client;
    condition_init(&w->ended);
    progress_start(&w->progress, "importing");
    for (unsigned i = 0; i < WORKERS; i++)
        w->running += fiber_start(fiber_loop(self), "import", run_worker, w) != NULL;
    if (!w->running)
        w->status = ctl_fail(work->ctl, EX_OSERR, "out of memory");
    /* Nobody cancels this fiber, so the workers are waited for whatever happens. */
    while (w->running && !condition_wait(self, &w->ended, CLOCK_NEVER))
        ;
    progress_stop(&w->progress);
    return w->status;
}

static bool parse_format(const char *text, enum mail_source_format *format)
{
    *format = !text                      ? MAIL_SOURCE_GUESS
              : !strcmp(text, "maildir") ? MAIL_SOURCE_MAILDIR
              : !strcmp(text, "mbox")    ? MAIL_SOURCE_MBOX
                                         : MAIL_SOURCE_GUESS;
    return !text || *format != MAIL_SOURCE_GUESS;
}

static int import(struct ctl *ctl, struct import_work *w)
{
    int status = store_client_run(&w->work);
    if (w->failed > PROBLEMS_SHOWN)
        fprintf(stderr, "ostiary: and %ju messages more that could not be imported\n",
                (uintmax_t)(w->failed - PROBLEMS_SHOWN));
    if (!status && w->failed) {
        status =
            ctl_fail(ctl, EX_DATAERR, "%ju imported, %ju could not be", (uintmax_t)w->imported, (uintmax_t)w->failed);
    } else if (!status && ctl->json) {
        json_write_counts(&ctl->out, (struct json_count[]){{"imported", w->imported}, {"bytes", w->bytes}, {NULL}});
    } else if (!status) {
        ctl_write_count(&ctl->out, w->imported, "message");
        buf_printf(&ctl->out, " with %ju bytes imported\n", (uintmax_t)w->bytes);
    } else if (w->imported) {
        fprintf(stderr, "ostiary: %ju messages were imported before\n", (uintmax_t)w->imported);
    }
    return status;
}

int ctl_mail_import(struct ctl *ctl)
{
    struct import_work w = {.work = {.run = run_import, .ctl = ctl}};
    struct arena arena;
    enum mail_source_format format;
    const char *account = ctl_option(ctl, "account"), *mailbox = ctl_option(ctl, "mailbox");
    if (!account)
        return ctl_fail(ctl, EX_USAGE, "--account says whose mail it becomes");
    if (!parse_format(ctl_option(ctl, "format"), &format))
        return ctl_fail(ctl, EX_USAGE, "--format is maildir or mbox");
    arena_init(&arena, 1 << 20);
    arena_init(&w.scratch, SUMMARY_ARENA_MAX);
    int status = ctl_address(ctl, &arena, account, &w.account);
    w.work.settings = status ? NULL : ctl_read_settings(ctl);
    if (!status && !w.work.settings)
        status = EX_CONFIG;
    if (!status && !(w.source = mail_source_open(ctl, ctl->arguments[0], format, mailbox ? mailbox : "INBOX")))
        status = EX_NOINPUT;
    if (!status)
        status = import(ctl, &w);
    mail_source_close(w.source);
    settings_unref(w.work.settings);
    arena_release(&w.scratch);
    arena_release(&arena);
    return status;
}
