#include "auth/events.h"

#include <stdlib.h>

void events_init(struct events *e)
{
    *e = (struct events){.ring = calloc(EVENTS_MAX, sizeof *e->ring)};
}

void events_release(struct events *e)
{
    free(e->ring);
    e->ring = NULL;
}

struct event *events_add(struct events *e, const char *kind, uint64_t now)
{
    if (!e->ring)
        return NULL;
    struct event *event = &e->ring[++e->last % EVENTS_MAX];
    *event = (struct event){.number = e->last, .at = now, .kind = kind};
    return event;
}

void event_set_text(char *field, size_t room, struct span text)
{
    text = span_head(text, room - 1);
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        field[i] = c < ' ' || c == 0x7f ? '?' : (char)c;
    }
    field[text.size] = 0;
}

uint64_t events_first(const struct events *e)
{
    return e->last > EVENTS_MAX ? e->last - EVENTS_MAX + 1 : 1;
}

const struct event *events_get(const struct events *e, uint64_t number)
{
    if (!e->ring || number < events_first(e) || number > e->last)
        return NULL;
    return &e->ring[number % EVENTS_MAX];
}
