/* From a taken-in message to the store's word that it is durable. */
#ifndef SMTP_DELIVER_H
#define SMTP_DELIVER_H

#include "smtp/session_internal.h"

/* Puts the trace fields before the content: Return-Path: and Received: (RFC 5321 section 4.4). Called when the
 * recipients are known, before the first octet of content. 0 or -ENOMEM. */
MUST_USE int smtp_write_trace(struct smtp_session *s, size_t *trace_size);
/* For members: the Date: and Message-ID: that their client left out (RFC 6409 section 8), put behind the trace. Called
 * while the header is in memory. */
MUST_USE int smtp_add_missing_fields(struct smtp_session *s, const struct smtp_data *data, size_t trace_size);
/* Hands the message to the store, waits until it is durable, replies and ends the transaction. 0 or a negative errno
 * that ends the session. */
MUST_USE int smtp_deliver(struct fiber *self, struct smtp_session *s, const struct smtp_data *data);

#endif
