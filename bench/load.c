/* The bench's own clients: what Postfix's smtp-source does not do.
 *
 *   load idle ADDRESS PORT COUNT pop3|smtp [tls | LOGIN PASSWORD]
 *       opens COUNT sessions, or as many as the server takes, says "open" and how many, and holds them until its
 *       standard input ends; with STARTTLS or STLS, or logged in: a * in LOGIN is the number of one of a hundred
 *       accounts
 *   load refuse ADDRESS PORT RATE RECIPIENT
 *       has so many RCPTs for it refused in a second, each ten from another address, until its standard input ends
 *
 * Sources are spread over 127.0.0.x, 10,000 connections each, so that ports suffice. A load tool for loopback, no part
 * of the product.
 */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- idle ---- */

#define IDLE_ACCOUNTS 100   /* that log in, in turn */
#define OPENING_SECONDS 150 /* then those that are open are held */

static void handshake(SSL_CTX *context, int fd)
{
    SSL *ssl = SSL_new(context);
    if (!ssl || !SSL_set_fd(ssl, fd) || SSL_connect(ssl) != 1)
        die("TLS handshake");
    /* The session lives at the server's end; here only the descriptor is kept, without a close_notify. */
    SSL_set_quiet_shutdown(ssl, 1);
    SSL_free(ssl);
}

/* False: the server takes no more. */
static bool greet(int fd, bool is_smtp)
{
    if (is_smtp) {
        if (!expect_reply(fd))
            return false;
        say(fd, "EHLO load.test\r\n");
        return expect_reply(fd);
    }
    expect(fd, "\r\n");
    say(fd, "CAPA\r\n");
    expect(fd, "\r\n.\r\n");
    return true;
}

static char opened[32]; /* what is said of the sessions that are open */

/* Holds what there is; a handler of signals, too: only calls that may be made in one. */
static void hold(int unused)
{
    char byte;
    if (write(STDOUT_FILENO, opened, strlen(opened)) < 0)
        _exit(1);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
    _exit(0);
}

static int idle(int argc, char **argv)
{
    unsigned count = (unsigned)atoi(argv[4]);
    bool is_smtp = strcmp(argv[5], "smtp") == 0, tls = argc == 7 && strcmp(argv[6], "tls") == 0;
    char **login = argc == 8 ? argv + 6 : NULL;
    SSL_CTX *context = tls ? SSL_CTX_new(TLS_client_method()) : NULL;
    signal(SIGALRM, hold);
    alarm(OPENING_SECONDS);
    for (unsigned i = 0; i < count; i++) {
        snprintf(opened, sizeof opened, "open %u\n", i);
        int fd = connect_from(i / 10000, argv[2], (unsigned)atoi(argv[3]));
        if (!greet(fd, is_smtp))
            hold(0);
        if (tls) {
            say(fd, is_smtp ? "STARTTLS\r\n" : "STLS\r\n");
            expect(fd, "\r\n");
            handshake(context, fd);
        }
        if (login)
            log_in(fd, login[0], i % IDLE_ACCOUNTS, login[1]);
    }
    alarm(0);
    snprintf(opened, sizeof opened, "open %u\n", count);
    hold(0);
    return 0;
}

/* ---- refuse ---- */

#define REFUSE_SESSIONS 200
#define REFUSE_EACH 10 /* RCPTs of a session */
#define REFUSE_TURN 10 /* milliseconds */

struct stranger {
    int fd; /* -1: none */
    bool was_greeted;
    unsigned column; /* of the line that comes in, up to 3 */
    char code[3];
};

struct flood {
    struct stranger strangers[REFUSE_SESSIONS];
    double began;
    unsigned long long refused, asked, connections;
};

/* A source of its own: 127.1.0.1 and up, so that no limit for one address is met. */
static int connect_stranger(unsigned number, const char *address, unsigned port)
{
    int fd = connect_from(0x10000 + number % 0x700000, address, port);
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        die("fcntl");
    return fd;
}

/* How many lines of what came refuse. */
static unsigned count_refusals(struct stranger *s, const char *data, size_t size)
{
    unsigned count = 0;
    for (size_t i = 0; i < size; i++) {
        if (data[i] == '\n') {
            s->column = 0;
            continue;
        }
        if (s->column < 3)
            s->code[s->column] = data[i];
        if (++s->column == 3)
            count += memcmp(s->code, "550", 3) == 0;
    }
    return count;
}

static unsigned serve_stranger(struct stranger *s, const char *commands)
{
    static char buffer[65536];
    ssize_t n = read(s->fd, buffer, sizeof buffer);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n <= 0) {
        close(s->fd);
        s->fd = -1;
        return 0;
    }
    if (!s->was_greeted) {
        s->was_greeted = true;
        say(s->fd, commands);
    }
    return count_refusals(s, buffer, (size_t)n);
}

static void write_commands(const char *recipient, char *out, size_t room)
{
    size_t size = (size_t)snprintf(out, room, "EHLO [192.0.2.1]\r\nMAIL FROM:<a@b.test>\r\n");
    for (int i = 0; i < REFUSE_EACH; i++)
        size += (size_t)snprintf(out + size, room - size, "RCPT TO:<%s>\r\n", recipient);
    snprintf(out + size, room - size, "QUIT\r\n");
}

/* Opens what is due. */
static void open_strangers(struct flood *flood, char **argv)
{
    double due = (now() - flood->began) * atof(argv[4]);
    for (unsigned i = 0; i < REFUSE_SESSIONS && (double)flood->asked < due; i++) {
        if (flood->strangers[i].fd >= 0)
            continue;
        int fd = connect_stranger((unsigned)flood->connections++, argv[2], (unsigned)atoi(argv[3]));
        flood->strangers[i] = (struct stranger){.fd = fd};
        flood->asked += REFUSE_EACH;
    }
}

/* Turns of a fixed length and no more waits than they, behind everybody else: the flood shares the cores with what is
 * measured, so it must cost little itself. */
static int refuse(char **argv)
{
    static struct flood flood;
    char commands[8192];
    struct pollfd end = {STDIN_FILENO, POLLIN, 0};
    int ended;
    if (setpriority(PRIO_PROCESS, 0, 19) < 0)
        die("setpriority");
    flood.began = now();
    write_commands(argv[5], commands, sizeof commands);
    for (unsigned i = 0; i < REFUSE_SESSIONS; i++)
        flood.strangers[i].fd = -1;
    while ((ended = poll(&end, 1, REFUSE_TURN)) == 0) {
        for (unsigned i = 0; i < REFUSE_SESSIONS; i++)
            if (flood.strangers[i].fd >= 0)
                flood.refused += serve_stranger(&flood.strangers[i], commands);
        open_strangers(&flood, argv);
    }
    if (ended < 0)
        die("poll");
    double seconds = now() - flood.began;
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                 (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    printf("{\"refused\": %llu, \"asked\": %llu, \"connections\": %llu, \"seconds\": %.3f, \"rate\": %.1f, "
           "\"cpu_seconds\": %.3f}\n",
           flood.refused, flood.asked, flood.connections, seconds, (double)flood.refused / seconds, cpu);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "refuse") == 0)
        return refuse(argv);
    if (argc >= 6 && argc <= 8 && strcmp(argv[1], "idle") == 0)
        return idle(argc, argv);
    fputs("usage: load idle ADDRESS PORT COUNT pop3|smtp [tls | LOGIN PASSWORD] |"
          " load refuse ADDRESS PORT RATE RECIPIENT\n",
          stderr);
    return 64;
}
