/* TLS server contexts (OpenSSL 3): TLS 1.2 and 1.3, session tickets, buffers released when idle. A context is counted
 * by reference: sessions that began with the old certificate end with it after a reload. */
#ifndef RUN_TLS_H
#define RUN_TLS_H

#include "base/buf.h"

struct tls_context;

/* `certificate` (a PEM chain, leaf first) and `key` (PEM) as bytes, not paths: the process may not open files. `oldest`
 * is 12 or 13. NULL with a sentence in `problem` that says what is wrong. */
MUST_USE struct tls_context *tls_context_new(struct span certificate, struct span key, int oldest, struct buf *problem);
struct tls_context *tls_context_ref(struct tls_context *tls);
void tls_context_unref(struct tls_context *tls);

/* A self-signed certificate for `host` (and *.host, localhost, 127.0.0.1, ::1), P-256, ten years, as PEM. 0 or -EIO. */
MUST_USE int tls_make_self_signed(const char *host, struct buf *certificate, struct buf *key);

#endif
