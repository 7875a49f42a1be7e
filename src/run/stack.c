#include "run/stack.h"

#include "run/switch.h"

#include <sys/mman.h>
#include <unistd.h>

#ifdef RUN_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#endif
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define VALGRIND_STACK_REGISTER(low, top) 0
#define VALGRIND_STACK_DEREGISTER(id) (void)(id)
#define VALGRIND_MAKE_MEM_UNDEFINED(from, size) 0
#endif

/* Tops at the same offset of every stack would all fall into the same few sets of the cache. */
#define COLOURS 8
#define COLOUR_SIZE 128

static struct list_node free_stacks = {&free_stacks, &free_stacks};
static struct list_node used_stacks = {&used_stacks, &used_stacks};
static size_t free_count;
static unsigned next_colour;
static size_t high_water;

#ifdef OSTIARY_TEST_BUILD

/* The paint is zero, which is what fresh pages hold: painting costs nothing until a stack was used. */
__attribute__((no_sanitize("address"))) static void note_depth(const struct stack *stack)
{
    const volatile uint64_t *word = (const volatile uint64_t *)stack->low;
    while ((const char *)word < stack->top && *word == 0)
        word++;
    size_t depth = (size_t)(stack->top - (const char *)word);
    if (depth > high_water)
        high_water = depth;
}

#else

static void note_depth(const struct stack *stack)
{
}

#endif

size_t stack_high_water(void)
{
    list_each (node, &used_stacks)
        note_depth(container_of(node, struct stack, node));
    return high_water;
}

/* As a fresh one. The struct above the top is not touched. */
static void clean(struct stack *stack)
{
#ifdef RUN_ASAN
    /* The last function never returned, so its frame's red zones are still marked. */
    ASAN_UNPOISON_MEMORY_REGION(stack->low, (size_t)(stack->top - stack->low));
#endif
    (void)VALGRIND_MAKE_MEM_UNDEFINED(stack->low, (size_t)(stack->top - stack->low));
#ifdef OSTIARY_TEST_BUILD
    char *used = stack->low;
    while (used < stack->top && *(const volatile uint64_t *)used == 0)
        used += sizeof(uint64_t);
    memset(used, 0, (size_t)(stack->top - used));
#endif
}

static char *map_stack(void)
{
    char *map = mmap(NULL, FIBER_STACK_SIZE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (map == MAP_FAILED)
        return NULL;
    if (mprotect(map, FIBER_GUARD_SIZE, PROT_NONE) != 0) {
        munmap(map, FIBER_STACK_SIZE);
        return NULL;
    }
#ifdef RUN_ASAN
    /* What only a waiting fiber's stack points to is no leak. */
    __lsan_register_root_region(map + FIBER_GUARD_SIZE, FIBER_STACK_SIZE - FIBER_GUARD_SIZE);
#endif
    return map;
}

struct stack *stack_take(size_t size)
{
    struct stack *stack = NULL;
    struct list_node *node = list_take_first(&free_stacks);
    if (node) {
        free_count--;
        stack = container_of(node, struct stack, node);
        clean(stack);
    } else {
        char *map = map_stack();
        if (!map)
            return NULL;
        size_t above = ((size + 63) & ~(size_t)63) + next_colour++ % COLOURS * COLOUR_SIZE;
        char *top = map + FIBER_STACK_SIZE - above;
        stack = (struct stack *)top;
        *stack = (struct stack){.map = map, .low = map + FIBER_GUARD_SIZE, .top = top};
        stack->valgrind_id = VALGRIND_STACK_REGISTER(stack->low, map + FIBER_STACK_SIZE - 1);
    }
    list_init(&stack->node);
    list_append(&used_stacks, &stack->node);
    return stack;
}

static void unmap_stack(struct stack *stack)
{
    VALGRIND_STACK_DEREGISTER(stack->valgrind_id);
    char *map = stack->map;
#ifdef RUN_ASAN
    ASAN_UNPOISON_MEMORY_REGION(map, FIBER_STACK_SIZE);
    __lsan_unregister_root_region(map + FIBER_GUARD_SIZE, FIBER_STACK_SIZE - FIBER_GUARD_SIZE);
#endif
    munmap(map, FIBER_STACK_SIZE);
}

void stack_give(struct stack *stack)
{
    note_depth(stack);
    list_remove(&stack->node);
    if (free_count >= STACK_POOL_MAX) {
        unmap_stack(stack);
        return;
    }
    /* Last in, first out: its pages are the ones in the cache. */
    list_append(free_stacks.next, &stack->node);
    free_count++;
}

void stack_release_pool(void)
{
    struct list_node *node;
    while ((node = list_take_first(&free_stacks)))
        unmap_stack(container_of(node, struct stack, node));
    free_count = 0;
}

void stack_trim(struct stack *stack, void *sp)
{
    note_depth(stack);
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t end = ((uintptr_t)sp - SWITCH_MARGIN) & ~(page - 1);
    if (end > (uintptr_t)stack->low)
        (void)madvise(stack->low, end - (uintptr_t)stack->low, MADV_DONTNEED); /* refused: the pages just stay */
}
