/* The destinations that got work since the courier last asked: collected as rows change, handed out after the commit.
 * Names of a batch that was lost afterwards do no harm: the courier looks and finds nothing. No function here waits. */
#ifndef STORE_QUEUE_NEWS_H
#define STORE_QUEUE_NEWS_H

#include "base/map.h"

#define QUEUE_NEWS_MAX 1000

struct queue_news {
    struct map destinations; /* names only */
    bool rescan;             /* more than can be named, or another change: look at everything */
    bool asked;              /* an administrator wants it done now, whatever the back-off */
};

void queue_news_init(struct queue_news *n);
void queue_news_release(struct queue_news *n);
/* Notes a destination; past QUEUE_NEWS_MAX, and without memory, everything is to be looked at. */
void queue_news_add(struct queue_news *n, struct span destination);
/* The same by an administrator's word. */
void queue_news_ask(struct queue_news *n, struct span destination);
/* Everything is to be looked at. */
void queue_news_rescan(struct queue_news *n);
static inline bool queue_news_is_empty(const struct queue_news *n)
{
    return n->destinations.count == 0 && !n->rescan;
}
/* Empties it. */
void queue_news_clear(struct queue_news *n);

#endif
