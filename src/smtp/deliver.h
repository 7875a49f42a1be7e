/* From a taken-in message to the store's word that it is durable. */
#ifndef SMTP_DELIVER_H
#define SMTP_DELIVER_H

#include "smtp/session_internal.h"

/* Puts the trace fields before the content: Return-Path: and Received: (RFC 5321 section 4.4). Called when the
 * recipients are known, before the first octet of content. 0 or -ENOMEM. */
MUST_USE int smtp_write_trace(struct smtp_session *s, size_t *trace_size);
/* What the header lacks, put behind the trace: for members the Date: and Message-ID: that their client left out (RFC
 * 6409 section 8), and for all the empty line of a message without a header, whose first line could otherwise go on
 * with our last field. Called once, while the header is whole and in memory. 0 or -ENOMEM. */
MUST_USE int smtp_mend_header(struct smtp_session *s, const struct smtp_data *data, size_t trace_size);
/* Hands the message to the store, waits until it is durable, replies and ends the transaction. 0 or a negative errno
 * that ends the session. */
MUST_USE int smtp_deliver(struct fiber *self, struct smtp_session *s, const struct smtp_data *data);

#endif
