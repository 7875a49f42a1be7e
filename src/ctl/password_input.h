/* Where a new password comes from: typed twice on the terminal without echo, the first line of standard input, or made
 * up. */
#ifndef CTL_PASSWORD_INPUT_H
#define CTL_PASSWORD_INPUT_H

#include "ctl/ctl.h"

#define PASSWORD_INPUT_MAX 512

/* For a password: its memory is taken at once, so that wiping it leaves no copy. */
void password_input_init(struct buf *password);
/* By the options password-stdin and password-generate of the command. Appends to `password` (of password_input_init;
 * the caller wipes it). 0 or an exit status with the sentence. */
MUST_USE int password_input(struct ctl *ctl, struct buf *password);
/* A secret that is there already: asked for once on the terminal, or the first line of standard input. `what` is the
 * question ("your password"), `option` the one that sets from_stdin. Appends to `password` as above. 0 or an exit
 * status with the sentence. */
MUST_USE int password_input_once(struct ctl *ctl, bool from_stdin, const char *what, const char *option,
                                 struct buf *password);
/* Wipes, then releases. */
void password_input_release(struct buf *password);
/* Appends a random one of 100 bits, in letters and digits that can't be mistaken for one another. 0 or -EIO. */
MUST_USE int password_input_generate(struct buf *password);
/* Asks a question on the terminal and reads a line with the word yes. False also when there is no terminal. */
bool terminal_confirm(const char *question);

#endif
