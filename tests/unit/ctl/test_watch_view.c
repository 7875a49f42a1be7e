#include "base/clock.h"
#include "ctl/watch_view.h"
#include "ipc/binary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define NOON (1700049600 * NANOSECONDS) /* 2023-11-15T12:00:00Z */

static ProtobufCBinaryData text(const char *s)
{
    return binary_from_span(span_text(s));
}

static void test_event(void **state)
{
    Auth__Event event = AUTH__EVENT__INIT;
    struct buf out;
    buf_init(&out, 4096);
    event.at = NOON;
    event.kind = (char *)"unknown recipient";
    event.peer_address = text("192.0.2.7");
    event.reverse_path = text("a b\x1b[2J@example.net");
    event.recipient = text("nobody@example.test");
    event.code = 550;
    event.delay_ms = 1500;
    watch_event_write(&event, &out);
    assert_non_null(memmem(out.data, out.size, "2023-11-15T12:00:00Z unknown recipient ip=192.0.2.7 from=\"a b", 61));
    assert_non_null(memmem(out.data, out.size, "rcpt=nobody@example.test reply=550 delay=1.5s", 45));
    assert_null(memchr(out.data, 0x1b, out.size));
    buf_reset(&out);
    watch_event_write_json(&event, &out);
    assert_ptr_equal(memchr(out.data, '\n', out.size), out.data + out.size - 1);
    buf_release(&out);
}

struct big_reply {
    Auth__WatchReply reply;
    Auth__Connection connections[100], *connection_pointers[100];
    Auth__Event events[300], *event_pointers[300];
    Auth__ServiceCount service, *service_pointer;
};

static void fill(struct big_reply *b, size_t connections, size_t events)
{
    auth__watch_reply__init(&b->reply);
    for (size_t i = 0; i < connections; i++) {
        auth__connection__init(&b->connections[i]);
        b->connections[i].service = (char *)(i % 2 ? "smtp" : "pop3");
        b->connections[i].since = NOON - i * NANOSECONDS;
        b->connections[i].peer_address = text("2001:db8:1234:5678:9abc:def0:1234:5678");
        b->connections[i].account = text("gr\xc3\xbc\xc3\x9f\x65@example.test");
        b->connection_pointers[i] = &b->connections[i];
    }
    for (size_t i = 0; i < events; i++) {
        auth__event__init(&b->events[i]);
        b->events[i].at = NOON;
        b->events[i].kind = (char *)"login refused";
        b->events[i].code = (uint32_t)i;
        b->event_pointers[i] = &b->events[i];
    }
    auth__service_count__init(&b->service);
    b->service.service = (char *)"smtp";
    b->service.connections = (uint32_t)connections;
    b->service_pointer = &b->service;
    b->reply.connections = b->connection_pointers;
    b->reply.n_connections = connections;
    b->reply.events = b->event_pointers;
    b->reply.n_events = events;
    b->reply.services = &b->service_pointer;
    b->reply.n_services = connections ? 1 : 0;
}

/* Never more rows than the terminal has, nor more characters in one than fit, however much there is. */
static void test_sizes(void **state)
{
    static const size_t amounts[][2] = {{0, 0}, {1, 0}, {0, 1}, {3, 3}, {100, 0}, {0, 300}, {100, 300}};
    static struct big_reply b;
    for (size_t i = 0; i < sizeof amounts / sizeof *amounts; i++)
        for (unsigned rows = 1; rows < 60; rows += rows < 10 ? 1 : 7)
            for (unsigned columns = 1; columns < 300; columns += 37) {
                struct watch_view view;
                struct buf out;
                buf_init(&out, 1 << 20);
                assert_int_equal(watch_view_init(&view, "mail.example.test"), 0);
                fill(&b, amounts[i][0], amounts[i][1]);
                watch_view_add(&view, &b.reply);
                watch_view_paint(&view, &b.reply, NOON, rows, columns, &out);
                assert_false(buf_failed(&out));
                unsigned painted = 1, width = 0;
                for (size_t at = 3; at < out.size; at++) {
                    unsigned char c = (unsigned char)out.data[at];
                    if (c == 0x1b)
                        at += 2;
                    else if (c == '\n')
                        painted++, width = 0;
                    else if (c != '\r' && (c & 0xc0) != 0x80)
                        width++;
                    assert_true(width <= columns);
                }
                assert_true(painted <= rows);
                watch_view_release(&view);
                buf_release(&out);
            }
}

static void test_what_is_shown(void **state)
{
    static struct big_reply b;
    struct watch_view view;
    struct buf out;
    buf_init(&out, 1 << 20);
    assert_int_equal(watch_view_init(&view, "mail.example.test"), 0);
    fill(&b, 100, 300);
    watch_view_add(&view, &b.reply);
    watch_view_paint(&view, &b.reply, NOON, 25, 200, &out);
    buf_add_char(&out, 0);
    /* Ten rows of connections, ten of events: the newest at the end. */
    assert_non_null(strstr(out.data, "... and 91 more"));
    assert_non_null(strstr(out.data, "reply=290"));
    assert_null(strstr(out.data, "reply=289"));
    assert_non_null(strstr(out.data, "12:00:00Z login refused reply=299\033[K\033[J"));
    watch_view_release(&view);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_event),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_what_is_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
