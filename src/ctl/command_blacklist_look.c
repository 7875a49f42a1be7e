/* blacklist list, check, export: the list as the server reads it, with all its files */
#include "ctl/commands.h"
#include "ctl/json.h"
#include "policy/blacklist.h"
#include "policy/blacklist_files.h"
#include "policy/blacklist_zone.h"
#include "proc/blacklist_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define NORMAL_MAX 1000

struct look {
    struct ctl *ctl;
    struct settings *settings;
    struct blacklist_files files;
    struct buf blob;
    struct blacklist *list;
    struct json *json; /* of list --json */
    struct buf *lines; /* of list and export: where entries are written; NULL: nowhere */
    bool with_places;
    size_t names;
};

static void tell_problem(void *context, struct span file, uint32_t line, struct span sentence)
{
    if (line)
        fprintf(stderr, "ostiary: %.*s:%u: %.*s\n", SPAN_ARG(file), line, SPAN_ARG(sentence));
    else
        fprintf(stderr, "ostiary: %.*s\n", SPAN_ARG(sentence));
}

static void write_entry_json(struct look *look, struct span file, uint32_t line, struct span normal, bool is_exception,
                             struct span reason)
{
    json_object(look->json, NULL);
    json_text(look->json, "entry", span_skip(normal, is_exception));
    json_bool(look->json, "exception", is_exception);
    json_text(look->json, "reason", reason);
    json_text(look->json, "file", file);
    json_number(look->json, "line", line);
    json_end_object(look->json);
}

static void take_entry(void *context, struct span file, uint32_t line, enum blacklist_line kind,
                       const struct blacklist_entry *entry)
{
    struct look *look = context;
    struct buf normal;
    look->names += kind == BLACKLIST_LINE_NAME;
    if (!look->json && !look->lines)
        return;
    buf_init(&normal, NORMAL_MAX);
    blacklist_entry_write(kind, entry, &normal);
    if (look->json)
        write_entry_json(look, file, line, buf_span(&normal), entry->is_exception, entry->reason);
    else {
        buf_add_span(look->lines, buf_span(&normal));
        if (entry->reason.size)
            buf_printf(look->lines, "\t%.*s", SPAN_ARG(entry->reason));
        if (look->with_places)
            buf_printf(look->lines, "\t; %.*s:%u", SPAN_ARG(file), line);
        buf_add_char(look->lines, '\n');
    }
    buf_release(&normal);
}

/* Reads what the server reads. */
static int look_start(struct look *look, struct ctl *ctl)
{
    char own[4096];
    look->ctl = ctl;
    blacklist_files_init(&look->files, tell_problem, look);
    look->files.entry = take_entry;
    buf_init(&look->blob, BLACKLIST_BLOB_MAX);
    look->settings = ctl_read_settings(ctl);
    if (!look->settings)
        return EX_CONFIG;
    snprintf(own, sizeof own, "%s/%s", look->settings->data_directory, BLACKLIST_OWN_FILE);
    int error = blacklist_files_read(&look->files, own, true);
    const struct word_list *words = &look->settings->blacklist.files;
    for (size_t i = 0; i < words->count && !error; i++)
        error = blacklist_files_read(&look->files, words->words[i], false);
    if (!error)
        error = blacklist_files_compile(&look->files, &look->blob);
    if (!error && !(look->list = blacklist_open(buf_span(&look->blob))))
        error = -ENOMEM;
    return error ? ctl_fail(ctl, EX_OSERR, "the black list can't be read: %s", strerror(-error)) : EX_OK;
}

static int look_end(struct look *look, int status)
{
    blacklist_close(look->list);
    blacklist_files_release(&look->files);
    buf_release(&look->blob);
    settings_unref(look->settings);
    return status;
}

int ctl_blacklist_list(struct ctl *ctl)
{
    struct json json;
    struct look look = {.lines = &ctl->out, .with_places = true};
    json_init(&json, &ctl->out);
    if (ctl->json) {
        look.json = &json;
        json_list(&json, NULL);
    }
    int status = look_start(&look, ctl);
    if (ctl->json)
        json_end_list(&json);
    return look_end(&look, status);
}

/* ---- check ---- */

static void write_verdict(struct ctl *ctl, const struct blacklist_hit *hit, const char *what)
{
    static const char *const words[] = {"not listed", "listed", "excepted"};
    static const char *const keys[] = {"nothing", "listed", "excepted"};
    struct json json;
    json_init(&json, &ctl->out);
    if (!ctl->json) {
        buf_printf(&ctl->out, "%s is %s", what, words[hit->verdict]);
        if (hit->verdict)
            buf_printf(&ctl->out, " by %.*s:%u", SPAN_ARG(hit->file), hit->line);
        if (hit->verdict && hit->reason.size)
            buf_printf(&ctl->out, ": %.*s", SPAN_ARG(hit->reason));
        buf_add_char(&ctl->out, '\n');
        return;
    }
    json_object(&json, NULL);
    json_text(&json, "what", span_text(what));
    json_text(&json, "verdict", span_text(keys[hit->verdict]));
    if (hit->verdict) {
        json_text(&json, "file", hit->file);
        json_number(&json, "line", hit->line);
        json_text(&json, "reason", hit->reason);
    }
    json_end_object(&json);
}

int ctl_blacklist_check(struct ctl *ctl)
{
    struct look look = {.lines = NULL};
    struct ip_address first, last;
    struct blacklist_hit hit;
    struct blacklist_entry entry;
    struct buf problem;
    struct span what = span_text(ctl->arguments[0]);
    buf_init(&problem, 6000);
    bool is_address = blacklist_addresses_parse(what, &first, &last, &problem) && ip_address_equal(&first, &last);
    buf_reset(&problem);
    bool is_name = !is_address && blacklist_line_parse(what, &entry, &problem) == BLACKLIST_LINE_NAME &&
                   entry.name_kind == BLACKLIST_NAME_EXACT && !entry.is_exception;
    buf_release(&problem);
    if (!is_address && !is_name)
        return ctl_fail(ctl, EX_USAGE, "'%.100s' is neither an address nor a host name", ctl->arguments[0]);
    int status = look_start(&look, ctl);
    if (!status) {
        if (is_address)
            blacklist_find_address(look.list, first.bytes, &hit);
        else
            blacklist_find_name(look.list, what, &hit);
        write_verdict(ctl, &hit, ctl->arguments[0]);
    }
    return look_end(&look, status);
}

/* ---- export ---- */

/* Beside the file, and then over it: a name server may read it at any moment. */
static int write_file(struct ctl *ctl, const char *path, struct span text)
{
    char beside[4096];
    int n = snprintf(beside, sizeof beside, "%s.new", path);
    int fd = n < 0 || (size_t)n >= sizeof beside ? -1 : open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool good = fd >= 0;
    while (good && text.size) {
        ssize_t written = write(fd, text.data, text.size);
        good = written >= 0 || errno == EINTR;
        text = span_skip(text, written > 0 ? (size_t)written : 0);
    }
    good = good && fsync(fd) == 0 && rename(beside, path) == 0;
    int error = errno;
    if (fd >= 0)
        close(fd);
    return good ? EX_OK : ctl_fail(ctl, EX_CANTCREAT, "%s can't be written: %s", path, strerror(error));
}

static bool is_domain(struct span name)
{
    struct blacklist_entry entry;
    struct buf problem;
    buf_init(&problem, 6000);
    bool is = blacklist_line_parse(name, &entry, &problem) == BLACKLIST_LINE_NAME &&
              entry.name_kind == BLACKLIST_NAME_EXACT && span_equal_nocase(entry.name, name);
    buf_release(&problem);
    return is;
}

int ctl_blacklist_export(struct ctl *ctl)
{
    const char *zone = ctl_option(ctl, "zone");
    if (zone && !is_domain(span_text(zone)))
        return ctl_fail(ctl, EX_USAGE, "--zone takes a domain name like bl.example.org, not '%.100s'", zone);
    struct buf text;
    buf_init(&text, CTL_OUTPUT_MAX);
    struct look look = {.lines = zone ? NULL : &text};
    int status = look_start(&look, ctl);
    if (!status && zone) {
        struct blacklist_zone head = {span_text(zone), span_text(look.settings->hostname), (uint32_t)time(NULL)};
        blacklist_zone_write(look.list, &head, &text);
        if (look.names)
            fprintf(stderr, "ostiary: %zu host names and patterns are not in the zone: it is asked about addresses\n",
                    look.names);
    }
    if (!status && buf_failed(&text))
        status = ctl_fail(ctl, EX_DATAERR, "the export would be larger than 256 MiB");
    if (!status && ctl->argument_count)
        status = write_file(ctl, ctl->arguments[0], buf_span(&text));
    else if (!status)
        buf_add_span(&ctl->out, buf_span(&text));
    buf_release(&text);
    return look_end(&look, status);
}
