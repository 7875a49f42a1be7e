#include "format/srs.h"

#include "format/address.h"
#include "format/address_hash.h"

#define DAY_SECONDS 86400
#define DAY_COUNT 1024 /* two digits of base32 */
#define TAG_SIZE 4     /* "SRS0" */
#define ADDRESS_MAX 512

static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567"; /* base32 */

static bool is_separator(char c)
{
    return c == '=' || c == '+' || c == '-';
}

/* "SRS0=": the tag in any case, then one of the separators that are in use. */
static bool has_tag(struct span local_part, const char *tag)
{
    return local_part.size > TAG_SIZE && span_is_nocase(span_head(local_part, TAG_SIZE), tag) &&
           is_separator(local_part.data[TAG_SIZE]);
}

static void stamp_write(uint64_t wall_seconds, char out[2])
{
    unsigned day = (unsigned)(wall_seconds / DAY_SECONDS % DAY_COUNT);
    out[0] = digits[day / 32];
    out[1] = digits[day % 32];
}

static int digit_value(char c)
{
    const char *at = c ? strchr(digits, ascii_lower(c)) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* The days since the stamp; DAY_COUNT when it is none. Tomorrow's counts as today's: clocks differ. */
static unsigned stamp_age(struct span stamp, uint64_t wall_seconds)
{
    int high = stamp.size == 2 ? digit_value(stamp.data[0]) : -1;
    int low = stamp.size == 2 ? digit_value(stamp.data[1]) : -1;
    if (high < 0 || low < 0)
        return DAY_COUNT;
    unsigned today = (unsigned)(wall_seconds / DAY_SECONDS % DAY_COUNT);
    unsigned age = (today + DAY_COUNT - (unsigned)(high * 32 + low)) % DAY_COUNT;
    return age == DAY_COUNT - 1 ? 0 : age;
}

/* ---- Forward ---- */

/* Nothing that is longer than a path may be: no server would take the mail. */
static void path_write(struct buf *local, struct span forwarder, struct buf *out)
{
    struct buf path;
    buf_init(&path, 4 * ADDRESS_MAX);
    out->failed |= buf_failed(local);
    mail_path_write(buf_span(local), forwarder, &path);
    out->failed |= buf_failed(&path);
    if (path.size + 2 <= PATH_MAX_SMTP)
        buf_add_span(out, buf_span(&path));
    buf_release(&path);
}

static void write_srs1(struct span first, struct span rest, struct span forwarder, struct span key, struct buf *out)
{
    char hash[ADDRESS_HASH_SIZE];
    struct buf local;
    buf_init(&local, 2 * ADDRESS_MAX);
    address_hash(key, (const struct span[]){first, rest}, 2, hash);
    buf_add_text(&local, "SRS1=");
    buf_add(&local, hash, ADDRESS_HASH_SIZE);
    buf_add_char(&local, '=');
    buf_add_span(&local, first);
    buf_add_char(&local, '=');
    buf_add_span(&local, rest);
    path_write(&local, forwarder, out);
    buf_release(&local);
}

/* HASH=FIRST=REST of an SRS1 local part; false when it has not that form. */
static bool srs1_split(struct span local_part, struct span *hash, struct span *first, struct span *rest)
{
    *rest = span_skip(local_part, TAG_SIZE + 1);
    *hash = span_cut(rest, '=');
    *first = span_cut(rest, '=');
    return hash->size && first->size && rest->size && is_separator(rest->data[0]);
}

void srs_forward_write(struct span local_part, struct span domain, struct span forwarder, struct span key,
                       uint64_t wall_seconds, struct buf *out)
{
    struct span hash, first, rest;
    if (!domain.size || local_part.size + domain.size > ADDRESS_MAX)
        return;
    if (has_tag(local_part, "SRS0")) {
        write_srs1(domain, span_skip(local_part, TAG_SIZE), forwarder, key, out);
        return;
    }
    /* Of a third forwarder only the first one is remembered: bounces skip those between. */
    if (has_tag(local_part, "SRS1") && srs1_split(local_part, &hash, &first, &rest)) {
        write_srs1(first, rest, forwarder, key, out);
        return;
    }
    char stamp[2], mark[ADDRESS_HASH_SIZE];
    struct buf local;
    stamp_write(wall_seconds, stamp);
    address_hash(key, (const struct span[]){span_from(stamp, 2), domain, local_part}, 3, mark);
    buf_init(&local, 2 * ADDRESS_MAX);
    buf_add_text(&local, "SRS0=");
    buf_add(&local, mark, ADDRESS_HASH_SIZE);
    buf_add_char(&local, '=');
    buf_add(&local, stamp, 2);
    buf_add_char(&local, '=');
    buf_add_span(&local, domain);
    buf_add_char(&local, '=');
    buf_add_span(&local, local_part);
    path_write(&local, forwarder, out);
    buf_release(&local);
}

/* ---- Reverse ---- */

/* The hash was right, so the parts are what we wrote, in another case perhaps. All the same nothing leaves here that is
 * no address. */
static enum srs_result address_write(struct span tag, struct span local, struct span domain, struct buf *out)
{
    if (domain.data[0] != '[' && domain_check(domain, true) != NULL)
        return SRS_WRONG;
    struct buf whole, lower;
    buf_init(&whole, 2 * ADDRESS_MAX);
    buf_init(&lower, 2 * ADDRESS_MAX);
    buf_add_span(&whole, tag);
    buf_add_span(&whole, local);
    for (size_t i = 0; i < domain.size; i++)
        buf_add_char(&lower, ascii_lower(domain.data[i]));
    out->failed |= buf_failed(&whole) || buf_failed(&lower);
    mail_path_write(buf_span(&whole), buf_span(&lower), out);
    buf_release(&whole);
    buf_release(&lower);
    return SRS_RIGHT;
}

static enum srs_result reverse_srs0(struct span local_part, struct span key, uint64_t wall_seconds, struct buf *out)
{
    struct span rest = span_skip(local_part, TAG_SIZE + 1);
    struct span hash = span_cut(&rest, '=');
    struct span stamp = span_cut(&rest, '=');
    struct span domain = span_cut(&rest, '=');
    if (!domain.size || !rest.size || !address_hash_is_right(key, (const struct span[]){stamp, domain, rest}, 3, hash))
        return SRS_WRONG;
    if (stamp_age(stamp, wall_seconds) > SRS_DAYS)
        return SRS_OLD;
    return address_write((struct span){0}, rest, domain, out);
}

enum srs_result srs_reverse(struct span local_part, struct span key, uint64_t wall_seconds, struct buf *out)
{
    struct span hash, first, rest;
    if (local_part.size > 2 * ADDRESS_MAX)
        return SRS_NONE;
    if (has_tag(local_part, "SRS0"))
        return reverse_srs0(local_part, key, wall_seconds, out);
    if (!has_tag(local_part, "SRS1"))
        return SRS_NONE;
    if (!srs1_split(local_part, &hash, &first, &rest) ||
        !address_hash_is_right(key, (const struct span[]){first, rest}, 2, hash))
        return SRS_WRONG;
    return address_write(span_text("SRS0"), rest, first, out);
}
