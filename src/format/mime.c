#include "format/mime.h"

#include "base/map.h"
#include "format/header.h"

/* A container that is open at this place of the message. */
struct level {
    struct mime_part *part, *last_child;
    struct span boundary; /* empty for a message, and for a multipart whose last boundary has passed */
    uint64_t hash;        /* of boundary */
};

struct walk {
    struct span message;
    struct arena *arena;
    size_t at;      /* the start of the next line */
    uint64_t lines; /* line ends before `at` */
    /* From the outside to the inside. An open part keeps in `lines` how many line ends stood before its body. */
    struct level levels[MIME_DEPTH_MAX];
    size_t depth;
    struct mime_part *leaf; /* the leaf being passed over; NULL in a preamble or epilogue */
    size_t parts;
    bool truncated;
};

/* A boundary line that was met. */
struct meeting {
    size_t level;
    bool is_last; /* with the two hyphens behind */
};

/* Where a header field of this name is kept. */
enum field_use { TEXT, WORD, ADDRESSES, TYPE, DISPOSITION };

struct field_rule {
    struct span name;
    enum field_use use;
    bool of_envelope, appends;
    size_t offset;
};

#define PART_FIELD(text, use_, member)                                                \
    {                                                                                 \
        .name = SPAN(text), .use = use_, .offset = offsetof(struct mime_part, member) \
    }
#define ENVELOPE_FIELD(text, use_, member, appends_)                               \
    {                                                                              \
        .name = SPAN(text), .use = use_, .of_envelope = true, .appends = appends_, \
        .offset = offsetof(struct message_envelope, member)                        \
    }

static const struct field_rule field_rules[] = {
    PART_FIELD("Content-Type", TYPE, type),
    PART_FIELD("Content-Transfer-Encoding", WORD, encoding),
    PART_FIELD("Content-Disposition", DISPOSITION, disposition),
    PART_FIELD("Content-ID", TEXT, id),
    PART_FIELD("Content-Description", TEXT, description),
    PART_FIELD("Content-MD5", TEXT, md5),
    PART_FIELD("Content-Language", TEXT, language),
    PART_FIELD("Content-Location", TEXT, location),
    ENVELOPE_FIELD("Date", TEXT, date, false),
    ENVELOPE_FIELD("Subject", TEXT, subject, false),
    ENVELOPE_FIELD("Message-ID", TEXT, message_id, false),
    ENVELOPE_FIELD("In-Reply-To", TEXT, in_reply_to, false),
    ENVELOPE_FIELD("From", ADDRESSES, from, false),
    ENVELOPE_FIELD("Sender", ADDRESSES, sender, false),
    ENVELOPE_FIELD("Reply-To", ADDRESSES, reply_to, false),
    ENVELOPE_FIELD("To", ADDRESSES, to, true),
    ENVELOPE_FIELD("Cc", ADDRESSES, cc, true),
    ENVELOPE_FIELD("Bcc", ADDRESSES, bcc, true),
};

static struct content_parameter default_charset = {.name = SPAN("charset"), .value = SPAN("us-ascii")};

static void set_type(struct mime_part *part, const char *type, const char *subtype)
{
    part->type = (struct content_type){.type = span_text(type), .subtype = span_text(subtype)};
    if (strcmp(type, "text") == 0)
        part->type.parameters = &default_charset;
}

static void take_text(struct walk *w, struct span value, struct span *to)
{
    if (to->size == 0)
        *to = header_text(value, w->arena);
}

/* A single word, perhaps with comments: read as a disposition without parameters is. */
static void take_word(struct walk *w, struct span value, struct span *to)
{
    struct content_disposition word = {.kind = {NULL, 0}};
    if (to->size == 0 && content_disposition_parse(value, w->arena, &word))
        *to = word.kind;
}

static void take_field(struct walk *w, struct mime_part *part, const struct header_field *field)
{
    for (size_t i = 0; i < sizeof field_rules / sizeof *field_rules; i++) {
        const struct field_rule *rule = &field_rules[i];
        if (rule->name.size != field->name.size || !span_equal_nocase(rule->name, field->name))
            continue;
        if (rule->of_envelope && !part->envelope)
            return;
        char *to = (rule->of_envelope ? (char *)part->envelope : (char *)part) + rule->offset;
        struct address_list *list = (struct address_list *)to;
        /* A second field of a name is ignored; where the first was useless, it may serve. */
        if (rule->use == TEXT) {
            take_text(w, field->value, (struct span *)to);
        } else if (rule->use == WORD) {
            take_word(w, field->value, (struct span *)to);
        } else if (rule->use == ADDRESSES && (rule->appends || !list->first)) {
            address_list_parse(field->value, w->arena, list);
            w->truncated |= list->truncated;
        } else if (rule->use == TYPE && part->type.type.size == 0) {
            content_type_parse(field->value, w->arena, &part->type);
        } else if (rule->use == DISPOSITION && part->disposition.kind.size == 0) {
            content_disposition_parse(field->value, w->arena, &part->disposition);
        }
        return;
    }
}

/* Is this line a boundary of an open multipart? The innermost wins. RFC 2046 5.1.1 lets a boundary be a prefix of its
 * line; but then "a" and "ab", both open, could not be told apart, so the whole line has to match. The hash makes it
 * one pass over the line whatever the number of levels. */
static bool is_boundary(const struct walk *w, struct span line, struct meeting *meeting)
{
    if (w->depth == 0 || line.size < 3 || line.data[0] != '-' || line.data[1] != '-')
        return false;
    line = span_skip(line, 2);
    while (line.size && strchr(" \t\r\n", line.data[line.size - 1]) && line.data[line.size - 1])
        line.size--;
    if (line.size == 0 || line.size > MIME_BOUNDARY_MAX + 2)
        return false;
    int forms = line.size > 2 && memcmp(line.data + line.size - 2, "--", 2) == 0 ? 2 : 1;
    for (int last = 0; last < forms; last++) {
        struct span text = last ? span_head(line, line.size - 2) : line;
        uint64_t hash = hash_bytes(text);
        for (size_t i = w->depth; i-- > 0;)
            if (w->levels[i].boundary.size == text.size && w->levels[i].hash == hash &&
                span_equal(w->levels[i].boundary, text)) {
                *meeting = (struct meeting){.level = i, .is_last = last};
                return true;
            }
    }
    return false;
}

/* Reads the part's header at w->at: up to the empty line or to a boundary that comes first. */
static void read_header(struct walk *w, struct mime_part *part)
{
    struct span rest = span_skip(w->message, w->at);
    struct header_field field;
    part->offset = w->at;
    for (;;) {
        struct span before = rest;
        struct meeting meeting;
        if (!header_next(&rest, &field)) {
            w->lines += rest.size != before.size;
            break;
        }
        /* A boundary has no blank in front, so it can only stand at the start of a field. */
        struct span first_line = span_head(field.raw, span_find(field.raw, '\n'));
        if (field.raw.data[0] == '-' && is_boundary(w, first_line, &meeting)) {
            rest = before;
            break;
        }
        w->lines += field.lines;
        if (field.name.size)
            take_field(w, part, &field);
    }
    size_t end = w->message.size - rest.size;
    part->header_size = end - w->at;
    part->lines = w->lines;
    w->at = end;
}

static struct span usable_boundary(const struct mime_part *part)
{
    const struct content_parameter *p = content_parameter_find(part->type.parameters, "boundary");
    struct span boundary = p ? span_trim(p->value) : (struct span){NULL, 0};
    return boundary.size <= MIME_BOUNDARY_MAX ? boundary : (struct span){NULL, 0};
}

/* The type when the header gave none, and what kind of part that makes. */
static void settle_type(struct walk *w, struct mime_part *part)
{
    bool in_digest =
        part->parent && span_is_nocase(part->parent->type.subtype, "digest") && part->parent->kind == MIME_MULTIPART;
    if (part->type.type.size == 0)
        set_type(part, in_digest ? "message" : "text", in_digest ? "rfc822" : "plain");

    const struct content_type *type = &part->type;
    bool is_plain_encoding = part->encoding.size == 0 || span_is_nocase(part->encoding, "7bit") ||
                             span_is_nocase(part->encoding, "8bit") || span_is_nocase(part->encoding, "binary");
    bool is_message = span_is_nocase(type->type, "message") &&
                      (span_is_nocase(type->subtype, "rfc822") || span_is_nocase(type->subtype, "global"));
    if (span_is_nocase(type->type, "multipart")) {
        if (usable_boundary(part).size == 0)
            set_type(part, "text", "plain");
        else
            part->kind = MIME_MULTIPART;
    } else if (is_message && is_plain_encoding) {
        part->kind = MIME_MESSAGE;
    } else if (is_message) {
        set_type(part, "application", "octet-stream");
    }
    if (part->kind != MIME_LEAF && w->depth == MIME_DEPTH_MAX) {
        set_type(part, "application", "octet-stream");
        part->kind = MIME_LEAF;
        w->truncated = true;
    }
}

static struct mime_part *add_part(struct walk *w, struct level *parent)
{
    bool is_message = !parent || parent->part->kind == MIME_MESSAGE;
    struct mime_part *part = w->parts < MIME_PARTS_MAX ? arena_alloc(w->arena, sizeof *part) : NULL;
    if (part && is_message)
        part->envelope = arena_alloc(w->arena, sizeof *part->envelope);
    if (!part || (is_message && !part->envelope)) {
        w->truncated = true;
        return NULL;
    }
    w->parts++;
    if (!parent)
        return part;
    part->parent = parent->part;
    if (parent->last_child)
        parent->last_child->next = part;
    else
        parent->part->first_child = part;
    parent->last_child = part;
    return part;
}

/* Starts the part at w->at and, for messages, what is embedded in it. Returns the outermost part that was started. */
static struct mime_part *begin_part(struct walk *w, struct level *parent)
{
    struct mime_part *outermost = NULL;
    for (;;) {
        struct mime_part *part = add_part(w, parent);
        w->leaf = NULL;
        if (!part)
            return outermost;
        if (!outermost)
            outermost = part;
        read_header(w, part);
        settle_type(w, part);
        if (part->kind == MIME_LEAF) {
            w->leaf = part;
            return outermost;
        }
        struct level *level = &w->levels[w->depth++];
        *level = (struct level){.part = part};
        if (part->kind == MIME_MULTIPART) {
            level->boundary = usable_boundary(part);
            level->hash = hash_bytes(level->boundary);
            return outermost;
        }
        parent = level;
    }
}

/* The body ends at `end`. */
static void end_part(const struct walk *w, struct mime_part *part, size_t end, uint64_t lines)
{
    /* A header that ran into the boundary gives up its last line end too, or the part would reach beyond its parent. */
    if (part->offset > end)
        part->offset = end;
    if (part->header_size > end - part->offset)
        part->header_size = end - part->offset;
    size_t start = part->offset + part->header_size;
    part->body_size = end - start;
    bool ends_in_line_end = part->body_size && w->message.data[end - 1] == '\n';
    part->lines = part->body_size == 0 ? 0 : lines - part->lines + !ends_in_line_end;
    if (part->kind == MIME_LEAF || part->first_child)
        return;
    /* A container with nothing in it. What the caps took away must not look like text. */
    bool was_multipart = part->kind == MIME_MULTIPART;
    part->kind = MIME_LEAF;
    if (was_multipart && !w->truncated)
        set_type(part, "text", "plain");
    else
        set_type(part, "application", "octet-stream");
}

/* Ends the leaf and the levels from `level` on inwards. `end` and `lines`: as in end_part. */
static void end_levels(struct walk *w, size_t level, size_t end, uint64_t lines)
{
    if (w->leaf)
        end_part(w, w->leaf, end, lines);
    w->leaf = NULL;
    while (w->depth > level)
        end_part(w, w->levels[--w->depth].part, end, lines);
}

/* Passes over lines up to a boundary; false at the end of the message. w->at is then behind it. The body before it ends
 * at *end, with *lines line ends before that. */
static bool next_boundary(struct walk *w, struct meeting *meeting, size_t *end, uint64_t *lines)
{
    const char *data = w->message.data;
    while (w->at < w->message.size) {
        const char *line_end = memchr(data + w->at, '\n', w->message.size - w->at);
        size_t next = line_end ? (size_t)(line_end - data) + 1 : w->message.size;
        size_t start = w->at;
        w->at = next;
        w->lines += line_end != NULL;
        if (data[start] != '-' || !is_boundary(w, span_from(data + start, next - start), meeting))
            continue;
        /* The line end in front belongs to the boundary. */
        *end = start;
        *lines = w->lines - (line_end != NULL);
        if (*end && data[*end - 1] == '\n') {
            (*end)--;
            (*lines)--;
            if (*end && data[*end - 1] == '\r')
                (*end)--;
        }
        return true;
    }
    *end = w->message.size;
    *lines = w->lines;
    return false;
}

struct mime_part *mime_parse(struct span message, struct arena *arena, bool *truncated)
{
    struct walk w;
    w.message = message;
    w.arena = arena;
    w.at = w.lines = w.depth = w.parts = 0;
    w.leaf = NULL;
    w.truncated = false;

    struct mime_part *root = begin_part(&w, NULL);
    struct meeting meeting = {.level = 0};
    size_t end = 0;
    uint64_t lines = 0;
    while (root && next_boundary(&w, &meeting, &end, &lines)) {
        end_levels(&w, meeting.level + 1, end, lines);
        if (meeting.is_last)
            w.levels[meeting.level].boundary.size = 0;
        else
            begin_part(&w, &w.levels[meeting.level]);
    }
    if (root)
        end_levels(&w, 0, end, lines);
    *truncated |= w.truncated;
    return root;
}

struct mime_part *mime_next(const struct mime_part *part)
{
    if (part->first_child)
        return part->first_child;
    while (part && !part->next)
        part = part->parent;
    return part ? part->next : NULL;
}
