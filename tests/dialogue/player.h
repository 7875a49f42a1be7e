/* Plays one script: see README.md. */
#ifndef DIALOGUE_PLAYER_H
#define DIALOGUE_PLAYER_H

#include "script.h"

/* True when everything came as the script says. Else `problem` says where and what came instead, and what was logged.
 */
MUST_USE bool play(const struct script *script, struct buf *problem);

#endif
