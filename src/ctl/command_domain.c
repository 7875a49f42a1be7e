/* domain add, set, remove, list */
#include "base/list.h"
#include "ctl/address.h"
#include "ctl/commands.h"
#include "ctl/directory_change.h"

#include <sysexits.h>

static int send(struct ctl *ctl, StoreWrite__Change kind, StoreWrite__Domain *domain, const char *done)
{
    StoreWrite__ChangeRequest request = STORE_WRITE__CHANGE_REQUEST__INIT;
    request.change = kind;
    request.domain = domain;
    int status = directory_change(ctl, &request);
    if (status == EX_OK)
        buf_printf(&ctl->out, "%.*s %s\n", SPAN_ARG(binary_span(domain->name)), done);
    return status;
}

static int take_name(struct ctl *ctl, struct arena *arena, const char *text, ProtobufCBinaryData *name)
{
    struct span span = {NULL, 0};
    int status = ctl_domain(ctl, arena, text, &span);
    *name = binary_from_span(span);
    return status;
}

static int take_next_hop(struct ctl *ctl, struct arena *arena, const char *text, StoreWrite__Domain *domain)
{
    struct span next_hop = {NULL, 0};
    int status = text ? ctl_next_hop(ctl, arena, text, &next_hop) : EX_OK;
    domain->next_hop = binary_from_span(next_hop);
    return status;
}

static int add(struct ctl *ctl, struct arena *arena)
{
    StoreWrite__Domain domain = STORE_WRITE__DOMAIN__INIT;
    const char *alias_of = ctl_option(ctl, "alias-of"), *next_hop = ctl_option(ctl, "next-hop");
    bool is_backup = ctl_option(ctl, "backup");
    if (alias_of && (is_backup || next_hop))
        return ctl_fail(ctl, EX_USAGE, "--alias-of goes with neither --backup nor --next-hop: a domain is one of them");
    int status = take_name(ctl, arena, ctl->arguments[0], &domain.name);
    if (status == EX_OK && alias_of)
        status = take_name(ctl, arena, alias_of, &domain.alias_of);
    if (status == EX_OK)
        status = take_next_hop(ctl, arena, next_hop, &domain);
    if (status)
        return status;
    domain.kind = is_backup ? STORE_WRITE__DOMAIN_KIND__DOMAIN_BACKUP : STORE_WRITE__DOMAIN_KIND__DOMAIN_OWN;
    status = send(ctl, STORE_WRITE__CHANGE__DOMAIN_ADD, &domain, "is added");
    /* RFC 5321 section 4.5.1 wants one. Its account may not exist yet, so it can't be asked for here. */
    if (status == EX_OK && !is_backup && !alias_of)
        buf_printf(&ctl->out,
                   "now give it a postmaster: ostiary alias add postmaster@%s ADDRESS (or an account of that name)\n",
                   ctl->arguments[0]);
    return status;
}

int ctl_domain_add(struct ctl *ctl)
{
    struct arena arena;
    arena_init(&arena, DIRECTORY_ARENA_MAX);
    int status = add(ctl, &arena);
    arena_release(&arena);
    return status;
}

static int set(struct ctl *ctl, struct arena *arena)
{
    StoreWrite__Domain domain = STORE_WRITE__DOMAIN__INIT;
    const char *unknown_to = ctl_option(ctl, "unknown-to"), *next_hop = ctl_option(ctl, "next-hop");
    bool refuse = ctl_option(ctl, "unknown-refuse"), by_mx = ctl_option(ctl, "next-hop-by-mx");
    if ((unknown_to != NULL) + (next_hop != NULL) + refuse + by_mx != 1)
        return ctl_fail(ctl, EX_USAGE,
                        "give one of --unknown-to, --unknown-refuse, --next-hop and --next-hop-by-mx (the last two are "
                        "for backup domains)");
    int status = take_name(ctl, arena, ctl->arguments[0], &domain.name);
    if (status == EX_OK)
        status = take_next_hop(ctl, arena, unknown_to ? unknown_to : next_hop, &domain);
    domain.kind = next_hop || by_mx ? STORE_WRITE__DOMAIN_KIND__DOMAIN_BACKUP : STORE_WRITE__DOMAIN_KIND__DOMAIN_OWN;
    domain.set_next_hop = true;
    return status ? status : send(ctl, STORE_WRITE__CHANGE__DOMAIN_SET, &domain, "is changed");
}

int ctl_domain_set(struct ctl *ctl)
{
    struct arena arena;
    arena_init(&arena, DIRECTORY_ARENA_MAX);
    int status = set(ctl, &arena);
    arena_release(&arena);
    return status;
}

int ctl_domain_remove(struct ctl *ctl)
{
    StoreWrite__Domain domain = STORE_WRITE__DOMAIN__INIT;
    struct arena arena;
    arena_init(&arena, DIRECTORY_ARENA_MAX);
    int status = take_name(ctl, &arena, ctl->arguments[0], &domain.name);
    if (status == EX_OK)
        status = send(ctl, STORE_WRITE__CHANGE__DOMAIN_REMOVE, &domain, "is removed");
    arena_release(&arena);
    return status;
}

static void write_json(struct json *json, const StoreWrite__Domain *domain)
{
    bool is_backup = domain->kind == STORE_WRITE__DOMAIN_KIND__DOMAIN_BACKUP;
    json_object(json, NULL);
    json_text(json, "name", binary_span(domain->name));
    json_number(json, "accounts", domain->accounts);
    json_text(json, "kind", span_text(domain->alias_of.len ? "alias" : is_backup ? "backup" : "own"));
    if (domain->alias_of.len)
        json_text(json, "alias_of", binary_span(domain->alias_of));
    if (domain->next_hop.len)
        json_text(json, is_backup ? "next_hop" : "unknown_to", binary_span(domain->next_hop));
    json_end_object(json);
}

static void write_line(struct buf *out, const StoreWrite__Domain *domain)
{
    buf_printf(out, "%-40.*s ", SPAN_ARG(binary_span(domain->name)));
    ctl_write_count(out, domain->accounts, "account");
    if (domain->alias_of.len)
        buf_printf(out, ", another name of %.*s", SPAN_ARG(binary_span(domain->alias_of)));
    else if (domain->kind == STORE_WRITE__DOMAIN_KIND__DOMAIN_BACKUP)
        buf_printf(out, ", backup for %.*s",
                   SPAN_ARG(domain->next_hop.len ? binary_span(domain->next_hop) : span_text("its MX hosts")));
    else if (domain->next_hop.len)
        buf_printf(out, ", unknown names go to %.*s", SPAN_ARG(binary_span(domain->next_hop)));
    buf_add_char(out, '\n');
}

static void list_domains(struct listing *listing, const StoreWrite__ListReply *reply)
{
    struct directory_list *list = container_of(listing, struct directory_list, listing);
    struct ctl *ctl = list->work.ctl;
    for (size_t i = 0; i < reply->n_domains; i++)
        if (ctl->json)
            write_json(&list->json, reply->domains[i]);
        else
            write_line(&ctl->out, reply->domains[i]);
}

int ctl_domain_list(struct ctl *ctl)
{
    return directory_list(ctl, STORE_WRITE__LIST_KIND__LIST_DOMAINS, NULL, list_domains);
}
