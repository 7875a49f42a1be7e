/* Makes allocations fail, told by the same page as faults.c, which has to be loaded, too. In a program with
 * AddressSanitizer those that don't fail are left to its allocator. */
#undef _FILE_OFFSET_BITS
#include "faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define EXPORTED __attribute__((visibility("default")))
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* The C library's own: dlsym() would allocate to find them. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

/* AddressSanitizer's, where it is there. */
#define WEAK __attribute__((weak))
extern WEAK void *__interceptor_malloc(size_t size);
extern WEAK void *__interceptor_calloc(size_t count, size_t size);
extern WEAK void *__interceptor_realloc(void *old, size_t size);
extern WEAK void *__interceptor_memalign(size_t alignment, size_t size);

#define REAL(name, ...) (__interceptor_##name ? __interceptor_##name(__VA_ARGS__) : __libc_##name(__VA_ARGS__))

static int fails(void)
{
    if (!fault_strikes(FAULT_ALLOCATION))
        return 0;
    errno = ENOMEM;
    return 1;
}

EXPORTED void *malloc(size_t size)
{
    return fails() ? NULL : REAL(malloc, size);
}

EXPORTED void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : REAL(calloc, count, size);
}

EXPORTED void *realloc(void *old, size_t size)
{
    return fails() ? NULL : REAL(realloc, old, size);
}

EXPORTED void *aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : REAL(memalign, alignment, size);
}

EXPORTED int posix_memalign(void **out, size_t alignment, size_t size)
{
    void *memory = fails() ? NULL : REAL(memalign, alignment, size);
    if (memory)
        *out = memory;
    return memory ? 0 : ENOMEM;
}

EXPORTED void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    return (flags & MAP_ANONYMOUS) && fails() ? MAP_FAILED : NEXT(mmap)(address, size, protection, flags, fd, offset);
}

EXPORTED void *mmap64(void *address, size_t size, int protection, int flags, int fd, off64_t offset)
{
    return (flags & MAP_ANONYMOUS) && fails() ? MAP_FAILED : NEXT(mmap64)(address, size, protection, flags, fd, offset);
}
