#include "format/base64.h"
#include "player_internal.h"

#include <errno.h>
#include <openssl/evp.h>
#include <regex.h>
#include <stdlib.h>

#define LINE_SHOWN 300
#define LINE_SECONDS 120 /* a line is waited for */
#define CLOSE_SECONDS 30 /* no time-out may be taken for a close */

/* ---- Variables ---- */

static struct span lookup(void *context, struct span name)
{
    struct player *p = context;
    return span_text(map_get(&p->variables, name));
}

static bool set_variable(struct player *p, struct span name, struct span value)
{
    char *copy = malloc(value.size + 1);
    if (!copy)
        return player_fail(p, "out of memory");
    memcpy(copy, value.data, value.size);
    copy[value.size] = 0;
    free(map_remove(&p->variables, name));
    if (map_put(&p->variables, name, copy)) {
        free(copy);
        return player_fail(p, "out of memory");
    }
    return true;
}

static bool unescape(struct player *p, struct span text)
{
    buf_reset(&p->scratch);
    return script_unescape(text, lookup, p, &p->scratch) || player_fail(p, "an escape or a ${name} is wrong");
}

/* The word that *rest begins with. */
static struct span word(struct span *rest)
{
    return span_cut(rest, ' ');
}

static bool number(struct player *p, struct span text, uint64_t max, uint64_t *value)
{
    return span_parse_u64(text, max, value) ||
           player_fail(p, "'%.*s' is no number up to %llu", SPAN_ARG(text), (unsigned long long)max);
}

/* ---- Before the first connection ---- */

static bool do_set(struct player *p, const struct step *step)
{
    if (p->house)
        return player_fail(p, "SET comes before everything that needs the house");
    buf_add_span(&p->overrides, step->argument);
    buf_add_char(&p->overrides, '\n');
    return true;
}

/* MUST-FAIL LINE: for scripts that test the runner */
static bool do_must_fail(struct player *p, const struct step *step)
{
    return number(p, step->argument, 100000, &p->must_fail);
}

static bool do_service(struct player *p, const struct step *step)
{
    return player_choose_service(p, step->argument);
}

static bool do_peer(struct player *p, const struct step *step)
{
    buf_reset(&p->peer);
    buf_add_span(&p->peer, step->argument);
    buf_add_char(&p->peer, 0);
    buf_truncate(&p->peer, step->argument.size);
    return !buf_failed(&p->peer) || player_fail(p, "PEER is too long");
}

static bool do_no_tls(struct player *p, const struct step *step)
{
    (void)step;
    p->no_tls = true;
    return !p->house || player_fail(p, "NO-TLS comes before everything that needs the house");
}

static bool do_implicit_tls(struct player *p, const struct step *step)
{
    (void)step;
    p->implicit_tls = true;
    return true;
}

/* ---- The house ---- */

static bool do_account(struct player *p, const struct step *step)
{
    struct span rest = step->argument, address = word(&rest);
    return player_house(p) && unescape(p, rest) &&
           (house_add_account(p->self, p->house, address, buf_span(&p->scratch), p->problem) ||
            player_fail(p, "no account"));
}

static bool do_enable(struct player *p, const struct step *step)
{
    bool enabled = span_is(step->keyword, "ENABLE");
    return player_house(p) && (house_enable_account(p->self, p->house, step->argument, enabled, p->problem) ||
                               player_fail(p, "the account was not changed"));
}

/* Appends lines of text until the body has `size` bytes. */
static void fill(struct buf *body, uint64_t size)
{
    static const char line[] = "The quick brown fox jumps over the lazy dog, and this line ends with it..\r\n";
    while (body->size < size) {
        uint64_t left = size - body->size;
        size_t n = sizeof line - 1;
        /* The last line is cut short, but keeps its line end. */
        if (left < 2 * n && left > n)
            n = left / 2;
        else if (left < n)
            n = left;
        if (n > 2)
            buf_add(body, line, n - 2);
        buf_add_text(body, "\r\n");
    }
}

/* DELIVER ADDRESS [times N] [size BYTES] */
static bool do_deliver(struct player *p, const struct step *step)
{
    struct span rest = step->argument, address = word(&rest);
    uint64_t times = 1, size = 0;
    while (rest.size) {
        struct span what = word(&rest), amount = word(&rest);
        bool is_times = span_is(what, "times");
        if (!is_times && !span_is(what, "size"))
            return player_fail(p, "DELIVER ADDRESS [times N] [size BYTES]");
        if (!number(p, amount, 64u << 20, is_times ? &times : &size))
            return false;
    }
    if (!player_house(p) || !unescape(p, step->body))
        return false;
    struct buf body;
    buf_init(&body, CHANNEL_ATTACHMENT_MAX);
    buf_add_span(&body, buf_span(&p->scratch));
    fill(&body, size);
    bool good = !buf_failed(&body) || player_fail(p, "the body is too large");
    for (uint64_t i = 0; good && i < times; i++)
        good =
            house_deliver(p->self, p->house, address, buf_span(&body), p->problem) || player_fail(p, "not delivered");
    buf_release(&body);
    return good;
}

static bool do_break(struct player *p, const struct step *step)
{
    return player_house(p) && player_settle(p) &&
           (house_break(p->house, step->argument) || player_fail(p, "no such process"));
}

static bool do_mend(struct player *p, const struct step *step)
{
    return player_house(p) &&
           (house_mend(p->house, step->argument) || player_fail(p, "no such process, or no channel"));
}

/* ADVANCE 90s */
static bool do_advance(struct player *p, const struct step *step)
{
    struct span text = step->argument;
    uint64_t seconds;
    if (!text.size || text.data[text.size - 1] != 's')
        return player_fail(p, "ADVANCE wants seconds, as in 90s");
    if (!number(p, span_head(text, text.size - 1), 1u << 24, &seconds) || !player_settle(p))
        return false;
    clock_fake_advance(seconds * NANOSECONDS);
    return player_settle(p);
}

static bool matches(struct player *p, struct span text, struct span pattern, regmatch_t group[2], bool *good)
{
    buf_reset(&p->scratch);
    struct buf expression;
    buf_init(&expression, 65536);
    buf_add_span(&expression, pattern);
    buf_add_char(&expression, 0);
    buf_add_span(&p->scratch, text);
    buf_add_char(&p->scratch, 0);
    regex_t regex;
    *good = !buf_failed(&p->scratch) && !buf_failed(&expression) &&
            !regcomp(&regex, expression.data, REG_EXTENDED | REG_NEWLINE);
    buf_release(&expression);
    if (!*good)
        return player_fail(p, "the expression is wrong: %.*s", SPAN_ARG(pattern));
    bool found = regexec(&regex, p->scratch.data, 2, group, 0) == 0;
    regfree(&regex);
    return found;
}

/* /expression/ without its slashes. */
static bool is_expression(struct span text, struct span *pattern)
{
    if (text.size < 2 || text.data[0] != '/' || text.data[text.size - 1] != '/')
        return false;
    *pattern = span_from(text.data + 1, text.size - 2);
    return true;
}

/* LOG /expression/: a line of the log so far matches. NO-LOG: none does. */
static bool do_log(struct player *p, const struct step *step)
{
    struct span pattern;
    bool wanted = span_is(step->keyword, "LOG"), good;
    if (!is_expression(step->argument, &pattern) || !player_house(p) || !player_settle(p))
        return player_fail(p, "%.*s /expression/", SPAN_ARG(step->keyword));
    struct buf log;
    buf_init(&log, 4u << 20);
    house_read_log(p->house, &log, false);
    regmatch_t group[2];
    bool found = matches(p, buf_span(&log), pattern, group, &good);
    buf_release(&log);
    return good && (found == wanted ||
                    player_fail(p, "%s line of the log matches %.*s", wanted ? "no" : "a", SPAN_ARG(pattern)));
}

/* ---- The connection ---- */

static struct connection *current(struct player *p)
{
    struct connection *c = &p->connections[p->current];
    return player_connect(p, c) ? c : NULL;
}

static bool do_on(struct player *p, const struct step *step)
{
    uint64_t n;
    if (!number(p, step->argument, CONNECTIONS, &n) || !n)
        return player_fail(p, "ON 1 to %d", CONNECTIONS);
    p->current = (unsigned)n - 1;
    return true;
}

static bool do_drop(struct player *p, const struct step *step)
{
    (void)step;
    struct connection *c = &p->connections[p->current];
    return c->client ? player_settle(p) && player_drop(p, c) : player_fail(p, "there is no connection to drop");
}

static bool do_half_close(struct player *p, const struct step *step)
{
    (void)step;
    struct connection *c = current(p);
    if (c)
        client_half_close(c->client);
    return c != NULL;
}

static bool do_tls(struct player *p, const struct step *step)
{
    (void)step;
    struct connection *c = current(p);
    if (!c)
        return false;
    if (client_input(c->client)->size)
        return player_fail(p, "the server sent more before TLS: %.*s", SPAN_ARG(buf_span(client_input(c->client))));
    return player_tls(p, c);
}

/* C, C-raw */
static bool do_send(struct player *p, const struct step *step)
{
    struct connection *c = current(p);
    if (!c || !unescape(p, step->argument))
        return false;
    if (span_is(step->keyword, "C"))
        buf_add_text(&p->scratch, "\r\n");
    return player_send(p, c, buf_span(&p->scratch));
}

/* C-b64 PREFIX TEXT: the rest in base64 behind the prefix, for SASL. "-" is no prefix. */
static bool do_send_base64(struct player *p, const struct step *step)
{
    struct connection *c = current(p);
    struct span rest = step->argument, prefix = word(&rest);
    if (!c || !unescape(p, rest))
        return false;
    struct buf line;
    buf_init(&line, 1u << 20);
    if (!span_is(prefix, "-")) {
        while (span_find(prefix, '_') < prefix.size) { /* a prefix of several words is written with "_" */
            buf_add_span(&line, span_cut(&prefix, '_'));
            buf_add_char(&line, ' ');
        }
        buf_add_span(&line, prefix);
        buf_add_char(&line, ' ');
    }
    base64_write(buf_span(&p->scratch), &line);
    buf_add_text(&line, "\r\n");
    bool good = player_send(p, c, buf_span(&line));
    buf_release(&line);
    return good;
}

/* C-repeat COUNT TEXT, without a line end but those in the text */
static bool do_send_repeated(struct player *p, const struct step *step)
{
    struct connection *c = current(p);
    struct span rest = step->argument, count = word(&rest);
    uint64_t n;
    if (!c || !number(p, count, 1u << 20, &n) || !unescape(p, rest))
        return false;
    struct buf all;
    buf_init(&all, 64u << 20);
    for (uint64_t i = 0; i < n; i++)
        buf_add_span(&all, buf_span(&p->scratch));
    bool good = buf_failed(&all) ? player_fail(p, "that is too much") : player_send(p, c, buf_span(&all));
    buf_release(&all);
    return good;
}

/* The next line, without its line end; consumed at the next call. Every line has to end with CRLF. */
static bool take_line(struct player *p, struct connection *c, struct buf *line)
{
    struct buf *input = client_input(c->client);
    size_t seen = 0, length;
    while ((length = seen + span_find(span_skip(buf_span(input), seen), '\n')) == input->size) {
        seen = input->size;
        switch (player_receive(p, c, LINE_SECONDS)) {
        case RECEIVED_BYTES:
            break;
        case RECEIVED_END:
            return player_fail(p, "the server closed the connection; unfinished: '%.*s'", SPAN_ARG(buf_span(input)));
        case RECEIVED_NOTHING:
            return player_fail(p, "nothing comes; unfinished: '%.*s'", SPAN_ARG(buf_span(input)));
        }
    }
    if (!length || input->data[length - 1] != '\r')
        return player_fail(p, "a line of the server ends with a bare LF");
    buf_add(line, input->data, length - 1);
    buf_drop(input, length + 1);
    return !buf_failed(line) || player_fail(p, "the server's line is too long");
}

/* Compares one line with what the script expects; with an expression its first group goes into *saved. */
static bool line_is(struct player *p, struct span line, struct span expected, struct span *saved, bool *good)
{
    struct span pattern;
    *good = true;
    if (!is_expression(expected, &pattern)) {
        *good = unescape(p, expected);
        return *good && span_equal(line, buf_span(&p->scratch));
    }
    regmatch_t group[2];
    bool found = matches(p, line, pattern, group, good);
    if (found && saved && group[1].rm_so >= 0)
        *saved = span_from(line.data + group[1].rm_so, (size_t)(group[1].rm_eo - group[1].rm_so));
    return found;
}

/* S TEXT, S /expression/; S-save NAME /expression/ */
static bool do_expect(struct player *p, const struct step *step)
{
    struct connection *c = current(p);
    struct span expected = step->argument, name = {NULL, 0}, saved = {NULL, 0};
    if (span_is(step->keyword, "S-save"))
        name = word(&expected);
    struct buf line;
    buf_init(&line, 4u << 20);
    bool good = c && take_line(p, c, &line);
    if (good && !line_is(p, buf_span(&line), expected, &saved, &good) && good)
        good = player_fail(p, "expected '%.*s', got '%.*s'", SPAN_ARG(expected),
                           SPAN_ARG(span_head(buf_span(&line), LINE_SHOWN)));
    if (good && name.size)
        good = saved.data ? set_variable(p, name, saved) : player_fail(p, "there is no group to save");
    buf_release(&line);
    return good;
}

/* S-skip TEXT [N]: lines up to and including this one; with "S-count N TEXT" that many before it. */
static bool do_skip(struct player *p, const struct step *step)
{
    struct connection *c = current(p);
    struct span expected = step->argument;
    uint64_t wanted = UINT64_MAX, n = 0;
    if (span_is(step->keyword, "S-count") && !number(p, word(&expected), 1u << 30, &wanted))
        return false;
    struct buf line;
    buf_init(&line, 4u << 20);
    bool good = c != NULL, found = false;
    while (good && !found) {
        buf_reset(&line);
        good = take_line(p, c, &line);
        found = good && line_is(p, buf_span(&line), expected, NULL, &good);
        n += !found;
    }
    buf_release(&line);
    return good && (wanted == UINT64_MAX || wanted == n ||
                    player_fail(p, "%llu lines before '%.*s'", (unsigned long long)n, SPAN_ARG(expected)));
}

/* SILENT: nothing has come and nothing comes by itself. */
static bool do_silent(struct player *p, const struct step *step)
{
    (void)step;
    struct connection *c = current(p);
    if (!c || !player_settle(p))
        return false;
    struct buf *input = client_input(c->client);
    if (!input->size && client_receive(c->client) == -EAGAIN)
        return true;
    return player_fail(p, "the server was to say nothing: %s%.*s", input->size ? "" : "closed",
                       SPAN_ARG(buf_span(input)));
}

static bool do_closed(struct player *p, const struct step *step)
{
    (void)step;
    struct connection *c = &p->connections[p->current];
    if (!c->client)
        return player_fail(p, "there is no connection");
    struct buf *input = client_input(c->client);
    if (input->size)
        return player_fail(p, "before the end came: %.*s", SPAN_ARG(span_head(buf_span(input), LINE_SHOWN)));
    switch (player_receive(p, c, CLOSE_SECONDS)) {
    case RECEIVED_END:
        return player_drop(p, c);
    case RECEIVED_BYTES:
        return player_fail(p, "before the end came: %.*s", SPAN_ARG(span_head(buf_span(input), LINE_SHOWN)));
    case RECEIVED_NOTHING:
        break;
    }
    return player_fail(p, "the server does not close the connection");
}

/* MD5 NAME TEXT: the variable becomes the digest in hexadecimal, for APOP. */
static bool do_md5(struct player *p, const struct step *step)
{
    struct span rest = step->argument, name = word(&rest);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (!unescape(p, rest))
        return false;
    if (!EVP_Digest(p->scratch.data, p->scratch.size, digest, &size, EVP_md5(), NULL))
        return player_fail(p, "no MD5 here");
    char shown[2 * EVP_MAX_MD_SIZE];
    for (unsigned i = 0; i < size; i++) {
        shown[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        shown[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    return set_variable(p, name, span_from(shown, 2 * size));
}

static const struct {
    const char *keyword;
    bool (*run)(struct player *p, const struct step *step);
} keywords[] = {
    {"SET", do_set},
    {"MUST-FAIL", do_must_fail},
    {"SERVICE", do_service},
    {"PEER", do_peer},
    {"NO-TLS", do_no_tls},
    {"IMPLICIT-TLS", do_implicit_tls},
    {"ACCOUNT", do_account},
    {"ENABLE", do_enable},
    {"DISABLE", do_enable},
    {"DELIVER", do_deliver},
    {"BREAK", do_break},
    {"MEND", do_mend},
    {"ADVANCE", do_advance},
    {"LOG", do_log},
    {"NO-LOG", do_log},
    {"ON", do_on},
    {"DROP", do_drop},
    {"HALF-CLOSE", do_half_close},
    {"TLS", do_tls},
    {"C", do_send},
    {"C-raw", do_send},
    {"C-b64", do_send_base64},
    {"C-repeat", do_send_repeated},
    {"S", do_expect},
    {"S-save", do_expect},
    {"S-skip", do_skip},
    {"S-count", do_skip},
    {"SILENT", do_silent},
    {"CLOSED", do_closed},
    {"MD5", do_md5},
};

bool player_step(struct player *p, const struct step *step)
{
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
        if (span_is(step->keyword, keywords[i].keyword))
            return keywords[i].run(p, step);
    return player_fail(p, "no such keyword: %.*s", SPAN_ARG(step->keyword));
}
