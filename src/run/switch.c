#include "run/switch.h"

#include <stdint.h>
#include <string.h>

/* In switch_*.S: takes entry and argument from callee-saved registers and calls. */
void switch_start(void);

#if defined(__x86_64__)

/* As switch_x86_64.S pops it, from the saved stack pointer upwards. */
struct frame {
    uint32_t mxcsr;
    uint16_t x87_control, unused;
    void *r15, *r14, *r13, *r12, *rbx, *rbp;
    void (*return_address)(void);
};

void *switch_prepare(void *top, void (*entry)(void *argument), void *argument)
{
    struct frame *frame = (struct frame *)top - 1;
    memset(frame, 0, sizeof *frame);
    __asm__ volatile("stmxcsr %0" : "=m"(frame->mxcsr));
    __asm__ volatile("fnstcw %0" : "=m"(frame->x87_control));
    frame->r12 = argument;
    frame->r13 = (void *)(uintptr_t)entry;
    frame->return_address = switch_start;
    return frame;
}

#elif defined(__aarch64__)

/* As switch_aarch64.S loads it. */
struct frame {
    void *x[12]; /* x19 to x30 */
    uint64_t d[8];
    uint64_t fpcr, unused;
};

void *switch_prepare(void *top, void (*entry)(void *argument), void *argument)
{
    struct frame *frame = (struct frame *)top - 1;
    memset(frame, 0, sizeof *frame);
    __asm__ volatile("mrs %0, fpcr" : "=r"(frame->fpcr));
    frame->x[0] = argument;
    frame->x[1] = (void *)(uintptr_t)entry;
    frame->x[11] = (void *)(uintptr_t)switch_start;
    return frame;
}

#endif

_Static_assert(sizeof(struct frame) % 16 == 0, "the stack must stay aligned");
