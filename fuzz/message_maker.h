/* Makes protobuf messages out of a fuzzer's bytes: every message is one that unpacks, so what is tried is what a
 * service does with it. Wherever a field may hold any bytes, the input may also choose one of the words that the house
 * knows. */
#ifndef FUZZ_MESSAGE_MAKER_H
#define FUZZ_MESSAGE_MAKER_H

#include "base/arena.h"

#include <protobuf-c/protobuf-c.h>

struct maker {
    struct span rest; /* of the input */
    struct arena *arena;
    const struct span *words;
    size_t word_count;
};

/* 0 behind the end. */
unsigned char maker_byte(struct maker *m);
/* Up to `most` bytes of the input. */
struct span maker_bytes(struct maker *m, size_t most);
/* NULL when the arena is full. */
ProtobufCMessage *maker_message(struct maker *m, const ProtobufCMessageDescriptor *descriptor);

#endif
