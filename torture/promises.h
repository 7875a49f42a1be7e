/* What a server had promised its clients, and whether a store keeps it. */
#ifndef TORTURE_PROMISES_H
#define TORTURE_PROMISES_H

#include "base/arena.h"
#include "base/buf.h"
#include "store/core.h"

enum promise_kind {
    PROMISE_MAIL,    /* name: "local-part number": a message with the subject "power <number>" in that maildrop */
    PROMISE_ALIAS,   /* name: its address */
    PROMISE_ACCOUNT, /* name: its address */
    PROMISE_ENTRY,   /* name: what is on somebody's list at a door */
    PROMISE_QUEUED,  /* name: "address number": a recipient elsewhere, until that site has the message */
    PROMISE_BACKUP,  /* a backup holds what was promised when it was begun */
    PROMISE_REBUILD, /* no promise: somebody has the database made anew, and would again after a cut meanwhile */
    PROMISE_KIND_COUNT
};

/* Moments are those of recording.h; 0 is never. */
struct promise {
    enum promise_kind kind;
    struct span name;
    uint64_t begun, made;     /* asked for; acknowledged */
    uint64_t ending, ended;   /* asked to be taken back; that was acknowledged */
    uint64_t size;            /* of a message as it was sent */
    unsigned char digest[32]; /* SHA-256 of that */
};

struct promises {
    struct promise *list;
    size_t count;
    struct arena memory;
};

/* A file of lines: kind TAB name TAB begun TAB made TAB ending TAB ended TAB size TAB digest. 0 or a negative errno
 * with a sentence. */
MUST_USE int promises_read(struct promises *p, const char *path, struct buf *problem);
void promises_release(struct promises *p);

/* What was found, by kinds of fault; each is also a sentence. */
enum fault { FAULT_LOST, FAULT_DOUBLED, FAULT_TORN, FAULT_BACK, FAULT_START, FAULT_CHECK, FAULT_KIND_COUNT };
const char *fault_name(enum fault fault);

typedef void fault_report(void *context, enum fault fault, const char *sentence);

struct promise_check {
    const struct promises *promises;
    uint64_t from, until; /* the store holds the state of a moment between these */
    bool has_ledger;      /* not one made anew from the volumes */
    fault_report *report;
    void *context;
};

/* Looks at all that is in a store that is open: the messages as a reader of it serves them. 0 or a negative errno when
 * it could not be looked at, which was reported. */
MUST_USE int promises_check(const struct promise_check *check, const char *data_directory);

#endif
