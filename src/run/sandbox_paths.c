#include "run/sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/landlock.h>

/* Landlock(7), by its system calls: Debian 12's libc has no wrappers, and its headers stop at version 2. The numbers
 * are those of the kernel's interface, which does not change. */
#define ACCESS_FS_TRUNCATE (1ull << 14)  /* version 3 */
#define ACCESS_FS_IOCTL_DEV (1ull << 15) /* version 5 */
#define ACCESS_NET_BIND_TCP (1ull << 0)  /* version 4 */
#define ACCESS_NET_CONNECT_TCP (1ull << 1)
#define RULE_NET_PORT 2
#define SCOPE_ABSTRACT_UNIX_SOCKET (1ull << 0) /* version 6 */
#define SCOPE_SIGNAL (1ull << 1)
#define ACCESS_FS_VERSION_1 ((1ull << 13) - 1)

struct ruleset {
    uint64_t files, network, scope;
};

struct net_port {
    uint64_t access, port;
};

int sandbox_landlock_version(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return version < 0 ? 0 : (int)version;
}

/* What the rules shall cover, as far as this kernel knows it; its size tells the kernel how much of it is meant. */
static size_t make_ruleset(const struct sandbox_profile *profile, int version, struct ruleset *ruleset)
{
    *ruleset = (struct ruleset){.files = ACCESS_FS_VERSION_1};
    if (version >= 2)
        ruleset->files |= LANDLOCK_ACCESS_FS_REFER;
    if (version >= 3)
        ruleset->files |= ACCESS_FS_TRUNCATE;
    if (version >= 5)
        ruleset->files |= ACCESS_FS_IOCTL_DEV;
    if (version >= 4)
        ruleset->network = ACCESS_NET_BIND_TCP | (profile->may_connect ? 0 : ACCESS_NET_CONNECT_TCP);
    if (version >= 6)
        ruleset->scope = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
    return version >= 6 ? sizeof *ruleset : version >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
}

static uint64_t allowed_access(enum sandbox_files files, uint64_t handled)
{
    uint64_t allowed = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
    if (files == SANDBOX_WRITE)
        allowed |= LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                   LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REFER |
                   ACCESS_FS_TRUNCATE;
    return allowed & handled;
}

static int add_rule(int rules, int fd, uint64_t access)
{
    struct landlock_path_beneath_attr beneath = {.allowed_access = access, .parent_fd = fd};
    return syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0 ? -errno : 0;
}

static int add_file(int rules, int directory, const char *name, uint64_t handled)
{
    int fd = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    int error = add_rule(rules, fd,
                         (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_FS_TRUNCATE) & handled);
    close(fd);
    return error;
}

static int add_directory(int rules, const struct sandbox_profile *profile, const char *path, uint64_t handled)
{
    int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return -errno;
    int error = add_rule(rules, directory, allowed_access(profile->files, handled));
    if (!error && profile->also_writes)
        error = add_file(rules, directory, profile->also_writes, handled);
    close(directory);
    return error;
}

/* The source address of a connection is bound to port 0; a port that somebody could be waiting for is not to be had. */
static int allow_source_address(int rules)
{
    struct net_port any = {.access = ACCESS_NET_BIND_TCP, .port = 0};
    return syscall(SYS_landlock_add_rule, rules, RULE_NET_PORT, &any, 0) < 0 ? -errno : 0;
}

int sandbox_restrict_paths(const struct sandbox_profile *profile, const char *path, struct buf *problem)
{
    int version = sandbox_landlock_version();
    if (!version)
        return 0;
    struct ruleset ruleset;
    size_t size = make_ruleset(profile, version, &ruleset);
    int error = 0;
    int rules = (int)syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);
    if (rules < 0)
        error = -errno;
    if (!error && profile->files != SANDBOX_NO_FILES)
        error = add_directory(rules, profile, path, ruleset.files);
    if (!error && profile->may_connect && ruleset.network)
        error = allow_source_address(rules);
    if (!error && syscall(SYS_landlock_restrict_self, rules, 0) < 0)
        error = -errno;
    if (rules >= 0)
        close(rules);
    if (error)
        buf_printf(problem, "the sandbox can't be entered: Landlock %d for %s: %s", version, path, strerror(-error));
    return error;
}
