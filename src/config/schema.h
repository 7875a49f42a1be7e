/* The schema: the one table that knows each setting's name, type, bounds, default and explanation.
 *
 * Each type has one text form, in which defaults stand in the table, in which settings travel between processes, and
 * into which the values of the Lua file are brought before they are checked: there is one parser and one writer for
 * each type. No function waits.
 */
#ifndef CONFIG_SCHEMA_H
#define CONFIG_SCHEMA_H

#include "base/arena.h"
#include "base/buf.h"
#include "config/settings.h"

enum setting_type {
    SETTING_TEXT,    /* const char *: printable, at most `most` bytes; with `choices`, one of them */
    SETTING_DOMAIN,  /* const char *: a domain name with a dot, letters, digits and hyphens; empty where least is 0 */
    SETTING_PATH,    /* const char *: absolute; empty where least is 0 */
    SETTING_USER,    /* const char *: the name of a system user */
    SETTING_ADDRESS, /* const char *: an IPv4 or IPv6 address */
    SETTING_LOG_TARGET, /* const char *: "stderr", "syslog" or an absolute path */
    SETTING_BOOL,       /* bool */
    SETTING_COUNT,      /* unsigned or uint64_t or uint16_t, within least..most */
    SETTING_SIZE,       /* the same in bytes: "50M" */
    SETTING_DURATION,   /* the same in seconds: "5m" */
    SETTING_CHOICE,     /* unsigned: the value of one of `choices` */
    SETTING_NETWORKS,   /* struct network_list */
    SETTING_WORDS,      /* struct word_list, of least..most words of the kind `words` */
    SETTING_RECORDS,    /* a pointer to an array and behind it its size_t count; `records` says of what */
    SETTING_TYPE_COUNT
};

struct setting_choice {
    const char *name; /* NULL ends the array */
    unsigned value;
};

/* What the words of a list are. Commas and semicolons are in none. */
struct word_kind {
    bool (*is)(struct span word);
    const char *expected;     /* "absolute paths like { … }" */
    const char *expected_one; /* "an absolute path" */
};
extern const struct word_kind word_path, word_domain, word_server, word_host, word_zone, word_answer;

/* What the records of a list are: tables with named fields in the file. A field with a fallback may be left out.
 * The texts in them have no spaces. */
struct record_type {
    const struct setting *fields; /* in the order of the text form; offsets are in the record */
    size_t field_count;
    size_t size;              /* of a record, RECORD_SIZE_MAX at most */
    const char *expected;     /* "listeners like { … }" */
    const char *expected_one; /* "a listener like { … }" */
    const char *keys;         /* "a listener has service, address and port" */
};
#define RECORD_SIZE_MAX 128

struct setting {
    const char *name; /* "smtp.recipients" */
    enum setting_type type;
    size_t offset, width; /* of its field in struct settings, or in a record */
    uint64_t least, most; /* numbers: bounds; texts: bytes of length */
    const struct setting_choice *choices;
    const char *fallback;              /* the default in text form; NULL: worked out when the file is read */
    const char *explanation;           /* one or two sentences */
    const struct word_kind *words;     /* SETTING_WORDS */
    const struct record_type *records; /* SETTING_RECORDS */
    const char *worked_out;            /* fallback is NULL: what it will be, for people */
};

extern const struct setting schema[];
extern const size_t schema_count;
extern const struct record_type listener_record, dns_list_record;

const struct setting *schema_find(struct span name);
/* "smtp" is the section of "smtp.recipients". */
bool schema_has_section(struct span name);
/* The known name nearest to an unknown one, or NULL. */
const char *schema_nearest(struct span name);
/* The length of the section's name and its dot: 5 for "smtp.recipients", 0 for "hostname". */
size_t setting_section_size(const struct setting *setting);

/* Reads the text form into the field of the struct at `base`; what it needs is taken from `memory`. False when the text
 * is no such value (or memory ran out); nothing changed then. */
MUST_USE bool setting_parse(const struct setting *setting, struct span text, void *base, struct arena *memory);
/* Appends the text form. setting_parse of it gives the same value. */
void setting_write(const struct setting *setting, const void *base, struct buf *out);
/* Appends the value as one writes it in the file: "50M" with its quotes, { "10.0.0.0/8" }, true. */
void setting_write_lua(const struct setting *setting, const void *base, struct buf *out);
/* Appends what is expected: "a whole number from 1 to 1000". */
void setting_write_expected(const struct setting *setting, struct buf *out);
/* Appends the default as one writes it in the file. */
void setting_write_fallback(const struct setting *setting, struct buf *out);

/* One item of a SETTING_NETWORKS list. */
MUST_USE bool network_parse(struct span text, struct network *network);
/* One item of a SETTING_WORDS list. */
bool value_is_word(const struct word_kind *kind, struct span word);
/* The text form of one record. */
void value_write_record(const struct record_type *type, const void *record, struct buf *out);

#endif
