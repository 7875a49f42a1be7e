/* POP3 clients for the bench.
 *
 *   pop3_load logins ADDRESS PORT LOGIN FIRST ACCOUNTS PASSWORD SESSIONS COUNT
 *       COUNT times: connect, USER, PASS, QUIT; so many sessions at a time. LOGIN has a * where the account's number
 *       (from FIRST to FIRST + ACCOUNTS - 1, in turn) goes.
 *   pop3_load retr ADDRESS PORT LOGIN PASSWORD WINDOW
 *       reads a whole maildrop, with so many RETRs under way
 *   pop3_load dele ADDRESS PORT LOGIN PASSWORD WINDOW
 *       deletes it: DELEs, then QUIT, until its reply
 *
 * Each says what it did as one line of JSON. Nothing is sent before the reply to what came before it, but for RETRs and
 * DELEs within the window.
 */
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define BUFFER_SIZE (256 << 10)
#define SESSIONS_MAX 1000
#define SOURCE_CONNECTIONS 5000 /* then another source address: closed connections keep their ports for a while */

static char buffer[BUFFER_SIZE];

/* ---- logins ---- */

enum step { GREETING, USER, PASS, QUIT, STEPS };

struct session {
    int fd; /* -1: none */
    enum step step;
    unsigned account;
    char line[512];
    size_t size;
};

struct logins {
    const char *address, *login, *password;
    unsigned port, first, accounts, count, begun, done;
    struct session sessions[SESSIONS_MAX];
};

static void begin(struct logins *l, struct session *s)
{
    s->fd = connect_from(l->begun / SOURCE_CONNECTIONS, l->address, l->port);
    s->step = GREETING;
    s->size = 0;
    s->account = l->first + l->begun++ % l->accounts;
}

static void answer(struct logins *l, struct session *s)
{
    char command[512];
    char login[256];
    switch (s->step) {
    case GREETING:
        write_login(l->login, s->account, login, sizeof login);
        snprintf(command, sizeof command, "USER %s\r\n", login);
        break;
    case USER:
        snprintf(command, sizeof command, "PASS %s\r\n", l->password);
        break;
    default:
        snprintf(command, sizeof command, "QUIT\r\n");
    }
    say(s->fd, command);
    s->step++;
    s->size = 0;
}

static void serve(struct logins *l, struct session *s)
{
    ssize_t n = read(s->fd, s->line + s->size, sizeof s->line - s->size);
    if (n < 0)
        die("read");
    s->size += (size_t)n;
    if (n == 0 || s->size == sizeof s->line || (s->size && s->line[0] != '+')) {
        fprintf(stderr, "pop3_load: at step %d of a login the server said '%.*s'\n", s->step, (int)s->size, s->line);
        exit(1);
    }
    if (s->line[s->size - 1] != '\n')
        return;
    if (s->step < QUIT) {
        answer(l, s);
        return;
    }
    close(s->fd);
    s->fd = -1;
    l->done++;
    if (l->begun < l->count)
        begin(l, s);
}

static int logins(char **argv)
{
    static struct logins l;
    static struct pollfd fds[SESSIONS_MAX];
    unsigned sessions = (unsigned)atoi(argv[8]);
    l.address = argv[2];
    l.port = (unsigned)atoi(argv[3]);
    l.login = argv[4];
    l.first = (unsigned)atoi(argv[5]);
    l.accounts = (unsigned)atoi(argv[6]);
    l.password = argv[7];
    l.count = (unsigned)atoi(argv[9]);
    if (sessions > SESSIONS_MAX || !sessions || !l.accounts || !l.count) {
        fprintf(stderr, "pop3_load: from 1 to %u sessions, and at least one account and login\n", SESSIONS_MAX);
        return 64;
    }
    double began = now();
    for (unsigned i = 0; i < sessions; i++) {
        l.sessions[i].fd = -1;
        if (l.begun < l.count)
            begin(&l, &l.sessions[i]);
    }
    while (l.done < l.count) {
        for (unsigned i = 0; i < sessions; i++)
            fds[i] = (struct pollfd){l.sessions[i].fd, POLLIN, 0};
        if (poll(fds, sessions, -1) < 0 && errno != EINTR)
            die("poll");
        for (unsigned i = 0; i < sessions; i++)
            if (fds[i].revents)
                serve(&l, &l.sessions[i]);
    }
    double seconds = now() - began;
    printf("{\"logins\": %u, \"seconds\": %.6f, \"rate\": %.1f}\n", l.done, seconds, l.done / seconds);
    return 0;
}

/* ---- A whole maildrop ---- */

static unsigned stat_count(int fd)
{
    char line[256] = {0};
    say(fd, "STAT\r\n");
    ssize_t n = read(fd, line, sizeof line - 1);
    unsigned count = 0;
    if (n <= 0 || sscanf(line, "+OK %u", &count) != 1)
        die("STAT");
    return count;
}

/* Counts how often `end` comes, over any cut of the input. It begins with CR, and no other part of it does but what
 * can begin the next one. */
static unsigned count_ends(const char *data, size_t size, const char *end, unsigned *state)
{
    unsigned ends = 0, at = *state, n = (unsigned)strlen(end);
    for (size_t i = 0; i < size; i++) {
        if (data[i] == end[at])
            at++;
        else
            at = data[i] == '\r' ? 1 : 0;
        if (at == n) {
            ends++;
            at = n > 2 ? 2 : 0; /* the CRLF behind a dot may be the one before the next dot */
        }
    }
    *state = at;
    return ends;
}

/* The same command for each message; its replies end so. The octets that came. */
static unsigned long long for_each(int fd, unsigned count, unsigned window, const char *verb, const char *end)
{
    unsigned asked = 0, done = 0, state = 0;
    unsigned long long octets = 0;
    while (done < count) {
        char commands[65536];
        size_t size = 0;
        /* Asks again when half of the window came, so that commands travel together. */
        if (asked - done <= window / 2)
            while (asked < count && asked - done < window && size + 32 < sizeof commands)
                size += (size_t)snprintf(commands + size, sizeof commands - size, "%s %u\r\n", verb, ++asked);
        if (size && write(fd, commands, size) != (ssize_t)size)
            die("write");
        ssize_t n = read(fd, buffer, sizeof buffer);
        if (n <= 0)
            die("read");
        if (memcmp(verb, "DELE", 4) == 0 && memmem(buffer, (size_t)n, "-ERR", 4)) {
            fprintf(stderr, "pop3_load: a message could not be marked\n");
            exit(1);
        }
        octets += (unsigned long long)n;
        done += count_ends(buffer, (size_t)n, end, &state);
    }
    return octets;
}

/* Both connect and log in before the time counts; dele ends with QUIT, which is what deletes. */
static int maildrop(char **argv, int is_dele)
{
    unsigned window = (unsigned)atoi(argv[6]);
    int fd = connect_from(0, argv[2], (unsigned)atoi(argv[3]));
    struct timeval patience = {.tv_sec = 60};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    expect(fd, "\r\n");
    log_in(fd, argv[4], 0, argv[5]);
    unsigned count = stat_count(fd);
    double began = now();
    unsigned long long octets =
        for_each(fd, count, window ? window : 1, is_dele ? "DELE" : "RETR", is_dele ? "\r\n" : "\r\n.\r\n");
    double seconds = now() - began;
    say(fd, "QUIT\r\n");
    expect(fd, "\r\n");
    if (is_dele)
        seconds = now() - began;
    printf("{\"messages\": %u, \"octets\": %llu, \"seconds\": %.6f, \"rate\": %.1f}\n", count, octets, seconds,
           count / seconds);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 10 && strcmp(argv[1], "logins") == 0)
        return logins(argv);
    if (argc == 7 && strcmp(argv[1], "retr") == 0)
        return maildrop(argv, 0);
    if (argc == 7 && strcmp(argv[1], "dele") == 0)
        return maildrop(argv, 1);
    fputs("usage: pop3_load logins ADDRESS PORT LOGIN FIRST ACCOUNTS PASSWORD SESSIONS COUNT |"
          " pop3_load retr|dele ADDRESS PORT LOGIN PASSWORD WINDOW\n",
          stderr);
    return 64;
}
