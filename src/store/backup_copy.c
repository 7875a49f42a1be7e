#include "store/backup_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int copier_init(struct copier *c, struct backup_job *job)
{
    *c = (struct copier){.job = job, .buffers = {malloc(COPY_PIECE), malloc(COPY_PIECE)}};
    return c->buffers[0] && c->buffers[1] ? 0 : -ENOMEM;
}

void copier_release(struct copier *c)
{
    free(c->buffers[0]);
    free(c->buffers[1]);
}

/* As many of the bytes as are there. */
static ssize_t read_piece(int fd, char *to, size_t size, uint64_t position)
{
    size_t got = 0;
    while (got < size) {
        ssize_t n = pread(fd, to + got, size - got, (off_t)(position + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

static int write_piece(int fd, const char *from, size_t size, uint64_t position)
{
    while (size) {
        ssize_t n = pwrite(fd, from, size, (off_t)position);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        from += n;
        position += (uint64_t)n;
        size -= (size_t)n;
    }
    return 0;
}

/* Where a copy goes: `known` bytes of it are there already and have to be the same. */
struct target {
    int fd; /* -1: nowhere */
    uint64_t known;
};

/* One piece. -ESTALE: what is there is something else. */
static int take_piece(struct copier *c, const struct target *to, size_t size, uint64_t position)
{
    size_t same = position >= to->known ? 0 : to->known - position < size ? (size_t)(to->known - position) : size;
    if (to->fd < 0)
        return 0;
    if (same) {
        ssize_t n = read_piece(to->fd, c->buffers[1], same, position);
        if (n < 0)
            return (int)n;
        if ((size_t)n != same || memcmp(c->buffers[0], c->buffers[1], same) != 0)
            return -ESTALE;
    }
    c->job->report.copied += size - same;
    return write_piece(to->fd, c->buffers[0] + same, size - same, position + same);
}

static int run(struct copier *c, int from, uint64_t size, const struct target *to, EVP_MD_CTX *digest)
{
    for (uint64_t position = 0; position < size;) {
        size_t piece = size - position < COPY_PIECE ? (size_t)(size - position) : COPY_PIECE;
        ssize_t n = read_piece(from, c->buffers[0], piece, position);
        if (n < 0)
            return (int)n;
        if ((size_t)n != piece)
            return -EBADMSG;
        int error = take_piece(c, to, piece, position);
        if (error)
            return error;
        if (EVP_DigestUpdate(digest, c->buffers[0], piece) != 1)
            return -ENOMEM;
        position += piece;
        c->done += piece;
        if (c->job->progress)
            c->job->progress(c->job->context, c->done, c->all);
    }
    return 0;
}

static int copy(struct copier *c, int from, uint64_t size, const struct target *to,
                unsigned char checksum[BACKUP_CHECKSUM_SIZE])
{
    uint64_t done = c->done;
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    int error = digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 ? 0 : -ENOMEM;
    if (!error)
        error = run(c, from, size, to, digest);
    if (!error && EVP_DigestFinal_ex(digest, checksum, NULL) != 1)
        error = -ENOMEM;
    if (!error && to->fd >= 0 && fsync(to->fd) < 0)
        error = -errno;
    if (error)
        c->done = done;
    EVP_MD_CTX_free(digest);
    return error;
}

int copier_read(struct copier *c, int from, uint64_t size, int to, unsigned char checksum[BACKUP_CHECKSUM_SIZE])
{
    struct target target = {to, 0};
    return copy(c, from, size, &target, checksum);
}

int copier_write(struct copier *c, int from, uint64_t size, int to, struct backup_file *file)
{
    file->size = size;
    int fd = openat(to, file->name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int error = fd < 0 ? -errno : copier_read(c, from, size, fd, file->checksum);
    if (fd >= 0)
        close(fd);
    return error;
}

int copier_extend(struct copier *c, int from, uint64_t size, int to, struct backup_file *file)
{
    struct stat status;
    file->size = size;
    int fd = openat(to, file->name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? -ESTALE : -errno;
    int error = -ESTALE;
    /* What is longer has something else behind, which whoever copies it by hand would take for a part of it. */
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && (uint64_t)status.st_size <= size) {
        struct target target = {fd, (uint64_t)status.st_size};
        error = copy(c, from, size, &target, file->checksum);
    }
    close(fd);
    return error;
}
