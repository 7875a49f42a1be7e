/* TLS contexts (OpenSSL 3): TLS 1.2 and 1.3, buffers released when idle. A context is counted by reference: sessions
 * that began with the old certificate end with it after a reload. Servers' have session tickets; clients' resume
 * nothing. */
#ifndef RUN_TLS_H
#define RUN_TLS_H

#include "base/buf.h"

struct tls_context;

/* `certificate` (a PEM chain, leaf first) and `key` (PEM) as bytes, not paths: the process may not open files. `oldest`
 * is 12 or 13. NULL with a sentence in `problem` that says what is wrong. */
MUST_USE struct tls_context *tls_context_new(struct span certificate, struct span key, int oldest, struct buf *problem);
/* For connections to others (stream_start_tls). `authorities`: the certificates trusted, as PEM (at most 1 MiB); empty:
 * none, so that no peer's certificate is ever right. `oldest` as above. NULL with a sentence in `problem`. */
MUST_USE struct tls_context *tls_client_context_new(struct span authorities, int oldest, struct buf *problem);
struct tls_context *tls_context_ref(struct tls_context *tls);
void tls_context_unref(struct tls_context *tls);

/* What an administrator should know about a certificate that can be used all the same: appends a sentence (lower case,
 * no full stop) when at `now`, in seconds since 1970, the first one of the PEM chain is out of its time or has less
 * than two weeks left, or when it is not made out to `host`; nothing when all is well. */
void tls_certificate_warn(struct span certificate, const char *host, int64_t now, struct buf *warning);

/* A self-signed certificate for `host` (and *.host, localhost, 127.0.0.1, ::1), P-256, ten years, as PEM. 0 or -EIO. */
MUST_USE int tls_make_self_signed(const char *host, struct buf *certificate, struct buf *key);

#endif
