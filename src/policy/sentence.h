/* What rules say: verdicts with their sentences, in printable ASCII whatever strangers put into the facts. Pure. */
#ifndef POLICY_SENTENCE_H
#define POLICY_SENTENCE_H

#include "policy/rule.h"

/* A fact as it may be shown: what is not printable ASCII is "?", what is too long is cut and ends in "...". By value,
 * so that one expression holds several: printf("%s %s", clean(a).text, clean(b).text). */
#define CLEAN_MAX 160
struct clean {
    char text[CLEAN_MAX + 1];
};
struct clean clean(struct span s);
struct clean clean_ip(const struct ip_address *ip);

/* Appends the same to `out`, at most `most` bytes of it. */
void clean_write(struct span s, size_t most, struct buf *out);

/* Each fills in kind, codes, sentence and evidence; the format is the sentence. What is not printable ASCII in the
 * whole becomes "?". */
void verdict_refuse(struct verdict *verdict, unsigned code, const char *enhanced, struct clean evidence,
                    const char *format, ...) __attribute__((format(printf, 5, 6)));
/* 451 with this enhanced code. */
void verdict_defer(struct verdict *verdict, const char *enhanced, struct clean evidence, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void verdict_accept(struct verdict *verdict, struct clean evidence, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
