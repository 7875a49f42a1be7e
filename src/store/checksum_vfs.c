#include "store/checksum_vfs.h"

#include "base/log.h"
#include "store/crc32c.h"

#include <endian.h>
#include <stdlib.h>

#define BEGINNING 100         /* of page 1: the database's header */
#define RESERVED_PLACE 20     /* in it: how many bytes are reserved in each page */
#define COUNT_PLACE 28        /* in it: of how many pages the database is */
#define LOCK_BYTE 0x40000000u /* the page that has it is never written */
#define PAGE_MIN 512
#define PAGE_MAX 65536
#define MAGIC "SQLite format 3"
/* Ours to define: SQLite hands on what it does not know. */
#define CONTROL_WANT 0x6f737431
#define CONTROL_IS_ON 0x6f737432
/* In the second half beside the checksum itself: neither zeros nor ones end as a page that was written does. */
#define COMPLEMENT 0x05a7c3e1u

/* SQLite's file, and behind it in the same memory the real one. */
struct checksum_file {
    sqlite3_file base;
    bool is_database, is_on;
    uint32_t count; /* of pages, as page 1 in the file had it last */
    char *copy;     /* of a page, PAGE_MAX; made when the first is written */
    sqlite3_file real[];
};

static sqlite3_vfs vfs;
static sqlite3_vfs *below;

/* ---- Pages ---- */

static void make(struct span page, uint32_t number, unsigned char out[CHECKSUM_SIZE])
{
    const unsigned char place[4] = {(unsigned char)number, (unsigned char)(number >> 8), (unsigned char)(number >> 16),
                                    (unsigned char)(number >> 24)};
    uint32_t sum = crc32c(crc32c(0, span_from(place, sizeof place)), span_head(page, page.size - CHECKSUM_SIZE));
    for (unsigned i = 0; i < 4; i++) {
        out[i] = (unsigned char)(sum >> 8 * i);
        out[4 + i] = (unsigned char)((sum ^ COMPLEMENT) >> 8 * i);
    }
}

static bool is_zeros(struct span page)
{
    return page.data[0] == 0 && memcmp(page.data, page.data + 1, page.size - 1) == 0;
}

bool checksum_page_is_whole(struct span page, uint32_t number, uint32_t count)
{
    unsigned char sum[CHECKSUM_SIZE];
    make(page, number, sum);
    if (memcmp(page.data + page.size - CHECKSUM_SIZE, sum, CHECKSUM_SIZE) == 0)
        return true;
    /* A disk that loses a page may well read as zeros, and to SQLite they would be the end of a long value. */
    return (number > count || number == LOCK_BYTE / page.size + 1) && is_zeros(page);
}

void checksum_page_put(char *page, size_t size, uint32_t number)
{
    unsigned char sum[CHECKSUM_SIZE];
    make(span_from(page, size), number, sum);
    memcpy(page + size - CHECKSUM_SIZE, sum, CHECKSUM_SIZE);
}

size_t checksum_page_size(struct span beginning)
{
    const unsigned char *p = (const unsigned char *)beginning.data;
    if (beginning.size < BEGINNING || memcmp(p, MAGIC, sizeof MAGIC) != 0)
        return 0;
    size_t size = (size_t)p[16] << 8 | p[17];
    size = size == 1 ? PAGE_MAX : size;
    return size >= PAGE_MIN && (size & (size - 1)) == 0 ? size : 0;
}

uint32_t checksum_page_count(struct span beginning)
{
    const unsigned char *p = (const unsigned char *)beginning.data + COUNT_PLACE;
    if (!checksum_page_size(beginning))
        return 0;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Does it end as a page with a checksum does, whatever the checksum is? */
static bool ends_so(struct span page)
{
    uint32_t halves[2];
    memcpy(halves, page.data + page.size - CHECKSUM_SIZE, sizeof halves);
    return (halves[0] ^ halves[1]) == htole32(COMPLEMENT);
}

bool checksum_is_expected(struct span beginning)
{
    size_t size = checksum_page_size(beginning);
    if (!size)
        return false;
    return beginning.data[RESERVED_PLACE] == CHECKSUM_SIZE ||
           (beginning.size >= size && ends_so(span_head(beginning, size)));
}

/* SQLite reads and writes whole pages, but for the beginning. */
static bool is_page(int size, sqlite3_int64 offset)
{
    return size >= PAGE_MIN && size <= PAGE_MAX && (size & (size - 1)) == 0 && offset % size == 0;
}

static uint32_t number_of(int size, sqlite3_int64 offset)
{
    return (uint32_t)(offset / size + 1);
}

/* ---- Files ---- */

static struct checksum_file *file_of(sqlite3_file *file)
{
    return (struct checksum_file *)file;
}

static sqlite3_file *real_of(sqlite3_file *file)
{
    return file_of(file)->real;
}

static int vfs_close(sqlite3_file *file)
{
    free(file_of(file)->copy);
    file_of(file)->copy = NULL;
    return real_of(file)->pMethods->xClose(real_of(file));
}

/* Page 1 says whether there are checksums; a process that was there before sees it when it is next read or written. */
static void learn(struct checksum_file *f, const void *data, int size, sqlite3_int64 offset)
{
    struct span beginning = span_from(data, (size_t)size);
    if (offset != 0 || size < BEGINNING || memcmp(data, MAGIC, sizeof MAGIC) != 0)
        return;
    f->is_on = checksum_is_expected(beginning);
    f->count = checksum_page_count(beginning);
}

static int vfs_read(sqlite3_file *file, void *data, int size, sqlite3_int64 offset)
{
    struct checksum_file *f = file_of(file);
    int rc = real_of(file)->pMethods->xRead(real_of(file), data, size, offset);
    if (rc != SQLITE_OK || !f->is_database)
        return rc;
    learn(f, data, size, offset);
    if (!f->is_on || !is_page(size, offset) ||
        checksum_page_is_whole(span_from(data, (size_t)size), number_of(size, offset), f->count))
        return SQLITE_OK;
    log_write(LOG_CRASH, "store", NULL,
              "page %u of the database is not as it was written: \"ostiary store check\" looks at all of them, "
              "\"ostiary store rebuild\" makes the database anew",
              (unsigned)number_of(size, offset));
    return SQLITE_IOERR_DATA;
}

static int vfs_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset)
{
    struct checksum_file *f = file_of(file);
    if (f->is_database)
        learn(f, data, size, offset);
    if (!f->is_database || !f->is_on || !is_page(size, offset))
        return real_of(file)->pMethods->xWrite(real_of(file), data, size, offset);
    if (!f->copy)
        f->copy = malloc(PAGE_MAX);
    if (!f->copy)
        return SQLITE_IOERR_NOMEM;
    /* The caller's may be summed up for the log. */
    memcpy(f->copy, data, (size_t)size);
    checksum_page_put(f->copy, (size_t)size, number_of(size, offset));
    return real_of(file)->pMethods->xWrite(real_of(file), f->copy, size, offset);
}

static int vfs_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int vfs_sync(sqlite3_file *file, int flags)
{
    return real_of(file)->pMethods->xSync(real_of(file), flags);
}

static int vfs_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int vfs_lock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int vfs_unlock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int vfs_check_lock(sqlite3_file *file, int *result)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), result);
}

static int vfs_control(sqlite3_file *file, int operation, void *argument)
{
    struct checksum_file *f = file_of(file);
    sqlite3_int64 size = 0;
    switch (operation) {
    case CONTROL_WANT:
        if (real_of(file)->pMethods->xFileSize(real_of(file), &size) == SQLITE_OK && size == 0)
            f->is_on = f->is_database;
        return SQLITE_OK;
    case CONTROL_IS_ON:
        *(bool *)argument = f->is_on;
        return SQLITE_OK;
    default:
        return real_of(file)->pMethods->xFileControl(real_of(file), operation, argument);
    }
}

static int vfs_sector_size(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int vfs_characteristics(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int vfs_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **memory)
{
    return real_of(file)->pMethods->xShmMap(real_of(file), region, size, extend, memory);
}

static int vfs_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    return real_of(file)->pMethods->xShmLock(real_of(file), offset, count, flags);
}

static void vfs_shm_barrier(sqlite3_file *file)
{
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int vfs_shm_unmap(sqlite3_file *file, int deletes)
{
    return real_of(file)->pMethods->xShmUnmap(real_of(file), deletes);
}

/* Version 2: no mapped pages, which could not be looked at. */
static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = vfs_close,
    .xRead = vfs_read,
    .xWrite = vfs_write,
    .xTruncate = vfs_truncate,
    .xSync = vfs_sync,
    .xFileSize = vfs_size,
    .xLock = vfs_lock,
    .xUnlock = vfs_unlock,
    .xCheckReservedLock = vfs_check_lock,
    .xFileControl = vfs_control,
    .xSectorSize = vfs_sector_size,
    .xDeviceCharacteristics = vfs_characteristics,
    .xShmMap = vfs_shm_map,
    .xShmLock = vfs_shm_lock,
    .xShmBarrier = vfs_shm_barrier,
    .xShmUnmap = vfs_shm_unmap,
};

static int vfs_open(sqlite3_vfs *self, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
    struct checksum_file *f = file_of(file);
    (void)self;
    *f = (struct checksum_file){.is_database = (flags & SQLITE_OPEN_MAIN_DB) != 0};
    int rc = below->xOpen(below, name, f->real, flags, out_flags);
    f->base.pMethods = f->real->pMethods ? &methods : NULL;
    char beginning[BEGINNING];
    if (rc == SQLITE_OK && f->base.pMethods && f->is_database &&
        f->real->pMethods->xRead(f->real, beginning, sizeof beginning, 0) == SQLITE_OK)
        learn(f, beginning, sizeof beginning, 0);
    return rc;
}

int checksum_vfs_register(void)
{
    if (below)
        return SQLITE_OK;
    below = sqlite3_vfs_find(NULL);
    if (!below)
        return SQLITE_ERROR;
    vfs = *below;
    vfs.zName = CHECKSUM_VFS;
    vfs.szOsFile = (int)sizeof(struct checksum_file) + below->szOsFile;
    vfs.xOpen = vfs_open;
    int rc = sqlite3_vfs_register(&vfs, 0);
    below = rc == SQLITE_OK ? below : NULL;
    return rc;
}

int checksum_vfs_want(sqlite3 *db)
{
    int reserved = CHECKSUM_SIZE;
    int rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
    return rc == SQLITE_OK ? sqlite3_file_control(db, "main", CONTROL_WANT, NULL) : rc;
}

bool checksum_vfs_is_on(sqlite3 *db)
{
    bool is_on = false;
    return sqlite3_file_control(db, "main", CONTROL_IS_ON, &is_on) == SQLITE_OK && is_on;
}
