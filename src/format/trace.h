/* Trace fields: RFC 5321 section 4.4. Pure. What a peer said is written so that it can't end a line, open a comment or
 * look like anything that we say. */
#ifndef FORMAT_TRACE_H
#define FORMAT_TRACE_H

#include "base/buf.h"
#include "format/ip_address.h"

struct trace_received {
    struct span helo; /* as the peer said it; empty = "unknown" */
    struct span ptr;  /* the peer's name by DNS, checked both ways; empty = "unknown" */
    struct ip_address ip;
    struct span host;        /* our hostname */
    struct span protocol;    /* "ESMTPS" (RFC 3848), "UTF8SMTPS" (RFC 6531) */
    struct span tls_version; /* "TLSv1.3"; empty = no TLS */
    struct span tls_cipher;
    struct span id; /* the session's or the transaction's */
    struct span
        recipient; /* local@domain as it goes into <>; empty when there are several: nobody learns of the others */
    uint64_t wall_nanoseconds;
};

/* "Received: from HELO (PTR [IP]) by HOST (Ostiary) with ESMTPS (TLSv1.3 CIPHER) id ID for <a@b>; Sat, ... +0000\r\n",
 * folded between tokens so that lines stay below 78 octets where the tokens allow it. A `recipient` longer than 500
 * octets makes `out` fail. */
void trace_received_write(const struct trace_received *received, struct buf *out);
/* "Return-Path: <...>\r\n". `path` is what stands in the angle brackets, empty for the null path. */
void trace_return_path_write(struct span path, struct buf *out);

#endif
