/* The courier from the inside: for the files of this folder only. */
#ifndef DELIVER_INTERNAL_H
#define DELIVER_INTERNAL_H

#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "deliver/courier.h"
#include "deliver/hosts.h"
#include "ipc/attachments.h"
#include "queue/schedule.h"
#include "queue/verdict.h"
#include "run/tls.h"

#define ENTRIES_IN_HAND_MAX 20000 /* of all destinations: what they cost in memory */
#define SOURCES_MAX 500           /* destinations that are worked on at a time; the others wait in the store */
#define SITES_MAX 4000            /* that are remembered */
#define JOB_ENTRIES_MAX 100       /* RFC 5321 section 4.5.3.1.8 */
#define STORE_SECONDS 300
#define RETRY_PAUSE (NANOSECONDS / 2) /* before one of our own processes is asked again */
#define QUEUE_ID_MAX 32

struct source;
struct site;

/* ---- What is in hand ---- */

enum entry_kind { ENTRY_REMOTE, ENTRY_LIST, ENTRY_REPORT };

struct entry {
    struct list_node node; /* of its job, of the results, or of its source's dead */
    struct source *source;
    uint64_t message_id;
    uint32_t number;
    enum entry_kind kind;
    struct span address, original, orcpt, forwarder, reverse_path, last_reply; /* in the memory behind the struct */
    unsigned notify, attempts;
    uint64_t list_id, size, next_at, created_at;
    uint64_t sender_account_id; /* 0: a stranger's message, or our own */
    bool warned, give_up;
    bool is_dead; /* not in hand any more: it stands for an answer of the reader that may be older than that */
    /* What became of it. */
    bool is_settled;
    struct verdict verdict;
    bool was_relayed;  /* delivered, to a server that will not confirm it */
    unsigned outcome;  /* StoreWrite__QueueOutcome, with retry_at and reply */
    uint64_t retry_at; /* nanoseconds since 1970 */
    char *reply;       /* owned; one printable line, or NULL */
    char *host;        /* owned; who said it; NULL: we did */
    const char *why;   /* static: plain words, or NULL */
};

/* Entries of one message that can go in one transaction. */
struct job {
    struct list_node node; /* of its site */
    struct list_node entries;
    size_t count;
    unsigned tries; /* of hosts or connections */
};

/* The queue's destination, while there is something due for it. A fiber of its own feeds its site. */
struct source {
    struct courier *courier;
    struct site *site;
    char *name;
    struct condition changed; /* an entry was settled, or there is news */
    bool is_woken;            /* there may be entries before the cursor */
    bool is_fetching;
    size_t in_hand;
    uint64_t after_next_at, after_message_id, rewound_at;
    uint32_t after_number;
    struct list_node dead;
};

/* Where connections go to. */
struct site {
    struct courier *courier;
    struct site_route route;
    char *key;
    struct list_node jobs;
    size_t job_count;
    struct condition work;  /* for idle runners */
    unsigned window;        /* connections it may have now */
    unsigned runners, idle; /* fibers for connections; those of them without a job */
    unsigned connected;     /* those of them that are greeted */
    unsigned sources;       /* that feed it */
    bool is_starving;       /* in courier->starving */
    struct list_node starving_node;
    unsigned failures;     /* in a row */
    uint64_t closed_until; /* monotonic; 0: open */
    struct verdict closed_verdict;
    char *closed_reply;
    struct host_list *hosts; /* NULL: to be found */
};

/* Entries of one message whose sender is told something. */
struct report {
    struct list_node node;
    struct list_node entries;
    size_t count;
};

struct call_backs;
struct whois;

struct courier {
    struct loop *loop;
    struct settings *settings;
    struct peers *peers;
    struct tls_context *tls;
    struct buf password; /* of the smart host */
    unsigned char srs_key[32];
    bool has_srs_key;
    bool is_stopping;
    bool is_paused;
    struct map in_hand; /* message_id and number to entry */
    struct map sources, sites;
    unsigned runners;          /* connections in all */
    struct list_node starving; /* sites that may have more connections, but for the limit of all */
    struct condition room;     /* fewer sources; less to be done before a stop */
    struct condition scan;     /* there is a reason to ask what is due */
    bool scan_wanted;
    bool scan_again;          /* it was wanted while one was under way */
    uint64_t next_at;         /* when the next entry falls due, wall clock; 0: none known */
    struct list_node results; /* entries */
    struct condition results_changed;
    bool results_under_way;
    struct list_node reports;
    unsigned reporters;         /* fibers */
    struct attachments clients; /* who ask whether a next hop takes an address */
    struct answers *probes;     /* answers.h: what next hops said of addresses */
    struct call_backs *call_backs;
    struct whois *whois;
    void (*pass_on)(void *context, struct call *call); /* calls about remote accounts; NULL: nobody takes them */
    void *pass_on_context;
};

struct schedule courier_schedule(const struct courier *c);
/* "1a2b": the message's name in logs, reports and commands. */
const char *queue_id(uint64_t message_id, char text[QUEUE_ID_MAX]);
uint64_t random_number(void);

/* ---- source.c ---- */

/* There is, or may be, something due for this destination. -EAGAIN when too many are worked on: ask again later. */
MUST_USE int source_wake(struct courier *c, struct span name);
/* The entry is not in hand any more: its row says the rest. Frees it, now or when no answer under way can name it. */
void entry_release(struct entry *e);
/* Puts the entries of a job that nobody began back to where they came from. Frees the job. */
void job_put_back(struct job *job);

/* ---- site.c ---- */

/* Made where it is not known. NULL: no memory. */
MUST_USE struct site *site_get(struct courier *c, struct span destination);
/* Takes the job. */
void site_add(struct site *site, struct job *job);
/* The same, before all others, and without a new connection for it. */
void site_put_back(struct site *site, struct job *job);
/* A connection could not be had while others stand: no more than those. */
void site_narrow(struct site *site);
/* The next job, or NULL. */
struct job *site_take(struct site *site);
/* As many runners as there is work and room for. */
void site_schedule(struct site *site);
/* A connection came about, or a message went through. */
void site_succeeded(struct site *site);
/* No host of it could be reached: closes it for a while. */
void site_failed(struct site *site, const struct verdict *verdict, struct span reply);
bool site_is_closed(const struct site *site);
/* An administrator's word ends the back-off: of the destination's site, where it is known; of all. */
void site_open(struct courier *c, struct span destination);
void site_open_all(struct courier *c);
/* Frees it when nobody needs it. */
void site_leave(struct site *site);
/* Somebody starves: an idle connection may be closed for it. */
bool courier_has_starving(const struct courier *c);
void courier_feed_starving(struct courier *c);

/* ---- runner.c, local.c ---- */

void runner_main(struct fiber *self, void *site);
/* The same for the site of mailing lists, reports and recipients of ours. */
void local_main(struct fiber *self, void *site);

/* ---- settle.c ---- */

/* Notes what became of the entry; `host` and `reply` are copied, `host` may be empty. */
void entry_settle(struct entry *e, struct verdict verdict, struct span host, struct span reply);
void entry_settle_trouble(struct entry *e, enum verdict_trouble trouble, struct span reply);
/* The reverse path: a mailing list's copy has its own in the place of the forwarder. */
struct span entry_sender(const struct entry *e);
/* We send it on, for somebody whose mail goes elsewhere: who wrote it knows nothing of that address. */
bool entry_is_sent_on(const struct entry *e);
/* ... and no member wrote it: when it does not arrive there, it is the one who sends it on that is told, never the
 * writer, who was told that it is here, and may be forged. */
bool entry_goes_back(const struct entry *e);
/* All entries of the job are settled: tells the store and the senders. Frees the job. */
void job_finish(struct courier *c, struct job *job);
/* Settles all that are not, and finishes. */
void job_finish_with(struct courier *c, struct job *job, const struct verdict *verdict, struct span host,
                     struct span reply);

/* ---- results.c ---- */

/* Takes the entry, whose outcome is set. */
void results_add(struct courier *c, struct entry *e);
void results_main(struct fiber *self, void *courier);

/* ---- report.c ---- */

/* Takes the report. */
void report_add(struct courier *c, struct report *report);

/* ---- expand.c ---- */

/* A post to a mailing list. Settles the entry, or delivers the copies together with its DONE and leaves nothing to be
 * told (then *done is true). */
void expand_list(struct fiber *self, struct courier *c, struct entry *e, bool *done);

/* ---- here.c ---- */

/* A recipient of ours that is asked for again. The same. */
void deliver_here(struct fiber *self, struct courier *c, struct entry *e, bool *done);

/* The same for an entry whose way leads back to this server: its domain may have become ours while it waited. Where it
 * has not, or we send its mail on, the entry stays as it was. */
void deliver_if_ours(struct fiber *self, struct courier *c, struct entry *e, bool *done);

/* ---- work.c ---- */

void work_wait_main(struct fiber *self, void *courier);
void work_scan_main(struct fiber *self, void *courier);
void work_scan_soon(struct courier *c);
/* Something falls due then. */
void work_due_at(struct courier *c, uint64_t at);

/* ---- probe.c ---- */

void probe_start(struct courier *c, struct call *call);
/* NULL without memory. */
struct answers *probes_new(void);

#endif
