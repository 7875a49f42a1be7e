#include "ctl/password_input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

/* 32 of them: five bits each, without bias. */
static const char alphabet[] = "abcdefghjkmnpqrstuvwxyz23456789A";
#define GENERATED_LETTERS 20
/* Ctrl-C as a byte: while the echo is off the terminal sends no signals, so that it is always put right again. */
#define INTERRUPT 3

void password_input_init(struct buf *password)
{
    buf_init(password, 2 * PASSWORD_INPUT_MAX);
    /* All of it at once: a buf that grows leaves copies behind. Where this fails, every later append does too. */
    (void)buf_reserve(password, password->limit);
}

void password_input_release(struct buf *password)
{
    if (password->data)
        explicit_bzero(password->data, password->room);
    buf_release(password);
}

int password_input_generate(struct buf *password)
{
    unsigned char random[GENERATED_LETTERS];
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return -EIO;
    for (size_t i = 0; i < sizeof random; i++) {
        if (i && i % 5 == 0)
            buf_add_char(password, '-');
        buf_add_char(password, alphabet[random[i] % 32]);
    }
    explicit_bzero(random, sizeof random);
    return buf_failed(password) ? -EIO : 0;
}

/* A line without its end, byte by byte: nothing behind it is taken from whoever reads next. False at an error, or when
 * it is too long. */
static bool read_line(int fd, struct buf *line)
{
    for (;;) {
        char c;
        ssize_t n = read(fd, &c, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || line->size > PASSWORD_INPUT_MAX || (n == 1 && c == INTERRUPT))
            return false;
        if (n == 0 || c == '\n')
            break;
        buf_add_char(line, c);
    }
    if (line->size && line->data[line->size - 1] == '\r')
        buf_truncate(line, line->size - 1);
    return !buf_failed(line);
}

static int read_first_line(struct ctl *ctl, struct buf *password)
{
    if (!read_line(STDIN_FILENO, password) || password->size == 0)
        return ctl_fail(ctl, EX_DATAERR, "standard input has no password of 1 to %d bytes in its first line",
                        PASSWORD_INPUT_MAX);
    return EX_OK;
}

static bool ask(int terminal, const char *question, struct buf *answer)
{
    struct termios before;
    bool restorable = tcgetattr(terminal, &before) == 0;
    if (restorable) {
        struct termios silent = before;
        silent.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
        silent.c_cc[VEOL] = INTERRUPT; /* it ends a line, else it would wait for Enter */
        tcsetattr(terminal, TCSAFLUSH, &silent);
    }
    dprintf(terminal, "%s: ", question);
    bool read = read_line(terminal, answer);
    dprintf(terminal, "\n");
    if (restorable)
        tcsetattr(terminal, TCSAFLUSH, &before);
    return read;
}

int password_input_once(struct ctl *ctl, bool from_stdin, const char *what, const char *option, struct buf *password)
{
    if (from_stdin)
        return read_first_line(ctl, password);
    int terminal = isatty(STDIN_FILENO) ? open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY) : -1;
    if (terminal < 0)
        return ctl_fail(ctl, EX_USAGE, "there is no terminal to ask for %s; use --%s", what, option);
    bool read = ask(terminal, what, password);
    close(terminal);
    return read && password->size ? EX_OK : ctl_fail(ctl, EX_DATAERR, "%s was not read", what);
}

static int ask_twice(struct ctl *ctl, struct buf *password)
{
    int terminal = isatty(STDIN_FILENO) ? open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY) : -1;
    if (terminal < 0)
        return ctl_fail(ctl, EX_USAGE,
                        "there is no terminal to ask for a password; use --password-stdin or --password-generate");
    struct buf again;
    password_input_init(&again);
    int status = EX_OK;
    if (!ask(terminal, "password", password) || !ask(terminal, "once more", &again))
        status = ctl_fail(ctl, EX_DATAERR, "no password was read");
    else if (!span_equal_secret(buf_span(password), buf_span(&again)))
        status = ctl_fail(ctl, EX_DATAERR, "the two passwords differ");
    close(terminal);
    password_input_release(&again);
    return status;
}

int password_input(struct ctl *ctl, struct buf *password)
{
    bool from_stdin = ctl_option(ctl, "password-stdin"), generate = ctl_option(ctl, "password-generate");
    if (from_stdin && generate)
        return ctl_fail(ctl, EX_USAGE, "--password-stdin and --password-generate exclude one another");
    if (generate)
        return password_input_generate(password) == 0 ? EX_OK
                                                      : ctl_fail(ctl, EX_OSERR, "the system gives no random numbers");
    if (!from_stdin)
        return ask_twice(ctl, password);
    return read_first_line(ctl, password);
}

bool terminal_confirm(const char *question)
{
    if (!isatty(STDIN_FILENO))
        return false;
    struct buf answer;
    buf_init(&answer, 2 * PASSWORD_INPUT_MAX);
    fprintf(stderr, "%s (yes/no) ", question);
    bool yes = read_line(STDIN_FILENO, &answer) && span_is_nocase(buf_span(&answer), "yes");
    buf_release(&answer);
    return yes;
}
