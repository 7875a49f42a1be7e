#include "ctl/import_rows.h"

/* The first of each column is what it is called in sentences. */
static const struct {
    const char *name;
    enum import_column column;
} names[] = {
    {"address", IMPORT_ADDRESS},   {"email", IMPORT_ADDRESS},   {"user", IMPORT_ADDRESS},
    {"username", IMPORT_ADDRESS},  {"login", IMPORT_ADDRESS},   {"name", IMPORT_NAME},
    {"full_name", IMPORT_NAME},    {"full name", IMPORT_NAME},  {"display_name", IMPORT_NAME},
    {"password", IMPORT_PASSWORD}, {"hash", IMPORT_HASH},       {"password_hash", IMPORT_HASH},
    {"quota", IMPORT_QUOTA},       {"forward", IMPORT_FORWARD}, {"forward_to", IMPORT_FORWARD},
    {"keep", IMPORT_KEEP},
};

static void take_column(struct import_rows *rows, struct span name, int place, struct buf *unused)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (span_is_nocase(name, names[i].name) && rows->places[names[i].column] < 0) {
            rows->places[names[i].column] = place;
            return;
        }
    buf_printf(unused, "%s%.*s", unused->size ? ", " : "", name.size > 40 ? 40 : (int)name.size,
               name.size ? name.data : "");
}

bool import_rows_begin(struct import_rows *rows, enum import_format format, struct span text, struct arena *arena,
                       struct buf *unused, struct buf *problem)
{
    struct csv_record header;
    *rows = (struct import_rows){.format = format, .rest = text, .line = 1};
    for (size_t i = 0; i < IMPORT_COLUMNS; i++)
        rows->places[i] = -1;
    if (format == IMPORT_PASSWD_FILE)
        return true;
    csv_init(&rows->csv, text);
    if (!csv_next(&rows->csv, arena, &header)) {
        buf_add_text(problem, "the file is empty; its first line has to name the columns, like address,name,password");
        return false;
    }
    for (size_t i = 0; i < header.count; i++)
        take_column(rows, span_trim(header.fields[i]), (int)i, unused);
    if (rows->places[IMPORT_ADDRESS] >= 0)
        return true;
    buf_add_text(problem,
                 "the first line names no column \"address\"; it may name address, name, password, hash, quota, "
                 "forward and keep");
    return false;
}

static struct span field(const struct import_rows *rows, const struct csv_record *record, enum import_column column)
{
    int place = rows->places[column];
    return place < 0 || (size_t)place >= record->count ? (struct span){NULL, 0} : record->fields[place];
}

static bool says_yes(struct span text)
{
    static const char *const words[] = {"yes", "y", "true", "1"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (span_is_nocase(text, words[i]))
            return true;
    return false;
}

static bool says_no(struct span text)
{
    static const char *const words[] = {"", "no", "n", "false", "0"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (span_is_nocase(text, words[i]))
            return true;
    return false;
}

static bool next_of_table(struct import_rows *rows, struct arena *arena, struct import_row *row)
{
    struct csv_record record;
    if (!csv_next(&rows->csv, arena, &record))
        return false;
    *row = (struct import_row){.line = record.line, .problem = record.problem};
    if (row->problem)
        return true;
    struct span keep = span_trim(field(rows, &record, IMPORT_KEEP)), hash = field(rows, &record, IMPORT_HASH);
    row->address = span_trim(field(rows, &record, IMPORT_ADDRESS));
    row->name = span_trim(field(rows, &record, IMPORT_NAME));
    row->password = field(rows, &record, IMPORT_PASSWORD);
    row->quota_text = span_trim(field(rows, &record, IMPORT_QUOTA));
    row->forward = span_trim(field(rows, &record, IMPORT_FORWARD));
    row->keep = says_yes(keep);
    row->is_hash = row->password.size == 0;
    if (hash.size && row->password.size)
        row->problem = "a password and a hash: give one of them";
    else if (hash.size)
        row->password = span_trim(hash);
    if (row->address.size == 0)
        row->problem = "no address";
    else if (!row->keep && !says_no(keep))
        row->problem = "a \"keep\" that is neither yes nor no";
    return true;
}

static bool next_of_passwd_file(struct import_rows *rows, struct import_row *row)
{
    while (rows->rest.size) {
        struct passwd_line line;
        struct span text = span_cut(&rows->rest, '\n');
        *row = (struct import_row){.line = rows->line++, .is_hash = true};
        if (passwd_line_is_blank(text))
            continue;
        row->problem = passwd_line_parse(text, &line);
        if (row->problem)
            return true;
        row->address = span_trim(line.user);
        row->name = span_trim(line.name);
        row->password = line.password;
        row->quota = line.quota;
        row->has_quota = line.has_quota;
        return true;
    }
    return false;
}

bool import_rows_next(struct import_rows *rows, struct arena *arena, struct import_row *row)
{
    return rows->format == IMPORT_CSV ? next_of_table(rows, arena, row) : next_of_passwd_file(rows, row);
}

static bool is_separator(char c)
{
    return c == ' ' || c == ',' || c == ';' || c == '\t' || c == '\n' || c == '\r';
}

struct span import_forward_next(struct span *forward)
{
    size_t size = 0;
    while (forward->size && is_separator(forward->data[0]))
        *forward = span_skip(*forward, 1);
    while (size < forward->size && !is_separator(forward->data[size]))
        size++;
    struct span address = span_head(*forward, size);
    *forward = span_skip(*forward, size);
    return address;
}
