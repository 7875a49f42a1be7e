/* Sends the message on its standard input by deliver/smtp_client.h, for test_smtp_client.py:
 *   smtp_send ADDRESS PORT TIMES TLS REVERSE_PATH RECIPIENT...
 * TIMES messages on one connection; TLS is "none", "any" or "verify:HOST" (the authorities are then in the file
 * named by AUTHORITIES). Writes a line for each call: its name, its result, and each recipient's final reply. */
#include "deliver/smtp_client.h"
#include "format/ip_address.h"
#include "run/endpoint.h"
#include "run/fiber.h"
#include "run/tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define MESSAGE_MAX (64u << 20)
#define RECIPIENTS_MAX 100

struct task {
    struct loop *loop;
    char **words;
    int count;
    struct buf message;
    struct buf authorities;
    bool failed;
};

static bool read_all(FILE *file, struct buf *out)
{
    while (file && !feof(file) && !ferror(file)) {
        char *place = buf_reserve(out, 65536);
        if (!place)
            return false;
        out->size += fread(place, 1, 65536, file);
    }
    return file && !ferror(file);
}

static int read_message(struct fiber *self, void *argument, uint64_t offset, struct span *piece)
{
    const struct task *task = argument;
    *piece = span_skip(buf_span(&task->message), offset);
    return 0;
}

static bool has_8bit(struct span s)
{
    for (size_t i = 0; i < s.size; i++)
        if ((unsigned char)s.data[i] > 127)
            return true;
    return false;
}

static void tell(struct task *task, const struct smtp_client *c, const char *call, int error)
{
    struct buf line;
    buf_init(&line, 2000);
    if (error && c->reply.code)
        smtp_reply_write(&c->reply, &line);
    printf("%s %s %.*s\n", call, error ? strerrorname_np(-error) : "0", SPAN_ARG(buf_span(&line)));
    task->failed = task->failed || error;
    buf_release(&line);
}

static void send_one(struct fiber *self, struct task *task, struct smtp_client *c)
{
    static struct smtp_client_recipient recipients[RECIPIENTS_MAX];
    struct smtp_client_message message = {.reverse_path = span_text(task->words[4]),
                                          .size = task->message.size,
                                          .may_have_8bit = has_8bit(buf_span(&task->message)),
                                          .read = read_message,
                                          .argument = task};
    struct smtp_client_outcome outcome;
    size_t count = (size_t)task->count - 5;
    for (size_t i = 0; i < count; i++)
        recipients[i] = (struct smtp_client_recipient){.address = span_text(task->words[5 + i])};
    tell(task, c, "send", smtp_client_send(self, c, &message, recipients, count, &outcome));
    for (size_t i = 0; i < count; i++) {
        struct buf line;
        buf_init(&line, 2000);
        smtp_reply_write(&recipients[i].final, &line);
        printf("rcpt %s %.*s\n", task->words[5 + i], SPAN_ARG(buf_span(&line)));
        buf_release(&line);
    }
}

static void secure(struct fiber *self, struct task *task, struct smtp_client *c)
{
    struct span wanted = span_text(task->words[3]);
    bool verify = span_starts_nocase(wanted, span_text("verify:"));
    struct buf problem;
    buf_init(&problem, 1000);
    struct tls_context *tls = tls_client_context_new(buf_span(&task->authorities), 12, &problem);
    if (tls)
        tell(task, c, "starttls",
             smtp_client_start_tls(self, c, tls, verify ? task->words[3] + 7 : "unknown.test", verify));
    printf("tls %s %s\n", stream_tls_version(c->stream), stream_tls_problem(c->stream));
    task->failed = task->failed || !tls;
    tls_context_unref(tls);
    buf_release(&problem);
}

static void converse(struct fiber *self, struct task *task, struct stream *stream)
{
    struct smtp_client client;
    smtp_client_init(&client, stream, "client.test");
    client.deadline = clock_in_seconds(60);
    tell(task, &client, "open", smtp_client_open(self, &client));
    if (!client.over && strcmp(task->words[3], "none") != 0)
        secure(self, task, &client);
    for (int i = 0; i < atoi(task->words[2]) && !client.over; i++)
        send_one(self, task, &client);
    printf("peer %s quiet=%d\n", client.peer_name, smtp_client_is_quiet(&client));
    smtp_client_close(self, &client);
    smtp_client_release(&client);
}

static void task_main(struct fiber *self, void *argument)
{
    struct task *task = argument;
    struct ip_address address;
    struct endpoint to = {.port = (uint16_t)atoi(task->words[1])};
    struct stream *stream = NULL;
    if (!ip_address_parse(span_text(task->words[0]), &address))
        exit(64);
    memcpy(to.address, address.bytes, 16);
    int error = stream_connect(self, &to, NULL, clock_in_seconds(30), &stream);
    printf("connect %s\n", error ? strerrorname_np(-error) : "0");
    task->failed = error != 0;
    if (!error)
        converse(self, task, stream);
    loop_stop(task->loop);
}

int main(int argc, char **argv)
{
    if (argc < 7 || argc > 6 + RECIPIENTS_MAX)
        return 64;
    struct task task = {.loop = loop_new(), .words = argv + 1, .count = argc - 1};
    const char *path = getenv("AUTHORITIES");
    buf_init(&task.message, MESSAGE_MAX);
    buf_init(&task.authorities, 1 << 20);
    FILE *authorities = path ? fopen(path, "re") : NULL;
    bool ready = task.loop && read_all(stdin, &task.message) && (!path || read_all(authorities, &task.authorities));
    if (authorities)
        fclose(authorities);
    if (!ready || !fiber_start(task.loop, "send", task_main, &task) || loop_run(task.loop) != 0)
        return 70;
    loop_free(task.loop);
    buf_release(&task.message);
    buf_release(&task.authorities);
    return task.failed;
}
