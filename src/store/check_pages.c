#include "store/check_pages.h"

#include "store/checksum_vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define PAGES_AT_ONCE 64
#define PAGE_MAX 65536
#define LOOKS 5 /* at a page that looks wrong: a page is written in one call, in microseconds */

/* What its beginning says. */
struct layout {
    size_t size; /* of a page */
    uint32_t count;
};

static ssize_t read_at(int fd, char *data, size_t size, off_t offset)
{
    ssize_t n;
    while ((n = pread(fd, data, size, offset)) < 0 && errno == EINTR)
        ;
    return n < 0 ? -errno : n;
}

/* -EBADMSG: it stays wrong. */
static int look_again(int fd, char *page, const struct layout *layout, uint32_t number)
{
    size_t size = layout->size;
    for (unsigned look = 0; look < LOOKS; look++) {
        ssize_t n = read_at(fd, page, size, (off_t)(number - 1) * (off_t)size);
        if (n < 0)
            return (int)n;
        if ((size_t)n < size || checksum_page_is_whole(span_from(page, size), number, layout->count))
            return 0; /* gone, or whole */
        usleep(1000);
    }
    return -EBADMSG;
}

static int look(int fd, struct span pages, const struct layout *layout, char *spare, struct check_pages *result)
{
    size_t size = layout->size;
    for (; pages.size >= size; pages = span_skip(pages, size)) {
        uint32_t number = (uint32_t)++result->pages;
        if (checksum_page_is_whole(span_head(pages, size), number, layout->count))
            continue;
        int rc = look_again(fd, spare, layout, number);
        if (rc != 0 && rc != -EBADMSG)
            return rc;
        if (rc == -EBADMSG && result->damaged++ < CHECK_PAGES_TOLD)
            result->numbers[result->damaged - 1] = number;
    }
    return 0;
}

static int look_at_all(int fd, const struct layout *layout, struct check_pages *result)
{
    size_t size = layout->size;
    char *data = malloc(PAGES_AT_ONCE * size), *spare = malloc(size);
    int rc = data && spare ? 0 : -ENOMEM;
    while (rc == 0 && result->pages < UINT32_MAX - PAGES_AT_ONCE) {
        ssize_t n = read_at(fd, data, PAGES_AT_ONCE * size, (off_t)(result->pages * size));
        if (n <= 0 || (size_t)n < size) {
            rc = n < 0 ? (int)n : 0;
            break;
        }
        rc = look(fd, span_from(data, (size_t)n), layout, spare, result);
    }
    free(data);
    free(spare);
    return rc;
}

int check_pages(const char *path, struct check_pages *result)
{
    *result = (struct check_pages){.pages = 0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *first = fd < 0 ? NULL : malloc(PAGE_MAX);
    ssize_t n = fd < 0 ? -errno : first ? read_at(fd, first, PAGE_MAX, 0) : -ENOMEM;
    struct span beginning = span_from(first, n < 0 ? 0 : (size_t)n);
    result->have_checksums = checksum_is_expected(beginning);
    const struct layout layout = {checksum_page_size(beginning), checksum_page_count(beginning)};
    int rc = n < 0 ? (int)n : result->have_checksums ? look_at_all(fd, &layout, result) : 0;
    free(first);
    if (fd >= 0)
        close(fd);
    return rc;
}
