/* A message being taken in: trace fields first, then its bytes as they come, then what is wrong with it. The protocol
 * feeds `data` and `body.memory` (format/smtp_data.h) and calls reception_settle() behind each piece. */
#ifndef INTAKE_RECEPTION_H
#define INTAKE_RECEPTION_H

#include "format/smtp_command.h"
#include "format/smtp_data.h"
#include "intake/body.h"
#include "intake/envelope.h"

struct reception {
    struct smtp_data data;
    struct intake_body body;
    size_t trace_size; /* bytes of Return-Path: and Received: that stand before the content */
    bool completes_header;
    bool header_mended;
    int error; /* ours: the rest is read and dropped, and a temporary failure said at the end */
};

void reception_init(struct reception *r);
/* Closes the spool file, which is then gone. */
void reception_release(struct reception *r);

/* Begins: writes the trace fields (RFC 5321 section 4.4) of `source` and the envelope's recipients. `repair`: bare CR
 * and LF become CRLF. An error is kept in r->error. */
void reception_begin(struct reception *r, const struct intake *intake, const struct intake_source *source,
                     const struct envelope *envelope, bool repair);
/* Behind each feeding, and with `at_end` behind the last one: puts what the header lacks behind the trace as soon as it
 * is whole (it is by the time that the body is large: the setting's cap sees to it), then makes room for more. That is,
 * where the source completes headers, Date: and Message-ID:; for all, the empty line of a message without a header,
 * whose first line could otherwise go on with our last field. Waits. Errors are kept in r->error. */
void reception_settle(struct fiber *self, struct reception *r, const struct intake *intake, uint64_t deadline,
                      bool at_end);
/* What is wrong with the whole message, or NULL. 8-bit headers without SMTPUTF8 are common in honest mail and harmless
 * to store: only bytes that are no UTF-8 in an SMTPUTF8 message are refused (RFC 6532 section 3.1). */
MUST_USE const struct smtp_problem *reception_judge(const struct reception *r, const struct intake *intake,
                                                    const struct envelope *envelope);

#endif
