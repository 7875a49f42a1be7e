/* Door items: what the site, a domain, a person or one of their addresses has set about their door. One table of the
 * store holds them all (store/door.h); this says which kinds there are and what their names and values mean. Pure.
 *
 *   kind         name                         value                          expires
 *   rule         "white-list.learn"           the setting's text             -
 *   white        "a@b.example", "@b.example", a remark                       may
 *                "*.b.example", or "a@b.example
 *                from 192.0.2.7" (or the /24 of it,
 *                the /64 of an IPv6 address)
 *   black        the same                     a remark                       may
 *   known        "a@b.example"                -                              -     (learned from mail that was sent)
 *   approved     address, CIDR, host name     a remark                       may   (site only)
 *                or "*.b.example"
 *   denied       address, CIDR, HELO name,    a remark                       may   (site only)
 *                sender domain or
 *                "*.b.example"
 *   denied-name  run of labels, "*" inside    a remark                       may   (site only)
 *                labels
 *   passcode     whose it is: "Aunt May"      the digits                     may   (account, address)
 *   code-for     "a@b.example"                the digits that our courier    -     (site, account)
 *                                             says behind that address
 *   address      the detail: "shop-x7"        who may write to it: entries   may   (account)
 *                                             as in white, blanks between;
 *                                             empty: everybody
 *   remote       the account's label          policy/remote_account.h        -     (account)
 */
#ifndef POLICY_DOOR_ITEM_H
#define POLICY_DOOR_ITEM_H

#include "policy/rule.h"

enum door_kind { /* the values are the store's, too */
                 DOOR_RULE = 1,
                 DOOR_WHITE,
                 DOOR_BLACK,
                 DOOR_KNOWN,
                 DOOR_APPROVED,
                 DOOR_DENIED,
                 DOOR_DENIED_NAME,
                 DOOR_PASSCODE,
                 DOOR_CODE_FOR,
                 DOOR_ADDRESS,
                 DOOR_REMOTE,
                 DOOR_KIND_COUNT
};
const char *door_kind_name(enum door_kind kind); /* "denied-name" */
MUST_USE bool door_kind_parse(struct span name, enum door_kind *kind);

#define DOOR_NAME_MAX 512
#define DOOR_VALUE_MAX 4096
#define DOOR_ITEMS_MAX 100000 /* of one owner: an account together with all its addresses */

/* Checks an item and brings name and value into the form in which they are kept and looked up: lower case, A-labels,
 * CIDR without host bits. False with one sentence in `problem`. */
MUST_USE bool door_item_check(enum door_kind kind, enum rule_level level, struct span name, struct span value,
                              struct arena *arena, struct span *checked_name, struct span *checked_value,
                              struct buf *problem);

/* The names under which a sender may stand in a list, narrowest first: "a@x.b.example from 192.0.2.7", "a@x.b.example
 * from 192.0.2.0/24" (none of both where `ip`, the client's, is NULL), "a@x.b.example", "@x.b.example", "*.b.example",
 * "*.example". At most `room`. The number, or -ENOMEM: a key that is missing would be a rule that says nothing. Spans
 * are in the arena. */
MUST_USE int door_sender_keys(struct span reverse_path, const struct ip_address *ip, struct arena *arena,
                              struct span *keys, size_t room);
/* The second of them: the entry that names a sender as it comes from that part of the net. `ip` may be NULL: the mere
 * address then. False where reverse_path is no address, with one sentence. */
MUST_USE bool door_sender_entry(struct span reverse_path, const struct ip_address *ip, struct arena *arena,
                                struct span *entry, struct buf *problem);
/* Of an entry in the form in which it is kept: the network behind "from"; empty: it names none. */
struct span door_entry_network(struct span entry);
/* Of an address: itself, then every network it is in, narrowest first ("192.0.2.7", "192.0.2.0/31", …): at most 130. */
MUST_USE int door_address_keys(const struct ip_address *ip, struct arena *arena, struct span *keys, size_t room);
#define DOOR_KEYS_MAX 130
/* Runs of labels of a host name: "a.b.c" gives "a.b.c", "a.b", "b.c", "a", "b", "c". Where there is no room for all,
 * the name itself and the short ones. With DOOR_NAME_KEYS_MAX that is all of a name of 31 labels, and each run of up to
 * four labels of the longest there is. */
#define DOOR_NAME_KEYS_MAX 512
MUST_USE int door_name_keys(struct span name, struct arena *arena, struct span *keys, size_t room);
/* The names under which a host may stand in a list of servers (approved, denied), narrowest first: "mx.b.example",
 * "*.b.example", "*.example". */
MUST_USE int door_host_keys(struct span name, struct arena *arena, struct span *keys, size_t room);
/* Does a pattern with "*" inside labels match a run of labels of the name? Linear in the product of their sizes, which
 * are capped. */
bool door_name_matches(struct span pattern, struct span name);
/* Is the sender one of the entries (blanks between them)? */
bool door_sender_is_among(struct span entries, struct span reverse_path);

#endif
