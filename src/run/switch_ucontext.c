#include "run/switch.h"

#include <stdint.h>
#include <stdlib.h>
#include <ucontext.h>

void switch_stacks(void **save, void *load)
{
    ucontext_t here; /* lives on the stack that is left, for as long as it is left */
    /* cppcheck-suppress autoVariables */
    *save = &here;
    if (swapcontext(&here, load) != 0)
        abort();
}

/* makecontext passes ints only. */
static void start(unsigned entry_high, unsigned entry_low, unsigned argument_high, unsigned argument_low)
{
    uintptr_t entry = (uintptr_t)((uint64_t)entry_high << 32 | entry_low);
    uintptr_t argument = (uintptr_t)((uint64_t)argument_high << 32 | argument_low);
    ((void (*)(void *))entry)((void *)argument);
    abort();
}

void *switch_prepare(void *top, void (*entry)(void *argument), void *argument)
{
    uintptr_t place = ((uintptr_t)top - sizeof(ucontext_t)) & ~(uintptr_t)63;
    ucontext_t *fresh = (ucontext_t *)place;
    if (getcontext(fresh) != 0)
        abort();
    /* Only its upper end counts: makecontext begins there, the fiber's guard page is the other end. */
    fresh->uc_stack.ss_size = 16384;
    fresh->uc_stack.ss_sp = (char *)fresh - fresh->uc_stack.ss_size;
    fresh->uc_link = NULL;
    uint64_t e = (uintptr_t)entry, a = (uintptr_t)argument;
    makecontext(fresh, (void (*)(void))(uintptr_t)start, 4, (unsigned)(e >> 32), (unsigned)e, (unsigned)(a >> 32),
                (unsigned)a);
    return fresh;
}
