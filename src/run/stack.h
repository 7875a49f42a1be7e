/* Stacks for fibers: mmap with a guard below. Private to run/.
 *
 * A stack's upper end holds whatever struct its owner keeps there (a fiber), so that an idle fiber touches one page
 * only. Free stacks are kept, STACK_POOL_MAX of them. No function here waits.
 */
#ifndef RUN_STACK_H
#define RUN_STACK_H

#include "base/list.h"
#include "base/span.h"

#if defined(__SANITIZE_ADDRESS__)
#define RUN_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RUN_ASAN 1
#endif
#endif

#if defined(RUN_ASAN) || defined(OSTIARY_TEST_BUILD)
#define FIBER_STACK_SIZE (512u * 1024)
#define FIBER_GUARD_SIZE (64u * 1024)
#else
#define FIBER_STACK_SIZE (128u * 1024)
#define FIBER_GUARD_SIZE (16u * 1024)
#endif
#define STACK_POOL_MAX 64

struct stack {
    char *map; /* FIBER_STACK_SIZE bytes, of which FIBER_GUARD_SIZE at the lower end are the guard */
    char *low; /* what code may use: from low up to top */
    char *top; /* 64-byte aligned; the owner's struct begins here */
    unsigned valgrind_id;
    struct list_node node;
};

/* A stack with `size` bytes above its top for the owner, whose struct begins with a struct stack, filled in. NULL when
 * the system refuses. */
MUST_USE struct stack *stack_take(size_t size);
/* Nothing may run on it, and nothing of it is used again. */
void stack_give(struct stack *stack);
/* Frees those that are kept. */
void stack_release_pool(void);

/* Gives the pages below `sp` back to the system. */
void stack_trim(struct stack *stack, void *sp);
/* Bytes of the deepest use so far, of any stack; 0 unless the build paints stacks. */
size_t stack_high_water(void);

static inline bool stack_guard_has(const struct stack *stack, const void *address)
{
    return (const char *)address >= stack->map && (const char *)address < stack->low;
}

#endif
