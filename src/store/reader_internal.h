/* The insides of the reader's service. */
#ifndef STORE_READER_INTERNAL_H
#define STORE_READER_INTERNAL_H

#include "ipc/attachments.h"
#include "ipc/grant.h"
#include "store/directory.h"
#include "store/reader.h"
#include "store/srs_key.h"
#include "store/view.h"

struct store_reader {
    struct settings *settings;
    struct attachments attachments;
    struct view view;
    struct directory directory;
    struct arena arena; /* of one call */
    struct buf out;     /* attachment of one reply */
    unsigned char grant_key[GRANT_KEY_SIZE], srs_key[SRS_KEY_SIZE];
    bool stopped;
};

/* Each answers the call and returns 0, or returns a negative errno for the caller to answer with. */
MUST_USE int reader_serve_queue_due(struct store_reader *r, struct call *call);
MUST_USE int reader_serve_queue_entries(struct store_reader *r, struct call *call);
MUST_USE int reader_serve_queue_fetch(struct store_reader *r, struct call *call);
MUST_USE int reader_serve_list(struct store_reader *r, struct call *call);
MUST_USE int reader_serve_secrets(struct store_reader *r, struct call *call);

#endif
