/* The command line's way to doors, ledger and history: how a command asks is decided here, what it asks is the same.
 *
 * As the administrator ("ostiary rules ...") it is the store's control socket, or a writer of its own where no server
 * runs (ctl/store_client.h). As a person ("ostiary my rules ...") it is the running server's my.sock, behind a login:
 * everything is then of that person's account only, and the server sees to that.
 */
#ifndef CTL_DOOR_CLIENT_H
#define CTL_DOOR_CLIENT_H

#include "base/arena.h"
#include "ctl/ctl.h"
#include "ipc/services.h"
#include "store_write.pb-c.h"

#define DOOR_ARENA_MAX (64u << 20)

struct door_client;

/* What a command does. `run` gives an exit status, with the sentence in ctl->problem. */
struct door_work {
    int (*run)(struct fiber *self, struct door_client *client, struct door_work *work);
    struct ctl *ctl;
    struct settings *settings; /* set while it runs */
    struct arena arena;        /* the same; of DOOR_ARENA_MAX */
};

/* Reads the settings, connects, logs in where ctl->is_my, runs the work on a fiber, and disconnects. The exit status.
 */
int door_client_run(struct door_work *work);

/* With is_my the main address of the account that logged in; empty for the administrator. */
struct span door_client_account(const struct door_client *client);

/* With is_my the public key that passwords of remote accounts are sealed with (format/sealed.h); NULL for the
 * administrator, who reads it in the data directory. */
const unsigned char *door_client_remote_key(const struct door_client *client);

/* One call. `method` is of enum my_method, of which DOOR_*, LEDGER_LIST go both ways; MY_FETCH_STATE and
 * MY_FETCH_NOW only with is_my (the administrator asks the courier). Without is_my the request's grant stays empty and
 * so it does with it: the server puts it in. 0, or an exit status with the sentence; the answer is to be released when
 * 0. A `problem` of the reply is not looked at. */
MUST_USE int door_client_call(struct fiber *self, struct door_client *client, enum my_method method,
                              const ProtobufCMessage *request, struct answer *answer);

/* DoorChange; what is said against it becomes EX_DATAERR with that sentence. Of the reply are copied: `changed` and the
 * history's `number` (NULL: not wanted). Fills in request->by ("admin"). */
MUST_USE int door_client_change(struct fiber *self, struct door_client *client, StoreWrite__DoorChangeRequest *request,
                                uint32_t *changed, uint64_t *number);

/* All items that match the request (its after_id and limit are set here), page by page, copied to work->arena, in the
 * order of level, kind and name. A `problem` of the reply becomes EX_DATAERR with that sentence. */
struct door_items {
    StoreWrite__DoorItem *items;
    size_t count, room;
};
MUST_USE int door_client_gather(struct fiber *self, struct door_client *client, StoreWrite__DoorListRequest *request,
                                struct door_items *items);

/* ---- Whose door ---- */

struct door_owner {
    unsigned level;    /* policy/rule.h LEVEL_SITE … LEVEL_ADDRESS */
    struct span owner; /* as DoorItem.owner: empty, a domain, local@domain, local+detail@domain */
    size_t next;       /* the first argument that is not the owner */
};

/* Takes the owner from the command's first argument: "@example.org", "alice@example.org", "alice+shop@example.org"; or
 * --site (where the command has it); or, with is_my, the account that logged in, unless the argument is one of its own
 * addresses. EX_USAGE or EX_DATAERR with the sentence, or 0. */
MUST_USE int door_owner_take(struct door_client *client, struct door_owner *owner);
/* Nothing may stand behind the first `count` arguments: EX_USAGE with the sentence, or EX_NOPERM where it is an address
 * that is not the person's own; or 0. */
MUST_USE int door_owner_is_last(struct ctl *ctl, size_t count);
/* The same from a text; never LEVEL_SITE. */
MUST_USE int door_owner_parse(struct ctl *ctl, struct arena *arena, const struct settings *settings, const char *text,
                              struct door_owner *owner);
/* "the site", "@example.org", "alice@example.org" */
void door_owner_write(const struct door_owner *owner, struct buf *out);

#endif
