/* One change of the directory, and one list of it, as most commands want them. */
#ifndef CTL_DIRECTORY_CHANGE_H
#define CTL_DIRECTORY_CHANGE_H

#include "base/arena.h"
#include "ctl/json.h"
#include "ctl/listing.h"

#define DIRECTORY_ARENA_MAX (4u << 20)

/* Reads the settings and sends it. An exit status, with the sentence. */
MUST_USE int directory_change(struct ctl *ctl, const StoreWrite__ChangeRequest *request);

struct directory_list {
    struct store_work work;
    struct listing listing;
    struct json json;
};

/* Lists what matches (NULL: all; an address; "@domain"): `page` is given a listing in a struct directory_list. With
 * --json each page's items stand in one list. */
MUST_USE int directory_list(struct ctl *ctl, StoreWrite__ListKind kind, const char *match,
                            void (*page)(struct listing *, const StoreWrite__ListReply *));

#endif
