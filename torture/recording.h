/* The recording of what processes did to the files below a directory, in order: written by recorder.c, played by
 * power_check.c, begun and watched by power.py.
 *
 * A file of `room` bytes, mapped by all of them: struct recording, then one entry behind the other from
 * RECORDING_BEGIN on. `tail` is where the next one goes, and so the number of a moment: whoever has read it after an
 * answer knows that what the answer promises was written and synced in entries before it. Entries stand in the order in
 * which the calls returned; failed calls leave none.
 */
#ifndef TORTURE_RECORDING_H
#define TORTURE_RECORDING_H

#include <stdatomic.h>
#include <stdint.h>

#define RECORDING_MAGIC 0x6f737469617279ull
#define RECORDING_BEGIN 4096

struct recording {
    uint64_t magic, room;
    uint64_t device, root; /* where the directory is, and its inode */
    _Atomic uint64_t tail;
    _Atomic uint64_t end_at;  /* the writer that gets here ends at once, as if killed; then this is 0 again */
    _Atomic uint32_t lost;    /* entries for which there was no room: the recording is worth nothing then */
    _Atomic uint32_t writers; /* that mapped this */
};

enum recorded_kind {
    RECORDED_WRITE = 1, /* inode, offset, data */
    RECORDED_SIZE,      /* inode, offset: the new size */
    RECORDED_SYNC,      /* inode: fsync or fdatasync of a file, fsync of a directory */
    RECORDED_FILE,      /* a new file: parent, inode, name */
    RECORDED_DIRECTORY, /* a new directory: parent, inode, name */
    RECORDED_LINK,      /* another name of a file: parent, inode, name */
    RECORDED_UNLINK,    /* parent, name: of a file or an empty directory */
    RECORDED_RENAME,    /* parent, name, to the new name in parent `inode` */
    RECORDED_MAPPED,    /* inode: mapped to be written to, so what happens to it is not seen here */
    RECORDED_KIND_COUNT
};

struct recorded {
    uint64_t size; /* of the entry with what follows it, a multiple of 8 */
    uint32_t kind, name_size, new_name_size, data_size;
    uint64_t parent, inode, offset;
    /* then: name, new name (neither ends with NUL), data */
};

#endif
