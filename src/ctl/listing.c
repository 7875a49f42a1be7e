#include "ctl/listing.h"

#include <stdlib.h>
#include <sysexits.h>

/* How many items the page has; `after` becomes what the next one begins behind. */
static size_t items_of(const StoreWrite__ListReply *reply, StoreWrite__ListKind kind, struct buf *after)
{
    size_t n = kind == STORE_WRITE__LIST_KIND__LIST_DOMAINS    ? reply->n_domains
               : kind == STORE_WRITE__LIST_KIND__LIST_ACCOUNTS ? reply->n_accounts
               : kind == STORE_WRITE__LIST_KIND__LIST_LISTS    ? reply->n_lists
                                                               : reply->n_aliases;
    buf_reset(after);
    if (n == 0)
        return 0;
    if (kind == STORE_WRITE__LIST_KIND__LIST_DOMAINS) {
        buf_add_span(after, binary_span(reply->domains[n - 1]->name));
    } else if (kind == STORE_WRITE__LIST_KIND__LIST_ACCOUNTS) {
        buf_add_span(after, binary_span(reply->accounts[n - 1]->address));
    } else if (kind == STORE_WRITE__LIST_KIND__LIST_ALIASES) {
        buf_add_span(after, binary_span(reply->aliases[n - 1]->address));
    } else {
        const StoreWrite__MailingList *list = reply->lists[n - 1];
        buf_add_span(after, binary_span(list->address));
        if (list->n_members) {
            buf_add_char(after, ' ');
            buf_add_span(after, binary_span(list->members[list->n_members - 1]->address));
        }
    }
    return n;
}

int listing_run(struct fiber *self, struct store_client *client, struct listing *listing)
{
    StoreWrite__ListRequest request = STORE_WRITE__LIST_REQUEST__INIT;
    struct buf after;
    buf_init(&after, 4096);
    int status = EX_OK;
    request.kind = listing->kind;
    request.match = binary_from_span(listing->match);
    for (bool more = true; more && status == EX_OK;) {
        struct answer answer;
        request.after = binary_from_span(buf_span(&after));
        status = store_client_call(self, client, STORE_WRITE_LIST, &request.base, &answer);
        if (status)
            break;
        const StoreWrite__ListReply *reply = (const StoreWrite__ListReply *)answer.message;
        size_t n = items_of(reply, listing->kind, &after);
        listing->page(listing, reply);
        listing->count += n;
        more = reply->more && n > 0;
        answer_release(&answer);
    }
    buf_release(&after);
    return status;
}
