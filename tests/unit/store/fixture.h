/* A store in a temporary directory, for the tests. Everything that fails here fails the test. */
#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

#include "store/change.h"
#include "store/core.h"

/* cmocka.h wants these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct fixture {
    char directory[128];
    struct settings settings;
    struct store *store;
};

/* With domain example.test and accounts alice, bob, carol. */
void fixture_start(struct fixture *f);
void fixture_start_in(struct fixture *f, const char *base);
void fixture_open(struct fixture *f);
void fixture_close(struct fixture *f);
void fixture_stop(struct fixture *f);

/* Makes a change in a batch of its own; returns its id. `sentence` NULL: it must succeed; else: the problem must
 * contain it. */
uint64_t fixture_change(struct fixture *f, const struct change *change, const char *sentence);
uint64_t fixture_account(struct fixture *f, const char *address, uint64_t quota);
/* The INBOX of an address. */
struct delivery_recipient fixture_recipient(struct fixture *f, const char *address);
/* One message to `count` addresses in a batch of its own. Its id. */
uint64_t fixture_deliver(struct fixture *f, const char *const *addresses, size_t count, struct span body);
uint64_t fixture_mail(struct fixture *f, const char *address, const char *body);
/* Gathers one in the running batch; the body must live until the commit. */
uint64_t fixture_gather(struct fixture *f, const char *address, struct span body);
uint32_t fixture_expunge(struct fixture *f, const char *address, const uint32_t *uids, size_t count);
/* Everything that must survive a rebuild, as text. */
void fixture_list(struct fixture *f, struct buf *out);
/* The whole text of a message, "GONE" or "DAMAGED". */
void fixture_fetch(struct fixture *f, const char *address, uint32_t uid, struct buf *out);
/* How many rows a count gives. */
uint64_t fixture_count(struct fixture *f, const char *sql);
void fixture_path(struct fixture *f, const char *name, char out[256]);
uint64_t file_size(const char *path);
void copy_directory(const char *from, const char *to);
void remove_directory(const char *path);

#endif
