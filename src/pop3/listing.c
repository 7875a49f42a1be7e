#include "pop3/state.h"

int pop3_do_stat(struct fiber *self, struct pop3_session *s, const struct pop3_command *command)
{
    (void)self, (void)command;
    const struct pop3_maildrop *maildrop = &s->maildrop;
    pop3_ok(s, "%u %llu", maildrop->count - maildrop->deleted, (unsigned long long)maildrop->octets);
    return 0;
}

/* ---- LIST and UIDL: the same walk, another column ---- */

typedef void write_column(const struct pop3_maildrop *maildrop, const struct pop3_message *message, struct buf *out);

static void write_size(const struct pop3_maildrop *maildrop, const struct pop3_message *message, struct buf *out)
{
    (void)maildrop;
    buf_add_u64(out, message->size);
}

static void write_unique_id(const struct pop3_maildrop *maildrop, const struct pop3_message *message, struct buf *out)
{
    char id[POP3_UNIQUE_ID_SIZE];
    pop3_unique_id(maildrop, message, id);
    buf_add(out, id, sizeof id - 1);
}

static void write_row(const struct pop3_maildrop *maildrop, uint32_t number, write_column *column, struct buf *out)
{
    buf_add_u64(out, number);
    buf_add_char(out, ' ');
    column(maildrop, &maildrop->messages[number - 1], out);
    buf_add_text(out, "\r\n");
}

/* The message's number, or 0 when the refusal was given. */
static uint32_t find(struct pop3_session *s, const struct pop3_command *command)
{
    if (pop3_maildrop_get(&s->maildrop, command->number[0]))
        return command->number[0];
    pop3_error(s, "no such message, %u in maildrop", s->maildrop.count - s->maildrop.deleted);
    return 0;
}

static int list(struct fiber *self, struct pop3_session *s, const struct pop3_command *command, write_column *column)
{
    const struct pop3_maildrop *maildrop = &s->maildrop;
    struct buf *out = stream_output(s->stream);
    if (command->numbers) {
        uint32_t number = find(s, command);
        if (number) {
            buf_add_text(out, "+OK ");
            write_row(maildrop, number, column, out);
        }
        return 0;
    }
    pop3_ok(s, "%u messages (%llu octets)", maildrop->count - maildrop->deleted, (unsigned long long)maildrop->octets);
    for (uint32_t number = 1; number <= maildrop->count; number++) {
        if (maildrop->messages[number - 1].is_deleted)
            continue;
        write_row(maildrop, number, column, out);
        int result = pop3_flush_some(self, s);
        if (result)
            return result;
    }
    buf_add_text(out, ".\r\n");
    return 0;
}

int pop3_do_list(struct fiber *self, struct pop3_session *s, const struct pop3_command *command)
{
    return list(self, s, command, write_size);
}

int pop3_do_uidl(struct fiber *self, struct pop3_session *s, const struct pop3_command *command)
{
    return list(self, s, command, write_unique_id);
}

int pop3_do_dele(struct fiber *self, struct pop3_session *s, const struct pop3_command *command)
{
    (void)self;
    uint32_t number = find(s, command);
    if (!number)
        return 0;
    pop3_maildrop_delete(&s->maildrop, pop3_maildrop_get(&s->maildrop, number));
    pop3_ok(s, "message %u deleted", number);
    return 0;
}

int pop3_do_rset(struct fiber *self, struct pop3_session *s, const struct pop3_command *command)
{
    (void)self, (void)command;
    pop3_maildrop_reset(&s->maildrop);
    pop3_ok(s, "maildrop has %u messages (%llu octets)", s->maildrop.count, (unsigned long long)s->maildrop.octets);
    return 0;
}

int pop3_do_noop(struct fiber *self, struct pop3_session *s, const struct pop3_command *command)
{
    (void)self, (void)command;
    pop3_ok(s, "nothing done");
    return 0;
}
