/* blacklist add, remove, import */
#include "base/map.h"
#include "ctl/blacklist_edit.h"
#include "ctl/commands.h"
#include "ctl/json.h"
#include "policy/blacklist_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#define PROBLEM_MAX 6000
#define PROBLEMS_SHOWN 20

struct editing {
    struct span normal; /* of the entry: how it is written when it is written in its one form */
    struct span line;   /* what is put into the file; empty: the entry is taken out */
    size_t found;
};

static bool is_entry(enum blacklist_line kind)
{
    return kind == BLACKLIST_LINE_ADDRESSES || kind == BLACKLIST_LINE_NAME;
}

/* The one form of a line's entry in *out; false when there is none. */
static bool normalise(struct span line, struct buf *out)
{
    struct blacklist_entry entry;
    struct buf problem;
    buf_init(&problem, PROBLEM_MAX);
    enum blacklist_line kind = blacklist_line_parse(line, &entry, &problem);
    buf_release(&problem);
    buf_reset(out);
    if (is_entry(kind))
        blacklist_entry_write(kind, &entry, out);
    return is_entry(kind);
}

/* Copies the lines but for those of the entry; the new line stands where the first of them stood, else at the end. */
static int change_entry(struct ctl *ctl, void *context, struct span text, struct buf *out, bool *unchanged)
{
    struct editing *e = context;
    struct buf normal;
    buf_init(&normal, PROBLEM_MAX);
    while (text.size) {
        struct span line = span_cut(&text, '\n');
        if (!normalise(line, &normal) || !span_equal(buf_span(&normal), e->normal)) {
            buf_add_span(out, line);
            buf_add_char(out, '\n');
            continue;
        }
        if (!e->found++)
            buf_add_span(out, e->line);
    }
    if (!e->found)
        buf_add_span(out, e->line);
    buf_release(&normal);
    *unchanged = !e->found && !e->line.size;
    return EX_OK;
}

/* Reads the entry of the command line into *normal. */
static int parse_argument(struct ctl *ctl, struct buf *normal)
{
    struct blacklist_entry entry;
    struct buf problem;
    int status = EX_OK;
    buf_init(&problem, PROBLEM_MAX);
    enum blacklist_line kind = blacklist_line_parse(span_text(ctl->arguments[0]), &entry, &problem);
    if (kind == BLACKLIST_LINE_BAD)
        status = ctl_fail(ctl, EX_DATAERR, "%.*s", SPAN_ARG(buf_span(&problem)));
    else if (!is_entry(kind))
        status = ctl_fail(ctl, EX_DATAERR, "'%.100s' is no entry: an address, network, range, host name or pattern is",
                          ctl->arguments[0]);
    else if (entry.reason.size)
        status = ctl_fail(ctl, EX_USAGE, "the reason is given with --reason");
    else
        blacklist_entry_write(kind, &entry, normal);
    buf_release(&problem);
    return status;
}

/* A reason that would be read back as another one, or as nothing, is refused. */
static int make_line(struct ctl *ctl, struct span normal, const char *reason, struct buf *line)
{
    struct blacklist_entry entry;
    struct buf problem;
    buf_init(&problem, PROBLEM_MAX);
    buf_add_span(line, normal);
    if (reason && *reason)
        buf_printf(line, "\t%s", reason);
    enum blacklist_line kind = blacklist_line_parse(buf_span(line), &entry, &problem);
    bool holds = is_entry(kind) && span_equal(entry.reason, span_trim(span_text(reason))) &&
                 span_find(buf_span(line), '\n') == line->size;
    buf_add_char(line, '\n');
    buf_release(&problem);
    return holds ? EX_OK : ctl_fail(ctl, EX_DATAERR, "a reason is one short line without ';' and '#'");
}

static int edit_entry(struct ctl *ctl, bool add, size_t *found, struct buf *normal)
{
    struct buf line;
    buf_init(&line, PROBLEM_MAX);
    int status = parse_argument(ctl, normal);
    if (!status && add)
        status = make_line(ctl, buf_span(normal), ctl_option(ctl, "reason"), &line);
    struct settings *settings = status ? NULL : ctl_read_settings(ctl);
    if (!status && !settings)
        status = EX_CONFIG;
    struct editing e = {.normal = buf_span(normal), .line = buf_span(&line)};
    if (!status)
        status = blacklist_edit(ctl, settings, change_entry, &e);
    *found = e.found;
    settings_unref(settings);
    buf_release(&line);
    return status;
}

int ctl_blacklist_add(struct ctl *ctl)
{
    struct buf normal;
    size_t found;
    buf_init(&normal, PROBLEM_MAX);
    int status = edit_entry(ctl, true, &found, &normal);
    if (!status)
        buf_printf(&ctl->out, "%.*s is %s\n", SPAN_ARG(buf_span(&normal)),
                   found ? "on the list as before, with this reason" : "on the list");
    buf_release(&normal);
    return status;
}

int ctl_blacklist_remove(struct ctl *ctl)
{
    struct buf normal;
    size_t found;
    buf_init(&normal, PROBLEM_MAX);
    int status = edit_entry(ctl, false, &found, &normal);
    if (!status && !found)
        status =
            ctl_fail(ctl, EX_DATAERR, "%.*s is no entry of the list; 'ostiary blacklist check' says which one decides",
                     SPAN_ARG(buf_span(&normal)));
    else if (!status)
        buf_printf(&ctl->out, "%.*s is taken from the list\n", SPAN_ARG(buf_span(&normal)));
    buf_release(&normal);
    return status;
}

/* ---- import ---- */

struct importing {
    const char *name; /* of the file */
    struct span text;
    size_t added, known, problems;
};

static void tell_problem(struct importing *i, uint32_t line, struct span sentence)
{
    if (i->problems++ < PROBLEMS_SHOWN)
        fprintf(stderr, "ostiary: %s:%u: %.*s\n", i->name, line, SPAN_ARG(sentence));
}

static int remember(struct map *seen, struct span text)
{
    struct buf normal;
    static char here;
    int error = 0;
    buf_init(&normal, PROBLEM_MAX);
    while (text.size && !error)
        if (normalise(span_cut(&text, '\n'), &normal))
            error = map_put(seen, buf_span(&normal), &here);
    buf_release(&normal);
    return error;
}

static int import_line(struct importing *i, struct map *seen, struct span line, uint32_t number, struct buf *out)
{
    static char here;
    struct blacklist_entry entry;
    struct buf problem, normal;
    int error = 0;
    buf_init(&problem, PROBLEM_MAX);
    buf_init(&normal, PROBLEM_MAX);
    enum blacklist_line kind = blacklist_line_parse(line, &entry, &problem);
    if (kind == BLACKLIST_LINE_INCLUDE)
        buf_add_text(&problem, "an include is not followed; import that file, too");
    if (is_entry(kind))
        blacklist_entry_write(kind, &entry, &normal);
    if (problem.size)
        tell_problem(i, number, buf_span(&problem));
    else if (is_entry(kind) && map_get(seen, buf_span(&normal)))
        i->known++;
    else if (is_entry(kind)) {
        buf_add_span(out, buf_span(&normal));
        if (entry.reason.size)
            buf_printf(out, "\t%.*s", SPAN_ARG(entry.reason));
        buf_add_char(out, '\n');
        i->added++;
        error = map_put(seen, buf_span(&normal), &here);
    }
    buf_release(&problem);
    buf_release(&normal);
    return error;
}

static int change_import(struct ctl *ctl, void *context, struct span text, struct buf *out, bool *unchanged)
{
    struct importing *i = context;
    struct map seen;
    uint32_t number = 0;
    map_init(&seen);
    int error = remember(&seen, text);
    buf_add_span(out, text);
    if (text.size && text.data[text.size - 1] != '\n')
        buf_add_char(out, '\n');
    for (struct span rest = i->text; rest.size && !error;)
        error = import_line(i, &seen, span_cut(&rest, '\n'), ++number, out);
    map_release(&seen);
    *unchanged = !i->added;
    return error ? ctl_fail(ctl, EX_OSERR, "there is not enough memory for so many entries") : EX_OK;
}

static int read_file(struct ctl *ctl, const char *path, struct buf *text)
{
    int fd = span_is(span_text(path), "-") ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : 1;
    while (n > 0) {
        char *to = buf_reserve(text, 65536);
        n = to ? read(fd, to, 65536) : -1;
        text->size += n > 0 ? (size_t)n : 0;
    }
    int error = errno;
    if (fd > STDIN_FILENO)
        close(fd);
    if (n < 0)
        return ctl_fail(ctl, EX_NOINPUT, "%s can't be read: %s", path,
                        buf_failed(text) ? "it is larger than 256 MiB" : strerror(error));
    return EX_OK;
}

int ctl_blacklist_import(struct ctl *ctl)
{
    struct buf text;
    buf_init(&text, BLACKLIST_EDIT_MAX);
    int status = read_file(ctl, ctl->arguments[0], &text);
    struct settings *settings = status ? NULL : ctl_read_settings(ctl);
    if (!status && !settings)
        status = EX_CONFIG;
    struct importing i = {.name = ctl->arguments[0], .text = buf_span(&text)};
    if (!status)
        status = blacklist_edit(ctl, settings, change_import, &i);
    if (!status) {
        if (i.problems > PROBLEMS_SHOWN)
            fprintf(stderr, "ostiary: and %zu bad lines more\n", i.problems - PROBLEMS_SHOWN);
        if (ctl->json)
            json_write_counts(
                &ctl->out, (struct json_count[]){{"added", i.added}, {"known", i.known}, {"bad", i.problems}, {NULL}});
        else
            buf_printf(&ctl->out, "%zu added, %zu known already, %zu bad\n", i.added, i.known, i.problems);
    }
    settings_unref(settings);
    buf_release(&text);
    return status;
}
