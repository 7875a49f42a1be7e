#include "fetch/notice.h"

#include "auth/digest.h"
#include "base/clock.h"
#include "base/log.h"
#include "dns/lookup.h"
#include "format/date.h"
#include "format/dsn.h"
#include "format/header.h"
#include "format/summary.h"
#include "format/trace.h"
#include "intake/deliver.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "store_read.pb-c.h"

#include <errno.h>
#include <stdio.h>

#define ASK_SECONDS 60
#define STORE_SECONDS 300
#define DAY (86400 * NANOSECONDS)
#define TEXT_MAX (16u << 10)
#define HOSTS_MAX 5 /* of the sender's domain that are looked at */

/* ---- Whom it is right to tell ---- */

static bool has_address(struct fiber *self, struct attempt *a, struct span host)
{
    struct dns_addresses found;
    dns_addresses(self, a->sources->peers, host, DNS_IPV4 | DNS_IPV6, clock_in_seconds(ASK_SECONDS), a->transaction,
                  &found);
    for (size_t i = 0; i < found.count; i++)
        if (ip_address_equal(&found.addresses[i], &a->facts.ip))
            return true;
    return false;
}

bool notice_sender_fits(struct fiber *self, struct attempt *a, const struct mail_path *sender)
{
    struct recipient_facts nobody = {.hit_count = 0};
    struct span domain;
    struct dns_mx mx;
    if (sender->is_null || sender->is_literal || !ip_address_is_public(&a->facts.ip) ||
        domain_to_ascii(a->transaction, sender->domain, &domain) != NULL)
        return false;
    if (facts_gather(self, a, &nobody, FACT_BIT(FACT_PTR), 0))
        return false;
    if (a->facts.state[FACT_PTR] == FACT_KNOWN && received_is_below(a->facts.ptr.name, domain))
        return true;
    dns_mx(self, a->sources->peers, domain, clock_in_seconds(ASK_SECONDS), a->transaction, &mx);
    for (size_t i = 0; i < mx.count && i < HOSTS_MAX; i++)
        if (has_address(self, a, span_text(mx.hosts[i].name)))
            return true;
    return has_address(self, a, domain);
}

/* RFC 3834 section 2: nothing that a program sent is answered, nor what came over a list. */
static bool was_written_by_a_person(const struct arrival *a, const struct attempt *attempt)
{
    static const struct span list_fields[] = {SPAN("List-Id"), SPAN("List-Unsubscribe"), SPAN("List-Post"),
                                              SPAN("Mailing-List"), SPAN("X-Mailing-List")};
    static const char *const names[] = {"mailer-daemon", "postmaster", "listserv", "majordomo", "noreply",
                                        "no-reply",      "bounce",     "bounces",  "root",      "daemon"};
    struct header_field field;
    if (a->sender.is_null || attempt->facts.content.is_automatic)
        return false;
    for (size_t i = 0; i < sizeof list_fields / sizeof *list_fields; i++)
        if (header_find(a->header, list_fields[i], &field))
            return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (span_is_nocase(a->sender.local_part, names[i]))
            return false;
    return !span_starts_nocase(a->sender.local_part, (struct span)SPAN("owner-")) &&
           !span_ends_nocase(a->sender.local_part, (struct span)SPAN("-request")) &&
           !span_ends_nocase(a->sender.local_part, (struct span)SPAN("-owner"));
}

/* ---- Once in a day ---- */

static void write_key(struct span sender, struct span recipient, struct buf *key)
{
    unsigned char digest[SHA256_SIZE];
    struct buf both;
    buf_init(&both, 2048);
    buf_add_span(&both, recipient);
    buf_add_char(&both, 0);
    buf_add_span(&both, sender);
    digest_sha256(buf_span(&both), digest);
    buf_release(&both);
    buf_add_text(key, "notice:");
    for (size_t i = 0; i < 24; i++)
        buf_printf(key, "%02x", digest[i]);
}

static int forget(struct fiber *self, struct visit *v, ProtobufCBinaryData *key)
{
    StoreWrite__RemoteSeenRequest request = STORE_WRITE__REMOTE_SEEN_REQUEST__INIT;
    struct answer answer;
    uint64_t deadline = clock_in_seconds(STORE_SECONDS);
    request.remote_id = v->remote->id;
    request.uidls = key;
    request.n_uidls = 1;
    request.forget = true;
    int error = channel_call(self, peers_wait(self, v->fetcher->peers, ROLE_WRITER, deadline), STORE_WRITE_REMOTE_SEEN,
                             &request.base, (struct span){0}, -1, deadline, &answer);
    if (!error)
        answer_release(&answer);
    return error;
}

/* 1: one was sent in the last day; 0: none was; or a negative errno. */
static int was_told(struct fiber *self, struct visit *v, struct span key)
{
    StoreRead__RemoteSeenRequest request = STORE_READ__REMOTE_SEEN_REQUEST__INIT;
    ProtobufCBinaryData uidl = binary_from_span(key);
    struct answer answer;
    uint64_t deadline = clock_in_seconds(ASK_SECONDS), now = clock_wall();
    request.remote_id = v->remote->id;
    request.uidls = &uidl;
    request.n_uidls = 1;
    int error = channel_call(self, peers_wait(self, v->fetcher->peers, ROLE_READER, deadline), STORE_READ_REMOTE_SEEN,
                             &request.base, (struct span){0}, -1, deadline, &answer);
    if (error)
        return error;
    const StoreRead__RemoteSeenReply *reply = (const StoreRead__RemoteSeenReply *)answer.message;
    uint64_t at = reply->n_seen ? reply->seen[0]->seen_at : 0;
    answer_release(&answer);
    if (at && (now < at || now - at < DAY))
        return 1;
    return at ? forget(self, v, &uidl) : 0;
}

/* ---- The notice ---- */

static void write_notice(const struct arrival *a, const struct attempt *attempt, struct span recipient, struct buf *out)
{
    const char *hostname = a->visit->settings->hostname;
    struct span message_id = attempt->facts.content.message_id;
    trace_return_path_write((struct span){0}, out);
    buf_printf(out, "From: Mail system <postmaster@%s>\r\nTo: <", hostname);
    dsn_printable_write(a->reverse_path, true, out);
    buf_add_text(out, ">\r\nSubject: Your message was not accepted\r\nDate: ");
    date_write(clock_wall(), out);
    buf_printf(out, "\r\nMessage-ID: <%016llx.%016llx@%s>\r\n", (unsigned long long)fetch_random(),
               (unsigned long long)fetch_random(), hostname);
    if (message_id.size && message_id.size < 500) {
        buf_add_text(out, "In-Reply-To: ");
        dsn_printable_write(message_id, true, out);
        buf_add_text(out, "\r\n");
    }
    buf_add_text(out, "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
                      "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
                      "Your message to ");
    dsn_printable_write(recipient, true, out);
    buf_add_text(out, " was not accepted.\r\n\r\nThis person takes mail only from senders on their list, and\r\n");
    dsn_printable_write(a->reverse_path, true, out);
    buf_add_text(out, " is not on it. Please ask them in another way to add you.\r\n\r\n"
                      "This notice is sent once in a day at most.\r\n");
}

static int find_way(struct fiber *self, struct arrival *a, struct span address, struct span forwarder,
                    struct envelope *envelope)
{
    struct visit *v = a->visit;
    struct intake intake = {.peers = v->fetcher->peers, .settings = v->settings};
    struct mail_path *path = arena_alloc(&a->memory, sizeof *path);
    struct intake_route route = {.kind = INTAKE_ROUTE_NO_USER};
    if (!path)
        return -ENOMEM;
    if (mail_address_parse(address, true, &a->memory, path) != NULL)
        return -ENOENT;
    struct intake_question question = {.path = path};
    int error = intake_route_find(self, &intake, &a->memory, &question, clock_in_seconds(ASK_SECONDS), &route);
    if (!error && route.kind == INTAKE_ROUTE_NOT_OURS)
        error = intake_route_relay(v->settings, &a->memory, path, false, &route);
    if (error || route.kind != INTAKE_ROUTE_LOCAL)
        return error ? error : -ENOENT;
    struct intake_target *targets = arena_array(&a->memory, route.count, sizeof *targets);
    if (!targets)
        return -ENOMEM;
    for (size_t i = 0; i < route.count; i++) {
        targets[i] = route.targets[i];
        if (targets[i].kind == INTAKE_TARGET_REMOTE && !targets[i].forwarder.size)
            targets[i].forwarder = forwarder;
    }
    route.targets = targets;
    struct intake_naming naming = {.path = path};
    return envelope_has_room(envelope, &naming, &route) ? envelope_add(envelope, &a->memory, &naming, &route) : -E2BIG;
}

static int hand_over(struct fiber *self, struct arrival *a, const struct envelope *envelope, struct span text,
                     struct span key)
{
    StoreWrite__DeliverRequest request = STORE_WRITE__DELIVER_REQUEST__INIT;
    struct answer answer;
    struct arena scratch;
    struct buf summary;
    uint64_t deadline = clock_in_seconds(STORE_SECONDS);
    buf_init(&summary, SUMMARY_SIZE_MAX);
    arena_init(&scratch, SUMMARY_ARENA_MAX);
    int error = summary_make(text, &scratch, &summary);
    if (!error)
        error = intake_fill_request(envelope, &a->memory, &request);
    request.received_at = clock_wall();
    request.protocol = (char *)(uintptr_t) "local";
    request.session = binary_from_span(span_text(a->visit->session));
    request.eight_bit = true;
    request.summary = binary_from_span(buf_span(&summary));
    request.remote_id = a->visit->remote->id;
    request.uidl = binary_from_span(key);
    if (!error)
        error = channel_call(self, peers_wait(self, a->visit->fetcher->peers, ROLE_WRITER, deadline),
                             STORE_WRITE_DELIVER, &request.base, text, -1, deadline, &answer);
    if (!error)
        answer_release(&answer);
    arena_release(&scratch);
    buf_release(&summary);
    return error;
}

int notice_send(struct fiber *self, struct arrival *a, struct attempt *attempt, struct span recipient)
{
    struct envelope envelope;
    struct buf key, text;
    if (!was_written_by_a_person(a, attempt) || !notice_sender_fits(self, attempt, &a->sender))
        return 0;
    buf_init(&key, POP3_UIDL_MAX);
    buf_init(&text, TEXT_MAX);
    envelope_init(&envelope);
    write_key(a->reverse_path, recipient, &key);
    int error = buf_failed(&key) ? -ENOMEM : was_told(self, a->visit, buf_span(&key));
    bool is_told = error > 0;
    if (!error) {
        write_notice(a, attempt, recipient, &text);
        error = buf_failed(&text) ? -ENOMEM : find_way(self, a, a->reverse_path, (struct span){0}, &envelope);
    }
    if (!error)
        error = hand_over(self, a, &envelope, buf_span(&text), buf_span(&key));
    if (!error)
        log_write(LOG_LOW, "fetch", a->visit->session, "the refused sender is told to=%s for=%s",
                  log_quote(a->reverse_path), log_quote(recipient));
    buf_release(&key);
    buf_release(&text);
    return is_told || error == -ENOENT ? 0 : error;
}

int notice_add_copy(struct fiber *self, struct arrival *a, struct span address, struct span forwarder,
                    struct envelope *envelope)
{
    int error = find_way(self, a, address, forwarder, envelope);
    if (error != -ENOENT)
        return error;
    log_write(LOG_PROBLEM, "fetch", a->visit->session,
              "fetched-white-list.carbon-copy leads nowhere: no copy is sent address=%s", log_quote(address));
    return 0;
}
