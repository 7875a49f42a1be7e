/* The directory's lists, page by page. */
#ifndef CTL_LISTING_H
#define CTL_LISTING_H

#include "ctl/store_client.h"
#include "ipc/binary.h"
#include "store_write.pb-c.h"

/* Called for each page of a list; the reply is gone afterwards. */
struct listing {
    StoreWrite__ListKind kind;
    struct span match; /* empty: all; an address; "@domain" */
    void (*page)(struct listing *listing, const StoreWrite__ListReply *reply);
    size_t count; /* of what came so far */
};

/* 0 or an exit status with the sentence. */
MUST_USE int listing_run(struct fiber *self, struct store_client *client, struct listing *listing);

#endif
