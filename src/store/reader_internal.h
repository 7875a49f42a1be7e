/* The insides of the reader's service. */
#ifndef STORE_READER_INTERNAL_H
#define STORE_READER_INTERNAL_H

#include "ipc/attachments.h"
#include "ipc/grant.h"
#include "store/directory.h"
#include "store/door_cache.h"
#include "store/reader.h"
#include "store/srs_key.h"
#include "store/view.h"

#include "store_read.pb-c.h"

struct store_reader {
    struct settings *settings;
    struct attachments attachments;
    struct view view;
    struct directory directory;
    struct door_cache doors;
    struct arena arena; /* of one call */
    struct buf out;     /* attachment of one reply */
    unsigned char grant_key[GRANT_KEY_SIZE], srs_key[SRS_KEY_SIZE];
    bool stopped;
};

/* The judged part of an answer, whose targets are those of the routing. 0 or a negative errno. */
MUST_USE int reader_fill_doors(struct store_reader *r, const StoreRead__ResolveRequest *q,
                               const struct routing *routing, StoreRead__ResolveReply *reply);

/* Each answers the call and returns 0, or returns a negative errno for the caller to answer with. */
MUST_USE int reader_serve_queue_due(struct store_reader *r, struct call *call);
MUST_USE int reader_serve_queue_entries(struct store_reader *r, struct call *call);
MUST_USE int reader_serve_queue_fetch(struct store_reader *r, struct call *call);
MUST_USE int reader_serve_list(struct store_reader *r, struct call *call);
MUST_USE int reader_serve_secrets(struct store_reader *r, struct call *call);
MUST_USE int reader_serve_name_hits(struct store_reader *r, struct call *call);
MUST_USE int reader_serve_remotes(struct store_reader *r, struct call *call);
MUST_USE int reader_serve_remote_seen(struct store_reader *r, struct call *call);
MUST_USE int reader_serve_code_for(struct store_reader *r, struct call *call);

#endif
