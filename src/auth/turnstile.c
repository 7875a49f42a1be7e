#include "auth/turnstile.h"

#include <errno.h>

/* On the stack of the fiber that waits. */
struct turn {
    struct list_node node;
    struct condition given_condition;
    bool is_given;
};

void turnstile_init(struct turnstile *t)
{
    *t = (struct turnstile){0};
    for (size_t line = 0; line < TURNSTILE_LINES; line++)
        list_init(&t->lines[line]);
}

static int wait_for_turn(struct fiber *self, struct turnstile *t, enum turnstile_line line, uint64_t deadline)
{
    if (t->waiting[line] >= TURNSTILE_MAX)
        return -EAGAIN;
    struct turn turn = {.is_given = false};
    int error = 0;
    condition_init(&turn.given_condition);
    list_append(&t->lines[line], &turn.node);
    t->waiting[line]++;
    while (!turn.is_given && !error)
        error = condition_wait(self, &turn.given_condition, deadline);
    if (!turn.is_given) {
        list_remove(&turn.node);
        t->waiting[line]--;
    } else if (error) {
        turnstile_leave(t); /* it came at the same moment as the cancellation: the next one's */
    }
    return error;
}

int turnstile_enter(struct fiber *self, struct turnstile *t, enum turnstile_line line, uint64_t deadline)
{
    int error = 0;
    if (t->is_taken)
        error = wait_for_turn(self, t, line, deadline);
    if (error)
        return error;
    t->is_taken = true;
    /* The loop reads and answers others before this fiber takes the process. */
    error = fiber_yield(self);
    if (error)
        turnstile_leave(t);
    return error;
}

void turnstile_leave(struct turnstile *t)
{
    for (size_t line = 0; line < TURNSTILE_LINES; line++) {
        struct list_node *node = list_take_first(&t->lines[line]);
        if (!node)
            continue;
        struct turn *turn = container_of(node, struct turn, node);
        t->waiting[line]--;
        turn->is_given = true; /* handed on without letting go: nobody slips in between */
        condition_wake_one(&turn->given_condition);
        return;
    }
    t->is_taken = false;
}
