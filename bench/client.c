#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_SIZE (256 << 10)

static char buffer[BUFFER_SIZE];

void die(const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
    exit(1);
}

double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int connect_from(unsigned source, const char *address, unsigned port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + source)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int on = 1;
    if (fd < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1)
        die("socket");
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        die("connect");
    return fd;
}

void say(int fd, const char *text)
{
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        die("write");
}

static size_t read_more(int fd, size_t size)
{
    ssize_t got = size < sizeof buffer ? read(fd, buffer + size, sizeof buffer - size) : -1;
    if (got < 0)
        die("read");
    if (got == 0) {
        fprintf(stderr, "%s: the server closed the connection\n", program_invocation_short_name);
        exit(1);
    }
    return size + (size_t)got;
}

static _Noreturn void refused(size_t size)
{
    fprintf(stderr, "%s: the server said %.*s", program_invocation_short_name, (int)size, buffer);
    exit(1);
}

void expect(int fd, const char *end)
{
    size_t size = 0, n = strlen(end);
    while (size < n || memcmp(buffer + size - n, end, n) != 0) {
        size = read_more(fd, size);
        if (size >= 4 && memcmp(buffer, "-ERR", 4) == 0)
            refused(size);
    }
}

/* Is this a whole reply: does its last line have a space behind the code? */
static int is_whole(size_t size)
{
    if (size < 6 || buffer[size - 1] != '\n')
        return 0;
    size_t line = size - 1;
    while (line > 0 && buffer[line - 1] != '\n')
        line--;
    return size - line >= 6 && buffer[line + 3] == ' ';
}

bool expect_reply(int fd)
{
    size_t size = 0;
    do
        size = read_more(fd, size);
    while (!is_whole(size));
    return buffer[0] != '4' && buffer[0] != '5';
}

void write_login(const char *pattern, unsigned number, char *out, size_t room)
{
    const char *star = strchr(pattern, '*');
    if (star)
        snprintf(out, room, "%.*s%u%s", (int)(star - pattern), pattern, number, star + 1);
    else
        snprintf(out, room, "%s", pattern);
}

void log_in(int fd, const char *pattern, unsigned number, const char *password)
{
    char login[256];
    write_login(pattern, number, login, sizeof login);
    dprintf(fd, "USER %s\r\n", login);
    expect(fd, "\r\n");
    dprintf(fd, "PASS %s\r\n", password);
    expect(fd, "\r\n");
}
