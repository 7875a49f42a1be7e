#include "store/backup_manifest.h"

#include "store/volume.h"

#include <inttypes.h>

#define HEAD "ostiary-backup 1"

static bool skip_word(struct span *s, const char *word)
{
    struct span w = span_text(word);
    if (!span_equal(span_head(*s, w.size), w))
        return false;
    *s = span_skip(*s, w.size);
    return true;
}

struct span backup_name_base(struct span name)
{
    uint64_t number;
    size_t digits = 0;
    while (digits < name.size && name.data[name.size - digits - 1] >= '0' && name.data[name.size - digits - 1] <= '9')
        digits++;
    size_t dot = name.size - digits - 1;
    bool has_number = digits > 0 && digits < name.size && name.data[dot] == '.' &&
                      span_parse_u64(span_skip(name, dot + 1), UINT32_MAX, &number);
    return has_number ? span_head(name, dot) : name;
}

bool backup_name_is_database(struct span name)
{
    struct span base = backup_name_base(name);
    return base.size < name.size && span_is(base, "store.db");
}

bool backup_name_is_good(struct span name)
{
    char volume[VOLUME_NAME_SIZE];
    if (name.size >= BACKUP_NAME_MAX)
        return false;
    if (backup_name_is_database(name))
        return true;
    name = backup_name_base(name);
    if (span_is(name, "ostiary.conf") || span_is(name, "blacklist.txt"))
        return true;
    if (!skip_word(&name, "volumes/") || name.size == 0 || name.size >= sizeof volume ||
        memchr(name.data, 0, name.size))
        return false;
    memcpy(volume, name.data, name.size);
    volume[name.size] = 0;
    return volume_number(volume) != 0;
}

void backup_manifest_write(const struct backup_manifest *m, struct buf *out)
{
    buf_printf(out, HEAD "\nmark %" PRIu64 "\ntime %" PRIu64 "\n", m->mark, m->time);
    for (size_t i = 0; i < m->count; i++) {
        buf_printf(out, "file %" PRIu64 " ", m->files[i].size);
        for (size_t b = 0; b < BACKUP_CHECKSUM_SIZE; b++)
            buf_printf(out, "%02x", m->files[i].checksum[b]);
        buf_printf(out, " %s\n", m->files[i].name);
    }
    buf_printf(out, "end %zu\n", m->count);
}

/* ---- Reading ---- */

static bool parse_hex(struct span text, unsigned char out[BACKUP_CHECKSUM_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    if (text.size != 2 * (size_t)BACKUP_CHECKSUM_SIZE)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        const char *digit = text.data[i] ? strchr(digits, text.data[i]) : NULL;
        if (!digit)
            return false;
        out[i / 2] = (unsigned char)(i % 2 ? out[i / 2] | (digit - digits) : (digit - digits) << 4);
    }
    return true;
}

static bool parse_number(struct span line, const char *word, uint64_t *value)
{
    return skip_word(&line, word) && span_parse_u64(line, INT64_MAX, value);
}

static bool parse_file(struct span line, struct backup_file *file)
{
    if (!skip_word(&line, "file ") || !span_parse_u64(span_cut(&line, ' '), INT64_MAX, &file->size) ||
        !parse_hex(span_cut(&line, ' '), file->checksum) || !backup_name_is_good(line))
        return false;
    memcpy(file->name, line.data, line.size);
    file->name[line.size] = 0;
    return true;
}

/* The next line, its line feed required. */
static bool cut_line(struct span *rest, struct span *line)
{
    size_t end = span_find(*rest, '\n');
    if (end == rest->size)
        return false;
    *line = span_head(*rest, end);
    *rest = span_skip(*rest, end + 1);
    return true;
}

static size_t count_files(struct span text)
{
    size_t count = 0;
    struct span line;
    while (cut_line(&text, &line) && count < BACKUP_FILES_MAX)
        count += skip_word(&line, "file ");
    return count;
}

/* Volumes stand in rising order, so no name is there twice; of the others there is one each. */
static bool is_in_order(const struct backup_manifest *m)
{
    size_t databases = 0;
    uint32_t last_volume = 0;
    for (size_t i = 0; i < m->count; i++) {
        struct span name = span_text(m->files[i].name);
        databases += backup_name_is_database(name);
        if (skip_word(&name, "volumes/")) {
            char volume[BACKUP_NAME_MAX];
            name = backup_name_base(name);
            memcpy(volume, name.data, name.size);
            volume[name.size] = 0;
            uint32_t number = volume_number(volume);
            if (number <= last_volume)
                return false;
            last_volume = number;
        } else if (!backup_name_is_database(name)) {
            for (size_t other = 0; other < i; other++)
                if (span_equal(backup_name_base(name), backup_name_base(span_text(m->files[other].name))))
                    return false;
        }
    }
    return databases == 1;
}

bool backup_manifest_parse(struct span text, struct arena *arena, struct backup_manifest *m, struct buf *problem)
{
    struct span rest = text, line;
    uint64_t count;
    *m = (struct backup_manifest){.files = arena_array(arena, count_files(text) + 1, sizeof *m->files)};
    if (!m->files) {
        buf_add_text(problem, "there is no memory for the manifest");
        return false;
    }
    size_t room = count_files(text);
    bool good = cut_line(&rest, &line) && span_is(line, HEAD) && cut_line(&rest, &line) &&
                parse_number(line, "mark ", &m->mark) && cut_line(&rest, &line) &&
                parse_number(line, "time ", &m->time);
    while (good && m->count < room && (good = cut_line(&rest, &line) && parse_file(line, &m->files[m->count])))
        m->count++;
    good = good && cut_line(&rest, &line) && parse_number(line, "end ", &count) && count == m->count && !rest.size &&
           is_in_order(m);
    if (!good)
        buf_add_text(problem, "the manifest is not whole, or not of this version");
    return good;
}
