/* What gates and desks say and ask beside logins: refusals, POP-before-SMTP windows, passcodes, greylisting. */
#include "auth.pb-c.h"
#include "auth/process.h"
#include "base/clock.h"
#include "base/log.h"
#include "ipc/binary.h"

#include <errno.h>

#define TEXT_MAX 1024 /* of each field: more is no report */
#define MILLISECOND (NANOSECONDS / 1000)
#define GRANT_LEAST_SECONDS 300

static const char *const kinds[] = {
    [AUTH__REFUSED__REFUSED_RETURN_PATH] = "sender refused",
    [AUTH__REFUSED__REFUSED_RECIPIENT] = "recipient refused",
    [AUTH__REFUSED__REFUSED_UNKNOWN_USER] = "unknown recipient",
    [AUTH__REFUSED__REFUSED_MESSAGE] = "message refused",
    [AUTH__REFUSED__REFUSED_PASSCODE] = "wrong passcode",
};

static bool is_sane(const Auth__ReportRequest *r)
{
    return r->refused > AUTH__REFUSED__REFUSED_UNSET && (size_t)r->refused < sizeof kinds / sizeof *kinds &&
           r->peer_address.len <= TEXT_MAX && r->reverse_path.len <= TEXT_MAX && r->recipient.len <= TEXT_MAX &&
           r->reason.len <= TEXT_MAX && r->session.len <= TEXT_MAX && r->account.len <= TEXT_MAX;
}

/* One that does not parse counts as the address zero. */
static struct ip_address address_of(ProtobufCBinaryData text)
{
    struct ip_address ip = {0};
    if (!ip_address_parse(binary_span(text), &ip))
        log_write(LOG_PROBLEM, "auth", NULL, "a gate or desk named a client without an address");
    return ip;
}

static uint64_t count_harvesting(struct auth_process *a, const Auth__ReportRequest *r)
{
    struct ip_address ip = address_of(r->peer_address);
    uint64_t account = r->account_id;
    return failures_add(&a->harvest, &ip, span_from(&account, account ? sizeof account : 0), clock_monotonic());
}

/* A recipient as passcodes are counted for it: in lower case and without its detail, or each of alice+1@, alice+2@ …
 * would be worth another thirty. Empty without memory. */
static void write_recipient_key(const struct auth_process *a, struct span recipient, struct buf *key)
{
    size_t at = span_find_last(recipient, '@');
    struct span local = span_head(recipient, at);
    const char *separator = a->settings->smtp.detail_separator;
    if (separator && separator[0] && span_find(local, separator[0]) > 0)
        local = span_head(local, span_find(local, separator[0]));
    struct span parts[] = {local, span_skip(recipient, at)};
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < parts[i].size; j++)
            buf_add_char(key, ascii_lower(parts[i].data[j]));
}

static uint64_t count_guess(struct auth_process *a, const Auth__ReportRequest *r)
{
    struct ip_address ip = address_of(r->peer_address);
    uint64_t now = clock_monotonic();
    struct buf key;
    buf_init(&key, TEXT_MAX);
    write_recipient_key(a, binary_span(r->recipient), &key);
    guesses_add(&a->guesses, &ip, buf_span(&key), now);
    uint64_t delay = failures_add(&a->passcodes, &ip, buf_span(&key), now);
    buf_release(&key);
    return delay;
}

static void note_event(struct auth_process *a, const Auth__ReportRequest *r, uint32_t delay_ms)
{
    struct event *event = events_add(&a->events, kinds[r->refused], clock_wall());
    if (!event)
        return;
    event_set(event, peer_address, binary_span(r->peer_address));
    event_set(event, account, binary_span(r->account));
    event_set(event, reverse_path, binary_span(r->reverse_path));
    event_set(event, recipient, binary_span(r->recipient));
    event_set(event, reason, binary_span(r->reason));
    event_set(event, session, binary_span(r->session));
    event->code = r->code;
    event->delay_ms = delay_ms;
    condition_wake_all(&a->happened);
}

void auth_report(struct auth_process *a, struct call *call)
{
    const Auth__ReportRequest *r = (const Auth__ReportRequest *)call->request;
    Auth__ReportReply reply = AUTH__REPORT_REPLY__INIT;
    if (!is_sane(r)) {
        call_fail(call, -EINVAL);
        return;
    }
    if (r->refused == AUTH__REFUSED__REFUSED_UNKNOWN_USER)
        reply.delay_ms = (uint32_t)(count_harvesting(a, r) / MILLISECOND);
    else if (r->refused == AUTH__REFUSED__REFUSED_PASSCODE)
        reply.delay_ms = (uint32_t)(count_guess(a, r) / MILLISECOND);
    note_event(a, r, reply.delay_ms);
    call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
}

void auth_window(struct auth_process *a, struct call *call)
{
    const Auth__WindowRequest *r = (const Auth__WindowRequest *)call->request;
    Auth__WindowReply reply = AUTH__WINDOW_REPLY__INIT;
    unsigned char grant[GRANT_SIZE];
    struct ip_address ip;
    const struct window *window = NULL;
    if (a->settings->submission.pop_before_smtp && ip_address_parse(binary_span(r->peer_address), &ip))
        window = windows_get(&a->windows, &ip, clock_monotonic());
    if (window) {
        /* The transaction that begins under it may last as long as a session may. */
        unsigned seconds = a->settings->smtp.session_timeout;
        seconds = seconds < GRANT_LEAST_SECONDS ? GRANT_LEAST_SECONDS : seconds;
        grant_make(a->grant_key, window->account_id, clock_monotonic() / NANOSECONDS + seconds, grant);
        reply.open = true;
        reply.account_id = window->account_id;
        reply.address = binary_from_span(window_address(window));
        reply.grant = binary_from_span(span_from(grant, sizeof grant));
    }
    call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
}

void auth_guess(struct auth_process *a, struct call *call)
{
    const Auth__GuessRequest *r = (const Auth__GuessRequest *)call->request;
    Auth__GuessReply reply = AUTH__GUESS_REPLY__INIT;
    struct ip_address ip;
    struct buf key;
    if (r->recipient.len > TEXT_MAX || !ip_address_parse(binary_span(r->peer_address), &ip)) {
        call_fail(call, -EINVAL);
        return;
    }
    buf_init(&key, TEXT_MAX);
    write_recipient_key(a, binary_span(r->recipient), &key);
    reply.allowed = !buf_failed(&key) && guesses_is_allowed(&a->guesses, &ip, buf_span(&key), clock_monotonic());
    buf_release(&key);
    call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
}

void auth_greylist(struct auth_process *a, struct call *call)
{
    const Auth__GreylistRequest *r = (const Auth__GreylistRequest *)call->request;
    Auth__GreylistReply reply = AUTH__GREYLIST_REPLY__INIT;
    struct greylist_attempt attempt = {.reverse_path = binary_span(r->reverse_path),
                                       .recipient = binary_span(r->recipient),
                                       .wait_seconds = r->wait_seconds};
    if (r->reverse_path.len > TEXT_MAX || r->recipient.len > TEXT_MAX ||
        !ip_address_parse(binary_span(r->peer_address), &attempt.from)) {
        call_fail(call, -EINVAL);
        return;
    }
    reply.wait_seconds = greylist_check(&a->greylist, &attempt, clock_monotonic());
    call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
}
