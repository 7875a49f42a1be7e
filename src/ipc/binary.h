/* Spans as the fields of messages want them, and back. */
#ifndef IPC_BINARY_H
#define IPC_BINARY_H

#include "base/span.h"

#include <protobuf-c/protobuf-c.h>

/* Borrowed: the message may not outlive the bytes. Packing only reads, so the const is kept in truth. */
static inline ProtobufCBinaryData binary_from_span(struct span s)
{
    return (ProtobufCBinaryData){s.size, (uint8_t *)(uintptr_t)s.data};
}

static inline struct span binary_span(ProtobufCBinaryData b)
{
    return span_from(b.data, b.len);
}

#endif
