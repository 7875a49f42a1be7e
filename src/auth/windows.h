/* POP-before-SMTP: the addresses from which somebody logged in a short while ago. Mail from exactly such an address
 * counts as sent by that account until the window closes; each login opens it anew, and where several accounts log in
 * from one address the last one has it. Kept in memory only. Times are monotonic nanoseconds. No function waits.
 */
#ifndef AUTH_WINDOWS_H
#define AUTH_WINDOWS_H

#include "base/list.h"
#include "base/map.h"
#include "format/ip_address.h"

/* Past that many the one opened longest ago is closed. */
#define WINDOWS_MAX 100000

struct window {
    struct list_node node;
    struct ip_address ip;
    uint64_t account_id;
    uint64_t closes_at;
    size_t address_size;
    char address[]; /* the account's */
};

struct windows {
    struct map by_ip;
    struct list_node by_age; /* the last one opened at the end */
};

void windows_init(struct windows *w);
void windows_release(struct windows *w);
/* Opens one, or opens it anew. Without memory there is none: mail is then refused as a stranger's. */
void windows_open(struct windows *w, const struct ip_address *ip, uint64_t account_id, struct span address,
                  unsigned seconds, uint64_t now);
/* The window that is open for the address, or NULL. Borrowed until the next call. */
const struct window *windows_get(struct windows *w, const struct ip_address *ip, uint64_t now);
struct span window_address(const struct window *window);
/* Closes those of an account. How many there were. */
unsigned windows_close_account(struct windows *w, uint64_t account_id);
/* Is it what somebody calls "192.0.2.1" or "alice@example.org"? An empty text matches all. */
bool window_matches(const struct window *window, struct span text);
/* Closes those that match. How many there were. */
unsigned windows_close_matching(struct windows *w, struct span text);
/* Closes those whose time is up. */
void windows_sweep(struct windows *w, uint64_t now);

#endif
