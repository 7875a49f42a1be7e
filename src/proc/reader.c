/* A reader of the store. */
#include "store/reader.h"

#include "proc/child.h"

#include <errno.h>

static struct store_reader *reader;

static int start(struct child *child, struct buf *problem)
{
    reader = store_reader_new(child->loop, child->settings, child->grant_key, problem);
    return reader ? 0 : -EIO;
}

static int attach(struct child *child, int fd, enum role peer)
{
    return store_reader_attach(reader, fd, peer);
}

static void update(struct child *child)
{
    store_reader_set_settings(reader, child->settings);
}

/* Its clients are gone by now; what it still does is of no use to anybody. */
static void stop(struct fiber *self, struct child *child, uint64_t deadline)
{
    store_reader_stop(reader);
    store_reader_free(reader);
}

const struct child_part reader_part = {.start = start, .attach = attach, .update = update, .stop = stop};
