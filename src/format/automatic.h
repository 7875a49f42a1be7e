/* Mail that no person wrote to the one who gets it. Pure. */
#ifndef FORMAT_AUTOMATIC_H
#define FORMAT_AUTOMATIC_H

#include "base/span.h"

/* Does the header (a body behind it is not looked at) say that the message is automatic (RFC 3834 section 5:
 * Auto-Submitted: other than "no"), a mailing list's (RFC 2919: List-Id:), or sent in bulk (Precedence: bulk, list or
 * junk)? */
bool header_is_automatic(struct span header);

#endif
