/* The store's writer and reader in one process, over real channels, for the tests of their services. */
#ifndef TESTS_STORE_SERVICES_H
#define TESTS_STORE_SERVICES_H

#include "fixture.h"

#include "ipc/channel.h"
#include "ipc/grant.h"
#include "ipc/services.h"
#include "run/fiber.h"
#include "store/reader.h"
#include "store/writer.h"

#define SERVICES_CHANNELS_MAX 16

extern const unsigned char services_key[GRANT_KEY_SIZE];

struct services {
    struct loop *loop;
    struct store_writer *writer;
    struct store_reader *reader;
    struct channel *channels[SERVICES_CHANNELS_MAX];
    size_t count;
};

/* Both, on the fixture's store, which is closed and open no more. */
void services_start(struct services *s, struct fixture *f);
/* Frees the channels, stops both, and waits until every fiber has ended. */
void services_stop(struct services *s);
/* A peer of that role. It is freed by services_stop(), or by hand: */
struct channel *services_attach(struct services *s, enum role role, bool to_writer);
void services_detach(struct services *s, struct channel *c);
/* A call with generous time. */
int ask(struct fiber *self, struct channel *c, size_t method, const ProtobufCMessage *request, struct answer *answer);
ProtobufCBinaryData binary(const char *text);
bool is(ProtobufCBinaryData bytes, const char *text);

#endif
