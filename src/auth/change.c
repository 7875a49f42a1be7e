#include "auth.pb-c.h"
#include "auth/account.h"
#include "auth/credentials.h"
#include "auth/password.h"
#include "auth/process.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "store_write.pb-c.h"

#include <errno.h>
#include <stdlib.h>

#define CHANGES_MAX 256
#define STORE_SECONDS 10
#define WRITE_SECONDS 30
#define HASH_SECONDS 30
#define WORD_MAX 64 /* of the desk's for the log */
#define PROBLEM_MAX 1024

/* A new password under way. */
struct change_work {
    struct auth_process *process;
    struct call *call;
    const Auth__ChangePasswordRequest *request;
    struct exchange_account account;
    struct account_secrets secrets;
    struct password password;
    struct credential_set credentials;
    struct buf problem; /* why not: for the person */
    char session[WORD_MAX + 1];
};

/* A desk that was taken over may write what it likes; a log line stays a line. */
static void copy_session(struct change_work *w)
{
    struct span given = binary_span(w->request->session);
    for (size_t i = 0; i < given.size; i++)
        w->session[i] = given.data[i] > ' ' && given.data[i] < 0x7f ? given.data[i] : '?';
}

/* The account as it stands now: the grant may be hours old. */
static int look_up(struct fiber *self, struct change_work *w)
{
    struct auth_process *a = w->process;
    uint64_t id = grant_check(a->grant_key, binary_span(w->request->grant), clock_monotonic() / NANOSECONDS);
    struct login login;
    if (id == 0 || !recent_has_pwd_login(&a->recent, id, clock_monotonic()) ||
        !login_parse(binary_span(w->request->address), &login))
        return -EACCES;
    int error =
        account_look_up(self, a->peers, login_span(&login), clock_in_seconds(STORE_SECONDS), &w->account, &w->secrets);
    if (error) {
        log_write(LOG_PROBLEM, "auth", w->session, "no answer from the store; password change put off error=%d",
                  -error);
        return -EAGAIN;
    }
    /* The address may have become another account's. */
    return w->account.found && w->account.id == id && w->account.enabled ? 0 : -EACCES;
}

/* Hashing takes the whole process, so it comes one at a time like that of logins. 0 also with a problem said. */
static int make_credentials(struct fiber *self, struct change_work *w)
{
    struct auth_process *a = w->process;
    int error = turnstile_enter(self, &a->turnstile, TURNSTILE_CLEAN, clock_in_seconds(HASH_SECONDS));
    if (error)
        return -EAGAIN;
    /* A hash of no known kind is no reason to refuse a better one. */
    int same = account_compare(&w->secrets, &w->password);
    if (same == 0)
        buf_add_text(&w->problem, "the new password is the old one; choose another");
    else if (same == -ENOMEM ||
             credentials_make(a->settings, password_span(&w->password), &w->credentials, &w->problem) == -ENOMEM)
        error = -EAGAIN;
    turnstile_leave(&a->turnstile);
    return error;
}

static int store(struct fiber *self, struct change_work *w)
{
    StoreWrite__CredentialsRequest request = STORE_WRITE__CREDENTIALS_REQUEST__INIT;
    StoreWrite__StoredCredential values[CREDENTIALS_MAX], *pointers[CREDENTIALS_MAX];
    struct channel *writer = peers_get(w->process->peers, ROLE_WRITER);
    struct answer answer;
    for (size_t i = 0; i < w->credentials.count; i++) {
        store_write__stored_credential__init(&values[i]);
        values[i].kind = (char *)(uintptr_t)w->credentials.items[i].kind;
        values[i].value = binary_from_span(buf_span(&w->credentials.items[i].value));
        pointers[i] = &values[i];
    }
    request.account_id = w->account.id;
    request.credentials = pointers;
    request.n_credentials = w->credentials.count;
    int error = channel_call(self, writer, STORE_WRITE_CREDENTIALS, &request.base, (struct span){0}, -1,
                             clock_in_seconds(WRITE_SECONDS), &answer);
    if (error) {
        log_write(LOG_PROBLEM, "auth", w->session, "the store did not take a new password account=%s error=%d",
                  log_quote(login_span(&w->account.address)), -error);
        /* A writer that died on the way may have committed; one that was never asked has not. */
        return writer ? -EIO : -EAGAIN;
    }
    buf_add_text(&w->problem, ((const StoreWrite__ChangeReply *)answer.message)->problem);
    if (!w->problem.size) {
        /* Whoever had the old password is let in no more. */
        recent_forget_password(&w->process->recent, w->account.id);
        windows_close_account(&w->process->windows, w->account.id);
    }
    answer_release(&answer);
    return 0;
}

/* 0 with an empty problem: changed. 0 with a problem: refused. Else nothing was decided. */
static int change(struct fiber *self, struct change_work *w)
{
    const Auth__ChangePasswordRequest *r = w->request;
    if (r->session.len > WORD_MAX || r->peer_address.len > WORD_MAX)
        return -EINVAL;
    copy_session(w);
    int error = look_up(self, w);
    if (error)
        return error;
    struct span password = binary_span(r->password);
    if (!credentials_are_good(w->process->settings, login_span(&w->account.address), password, &w->problem))
        return 0;
    if (!password_parse(password, &w->password)) /* good ones parse */
        return -EINVAL;
    error = make_credentials(self, w);
    return error || w->problem.size ? error : store(self, w);
}

static void log_outcome(const struct change_work *w, int error)
{
    const char *ip = log_quote(binary_span(w->request->peer_address));
    const char *account = log_quote(login_span(&w->account.address));
    if (!error && !w->problem.size)
        log_write(LOG_LOW, "auth", w->session, "password changed ip=%s account=%s", ip, account);
    else
        log_write(LOG_FAILURE, "auth", w->session, "password change refused ip=%s account=%s reason=%s", ip, account,
                  error ? log_quote(span_text(strerror(-error))) : log_quote(buf_span(&w->problem)));
}

static void answer_desk(struct change_work *w, int error)
{
    Auth__ChangePasswordReply reply = AUTH__CHANGE_PASSWORD_REPLY__INIT;
    if (error) {
        call_fail(w->call, error);
        return;
    }
    reply.changed = w->problem.size == 0;
    buf_add_char(&w->problem, '\0');
    if (buf_failed(&w->problem)) {
        call_fail(w->call, reply.changed ? -EIO : -EAGAIN);
        return;
    }
    reply.problem = w->problem.data;
    call_reply(w->call, &reply.base, (struct span){0}, -1);
}

static void change_main(struct fiber *self, void *argument)
{
    struct change_work *w = argument;
    struct auth_process *a = w->process;
    int error = change(self, w);
    log_outcome(w, error);
    /* Its memory goes back to the heap with the call. */
    if (w->request->password.len)
        explicit_bzero(w->request->password.data, w->request->password.len);
    answer_desk(w, error);
    account_secrets_release(&w->secrets);
    credentials_release(&w->credentials);
    buf_release(&w->problem);
    explicit_bzero(w, sizeof *w);
    free(w);
    a->steps--;
    a->changes--;
}

void auth_change_start(struct auth_process *a, struct call *call)
{
    struct change_work *w = a->changes < CHANGES_MAX ? calloc(1, sizeof *w) : NULL;
    if (!w)
        goto busy;
    w->process = a;
    w->call = call;
    w->request = (const Auth__ChangePasswordRequest *)call->request;
    account_secrets_init(&w->secrets);
    buf_init(&w->problem, PROBLEM_MAX);
    a->steps++;
    a->changes++;
    if (fiber_start(a->loop, "auth change", change_main, w))
        return;
    a->steps--;
    a->changes--;
    free(w);
busy:
    log_write(LOG_PROBLEM, "auth", NULL, "too many password changes at once; one was put off");
    call_fail(call, -EAGAIN);
}
