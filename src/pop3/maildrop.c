#include "pop3/maildrop.h"

#include <errno.h>
#include <stdlib.h>

#define MESSAGE_SIZE_MAX ((uint64_t)1 << 40)

/* The entry as the store writes it: u64 size, u32 uid, u32 zero, host byte order. */
_Static_assert(sizeof(struct pop3_message) == 16, "an entry of the listing is an element of the array");

static int check_page(const struct pop3_message *page, size_t count, uint32_t last_uid)
{
    for (size_t i = 0; i < count; i++) {
        if (page[i].uid <= last_uid || page[i].size > MESSAGE_SIZE_MAX || page[i].is_deleted)
            return -EPROTO;
        last_uid = page[i].uid;
    }
    return 0;
}

int pop3_maildrop_add(struct pop3_maildrop *maildrop, struct span entries)
{
    if (entries.size % sizeof(struct pop3_message))
        return -EPROTO;
    size_t n = entries.size / sizeof(struct pop3_message);
    bool cut = n > POP3_MESSAGES_MAX - maildrop->count;
    if (cut)
        n = POP3_MESSAGES_MAX - maildrop->count;
    if (n == 0)
        return cut ? -ENOSPC : 0;

    struct pop3_message *messages = realloc(maildrop->messages, (maildrop->count + n) * sizeof *messages);
    if (!messages)
        return -ENOMEM;
    maildrop->messages = messages;
    struct pop3_message *page = messages + maildrop->count;
    memcpy(page, entries.data, n * sizeof *page);
    int result = check_page(page, n, maildrop->count ? page[-1].uid : 0);
    if (result)
        return result;
    for (size_t i = 0; i < n; i++)
        maildrop->octets += page[i].size;
    maildrop->count += (uint32_t)n;
    return cut ? -ENOSPC : 0;
}

void pop3_maildrop_release(struct pop3_maildrop *maildrop)
{
    free(maildrop->messages);
    *maildrop = (struct pop3_maildrop){0};
}

struct pop3_message *pop3_maildrop_get(const struct pop3_maildrop *maildrop, uint32_t number)
{
    if (number == 0 || number > maildrop->count)
        return NULL;
    struct pop3_message *message = &maildrop->messages[number - 1];
    return message->is_deleted ? NULL : message;
}

void pop3_maildrop_delete(struct pop3_maildrop *maildrop, struct pop3_message *message)
{
    message->is_deleted = 1;
    maildrop->deleted++;
    maildrop->octets -= message->size;
}

void pop3_maildrop_reset(struct pop3_maildrop *maildrop)
{
    for (uint32_t i = 0; maildrop->deleted && i < maildrop->count; i++) {
        struct pop3_message *message = &maildrop->messages[i];
        if (!message->is_deleted)
            continue;
        message->is_deleted = 0;
        maildrop->deleted--;
        maildrop->octets += message->size;
    }
}

static void write_hex(uint32_t value, char out[8])
{
    for (int i = 7; i >= 0; i--, value >>= 4)
        out[i] = "0123456789abcdef"[value & 15];
}

void pop3_unique_id(const struct pop3_maildrop *maildrop, const struct pop3_message *message,
                    char out[POP3_UNIQUE_ID_SIZE])
{
    write_hex(maildrop->uidvalidity, out);
    write_hex(message->uid, out + 8);
    out[16] = 0;
}
