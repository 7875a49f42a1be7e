#include "ctl/screen.h"

#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define OWN_PAGE "\033[?1049h\033[?25l"
#define OLD_PAGE "\033[?25h\033[?1049l"
#define CONTROL_C 3
#define CONTROL_D 4

static struct termios before;
static volatile sig_atomic_t is_open;

static const int ending[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT};

bool screen_is_possible(void)
{
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

/* Only what a signal handler may call. */
static void give_back(void)
{
    if (!is_open)
        return;
    is_open = 0;
    /* What can't be given back is left to whoever has the terminal next. */
    ssize_t written = write(STDOUT_FILENO, OLD_PAGE, sizeof OLD_PAGE - 1);
    (void)written;
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

static void end_by(int number)
{
    give_back();
    signal(number, SIG_DFL);
    raise(number);
}

int screen_open(void)
{
    struct termios raw;
    if (tcgetattr(STDIN_FILENO, &before) < 0)
        return -errno;
    raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
    /* A read takes what is there and never waits. */
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    is_open = 1;
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++)
        signal(ending[i], end_by);
    if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) < 0) {
        int error = -errno;
        is_open = 0;
        return error;
    }
    return screen_write(span_from(OWN_PAGE, sizeof OWN_PAGE - 1));
}

void screen_close(void)
{
    give_back();
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++)
        signal(ending[i], SIG_DFL);
}

void screen_size(unsigned *rows, unsigned *columns)
{
    struct winsize size;
    bool is_known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col;
    *rows = is_known ? size.ws_row : 24;
    *columns = is_known ? size.ws_col : 80;
}

bool screen_wants_end(void)
{
    char keys[64];
    ssize_t n;
    while ((n = read(STDIN_FILENO, keys, sizeof keys)) > 0)
        for (ssize_t i = 0; i < n; i++)
            if (keys[i] == 'q' || keys[i] == 'Q' || keys[i] == CONTROL_C || keys[i] == CONTROL_D)
                return true;
    return false;
}

int screen_write(struct span text)
{
    while (text.size) {
        ssize_t n = write(STDOUT_FILENO, text.data, text.size);
        if (n < 0 && errno != EINTR)
            return -errno;
        text = span_skip(text, n > 0 ? (size_t)n : 0);
    }
    return 0;
}
