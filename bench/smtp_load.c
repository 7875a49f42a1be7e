/* The SMTP client of ./dev bench --peers: the same bytes to every server, as many sessions as are asked for.
 *
 *   smtp_load [-s SESSIONS] [-m MESSAGES] [-t SECONDS] [-r RECIPIENTS] [-b MAILBOXES] [-d DOMAIN] [-R] [-T]
 *             ADDRESS PORT FILE
 *
 * FILE is the message, with CRLF line ends; a Message-ID of its own is put before each copy. Message N goes to u(N*R),
 * u(N*R+1), ...
 * @DOMAIN, R recipients of a ring of MAILBOXES. -R: connections are reused, else each message has one of its own, from
 * connect() to QUIT. -T: STARTTLS, without resumption. What was not begun after SECONDS is not sent. Where
 * the server offers PIPELINING (RFC 2920), MAIL, RCPT and DATA travel together, as any client in use sends them.
 *
 * A connection that is not greeted within a second is given up for another one ("lost": the server's backlog was full).
 * Any reply but the expected one ends the run: the rate of a server that turns mail away is none. Sources are spread
 * over 127.1.0.1 to 127.1.0.250. Prints one line of JSON; the times are those of the wall clock, as files have them. A
 * load tool for loopback, no part of the product.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SESSIONS_MAX 10000
#define RECIPIENTS_MAX 1000
#define COMMAND_ROOM 128
#define INPUT_ROOM 4096
#define ID_DIGITS 12
#define SOURCES 250
#define RAMP 4               /* connections that wait for their greeting while sessions are opened at the start */
#define GREETING_SECONDS 1.0 /* then the connection was lost in a full backlog, and another one is tried */
#define LOOK_MILLISECONDS 100

enum step { STEP_GREETING, STEP_EHLO, STEP_STARTTLS, STEP_HANDSHAKE, STEP_ENVELOPE, STEP_BODY };

struct session {
    int fd; /* -1: has no connection */
    SSL *ssl;
    enum step step;
    bool secure, pipelining, waits_for_room;
    bool reserved; /* the connection was opened for message `number`, which has not begun */
    double opened;
    unsigned long number;    /* of the message under way */
    unsigned asked, replied; /* commands of its envelope */
    const char *out;         /* what is still to be sent */
    size_t out_size;
    size_t in_size;
    char in[INPUT_ROOM];
    char *commands; /* room for an envelope */
    char *message;  /* Message-ID, FILE, final dot */
};

static struct {
    unsigned sessions, recipients, mailboxes;
    unsigned long messages;
    double seconds;
    const char *domain;
    bool reuse, starttls;
    struct sockaddr_in to;
} options = {.sessions = 1, .recipients = 1, .mailboxes = 1, .messages = 1, .seconds = 1e9, .domain = "example.test"};

static SSL_CTX *tls;
static int poll_fd;
static size_t message_size;
static unsigned long begun, done, connections, lost;
static unsigned open_sessions, ungreeted;
static double began;

static void die(const char *what)
{
    fprintf(stderr, "smtp_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- The message ---- */

static char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "r");
    if (!file)
        die(path);
    size_t room = 1 << 16;
    char *data = malloc(room);
    *size = 0;
    while (data) {
        size_t n = fread(data + *size, 1, room - *size, file);
        *size += n;
        if (n == 0)
            break;
        if (*size == room)
            data = realloc(data, room *= 2);
    }
    if (!data || ferror(file) || *size < 2 || memcmp(data + *size - 2, "\r\n", 2) != 0) {
        fprintf(stderr, "smtp_load: %s does not end with CRLF, or could not be read\n", path);
        exit(1);
    }
    fclose(file);
    return data;
}

/* As it travels: dots doubled (RFC 5321 section 4.5.2), the final dot behind. */
static char *make_message(const char *body, size_t size, size_t *out_size)
{
    char *out = malloc(2 * size + COMMAND_ROOM);
    if (!out)
        die("memory");
    size_t n = (size_t)snprintf(out, COMMAND_ROOM, "Message-ID: <%0*d@load.test>\r\n", ID_DIGITS, 0);
    for (size_t i = 0; i < size; i++) {
        if (body[i] == '.' && (i == 0 || body[i - 1] == '\n'))
            out[n++] = '.';
        out[n++] = body[i];
    }
    memcpy(out + n, ".\r\n", 3);
    *out_size = n + 3;
    return out;
}

static void number_message(char *message, unsigned long number)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%0*lu", ID_DIGITS, number);
    memcpy(message + strlen("Message-ID: <"), digits, ID_DIGITS);
}

/* ---- Sending ---- */

static void watch(struct session *s, bool room)
{
    struct epoll_event event = {.events = EPOLLIN | (room ? EPOLLOUT : 0u), .data.ptr = s};
    if (room != s->waits_for_room && epoll_ctl(poll_fd, EPOLL_CTL_MOD, s->fd, &event) < 0)
        die("epoll_ctl");
    s->waits_for_room = room;
}

static bool must_wait(const struct session *s, int result)
{
    if (!s->ssl)
        return errno == EAGAIN || errno == ENOTCONN;
    int error = SSL_get_error(s->ssl, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static void push(struct session *s)
{
    while (s->out_size > 0) {
        size_t piece = s->out_size < (1 << 30) ? s->out_size : (1 << 30);
        int n = s->ssl ? SSL_write(s->ssl, s->out, (int)piece) : (int)send(s->fd, s->out, piece, MSG_NOSIGNAL);
        if (n <= 0 && must_wait(s, n)) {
            watch(s, true);
            return;
        }
        if (n <= 0)
            die("send");
        s->out += n;
        s->out_size -= (size_t)n;
    }
    watch(s, false);
}

static void say(struct session *s, const char *text, size_t size)
{
    s->out = text;
    s->out_size = size;
    push(s);
}

static void say_text(struct session *s, const char *text)
{
    say(s, text, strlen(text));
}

/* ---- Connections ---- */

static bool may_begin(void)
{
    return begun < options.messages && now() - began < options.seconds;
}

static void connect_session(struct session *s)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    int on = 1;
    from.sin_addr.s_addr = htonl(0x7f010001 + (uint32_t)(connections++ % SOURCES));
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(s->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    /* Else the end of a handshake and the EHLO behind it are 40 ms apart, whatever the server does. */
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&from, sizeof from) < 0)
        die("socket");
    if (connect(s->fd, (struct sockaddr *)&options.to, sizeof options.to) < 0 && errno != EINPROGRESS)
        die("connect");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, s->fd, &event) < 0)
        die("epoll_ctl");
    s->step = STEP_GREETING;
    s->opened = now();
    ungreeted++;
    s->secure = s->pipelining = s->waits_for_room = false;
    s->in_size = s->out_size = 0;
}

static void open_connection(struct session *s)
{
    s->number = begun++;
    s->reserved = true;
    connect_session(s);
}

/* Linux forgets connections that meet a full backlog while it answers with SYN cookies; the client would wait for ever.
 */
static void replace_lost(struct session *all)
{
    double limit = now() - GREETING_SECONDS;
    for (unsigned i = 0; i < options.sessions; i++) {
        struct session *s = &all[i];
        if (s->fd < 0 || s->step != STEP_GREETING || s->opened > limit)
            continue;
        lost++;
        ungreeted--;
        close(s->fd);
        connect_session(s);
    }
}

/* As Postfix's client does by itself (smtp_skip_quit_response): nobody waits for the reply to QUIT, which changes
 * nothing. Exim holds it back for 200 ms, in case the client closes first. */
static void quit(struct session *s)
{
    say_text(s, "QUIT\r\n");
    if (s->ssl)
        SSL_shutdown(s->ssl);
    SSL_free(s->ssl);
    s->ssl = NULL;
    close(s->fd);
    s->fd = -1;
    if (may_begin())
        open_connection(s);
    else
        open_sessions--;
}

static void begin_handshake(struct session *s)
{
    s->step = STEP_HANDSHAKE;
    s->ssl = SSL_new(tls);
    if (!s->ssl || !SSL_set_fd(s->ssl, s->fd))
        die("TLS");
    SSL_set_connect_state(s->ssl);
}

static void go_on_with_handshake(struct session *s)
{
    int n = SSL_do_handshake(s->ssl);
    if (n != 1 && must_wait(s, n)) {
        watch(s, SSL_want_write(s->ssl));
        return;
    }
    if (n != 1) {
        ERR_print_errors_fp(stderr);
        exit(1);
    }
    s->secure = true;
    s->step = STEP_EHLO;
    say_text(s, "EHLO load.test\r\n");
}

/* ---- A message ---- */

static size_t write_command(const struct session *s, unsigned index, char *out)
{
    unsigned long first = s->number * options.recipients;
    if (index == 0)
        return (size_t)snprintf(out, COMMAND_ROOM, "MAIL FROM:<sender@load.test>\r\n");
    if (index <= options.recipients)
        return (size_t)snprintf(out, COMMAND_ROOM, "RCPT TO:<u%lu@%s>\r\n", (first + index - 1) % options.mailboxes,
                                options.domain);
    return (size_t)snprintf(out, COMMAND_ROOM, "DATA\r\n");
}

static void send_commands(struct session *s)
{
    unsigned end = s->pipelining ? options.recipients + 2 : s->asked + 1;
    size_t size = 0;
    while (s->asked < end)
        size += write_command(s, s->asked++, s->commands + size);
    say(s, s->commands, size);
}

/* False: there is none left, and no connection any more. */
static bool begin_message(struct session *s)
{
    if (!s->reserved && !may_begin()) {
        quit(s);
        return false;
    }
    if (!s->reserved)
        s->number = begun++;
    s->reserved = false;
    s->step = STEP_ENVELOPE;
    s->asked = s->replied = 0;
    send_commands(s);
    return true;
}

static bool end_message(struct session *s)
{
    done++;
    if (options.reuse)
        return begin_message(s);
    quit(s);
    return false;
}

/* ---- Replies ---- */

static unsigned wanted_code(const struct session *s)
{
    switch (s->step) {
    case STEP_GREETING:
    case STEP_STARTTLS:
        return 220;
    case STEP_ENVELOPE:
        return s->replied == options.recipients + 1 ? 354 : 250;
    default:
        return 250;
    }
}

static void take_envelope_reply(struct session *s)
{
    if (++s->replied == options.recipients + 2) {
        number_message(s->message, s->number);
        s->step = STEP_BODY;
        say(s, s->message, message_size);
    } else if (s->replied == s->asked) {
        send_commands(s);
    }
}

/* The last line of a reply. False: the connection is gone. */
static bool take_reply(struct session *s)
{
    switch (s->step) {
    case STEP_GREETING:
        ungreeted--;
        s->step = STEP_EHLO;
        say_text(s, "EHLO load.test\r\n");
        return true;
    case STEP_EHLO:
        if (!options.starttls || s->secure)
            return begin_message(s);
        s->step = STEP_STARTTLS;
        say_text(s, "STARTTLS\r\n");
        return true;
    case STEP_STARTTLS:
        begin_handshake(s);
        go_on_with_handshake(s);
        return true;
    case STEP_ENVELOPE:
        take_envelope_reply(s);
        return true;
    default:
        return end_message(s);
    }
}

static bool take_line(struct session *s, const char *line, size_t size)
{
    if (size < 4 || (unsigned)atoi(line) != wanted_code(s)) {
        fprintf(stderr, "smtp_load: step %d: the server said %.*s\n", s->step, (int)size, line);
        exit(1);
    }
    if (s->step == STEP_EHLO && size >= 14 && memcmp(line + 4, "PIPELINING", 10) == 0)
        s->pipelining = true;
    return line[3] == '-' || take_reply(s);
}

static bool take_lines(struct session *s)
{
    size_t at = 0;
    char *end;
    while ((end = memchr(s->in + at, '\n', s->in_size - at))) {
        char *line = s->in + at;
        at = (size_t)(end + 1 - s->in);
        if (!take_line(s, line, (size_t)(end - line)))
            return false;
    }
    memmove(s->in, s->in + at, s->in_size - at);
    s->in_size -= at;
    return true;
}

static void pull(struct session *s)
{
    for (;;) {
        size_t room = sizeof s->in - s->in_size;
        if (room == 0) {
            fputs("smtp_load: a line without an end\n", stderr);
            exit(1);
        }
        int n =
            s->ssl ? SSL_read(s->ssl, s->in + s->in_size, (int)room) : (int)recv(s->fd, s->in + s->in_size, room, 0);
        if (n <= 0 && must_wait(s, n))
            return;
        if (n <= 0) {
            fprintf(stderr, "smtp_load: the server closed the connection at step %d\n", s->step);
            exit(1);
        }
        s->in_size += (size_t)n;
        if (!take_lines(s) || s->step == STEP_HANDSHAKE || (!s->ssl && (size_t)n < room))
            return;
    }
}

static void serve(struct session *s, unsigned events)
{
    if (s->step == STEP_HANDSHAKE) {
        go_on_with_handshake(s);
        return;
    }
    if (events & EPOLLOUT)
        push(s);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        pull(s);
}

/* ---- The run ---- */

static struct session *make_sessions(const char *message)
{
    struct session *all = calloc(options.sessions, sizeof *all);
    for (unsigned i = 0; all && i < options.sessions; i++) {
        all[i].fd = -1;
        all[i].commands = malloc((options.recipients + 2) * COMMAND_ROOM);
        all[i].message = malloc(message_size);
        if (!all[i].commands || !all[i].message)
            die("memory");
        memcpy(all[i].message, message, message_size);
    }
    if (!all)
        die("memory");
    return all;
}

static void run(const char *message)
{
    struct epoll_event events[256];
    struct session *all = make_sessions(message);
    unsigned opened = 0;
    poll_fd = epoll_create1(0);
    if (poll_fd < 0)
        die("epoll");
    began = now();
    double looked = began;
    do {
        for (; opened < options.sessions && ungreeted < RAMP && may_begin(); opened++) {
            open_sessions++;
            open_connection(&all[opened]);
        }
        int n = epoll_wait(poll_fd, events, sizeof events / sizeof *events, LOOK_MILLISECONDS);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++)
            serve(events[i].data.ptr, events[i].events);
        if (now() - looked > LOOK_MILLISECONDS / 1e3) {
            replace_lost(all);
            looked = now();
        }
    } while (open_sessions > 0 || (opened < options.sessions && may_begin()));
}

static unsigned long number_argument(unsigned long most)
{
    char *end;
    unsigned long value = strtoul(optarg, &end, 10);
    if (*end || value == 0 || value > most) {
        fprintf(stderr, "smtp_load: '%s' is no number from 1 to %lu\n", optarg, most);
        exit(64);
    }
    return value;
}

static void parse_options(int argc, char **argv)
{
    for (int c; (c = getopt(argc, argv, "s:m:t:r:b:d:RT")) != -1;) {
        switch (c) {
        case 's':
            options.sessions = (unsigned)number_argument(SESSIONS_MAX);
            break;
        case 'm':
            options.messages = number_argument(100000000);
            break;
        case 't':
            options.seconds = atof(optarg);
            break;
        case 'r':
            options.recipients = (unsigned)number_argument(RECIPIENTS_MAX);
            break;
        case 'b':
            options.mailboxes = (unsigned)number_argument(1000000);
            break;
        case 'd':
            options.domain = optarg;
            break;
        case 'R':
            options.reuse = true;
            break;
        case 'T':
            options.starttls = true;
            break;
        default:
            exit(64);
        }
    }
    if (argc - optind != 3 || options.recipients > options.mailboxes || strlen(options.domain) > COMMAND_ROOM / 2) {
        fputs("usage: smtp_load [-s SESSIONS] [-m MESSAGES] [-t SECONDS] [-r RECIPIENTS] [-b MAILBOXES] [-d DOMAIN]"
              " [-R] [-T] ADDRESS PORT FILE\n",
              stderr);
        exit(64);
    }
    options.to.sin_family = AF_INET;
    options.to.sin_port = htons((uint16_t)atoi(argv[optind + 1]));
    if (inet_pton(AF_INET, argv[optind], &options.to.sin_addr) != 1)
        die("address");
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    size_t size;
    char *body = read_file(argv[optind + 2], &size);
    char *message = make_message(body, size, &message_size);
    if (options.sessions > options.messages)
        options.sessions = (unsigned)options.messages;
    if (options.starttls && !(tls = SSL_CTX_new(TLS_client_method())))
        die("TLS");
    if (tls)
        SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    run(message);
    double ended = now();
    printf("{\"messages\": %lu, \"connections\": %lu, \"lost\": %lu, \"began\": %.6f, \"ended\": %.6f}\n", done,
           connections, lost, began, ended);
    return 0;
}
