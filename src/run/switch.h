/* Switching stacks: the only machine-dependent part of the run-time. Private to run/.
 *
 * switch_x86_64.S and switch_aarch64.S with switch.c, or switch_ucontext.c.
 */
#ifndef RUN_SWITCH_H
#define RUN_SWITCH_H

/* Below a saved stack pointer nothing is alive but what the ucontext form keeps within this many bytes. */
#define SWITCH_MARGIN 512

/* Saves the callee-saved registers and the floating-point control words on the stack in use, leaves the stack pointer
 * in *save, and goes on where `load` was saved. */
void switch_stacks(void **save, void *load);

/* What to pass as `load` to begin entry(argument) on a fresh stack that ends below `top` (16-byte aligned). entry never
 * returns. */
void *switch_prepare(void *top, void (*entry)(void *argument), void *argument);

#endif
