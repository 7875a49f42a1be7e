/* Cuts the power at the moments of a recording and has the store begin again: is all there that was acknowledged?
 *
 *   power_check RECORDING PROMISES CONFIG DIRECTORY [--cuts N [--prefixes]] [--seed N] [--jobs N] [--rebuild N]
 *   power_check RECORDING PROMISES CONFIG DIRECTORY --only NUMBER:KIND:SEED [--make]
 *
 * Each cut is a process of its own with a directory below DIRECTORY (best in memory): the store is recovered, compared
 * with the promises, takes one more message, is closed, and everything in it is checked; in every N-th the database
 * is made anew from the volumes, and the newest backup restored. --cuts takes a random sample of so many; without it
 * all are made: behind each entry what a mere kill leaves, each write torn at 512 and at 4,096 bytes, what was synced
 * and nothing else, and as many of CRASH_JOURNAL and CRASH_WEAK (disk.h). With --prefixes the first two are all made,
 * and the sample is one of the others. --only makes one again and leaves its directory; with --make as it was after the
 * cut, and nothing looks at it. With --lying the disk only says that it syncs: then losses must be found, or this
 * program is blind.
 *
 * Writes lines of fields with tabs: `broken FAULT STAGE NUMBER:KIND:SEED moment sentence`, where the stage is `cut`,
 * `rebuild` or `restore`, and at the end `tries N`, of which `rebuilt N` and `restored N` went through those stages,
 * too, and `prefixes N` were prefixes or torn; `possible N M`: how many cuts there are without --cuts, of which M are
 * prefixes or torn.
 */
#include "disk.h"
#include "promises.h"
#include "recording.h"

#include "base/log.h"
#include "config/settings.h"
#include "store/backup.h"
#include "store/check.h"
#include "store/rebuild.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOBS_MAX 64
#define BLOCKS 2     /* sizes of what a disk writes at once: disk_crash */
#define TIME_MAX 120 /* seconds for one cut */

/* Shared by all processes. */
struct counts {
    _Atomic uint64_t tries, prefixes, rebuilt, restored;
};

struct power {
    struct counts *counts;
    const struct recording *recording;
    size_t recording_size;
    struct promises promises;
    struct settings *settings;
    const char *directory;
    uint64_t cuts, seed, rebuild_every;
    uint64_t possible, prefixes; /* the second are among the first, and all of them are made with is_prefixes */
    unsigned jobs, job;
    bool is_prefixes, is_lying;
    bool is_only, is_make;
    uint64_t only_number, only_seed;
    enum crash_kind only_kind;
};

struct cut {
    struct power *power;
    const struct disk *disk;
    uint64_t number, moment, seed; /* the entry's place; its end in the recording */
    enum crash_kind kind;
    bool is_special;   /* made anew from the volumes, too; the newest backup restored */
    const char *stage; /* which of those is being looked at */
    char directory[512], data[600];
    bool is_broken;
};

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t z = a * 0x9e3779b97f4a7c15ull + b;
    z = (z ^ z >> 32) * 0xd6e8feb86659fd93ull;
    return z ^ z >> 29;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    return remove(path);
}

static void remove_all(const char *path)
{
    struct stat status;
    if (lstat(path, &status) == 0 && nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        fprintf(stderr, "power_check: %s cannot be removed: %s\n", path, strerror(errno));
}

/* One write: lines of several jobs do not mix. */
static void say(const char *line)
{
    if (write(STDOUT_FILENO, line, strlen(line)) < 0)
        _exit(EXIT_FAILURE);
}

static void report(void *context, enum fault fault, const char *sentence)
{
    struct cut *c = context;
    char line[1024];
    c->is_broken = true;
    snprintf(line, sizeof(line), "broken\t%s\t%s\t%" PRIu64 ":%s:%" PRIu64 "\t%" PRIu64 "\t%.700s\n", fault_name(fault),
             c->stage, c->number, crash_kind_name(c->kind), c->seed, c->moment, sentence);
    say(line);
}

static void report_problem(struct cut *c, enum fault fault, const char *what, const struct buf *problem)
{
    char text[800];
    snprintf(text, sizeof(text), "%s: %.*s", what, (int)(problem->size < 600 ? problem->size : 600),
             problem->size ? problem->data : "");
    for (char *at = text; *at; at++)
        *at = *at == '\n' || *at == '\t' ? ' ' : *at;
    report(c, fault, text);
}

/* ---- One store after one cut ---- */

static struct store *open_store(struct cut *c, const char *data, const char *what)
{
    struct buf problem;
    struct settings settings = *c->power->settings;
    settings.data_directory = data;
    buf_init(&problem, 4096);
    struct store *store = store_open(&settings, &problem);
    if (!store)
        report_problem(c, FAULT_START, what, &problem);
    buf_release(&problem);
    return store;
}

static void check_all(struct cut *c, const char *data, const char *what)
{
    struct store_check_report found;
    int rc = store_check(data, &found, NULL, NULL);
    if (rc != 0 || found.problems)
        report_problem(c, FAULT_CHECK, what, &found.text);
    buf_release(&found.text);
}

/* That it begins is not enough: it has to go on. */
static void add_message(struct cut *c, struct store *store)
{
    struct buf problem;
    uint64_t id = 0, people = 0;
    uint32_t uid;
    struct import import = {.account = span_text("alice@example.test"),
                            .mailbox = span_text("INBOX"),
                            .body = span_text("Subject: behind the cut\r\n\r\nbody\r\n"),
                            .body_fd = -1};
    buf_init(&problem, 4096);
    int rc = database_find(store->db, &people, "SELECT COUNT(*) FROM account WHERE local_part = 'alice'", "");
    if (rc < 0) {
        buf_printf(&problem, "its accounts cannot be read: %s", strerror(-rc));
        report_problem(c, FAULT_START, "the store takes no mail after the cut", &problem);
    } else if (rc > 0 && people) {
        rc = store_begin(store);
        if (rc == 0)
            rc = store_import(store, &import, &id, &uid, &problem);
        if (rc == 0)
            rc = store_commit(store);
        if (rc != 0 || id == 0)
            report_problem(c, FAULT_START, "the store takes no mail after the cut", &problem);
    }
    buf_release(&problem);
}

static void keeps_promises(struct cut *c, const char *data, uint64_t from, uint64_t until, bool has_ledger)
{
    struct promise_check check = {.promises = &c->power->promises,
                                  .from = from,
                                  .until = until,
                                  .has_ledger = has_ledger,
                                  .report = report,
                                  .context = c};
    int rc = promises_check(&check, data);
    c->is_broken = c->is_broken || rc != 0;
}

/* Everything from the volumes alone. */
static void rebuild(struct cut *c)
{
    struct buf problem;
    struct store_rebuild_report rebuilt;
    c->stage = "rebuild";
    atomic_fetch_add(&c->power->counts->rebuilt, 1);
    buf_init(&problem, 4096);
    if (store_rebuild(c->data, &rebuilt, NULL, NULL, &problem) != 0)
        report_problem(c, FAULT_START, "the database cannot be made anew", &problem);
    else if (rebuilt.damaged_bytes || rebuilt.unplaced)
        report(c, FAULT_CHECK, "the volumes of a recovered store have damage in them");
    buf_release(&problem);
    struct store *store = open_store(c, c->data, "the rebuilt store does not start");
    if (store)
        keeps_promises(c, c->data, c->moment, c->moment, false);
    store_close(store);
    if (store)
        check_all(c, c->data, "the rebuilt store");
}

/* The newest backup that was acknowledged before the cut, or the one that was under way, is whole. */
static void restore(struct cut *c, bool has_ledger)
{
    const struct promises *p = &c->power->promises;
    const struct promise *last = NULL;
    uint64_t until = 0;
    for (size_t i = 0; i < p->count; i++) {
        const struct promise *b = &p->list[i];
        if (b->kind != PROMISE_BACKUP || b->begun > c->moment)
            continue;
        if (b->made && b->made <= c->moment && (!last || b->made > last->made))
            last = b;
        until = b->made && b->made <= c->moment ? b->made : c->moment;
    }
    if (!last)
        return;
    c->stage = "restore";
    atomic_fetch_add(&c->power->counts->restored, 1);
    char from[600], to[600];
    struct buf problem;
    snprintf(from, sizeof(from), "%s/backup", c->directory);
    snprintf(to, sizeof(to), "%s/restored", c->directory);
    int rc = disk_crash(c->disk, c->kind, c->seed, "backup", from);
    buf_init(&problem, 4096);
    struct backup_job job = {.data_directory = to, .directory = from};
    if (rc != 0 || store_restore(&job, &problem) != 0) {
        report_problem(c, FAULT_LOST, "a backup that was acknowledged cannot be restored", &problem);
    } else {
        struct store *store = open_store(c, to, "the restored store does not start");
        if (store)
            keeps_promises(c, to, last->begun, until, has_ledger);
        store_close(store);
        if (store)
            check_all(c, to, "the restored store");
    }
    buf_release(&problem);
}

/* Since when there may be no ledger; UINT64_MAX: always there is one. */
static uint64_t first_rebuild(const struct cut *c, bool *is_under_way)
{
    uint64_t first = UINT64_MAX;
    *is_under_way = false;
    for (size_t i = 0; i < c->power->promises.count; i++) {
        const struct promise *p = &c->power->promises.list[i];
        if (p->kind != PROMISE_REBUILD || p->begun > c->moment)
            continue;
        first = p->begun < first ? p->begun : first;
        *is_under_way = *is_under_way || !p->made || p->made > c->moment;
    }
    return first;
}

/* Who was making the database anew when the power failed does so again. */
static void rebuild_again(const struct cut *c)
{
    struct buf problem;
    struct settings settings = *c->power->settings;
    struct store_rebuild_report rebuilt;
    settings.data_directory = c->data;
    buf_init(&problem, 4096);
    struct store *store = store_open(&settings, &problem);
    if (!store && store_rebuild(c->data, &rebuilt, NULL, NULL, &problem) != 0)
        fprintf(stderr, "%.*s\n", SPAN_ARG(buf_span(&problem)));
    store_close(store);
    buf_release(&problem);
}

static void look(struct cut *c)
{
    bool is_rebuilding, has_ledger = first_rebuild(c, &is_rebuilding) > c->moment;
    if (is_rebuilding)
        rebuild_again(c);
    struct store *store = open_store(c, c->data, "the store does not start");
    if (store) {
        keeps_promises(c, c->data, c->moment, c->moment, has_ledger);
        add_message(c, store);
        store_close(store);
        check_all(c, c->data, "the recovered store");
    }
    if (store && c->is_special) {
        rebuild(c);
        restore(c, has_ledger);
    }
}

/* ---- The cuts ---- */

/* In a process of its own: what the store does wrong ends only that. */
static void make_cut(struct cut *c)
{
    snprintf(c->directory, sizeof(c->directory), "%s/%" PRIu64 "-%s-%" PRIu64, c->power->directory, c->number,
             crash_kind_name(c->kind), c->seed);
    snprintf(c->data, sizeof(c->data), "%s/data", c->directory);
    pid_t child = fork();
    if (child == 0) {
        char log[600];
        alarm(TIME_MAX);
        int rc = mkdir(c->directory, 0700) != 0 ? -errno : 0;
        snprintf(log, sizeof(log), "%s/log", c->directory);
        int fd = rc == 0 ? open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
        if (fd < 0 || dup2(fd, STDERR_FILENO) < 0 || disk_crash(c->disk, c->kind, c->seed, "data", c->data) != 0) {
            report(c, FAULT_START, "the directory after the cut cannot be made");
            _exit(2);
        }
        if (!c->power->is_make)
            look(c);
        log_flush();
        _exit(c->is_broken ? 2 : 0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0) {
        perror("power_check: fork");
        exit(EXIT_FAILURE);
    }
    if (!WIFEXITED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 2)) {
        char text[100];
        snprintf(text, sizeof(text), "the process that opened the store ended with status %d", status);
        report(c, FAULT_START, text);
        return;
    }
    if (status == 0 && !c->power->is_only)
        remove_all(c->directory);
}

/* What was done up to the cut, in that order: whole, or with its last write torn. */
static bool is_prefix(enum crash_kind kind)
{
    return kind == CRASH_PREFIX || kind == CRASH_TORN;
}

static bool is_wanted(struct power *p, const struct cut *c)
{
    if (p->is_only)
        return c->number == p->only_number && c->kind == p->only_kind && c->seed == p->only_seed;
    if (c->number % p->jobs != p->job)
        return false;
    if (p->is_prefixes && is_prefix(c->kind))
        return true;
    uint64_t others = p->possible - (p->is_prefixes ? p->prefixes : 0);
    return p->cuts == 0 || p->cuts >= others || mix(c->seed, p->seed) % others < p->cuts;
}

/* How many cuts of a kind there are behind the entry that was played last. */
static unsigned count_cuts(const struct disk *disk, enum crash_kind kind)
{
    switch (kind) {
    case CRASH_PREFIX:
        return disk_has_changed(disk);
    case CRASH_TORN:
        return disk_may_tear(disk) ? BLOCKS : 0;
    case CRASH_BARE:
        return 1;
    default:
        return BLOCKS;
    }
}

static void count_here(struct power *p, const struct disk *disk)
{
    for (unsigned kind = 0; kind < CRASH_KIND_COUNT; kind++) {
        unsigned count = count_cuts(disk, kind);
        p->possible += count;
        p->prefixes += is_prefix(kind) ? count : 0;
    }
}

/* Makes those that are wanted of the cuts behind the entry that was played last. */
static void cut_here(struct power *p, const struct disk *disk, uint64_t number, uint64_t moment)
{
    for (unsigned kind = 0; kind < CRASH_KIND_COUNT; kind++) {
        unsigned count = count_cuts(disk, kind);
        for (unsigned i = 0; i < (p->is_only && count ? 1 : count); i++) {
            /* 32 bits, so that people can say it; the last one is the size of a block. */
            uint64_t seed = (mix(mix(number, p->seed), kind * 16 + i) >> 32 & ~UINT64_C(1)) | i;
            struct cut c = {p, disk, number, moment, p->is_only ? p->only_seed : seed, kind, .stage = "cut"};
            if (!is_wanted(p, &c))
                continue;
            uint64_t before = atomic_fetch_add(&p->counts->tries, 1);
            atomic_fetch_add(&p->counts->prefixes, is_prefix(kind));
            c.is_special = p->is_only || (p->rebuild_every && before % p->rebuild_every == 0);
            make_cut(&c);
        }
    }
}

static const struct recorded *entry_at(const struct power *p, uint64_t at)
{
    return (const struct recorded *)((const char *)p->recording + at);
}

/* All of the recording: makes the cuts, or only counts them. 0 or -errno, which is said. */
static int play(struct power *p, bool is_count)
{
    struct disk *disk = disk_new(p->recording->root);
    uint64_t tail = p->recording->tail, number = 0;
    int rc = disk ? 0 : -ENOMEM;
    struct buf problem;
    buf_init(&problem, 1024);
    if (rc == 0 && p->is_lying)
        disk_lie(disk);
    for (uint64_t at = RECORDING_BEGIN; rc == 0 && at < tail; number++) {
        const struct recorded *entry = entry_at(p, at);
        at += entry->size;
        rc = disk_play(disk, entry, &problem);
        if (rc == 0 && is_count)
            count_here(p, disk);
        else if (rc == 0)
            cut_here(p, disk, number, at);
    }
    if (rc != 0)
        fprintf(stderr, "power_check: entry %" PRIu64 ": %.*s %s\n", number, SPAN_ARG(buf_span(&problem)),
                strerror(-rc));
    buf_release(&problem);
    disk_free(disk);
    return rc;
}

static int run_jobs(struct power *p)
{
    pid_t children[JOBS_MAX];
    int worst = 0, status;
    for (unsigned i = 0; i < p->jobs; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            p->job = i;
            _exit(play(p, false) ? EXIT_FAILURE : EXIT_SUCCESS);
        }
    }
    for (unsigned i = 0; i < p->jobs; i++)
        if (children[i] < 0 || waitpid(children[i], &status, 0) < 0 || status != 0)
            worst = EXIT_FAILURE;
    char line[200];
    snprintf(line, sizeof(line),
             "tries\t%" PRIu64 "\nprefixes\t%" PRIu64 "\nrebuilt\t%" PRIu64 "\nrestored\t%" PRIu64
             "\npossible\t%" PRIu64 "\t%" PRIu64 "\n",
             atomic_load(&p->counts->tries), atomic_load(&p->counts->prefixes), atomic_load(&p->counts->rebuilt),
             atomic_load(&p->counts->restored), p->possible, p->prefixes);
    say(line);
    return worst;
}

/* ---- Starting ---- */

static bool parse_only(struct power *p, const char *text)
{
    char kind[16];
    p->is_only = sscanf(text, "%" SCNu64 ":%15[a-z]:%" SCNu64, &p->only_number, kind, &p->only_seed) == 3;
    for (unsigned i = 0; p->is_only && i < CRASH_KIND_COUNT; i++)
        if (strcmp(kind, crash_kind_name(i)) == 0) {
            p->only_kind = i;
            return true;
        }
    return false;
}

static bool parse_options(struct power *p, int argc, char **argv)
{
    static const struct option options[] = {{"cuts", required_argument, NULL, 'c'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"jobs", required_argument, NULL, 'j'},
                                            {"rebuild", required_argument, NULL, 'r'},
                                            {"only", required_argument, NULL, 'o'},
                                            {"make", no_argument, NULL, 'm'},
                                            {"lying", no_argument, NULL, 'l'},
                                            {"prefixes", no_argument, NULL, 'p'},
                                            {0}};
    uint64_t jobs = 1;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        struct span value = span_text(optarg ? optarg : "");
        bool is_good = option == 'c'   ? span_parse_u64(value, INT64_MAX, &p->cuts)
                       : option == 's' ? span_parse_u64(value, INT64_MAX, &p->seed)
                       : option == 'j' ? span_parse_u64(value, JOBS_MAX, &jobs) && jobs > 0
                       : option == 'r' ? span_parse_u64(value, INT64_MAX, &p->rebuild_every)
                       : option == 'o' ? parse_only(p, optarg)
                                       : option == 'm' || option == 'l' || option == 'p';
        p->is_make = p->is_make || option == 'm';
        p->is_lying = p->is_lying || option == 'l';
        p->is_prefixes = p->is_prefixes || option == 'p';
        if (!is_good)
            return false;
    }
    p->jobs = (unsigned)jobs;
    return argc - optind == 4;
}

static const char *map_recording(struct power *p, const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0)
        return strerror(errno);
    void *memory = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (memory == MAP_FAILED)
        return strerror(errno);
    p->recording = memory;
    if ((size_t)status.st_size < RECORDING_BEGIN || p->recording->magic != RECORDING_MAGIC)
        return "it is no recording";
    return p->recording->lost || p->recording->tail > (uint64_t)status.st_size ? "it had no room for all" : NULL;
}

int main(int argc, char **argv)
{
    struct power p = {.rebuild_every = 0};
    struct buf problem;
    buf_init(&problem, 4096);
    if (!parse_options(&p, argc, argv)) {
        fprintf(stderr,
                "usage: power_check RECORDING PROMISES CONFIG DIRECTORY [--cuts N [--prefixes]] [--seed N] [--jobs N]\n"
                "                   [--rebuild N]\n"
                "       power_check RECORDING PROMISES CONFIG DIRECTORY --only NUMBER:KIND:SEED [--make]\n");
        return 64;
    }
    const char *trouble = map_recording(&p, argv[optind]);
    if (trouble)
        buf_printf(&problem, "%s: %s", argv[optind], trouble);
    int rc = trouble ? -EINVAL : promises_read(&p.promises, argv[optind + 1], &problem);
    if (rc == 0 && !(p.settings = settings_read_file(argv[optind + 2], &problem)))
        rc = -EINVAL;
    p.directory = argv[optind + 3];
    if (rc == 0) {
        void *counts = mmap(NULL, sizeof(*p.counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        p.counts = counts == MAP_FAILED ? NULL : counts;
        rc = p.counts ? 0 : -ENOMEM;
    }
    if (rc == 0 && !p.is_only)
        rc = play(&p, true);
    if (rc == 0)
        rc = run_jobs(&p);
    else
        fprintf(stderr, "power_check: %.*s\n", SPAN_ARG(buf_span(&problem)));
    settings_unref(p.settings);
    promises_release(&p.promises);
    buf_release(&problem);
    return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
