/* Addresses and domains as people type them on the command line, brought into the form that the directory keeps: lower
 * case, A-labels. */
#ifndef CTL_ADDRESS_H
#define CTL_ADDRESS_H

#include "base/arena.h"
#include "ctl/ctl.h"

/* "Alice@Bücher.example" becomes "alice@xn--bcher-kva.example", in the arena. EX_DATAERR with a sentence, or 0. */
MUST_USE int ctl_address(struct ctl *ctl, struct arena *arena, const char *text, struct span *address);
MUST_USE int ctl_domain(struct ctl *ctl, struct arena *arena, const char *text, struct span *domain);
/* Where an alias leads: the same, but the local part keeps its case, which may matter elsewhere. */
MUST_USE int ctl_target(struct ctl *ctl, struct arena *arena, const char *text, struct span *address);
/* "Host", "host:port", "192.0.2.1", "[2001:db8::1]:26" become "host:port", with port 25 where none is given. */
MUST_USE int ctl_next_hop(struct ctl *ctl, struct arena *arena, const char *text, struct span *next_hop);
/* What lists are narrowed to: nothing when text is NULL, an address, or "@domain". */
MUST_USE int ctl_match(struct ctl *ctl, struct arena *arena, const char *text, struct span *match);

#endif
