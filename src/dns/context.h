/* A context of libunbound, made from the settings. No function waits. */
#ifndef DNS_CONTEXT_H
#define DNS_CONTEXT_H

#include "config/settings.h"

#define RESOLVER_QUESTIONS_MAX 2048 /* under way at a time */

struct ub_ctx;
struct ub_event_base;

/* NULL with a sentence. Opens no file. */
MUST_USE struct ub_ctx *dns_context_new(struct ub_event_base *base, const struct settings *settings,
                                        struct span anchors, struct buf *problem);

#endif
