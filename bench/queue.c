/* How the queue's length changes what intake and look-ups cost: fills a store with messages for other sites and says
 * what a message costs at the beginning and at the end, and what the courier's questions cost then.
 *
 *   queue DIRECTORY ROWS DESTINATIONS
 *
 * CPU time of this process: the disk's mood does not matter. */
#include "store/core.h"
#include "store/view_queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define STEP 20000
#define BATCH 50

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void need(int rc, const char *what)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%s: %s\n", what, strerror(-rc));
    exit(1);
}

static void fill(struct store *s, uint64_t rows, unsigned destinations)
{
    static char body[4096];
    memset(body, 'x', sizeof(body));
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), wall = seconds(CLOCK_MONOTONIC);
    unsigned random = 1;
    for (uint64_t i = 0; i < rows; i += BATCH) {
        char targets[BATCH][64];
        need(store_begin(s), "begin");
        for (int n = 0; n < BATCH; n++) {
            random = random * 1103515245u + 12345u;
            snprintf(targets[n], sizeof(targets[n]), "someone@host%u.test", random / 65536 % destinations);
            struct delivery_recipient r = {
                .kind = DELIVERY_REMOTE, .address = span_text(targets[n]), .target = span_text(targets[n])};
            struct delivery d = {.facts.reverse_path = span_text("sender@example.test"),
                                 .recipients = &r,
                                 .recipient_count = 1,
                                 .body = span_from(body, sizeof(body)),
                                 .body_fd = -1};
            uint64_t id;
            need(store_deliver(s, &d, &id), "deliver");
        }
        need(store_commit(s), "commit");
        if ((i + BATCH) % STEP == 0 &&
            (i < 5ull * STEP || (i + BATCH) % (10ull * STEP) == 0 || i + 5ull * STEP > rows)) {
            double now = seconds(CLOCK_PROCESS_CPUTIME_ID);
            printf("%8ju rows: %.1f us of CPU a message, %.1f us by the wall clock\n", (uintmax_t)(i + BATCH),
                   (now - cpu) * 1e6 / STEP, (seconds(CLOCK_MONOTONIC) - wall) * 1e6 / STEP);
        }
        if ((i + BATCH) % STEP == 0) {
            cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
            wall = seconds(CLOCK_MONOTONIC);
        }
    }
}

static void ask(const char *directory, unsigned destinations)
{
    enum { TIMES = 200 };
    struct view v;
    struct arena arena;
    struct buf problem;
    struct queue_due due = {0};
    struct queue_entry *entries;
    size_t count = 0;
    buf_init(&problem, 4096);
    arena_init(&arena, 64 << 20);
    need(view_open(&v, directory, &problem), "view");
    uint64_t now = INT64_MAX;
    for (int what = 0; what < 4; what++) {
        static const char *const names[] = {"QueueDue, 100 destinations", "QueueDue, all destinations",
                                            "QueueEntries, 100 entries", "the next time"};
        double start = seconds(CLOCK_MONOTONIC);
        for (int i = 0; i < TIMES; i++) {
            arena_reset(&arena);
            struct queue_cursor after = {0};
            char name[64];
            uint64_t next;
            snprintf(name, sizeof(name), "host%u.test", (unsigned)i % destinations);
            if (what < 2)
                need(view_queue_due(&v, now, (struct span){NULL, 0}, what == 0 ? 100 : 1000, &arena, &due), "due");
            else if (what == 2)
                need(view_queue_entries(&v, span_text(name), now, &after, 100, &arena, &entries, &count), "entries");
            else
                need(view_queue_next(&v, 0, &next), "next");
        }
        printf("%s: %.0f us (%zu)\n", names[what], (seconds(CLOCK_MONOTONIC) - start) * 1e6 / TIMES,
               what < 2 ? due.count : count);
    }
    view_release(&v);
    arena_release(&arena);
    buf_release(&problem);
}

int main(int argc, char **argv)
{
    struct settings settings = {.data_directory = argc > 1 ? argv[1] : NULL};
    struct buf problem;
    uint64_t rows = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    unsigned destinations = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
    if (rows == 0 || destinations == 0) {
        fprintf(stderr, "usage: queue DIRECTORY ROWS DESTINATIONS\n");
        return 64;
    }
    settings.smtp.message_size = 64 << 20;
    settings.store.volume_size = 1ull << 30;
    buf_init(&problem, 4096);
    struct store *s = store_open(&settings, &problem);
    if (!s) {
        fprintf(stderr, "%.*s\n", SPAN_ARG(buf_span(&problem)));
        return 1;
    }
    fill(s, rows, destinations);
    ask(argv[1], destinations);
    store_close(s);
    return 0;
}
