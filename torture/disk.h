/* A disk as it may be after a power cut: plays a recording (recording.h) up to any moment and writes what could then be
 * found.
 *
 * What is modelled. A file has what it held at its last sync, and on top of it what was written since: each block of
 * 512 or 4,096 bytes holds its contents of some moment between that sync and the cut, each by itself, so writes come in
 * any order, whole or torn, or not at all. Its size is that of some such moment, too. A directory has the names that it
 * had at its last sync, and what happened to them since: CRASH_JOURNAL  as ext4 with data=ordered: names changed in
 * their order up to some moment, over all directories, and a file that has grown has in the new part what was written
 * there CRASH_WEAK     as POSIX allows: each change of a name happened or did not, and where a file has grown without
 * its data there are zeros, or what the disk had there before A new file's own sync does not make its name durable in
 * either, which ext4 would do: the weaker reading. A rename is never half done. What a sync returned for stays.
 */
#ifndef TORTURE_DISK_H
#define TORTURE_DISK_H

#include "base/buf.h"

struct recorded;
struct disk;

enum crash_kind {
    CRASH_PREFIX, /* all that was done up to the cut, as when only the processes die */
    CRASH_TORN,   /* the same, with some blocks of the last write missing */
    CRASH_BARE,   /* only what was synced */
    CRASH_JOURNAL,
    CRASH_WEAK,
    CRASH_KIND_COUNT
};

const char *crash_kind_name(enum crash_kind kind);

/* `root` is the inode of the directory that is played. NULL without memory. */
struct disk *disk_new(uint64_t root);
void disk_free(struct disk *disk);
/* Plays one more entry (which stays where it is as long as the disk is used). 0; -ENOTSUP with a sentence: something
 * was recorded that can't be played; -EPROTO with a sentence: the entries contradict each other. */
MUST_USE int disk_play(struct disk *disk, const struct recorded *entry, struct buf *problem);
/* From now on it says that it has synced a file and has not: whoever looks for losses must find some. */
void disk_lie(struct disk *disk);
/* May a cut right behind the entry that was played last differ from one before it? Is it one that may be torn? */
bool disk_has_changed(const struct disk *disk);
bool disk_may_tear(const struct disk *disk);
/* Writes the directory `name` of the root, with all below it, into `path`, which is made; nothing where it was not
 * there yet. The same kind and seed give the same; blocks have 512 bytes with an odd seed, 4,096 with an even one. 0 or
 * -errno. */
MUST_USE int disk_crash(const struct disk *disk, enum crash_kind kind, uint64_t seed, const char *name,
                        const char *path);

#endif
