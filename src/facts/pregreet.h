/* Clients that speak before they are greeted (rule pregreet): whether it is worth a short wait to find out. Without
 * one hardly any would be found, and with one everybody waits, so: only while somebody's rule has asked for it within
 * the last day, and not for an address that waited politely within that day. Of a process; bounded; no function waits.
 */
#ifndef FACTS_PREGREET_H
#define FACTS_PREGREET_H

#include "format/ip_address.h"

#define PREGREET_WAIT_SECONDS 2

struct pregreet;
MUST_USE struct pregreet *pregreet_new(void);

/* Somebody's rule wants to know: of clients from now on. NULL-safe, as the others. */
void pregreet_ask(struct pregreet *p);
/* Is the greeting to be held back for this client? */
bool pregreet_is_wanted(struct pregreet *p, const struct ip_address *ip);
/* It said nothing meanwhile. */
void pregreet_note_polite(struct pregreet *p, const struct ip_address *ip);

#endif
