#include "store/queue_news.h"

void queue_news_init(struct queue_news *n)
{
    map_init(&n->destinations);
    n->rescan = n->asked = false;
}

void queue_news_release(struct queue_news *n)
{
    map_release(&n->destinations);
}

void queue_news_clear(struct queue_news *n)
{
    map_release(&n->destinations);
    queue_news_init(n);
}

void queue_news_rescan(struct queue_news *n)
{
    bool asked = n->asked;
    queue_news_clear(n);
    n->rescan = true;
    n->asked = asked;
}

void queue_news_add(struct queue_news *n, struct span destination)
{
    if (n->rescan || map_get(&n->destinations, destination))
        return;
    if (n->destinations.count >= QUEUE_NEWS_MAX || map_put(&n->destinations, destination, n) != 0)
        queue_news_rescan(n);
}

void queue_news_ask(struct queue_news *n, struct span destination)
{
    n->asked = true;
    queue_news_add(n, destination);
}
