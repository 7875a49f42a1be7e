/* Could the sender's domain be answered to? What this process learned of domains in the last minutes, and how it asks.
 */
#ifndef FACTS_RETURN_PATH_H
#define FACTS_RETURN_PATH_H

#include "format/address.h"
#include "intake/intake.h"
#include "policy/facts.h"
#include "run/fiber.h"

/* Domains to which mail can be sent: bounded, of a process. */
struct return_path_cache;
MUST_USE struct return_path_cache *return_path_cache_new(void);
void return_path_cache_free(struct return_path_cache *cache);

/* What is known without asking anybody: <> and address literals take mail, a domain that can't be in the DNS does not,
 * and of others what the cache says. FACT_NOT_ASKED: return_path_ask has to. `cache` may be NULL. */
enum fact_state return_path_recall(const struct return_path_cache *cache, const struct mail_path *path,
                                   enum return_path_fact *found);
/* Asks a store reader whether the domain is ours, and then the DNS. FACT_KNOWN or FACT_UNKNOWN, which the log says.
 * `session`: for the log. Waits. */
enum fact_state return_path_ask(struct fiber *self, struct return_path_cache *cache, const struct intake *intake,
                                const struct mail_path *path, const char *session, uint64_t deadline,
                                enum return_path_fact *found);

#endif
