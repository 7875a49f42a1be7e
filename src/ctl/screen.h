/* The terminal as a screen to paint on: no echo, no line editing, an own page, a hidden cursor; and all of it given
 * back at the end, also when a signal ends the program. One at a time. */
#ifndef CTL_SCREEN_H
#define CTL_SCREEN_H

#include "base/buf.h"

/* Are standard input and output terminals? */
bool screen_is_possible(void);
/* 0 or a negative errno. */
MUST_USE int screen_open(void);
/* NULL-safe in effect: does nothing when none is open. */
void screen_close(void);
/* Its size; 24 by 80 where the terminal does not tell. */
void screen_size(unsigned *rows, unsigned *columns);
/* Does one of the keys that were pressed end the program: q, Ctrl-C, Ctrl-D? Does not wait. */
bool screen_wants_end(void);
/* All of it to standard output. 0 or a negative errno. */
MUST_USE int screen_write(struct span text);

#endif
