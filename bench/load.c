/* The bench's own clients: what Postfix's smtp-source does not do.
 *
 *   load retr ADDRESS PORT LOGIN PASSWORD WINDOW      reads a whole maildrop with pipelined RETRs
 *   load idle ADDRESS PORT COUNT pop3|smtp [tls]      opens COUNT sessions, says "open" and holds them until its
 * standard input ends
 *   load refuse ADDRESS PORT RATE RECIPIENT           has so many RCPTs for it refused in a second, each ten from
 * another address, until its standard input ends
 *
 * Sources are spread over 127.0.0.x, 10,000 connections each, so that ports suffice. A load tool for loopback, no part
 * of the product.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_SIZE (256 << 10)

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int connect_from(unsigned source, const char *address, unsigned port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + source)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int on = 1;
    if (fd < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1)
        die("socket");
    setsockopt(fd, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        die("connect");
    return fd;
}

/* Reads until the given bytes end what was read. */
static void expect(int fd, const char *end)
{
    static char buffer[BUFFER_SIZE];
    size_t size = 0, n = strlen(end);
    while (size < n || memcmp(buffer + size - n, end, n) != 0) {
        ssize_t got = read(fd, buffer + size, sizeof buffer - size);
        if (got <= 0)
            die("read");
        size += (size_t)got;
        if (size >= 4 && memcmp(buffer, "-ERR", 4) == 0) {
            fprintf(stderr, "load: the server said %.*s", (int)size, buffer);
            exit(1);
        }
    }
}

static void say(int fd, const char *text)
{
    if (write(fd, text, strlen(text)) < 0)
        die("write");
}

/* ---- retr ---- */

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

/* Counts the CRLF.CRLF that end replies, over any cut of the input. */
static unsigned count_ends(const char *data, size_t size, unsigned *state)
{
    static const char end[] = "\r\n.\r\n";
    unsigned ends = 0, at = *state;
    for (size_t i = 0; i < size; i++) {
        if (data[i] == end[at])
            at++;
        else
            at = data[i] == '\r' ? 1 : 0;
        if (at == 5) {
            ends++;
            at = 2;
        }
    }
    *state = at;
    return ends;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int retr(char **argv)
{
    static char buffer[BUFFER_SIZE];
    unsigned window = (unsigned)atoi(argv[6]), state = 0;
    int fd = connect_from(0, argv[2], (unsigned)atoi(argv[3]));
    expect(fd, "\r\n");
    dprintf(fd, "USER %s\r\n", argv[4]);
    expect(fd, "\r\n");
    dprintf(fd, "PASS %s\r\n", argv[5]);
    expect(fd, "\r\n");
    unsigned count = stat_count(fd), asked = 0, done = 0;
    double began = now();
    unsigned long long octets = 0;
    while (done < count) {
        char commands[65536];
        size_t size = 0;
        /* Asks again when half of the window came, so that commands travel together. */
        if (asked - done <= window / 2)
            while (asked < count && asked - done < window && size + 32 < sizeof commands)
                size += (size_t)snprintf(commands + size, sizeof commands - size, "RETR %u\r\n", ++asked);
        if (size && write(fd, commands, size) != (ssize_t)size)
            die("write");
        ssize_t n = read(fd, buffer, sizeof buffer);
        if (n <= 0)
            die("read");
        octets += (unsigned long long)n;
        done += count_ends(buffer, (size_t)n, &state);
    }
    double seconds = now() - began;
    printf("{\"messages\": %u, \"octets\": %llu, \"seconds\": %.6f, \"rate\": %.1f}\n", count, octets, seconds,
           count / seconds);
    return 0;
}

/* ---- idle ---- */

static void handshake(SSL_CTX *context, int fd, bool keep)
{
    SSL *ssl = SSL_new(context);
    if (!ssl || !SSL_set_fd(ssl, fd) || SSL_connect(ssl) != 1)
        die("TLS handshake");
    /* The session lives at the server's end; here only the descriptor is kept, without a close_notify. */
    if (!keep)
        SSL_set_quiet_shutdown(ssl, 1);
    SSL_free(ssl);
}

static int idle(int argc, char **argv)
{
    unsigned count = (unsigned)atoi(argv[4]);
    bool is_smtp = strcmp(argv[5], "smtp") == 0, tls = argc > 6;
    SSL_CTX *context = tls ? SSL_CTX_new(TLS_client_method()) : NULL;
    for (unsigned i = 0; i < count; i++) {
        int fd = connect_from(i / 10000, argv[2], (unsigned)atoi(argv[3]));
        expect(fd, "\r\n");
        say(fd, is_smtp ? "EHLO load.test\r\n" : "CAPA\r\n");
        expect(fd, is_smtp ? "ENHANCEDSTATUSCODES\r\n" : "\r\n.\r\n");
        if (tls) {
            say(fd, is_smtp ? "STARTTLS\r\n" : "STLS\r\n");
            expect(fd, "\r\n");
            handshake(context, fd, false);
        }
    }
    puts("open");
    fflush(stdout);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
    return 0;
}

/* ---- refuse ---- */

#define REFUSE_SESSIONS 200
#define REFUSE_EACH 10 /* RCPTs of a session */

struct stranger {
    int fd; /* -1: none */
    bool was_greeted;
    unsigned column; /* of the line that comes in, up to 3 */
    char code[3];
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

static int refuse(char **argv)
{
    static struct stranger strangers[REFUSE_SESSIONS];
    struct pollfd fds[REFUSE_SESSIONS + 1];
    char commands[8192];
    double rate = atof(argv[4]), began = now();
    unsigned long long refused = 0, asked = 0, connections = 0;
    write_commands(argv[5], commands, sizeof commands);
    for (unsigned i = 0; i < REFUSE_SESSIONS; i++)
        strangers[i].fd = -1;
    for (;;) {
        for (unsigned i = 0; i < REFUSE_SESSIONS; i++) {
            if (strangers[i].fd < 0 && (double)asked < (now() - began) * rate) {
                strangers[i] =
                    (struct stranger){connect_stranger((unsigned)connections++, argv[2], (unsigned)atoi(argv[3]))};
                asked += REFUSE_EACH;
            }
            fds[i] = (struct pollfd){strangers[i].fd, POLLIN, 0};
        }
        fds[REFUSE_SESSIONS] = (struct pollfd){STDIN_FILENO, POLLIN, 0};
        if (poll(fds, REFUSE_SESSIONS + 1, 1) < 0)
            die("poll");
        if (fds[REFUSE_SESSIONS].revents)
            break;
        for (unsigned i = 0; i < REFUSE_SESSIONS; i++)
            if (fds[i].revents)
                refused += serve_stranger(&strangers[i], commands);
    }
    double seconds = now() - began;
    printf("{\"refused\": %llu, \"connections\": %llu, \"seconds\": %.3f, \"rate\": %.1f}\n", refused, connections,
           seconds, (double)refused / seconds);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "refuse") == 0)
        return refuse(argv);
    if (argc == 7 && strcmp(argv[1], "retr") == 0)
        return retr(argv);
    if (argc >= 6 && strcmp(argv[1], "idle") == 0)
        return idle(argc, argv);
    fputs("usage: load retr ADDRESS PORT LOGIN PASSWORD WINDOW | load idle ADDRESS PORT COUNT pop3|smtp [tls] |"
          " load refuse ADDRESS PORT RATE RECIPIENT\n",
          stderr);
    return 64;
}
