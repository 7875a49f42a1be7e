#include "proc/blacklist_helper.h"

#include "base/log.h"
#include "policy/blacklist.h"
#include "policy/blacklist_files.h"
#include "proc/child.h"
#include "run/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>

/* Problems that go to the log one by one. */
#define PROBLEMS_LOGGED 20
#define DESCRIPTORS 64
#define FIRST_FILE 7 /* of argv */

static void log_problem(void *context, struct span file, uint32_t line, struct span sentence)
{
    unsigned *told = context;
    if (++*told > PROBLEMS_LOGGED)
        return;
    if (line)
        log_write(LOG_PROBLEM, "blacklist", NULL, "%.*s:%u: %s", SPAN_ARG(file), line, log_quote(sentence));
    else
        log_write(LOG_PROBLEM, "blacklist", NULL, "%s", log_quote(sentence));
}

static int enter(const char *uid, const char *gid)
{
    uint64_t numbers[2];
    struct buf problem;
    if (!span_parse_u64(span_text(uid), UINT32_MAX, &numbers[0]) ||
        !span_parse_u64(span_text(gid), UINT32_MAX, &numbers[1]))
        return -EINVAL;
    struct sandbox_profile profile = {.files = SANDBOX_READ,
                                      .directory = "/",
                                      .uid = (uid_t)numbers[0],
                                      .gid = (gid_t)numbers[1],
                                      .descriptors = DESCRIPTORS};
    buf_init(&problem, 1000);
    int error = sandbox_enter(&profile, &problem);
    if (error)
        log_write(LOG_CRASH, "blacklist", NULL, "%.*s", SPAN_ARG(buf_span(&problem)));
    buf_release(&problem);
    return error;
}

static int write_all(int fd, struct span bytes)
{
    while (bytes.size) {
        ssize_t n = write(fd, bytes.data, bytes.size);
        if (n < 0 && errno != EINTR)
            return -errno;
        bytes = span_skip(bytes, n > 0 ? (size_t)n : 0);
    }
    return 0;
}

static int read_all(struct blacklist_files *files, char *const *names)
{
    char own[4096];
    snprintf(own, sizeof own, "%s/%s", files->directory, BLACKLIST_OWN_FILE);
    int error = blacklist_files_read(files, own, true);
    for (; *names && !error; names++)
        error = blacklist_files_read(files, *names, false);
    return error;
}

static void log_summary(struct span blob, const struct blacklist_files *files)
{
    struct blacklist *list = blacklist_open(blob);
    log_write(LOG_LOW, "blacklist", NULL, "black list read entries=%zu ranges=%zu names=%zu problems=%zu",
              blacklist_entry_count(&files->builder), blacklist_range_count(list), blacklist_name_count(list),
              files->problem_count);
    blacklist_close(list);
}

static int compile(const char *directory, int directory_fd, char *const *names)
{
    struct blacklist_files files;
    struct buf blob;
    unsigned told = 0;
    blacklist_files_init(&files, log_problem, &told);
    files.directory = directory;
    files.directory_fd = directory_fd;
    buf_init(&blob, BLACKLIST_BLOB_MAX);
    int error = read_all(&files, names);
    if (!error)
        error = blacklist_files_compile(&files, &blob);
    if (!error)
        error = write_all(BLACKLIST_HELPER_OUT, buf_span(&blob));
    if (error)
        log_write(LOG_PROBLEM, "blacklist", NULL, "the black list can't be made, the one before stays error=%s",
                  strerror(-error));
    else
        log_summary(buf_span(&blob), &files);
    buf_release(&blob);
    blacklist_files_release(&files);
    return error;
}

int blacklist_helper_main(int argc, char **argv)
{
    uint64_t level, target;
    bool is_ours = argc >= FIRST_FILE && fcntl(BLACKLIST_HELPER_OUT, F_GET_SEALS) >= 0 &&
                   span_parse_u64(span_text(argv[4]), LOG_ALL, &level) &&
                   span_parse_u64(span_text(argv[5]), LOG_TO_SYSLOG, &target);
    if (!is_ours) {
        fprintf(stderr,
                "ostiary: '" BLACKLIST_HELPER_WORD "' is for the server's own use; see 'ostiary help blacklist'\n");
        return EX_USAGE;
    }
    child_name("blacklist");
    /* Should the supervisor die before the sandbox sets this: without it nobody would end us. */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    log_open((enum log_target)target, BLACKLIST_HELPER_LOG);
    log_set_level((enum log_level)level);
    int directory = open(argv[6], O_PATH | O_DIRECTORY | O_CLOEXEC);
    int error = directory < 0 ? -errno : enter(argv[2], argv[3]);
    if (!error)
        error = compile(argv[6], directory, argv + FIRST_FILE);
    else
        log_write(LOG_PROBLEM, "blacklist", NULL, "the black list can't be read error=%s", strerror(-error));
    log_flush();
    _exit(error ? EX_UNAVAILABLE : EX_OK);
}
