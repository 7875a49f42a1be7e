#include "run/sandbox.h"

#include "run/sandbox_internal.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int failed(struct buf *problem, const char *step)
{
    int error = -errno;
    buf_printf(problem, "the sandbox can't be entered: %s: %s", step, strerror(-error));
    return error;
}

const char *sandbox_path(const struct sandbox_profile *profile)
{
    return geteuid() == 0 ? "/" : profile->directory;
}

static int limit_resources(const struct sandbox_profile *profile, struct buf *problem)
{
    struct rlimit none = {0, 0}, files;
    if (setrlimit(RLIMIT_CORE, &none) < 0)
        return failed(problem, "no core files");
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return failed(problem, "the limit of descriptors");
    if (geteuid() == 0 || profile->descriptors < files.rlim_max)
        files.rlim_max = profile->descriptors;
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) < 0)
        return failed(problem, "the limit of descriptors");
    return 0;
}

/* A directory that is removed while it is the root: it is empty, and nothing can be made in it. */
static int enter_removed_directory(const struct sandbox_profile *profile, struct buf *problem)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/.empty-XXXXXX", profile->directory);
    if (n < 0 || (size_t)n >= sizeof path) {
        errno = ENAMETOOLONG;
        return failed(problem, "a directory for the empty root");
    }
    if (!mkdtemp(path))
        return failed(problem, "a directory for the empty root");
    int error = 0;
    if (chdir(path) < 0)
        error = failed(problem, "entering the empty root");
    if (rmdir(path) < 0 && !error)
        error = failed(problem, "removing the empty root's name");
    return error;
}

static int change_root(const struct sandbox_profile *profile, struct buf *problem)
{
    if (profile->files == SANDBOX_NO_FILES) {
        int error = enter_removed_directory(profile, problem);
        if (error)
            return error;
    } else if (chdir(profile->directory) < 0) {
        return failed(problem, profile->directory);
    }
    if (chroot(".") < 0)
        return failed(problem, "an own root directory");
    /* In a removed directory "/" can't be entered by name. It is where we stand. */
    if (profile->files != SANDBOX_NO_FILES && chdir("/") < 0)
        return failed(problem, "the own root directory");
    return 0;
}

static int change_user(const struct sandbox_profile *profile, struct buf *problem)
{
    if (!profile->uid || !profile->gid) {
        errno = EINVAL;
        return failed(problem, "the processes' user may not be root");
    }
    if (setgroups(0, NULL) < 0 || setresgid(profile->gid, profile->gid, profile->gid) < 0 ||
        setresuid(profile->uid, profile->uid, profile->uid) < 0)
        return failed(problem, "changing the user");
    /* It must be for good. */
    if (setresuid(0, 0, 0) == 0 || setresgid(0, 0, 0) == 0) {
        errno = EPERM;
        return failed(problem, "root could be had back");
    }
    return 0;
}

int sandbox_enter(const struct sandbox_profile *profile, struct buf *problem)
{
    const char *path = sandbox_path(profile);
    int error = limit_resources(profile, problem);
    if (!error && geteuid() == 0) {
        error = change_root(profile, problem);
        if (!error)
            error = change_user(profile, problem);
    }
    if (error)
        return error;
    /* Changing the user takes the death signal away, so it is set (again) here. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return failed(problem, "no new privileges");
    error = sandbox_restrict_paths(profile, path, problem);
    return error ? error : sandbox_restrict_calls(profile, problem);
}
