/* Clients that no honest person would write: thousands of them, each of which gives the server a byte now and then and
 * lets it wait.
 *
 *   slow COUNT SOURCES SECONDS KIND=PORT...
 *
 * COUNT connections to 127.0.0.1, from SOURCES addresses (127.0.1.1 and on), the kinds in turn; each sends one byte in
 * SECONDS. One that the server ends is tried again, so the pressure stays. The kinds:
 *
 *   silent    says nothing at all
 *   noop      a NOOP instead of a byte
 *   command   an SMTP or POP3 command that never ends
 *   data      an SMTP message that never ends
 *   heavy     the same, after 60 KiB that came at once
 *   starttls  STARTTLS, then a handshake that never ends
 *   tls       the same without STARTTLS
 *
 * Each second a line tells: "open N waiting N refused N ended N" (in the state that it is to wait in; on the way there;
 * turned away before that; ended after it). The end of the standard input ends it. A load tool for loopback, no part of
 * the product.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define KINDS_MAX 16
#define TICK_MS 10
#define CONNECTING_MAX 256 /* the server's backlog is not what is tried here */
#define PAUSE_MS 1000      /* before one that was ended comes again */
#define HEAVY (60u << 10)
#define LINE 64

/* What is said before the waiting begins; each piece after the reply that ends with a line that starts with `after`. */
#define GREETING "" /* of whichever protocol */

struct script {
    const char *name;
    struct {
        const char *after, *say;
    } steps[3];
    char drip; /* what is given byte by byte; 0: nothing; 'T': a TLS ClientHello of 16 KiB; 'N': NOOPs */
};

static const struct script scripts[] = {
    {"silent", {{GREETING, ""}}, 0},
    {"noop", {{GREETING, ""}}, 'N'},
    {"command", {{GREETING, ""}}, 'X'},
    {"data",
     {{"220 ", "EHLO slow.test\r\nMAIL FROM:<slow@slow.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n"},
      {"354 ", "Subject: slow\r\n\r\n"}},
     'x'},
    {"heavy",
     {{"220 ", "EHLO slow.test\r\nMAIL FROM:<slow@slow.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n"},
      {"354 ", "Subject: slow\r\n\r\n\001"}},
     'x'},
    {"starttls", {{"220 ", "EHLO slow.test\r\n"}, {"250 ", "STARTTLS\r\n"}, {"220 ", ""}}, 'T'},
    {"tls", {{NULL, NULL}}, 'T'},
};
#define SCRIPTS (sizeof scripts / sizeof *scripts)

struct client {
    const struct script *script;
    unsigned port, source;
    int fd;                 /* -1: none now */
    unsigned step;          /* of the script; what comes next */
    bool connecting, waits; /* waits: in the state that it is to wait in */
    uint64_t again_at;      /* milliseconds: when it comes again */
    size_t dripped;
    char line[LINE]; /* the beginning of the line that is being read */
    size_t line_size;
};

static struct client *clients;
static size_t count, open_now, connecting_now, refused, ended;
static int events;

static void die(const char *what)
{
    fprintf(stderr, "slow: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void end(struct client *c)
{
    close(c->fd);
    c->fd = -1;
    connecting_now -= c->connecting;
    open_now -= c->waits;
    if (c->waits)
        ended++;
    else
        refused++;
    c->connecting = c->waits = false;
    c->again_at = now_ms() + PAUSE_MS;
}

static void begin(struct client *c)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 0x100 + c->source)};
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)c->port)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    int on = 1, room = 2 * HEAVY;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket");
    setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    setsockopt(c->fd, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &on, sizeof on);
    c->step = 0;
    c->dripped = c->line_size = 0;
    c->connecting = true;
    connecting_now++;
    if (bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0)
        die("bind");
    if ((connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) ||
        epoll_ctl(events, EPOLL_CTL_ADD, c->fd, &event) < 0)
        end(c);
}

static bool say(struct client *c, const char *data, size_t size)
{
    ssize_t n = send(c->fd, data, size, MSG_NOSIGNAL);
    return n == (ssize_t)size ||
           (n < 0 && errno == EAGAIN && size == 1); /* one byte that the server has no room for is no loss */
}

/* All that is in `text`; \001 stands for much. */
static bool say_step(struct client *c, const char *text)
{
    static char much[HEAVY];
    size_t size = strcspn(text, "\001");
    if (!say(c, text, size))
        return false;
    if (!text[size])
        return true;
    for (size_t i = 0; i < HEAVY; i++)
        much[i] = i % 72 == 70 ? '\r' : i % 72 == 71 ? '\n' : 'x';
    return say(c, much, HEAVY);
}

static void set_waiting(struct client *c)
{
    bool waits = !c->connecting && (c->step == 3 || !c->script->steps[c->step].after);
    open_now += waits && !c->waits;
    c->waits = waits;
}

static bool starts(const struct client *c, const char *text)
{
    return c->line_size >= strlen(text) && memcmp(c->line, text, strlen(text)) == 0;
}

/* A whole line came. */
static bool take_line(struct client *c)
{
    if (c->waits || c->step == 3)
        return true;
    const char *after = c->script->steps[c->step].after;
    if (!after || !(*after ? starts(c, after) : starts(c, "220 ") || starts(c, "+OK")))
        return true;
    const char *text = c->script->steps[c->step++].say;
    return say_step(c, text);
}

static bool take(struct client *c, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (data[i] != '\n') {
            if (c->line_size < LINE)
                c->line[c->line_size++] = data[i];
            continue;
        }
        if (!take_line(c))
            return false;
        c->line_size = 0;
    }
    return true;
}

static void handle(struct client *c)
{
    char data[4096];
    ssize_t n;
    if (c->connecting) {
        int error = 0;
        socklen_t size = sizeof error;
        if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error) {
            end(c);
            return;
        }
        c->connecting = false;
        connecting_now--;
    }
    while ((n = recv(c->fd, data, sizeof data, 0)) > 0)
        if (!take(c, data, (size_t)n)) {
            end(c);
            return;
        }
    if (n == 0 || errno != EAGAIN)
        end(c);
    else
        set_waiting(c);
}

static void drip(struct client *c)
{
    static const unsigned char hello[] = {22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc, 3, 3};
    char byte = c->script->drip;
    if (!byte || !c->waits)
        return;
    if (byte == 'N') {
        if (!say(c, "NOOP\r\n", 6))
            end(c);
        return;
    }
    if (byte == 'T')
        byte = c->dripped < sizeof hello ? (char)hello[c->dripped] : 0;
    c->dripped++;
    if (!say(c, &byte, 1))
        end(c);
}

static void add_clients(unsigned sources, char **kinds, unsigned kind_count)
{
    for (size_t i = 0; i < count; i++) {
        const char *kind = kinds[i % kind_count], *port = strchr(kind, '=');
        for (size_t k = 0; port && k < SCRIPTS; k++)
            if (strlen(scripts[k].name) == (size_t)(port - kind) &&
                memcmp(scripts[k].name, kind, (size_t)(port - kind)) == 0)
                clients[i].script = &scripts[k];
        if (!clients[i].script) {
            fprintf(stderr, "slow: %s is no KIND=PORT\n", kind);
            exit(64);
        }
        clients[i].port = (unsigned)strtoul(port + 1, NULL, 10);
        clients[i].source = (unsigned)(i / kind_count) % sources;
        clients[i].fd = -1;
    }
}

/* Those whose turn it is: each comes by once in the time between its bytes. */
static void turn(size_t *next, size_t some)
{
    uint64_t now = now_ms();
    for (size_t i = 0; i < some; i++) {
        struct client *c = &clients[*next];
        *next = (*next + 1) % count;
        if (c->fd >= 0)
            drip(c);
        else if (now >= c->again_at && connecting_now < CONNECTING_MAX)
            begin(c);
    }
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: slow COUNT SOURCES SECONDS KIND=PORT...\n");
        return 64;
    }
    count = strtoul(argv[1], NULL, 10);
    unsigned sources = (unsigned)strtoul(argv[2], NULL, 10);
    double seconds = strtod(argv[3], NULL);
    clients = calloc(count, sizeof *clients);
    events = epoll_create1(EPOLL_CLOEXEC);
    if (!clients || events < 0 || !count || !sources || seconds <= 0)
        die("begin");
    add_clients(sources, argv + 4, (unsigned)argc - 4);
    double owed = 0;
    size_t next = 0, entered = 0;
    uint64_t last = now_ms(), told = last;
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    while (poll(&input, 1, 0) == 0) {
        struct epoll_event got[512];
        int n = epoll_wait(events, got, 512, TICK_MS);
        for (int i = 0; i < n; i++)
            if (((struct client *)got[i].data.ptr)->fd >= 0)
                handle(got[i].data.ptr);
        uint64_t now = now_ms();
        owed += (double)(now - last) / 1000 / seconds * (double)count;
        last = now;
        /* The first ones do not wait for their turn. */
        for (; entered < count && connecting_now < CONNECTING_MAX; entered++)
            begin(&clients[entered]);
        if (entered == count) {
            turn(&next, (size_t)owed);
            owed -= (double)(size_t)owed;
        }
        if (now - told >= 1000) {
            told = now;
            printf("open %zu waiting %zu refused %zu ended %zu\n", open_now, count - open_now, refused, ended);
            fflush(stdout);
        }
    }
    return 0;
}
