/* Changes of doors and what is in force at them, for the tests: short words for both. */
#ifndef TESTS_STORE_DOOR_FIXTURE_H
#define TESTS_STORE_DOOR_FIXTURE_H

#include "fixture.h"

#include "store/door_change.h"
#include "store/door_judge.h"

/* One item, as the administrator. `owner` "" the site, "example.test", "alice@example.test", "alice+x@example.test":
 * the level is the owner's. A kind beginning with '-' takes it away. */
struct door_words {
    const char *owner, *kind, *name, *value;
    uint64_t expires_at;
    bool locked;
};

/* In a batch of its own. `sentence` NULL: it must succeed; else: the problem must contain it. The history's number. */
uint64_t door_set(struct fixture *f, const struct door_words *words, size_t count, const char *sentence);
uint64_t door_set_as(struct fixture *f, uint64_t account_id, const struct door_words *words, size_t count,
                     const char *sentence);
uint64_t door_undo(struct fixture *f, const char *owner, uint64_t number, const char *sentence);
/* All items as lines "owner kind name=value", sorted by id; with their times of expiry and locks where there are. */
void door_dump(struct fixture *f, struct buf *out);
void door_expect(struct fixture *f, const char *wanted);

/* What a stranger meets. */
struct door_attempt {
    const char *recipient, *sender, *passcode, *ip, *helo;
    uint64_t now;
};
/* The first door as one line: "account|rules with , between|hits|passcode|limited|only". The cache is the test's. */
void door_describe(struct fixture *f, struct door_cache *cache, const struct door_attempt *attempt, struct buf *out);
void door_meets(struct fixture *f, struct door_cache *cache, const struct door_attempt *attempt, const char *wanted);

#endif
