/* What the courier was asked lately: answers that are remembered until their time is over, and questions that are under
 * way, which are asked once however many want to know. Bounded: the oldest answers go first. No function waits.
 */
#ifndef DELIVER_ANSWERS_H
#define DELIVER_ANSWERS_H

#include "base/list.h"
#include "base/map.h"
#include "ipc/channel.h"

struct answers {
    struct map remembered, under_way;
    struct list_node by_age; /* remembered ones, the latest at the end */
    size_t bytes;            /* of them */
    size_t bytes_max, count_max;
    size_t questions_max; /* under way at a time */
};

struct question {
    struct answers *answers;
    struct list_node calls; /* at least one: its request is the question */
    size_t key_size;
    char key[];
};

/* `bytes_max`: of keys and answers. */
void answers_init(struct answers *a, size_t count_max, size_t bytes_max, size_t questions_max);

/* The bytes that were remembered; data NULL where there are none, or their time (monotonic) is over. Borrowed until the
 * next call. */
struct span answers_get(struct answers *a, struct span key);
/* `seconds` 0: not at all. Without memory it is not remembered. */
void answers_put(struct answers *a, struct span key, struct span bytes, unsigned seconds);

/* Takes the call where the same question is under way: true. */
MUST_USE bool question_join(struct answers *a, struct span key, struct call *call);
/* A new one, with its first call, which it takes. NULL: too many are under way, or no memory; the call is still the
 * caller's. */
MUST_USE struct question *question_begin(struct answers *a, struct span key, struct call *call);
struct span question_key(const struct question *q);
/* Answers all who asked, and frees it. `reply` NULL: fails them with `error`. */
void question_end(struct question *q, const ProtobufCMessage *reply, int error);

#endif
