/* What providers say and write, and the texts of remote accounts: POP3 replies, Received: lines, headers of a domain's
 * mailbox, server messages of SCRAM. The first byte chooses. */
#include "fetch/scram_client.h"
#include "fetch/split.h"
#include "format/origin.h"
#include "format/pop3_reply.h"
#include "policy/remote_account.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void try_replies(struct span s)
{
    struct pop3_reply reply;
    struct pop3_capabilities capabilities = {0};
    uint32_t number = 0;
    uint64_t bytes;
    struct span uidl;
    pop3_reply_parse(s, &reply);
    require(reply.text.size <= s.size);
    if (pop3_uidl_parse(s, &number, &uidl))
        require(uidl.size <= POP3_UIDL_MAX && number <= INT32_MAX);
    if (pop3_listing_parse(s, &number, &bytes))
        require(number <= INT32_MAX);
    pop3_capability_parse(s, &capabilities);
    struct span stamp = pop3_timestamp(s);
    require(!stamp.size || (stamp.data[0] == '<' && stamp.data[stamp.size - 1] == '>'));
}

static void try_header(struct span s)
{
    const struct span domains[] = {SPAN("example.net"), SPAN("")};
    struct span addresses[SPLIT_MAX];
    struct arena arena;
    struct received received;
    struct origin origin;
    arena_init(&arena, 1u << 20);
    if (received_parse(s, &arena, &received))
        require(received.from.size || received.by.size);
    origin_find(s, domains, 2, &arena, &origin);
    require(!origin.is_known || (origin.line.has_ip && origin.lines > 0));
    require(origin.hop_count <= sizeof origin.hops / sizeof *origin.hops);
    size_t count = split_find(s, (struct span){0}, domains[0], &arena, addresses);
    require(count <= SPLIT_MAX);
    for (size_t i = 0; i < count; i++)
        require(span_ends_nocase(addresses[i], (struct span)SPAN("@example.net")));
    arena_release(&arena);
}

static void try_account(struct span s)
{
    struct remote_account account, again;
    struct arena arena;
    struct buf problem, first, second;
    arena_init(&arena, 1u << 20);
    buf_init(&problem, 4096);
    buf_init(&first, 1u << 16);
    buf_init(&second, 1u << 16);
    if (remote_account_parse(s, &arena, &account, &problem)) {
        remote_account_write(&account, &first);
        if (first.size <= REMOTE_ACCOUNT_TEXT_MAX) {
            require(remote_account_parse(buf_span(&first), &arena, &again, &problem));
            remote_account_write(&again, &second);
            require(span_equal(buf_span(&first), buf_span(&second)));
            buf_reset(&first);
            buf_reset(&second);
            remote_account_context(&account, &first);
            remote_account_context(&again, &second);
            require(!buf_failed(&first) && span_equal(buf_span(&first), buf_span(&second)));
        }
    } else {
        require(problem.size > 0 || arena.is_full);
    }
    buf_release(&problem);
    buf_release(&first);
    buf_release(&second);
    arena_release(&arena);
}

static void try_secrets(struct span s)
{
    struct scram_client scram;
    struct buf out;
    buf_init(&out, 4096);
    scram_client_init(&scram);
    scram_client_open(&scram, (struct span)SPAN("a"), (struct span)SPAN("r"), &out);
    struct span rest = s;
    span_cut(&rest, 'i'); /* many iterations would make each try slow */
    if (rest.size < 6)
        if (scram_client_take(&scram, (struct span)SPAN("r"), (struct span)SPAN("secret"), s)) {
            while (!scram_client_work(&scram))
                ;
            scram_client_prove(&scram, &out);
        }
    (void)scram_client_verify(&scram, s);
    scram_client_release(&scram);
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(struct span) = {try_replies, try_header, try_account, try_secrets};
    if (size)
        tries[data[0] % 4](span_from(data + 1, size - 1));
    return 0;
}
