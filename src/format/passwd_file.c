#include "format/passwd_file.h"

bool passwd_line_is_blank(struct span line)
{
    struct span text = span_trim(line);
    return text.size == 0 || text.data[0] == '#';
}

static const char *parse_size(struct span text, uint64_t unit, uint64_t *bytes)
{
    static const char letters[] = "bkmgt";
    uint64_t number;
    if (text.size && (unsigned char)(text.data[text.size - 1] - '0') > 9) {
        const char *letter = strchr(letters, ascii_lower(text.data[text.size - 1]));
        if (!letter || !*letter)
            return "a quota with a unit that is none of B, k, M, G and T";
        unit = 1ull << (10 * (letter - letters));
        text = span_head(text, text.size - 1);
    }
    if (!span_parse_u64(text, INT64_MAX / unit, &number))
        return "a quota that is no number";
    *bytes = number * unit;
    return NULL;
}

const char *dovecot_quota_parse(struct span rule, uint64_t *bytes, bool *said)
{
    struct span rest = rule, folder = span_cut(&rest, ':');
    if (!span_is(folder, "*"))
        return NULL;
    while (rest.size) {
        struct span value = span_cut(&rest, ':'), name = span_cut(&value, '=');
        bool storage = span_is_nocase(name, "storage");
        if (!storage && !span_is_nocase(name, "bytes"))
            continue;
        const char *problem = parse_size(value, storage ? 1024 : 1, bytes);
        if (problem)
            return problem;
        *said = true;
    }
    return NULL;
}

static const char *parse_extra(struct span extra, struct passwd_line *out)
{
    while (extra.size) {
        struct span value = span_cut(&extra, ' '), name = span_cut(&value, '=');
        const char *problem = NULL;
        if (span_is_nocase(name, "userdb_quota_rule"))
            problem = dovecot_quota_parse(value, &out->quota, &out->has_quota);
        else if (span_is_nocase(name, "userdb_quota_storage_size")) {
            problem = parse_size(value, 1, &out->quota);
            out->has_quota = !problem;
        }
        if (problem)
            return problem;
    }
    return NULL;
}

const char *passwd_line_parse(struct span line, struct passwd_line *out)
{
    *out = (struct passwd_line){0};
    if (line.size && line.data[line.size - 1] == '\r')
        line = span_head(line, line.size - 1);
    if (span_find(line, ':') == line.size)
        return "no colon between the name and the password";
    struct span rest = line;
    out->user = span_cut(&rest, ':');
    out->password = span_cut(&rest, ':');
    span_cut(&rest, ':'); /* uid */
    span_cut(&rest, ':'); /* gid */
    struct span gecos = span_cut(&rest, ':');
    out->name = span_cut(&gecos, ',');
    span_cut(&rest, ':'); /* home */
    span_cut(&rest, ':'); /* shell */
    if (out->user.size == 0)
        return "no name before the first colon";
    return parse_extra(rest, out);
}
