#include "smtp/judgement.h"
#include "smtp/refusal.h"
#include "smtp/sender.h"

#include <errno.h>

#define ADDRESS_TEXT_MAX 1024

/* Takes the sender over into the transaction, which is open then. -ENOMEM. */
static int open_transaction(struct smtp_session *s, const struct smtp_mail *mail, const struct smtp_sender *sender)
{
    struct smtp_transaction *t = &s->transaction;
    struct buf path;
    buf_init(&path, ADDRESS_TEXT_MAX);
    if (!mail->path.is_null)
        mail_path_write(mail->path.local_part, mail->path.domain, &path);
    t->envelope.reverse_path = arena_copy(&t->arena, buf_span(&path));
    bool failed = buf_failed(&path) || !t->envelope.reverse_path.data;
    buf_release(&path);
    if (failed)
        return -ENOMEM;
    t->envelope.envid = mail->envid;
    t->envelope.ret = (unsigned)mail->ret;
    t->envelope.smtputf8 = mail->smtputf8;
    t->mail = *mail;
    t->sender = *sender;
    t->open = true;
    int error = smtp_judge_sender(s);
    if (error)
        return error;
    t->chunk_failed = false;
    s->transactions++;
    return 0;
}

static int refuse_syntax(struct fiber *self, struct smtp_session *s, const struct smtp_problem *problem,
                         struct span argument)
{
    const struct smtp_refusal refusal = {.what = SMTP_REFUSED_RETURN_PATH,
                                         .code = problem->code,
                                         .enhanced = problem->enhanced,
                                         .reason = problem->text,
                                         .sender = argument};
    return smtp_refuse_reported(self, s, &refusal, "%s", problem->text);
}

/* 1: the transaction is open; 0: it was replied why not; or a negative errno that ends the session. */
static int begin_transaction(struct fiber *self, struct smtp_session *s, struct span argument)
{
    struct smtp_abilities abilities = smtp_abilities(s);
    struct smtp_mail mail;
    struct smtp_sender sender;
    const struct smtp_problem *problem = smtp_mail_parse(argument, &abilities, &s->transaction.arena, &mail);
    if (problem && s->transaction.arena.is_starved)
        return smtp_refuse_internal(s, "no memory for MAIL", -ENOMEM);
    if (problem)
        return refuse_syntax(self, s, problem, argument);
    int fine = smtp_sender_check(self, s, &mail, &sender);
    if (fine <= 0)
        return fine;
    int error = open_transaction(s, &mail, &sender);
    return error ? smtp_refuse_internal(s, "no memory for MAIL", error) : 1;
}

int smtp_handle_mail(struct fiber *self, struct smtp_session *s, const struct smtp_command *command)
{
    if (s->transactions >= s->settings->smtp.transactions) {
        s->closing = true;
        return smtp_reply(s, 421, "4.7.0", "%s Enough messages for one connection, please connect anew",
                          s->settings->hostname);
    }
    struct span argument = arena_copy(&s->transaction.arena, command->argument);
    if (!argument.data)
        return smtp_refuse_internal(s, "no memory for MAIL", -ENOMEM);
    int result = begin_transaction(self, s, argument);
    if (result > 0)
        return smtp_reply(s, 250, "2.1.0", "Sender fine");
    smtp_transaction_reset(s);
    return result;
}
