/* Content-Type (RFC 2045 5.1), Content-Disposition (RFC 2183) and their parameters (RFC 2231).
 *
 * Tolerant of missing quotes, stray semicolons and comments. Parameters in pieces (name*0, name*1) are joined, as RFC
 * 2231 section 8 asks of an IMAP server; a joined or single extended one keeps the name with its asterisk ("filename*")
 * and the form charset'language'percent-encoded. Linear; spans point into the input or into the arena.
 */
#ifndef FORMAT_CONTENT_TYPE_H
#define FORMAT_CONTENT_TYPE_H

#include "base/arena.h"
#include "base/buf.h"

/* Parameters, and pieces of parameters, beyond this are dropped. */
#define CONTENT_PARAMETERS_MAX 64

struct content_parameter {
    struct content_parameter *next;
    struct span name;  /* as written: case does not matter */
    struct span value; /* unquoted */
};

struct content_type {
    struct span type, subtype; /* as written: case does not matter */
    struct content_parameter *parameters;
};

struct content_disposition {
    struct span kind; /* "inline", "attachment", others; never empty after a parse that gave true */
    struct content_parameter *parameters;
};

/* False, and *type untouched, when there is no type/subtype in it: the caller then takes text/plain (RFC 2045 5.2). */
bool content_type_parse(struct span value, struct arena *arena, struct content_type *type);
/* False, and *disposition untouched, when there is none in it. */
bool content_disposition_parse(struct span value, struct arena *arena, struct content_disposition *disposition);

/* The first parameter of that name, as it is; NULL when there is none. */
const struct content_parameter *content_parameter_find(const struct content_parameter *first, const char *name);

/* Appends the parameter's text as UTF-8: the extended form decoded, else the plain one (with encoded words decoded, as
 * many programs write them there). False, and nothing appended, when there is none. */
bool content_parameter_decode(const struct content_parameter *first, const char *name, struct buf *out);

#endif
