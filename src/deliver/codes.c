#include "deliver/codes.h"

#include "base/clock.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "store_read.pb-c.h"

#include <errno.h>

static int fetch_one(struct fiber *self, struct courier *c, uint64_t sender_account_id,
                     struct smtp_client_recipient *recipient, struct arena *memory)
{
    StoreRead__CodeForRequest request = STORE_READ__CODE_FOR_REQUEST__INIT;
    struct answer answer;
    request.sender_account_id = sender_account_id;
    request.address = binary_from_span(recipient->address);
    int error = channel_call(self, peers_get(c->peers, ROLE_READER), STORE_READ_CODE_FOR, &request.base,
                             (struct span){0}, -1, clock_in_seconds(STORE_SECONDS), &answer);
    if (error)
        return error;
    ProtobufCBinaryData code = ((const StoreRead__CodeForReply *)answer.message)->code;
    if (code.len) {
        recipient->passcode = arena_copy(memory, binary_span(code));
        explicit_bzero(code.data, code.len);
        error = recipient->passcode.data ? 0 : -ENOMEM;
    }
    answer_release(&answer);
    return error;
}

int codes_fetch(struct fiber *self, struct site *site, const struct message *message,
                struct smtp_client_recipient *recipients, size_t count, struct arena *memory)
{
    int error = 0;
    if (site->route.kind == SITE_SMART_HOST || !message->facts->has_codes)
        return 0;
    for (size_t i = 0; i < count && !error; i++)
        error = fetch_one(self, site->courier, message->facts->sender_account_id, &recipients[i], memory);
    return error;
}

void codes_wipe(struct smtp_client_recipient *recipients, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (recipients[i].passcode.size)
            explicit_bzero((char *)(uintptr_t)recipients[i].passcode.data, recipients[i].passcode.size);
}
