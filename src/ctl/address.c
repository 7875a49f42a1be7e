#include "ctl/address.h"

#include "format/address.h"

#include <sysexits.h>

static int domain_of(struct ctl *ctl, struct arena *arena, struct span text, struct span *domain)
{
    const char *wrong = domain_check(text, true);
    if (!wrong)
        wrong = domain_to_ascii(arena, text, domain);
    if (!wrong && span_find(*domain, '.') == domain->size)
        wrong = "a full name has a dot in it";
    return wrong ? ctl_fail(ctl, EX_DATAERR, "'%.*s' is no domain: %s", SPAN_ARG(text), wrong) : EX_OK;
}

int ctl_domain(struct ctl *ctl, struct arena *arena, const char *text, struct span *domain)
{
    return domain_of(ctl, arena, span_text(text), domain);
}

int ctl_address(struct ctl *ctl, struct arena *arena, const char *text, struct span *address)
{
    struct mail_path path;
    const char *wrong = mail_address_parse(span_text(text), true, arena, &path);
    if (!wrong && (path.is_literal || path.domain.size == 0))
        wrong = "an account has a domain name behind its @";
    if (!wrong && path.local_part.size == 0)
        wrong = "there is nothing before its @";
    if (wrong)
        return ctl_fail(ctl, EX_DATAERR, "'%.300s' is no address: %s", text, wrong);
    struct span domain = SPAN("");
    int status = domain_of(ctl, arena, path.domain, &domain);
    if (status)
        return status;
    size_t size = path.local_part.size + 1 + domain.size;
    char *joined = arena_alloc(arena, size + 1);
    if (!joined)
        return ctl_fail(ctl, EX_OSERR, "out of memory");
    for (size_t i = 0; i < path.local_part.size; i++)
        joined[i] = ascii_lower(path.local_part.data[i]);
    joined[path.local_part.size] = '@';
    memcpy(joined + path.local_part.size + 1, domain.data, domain.size);
    *address = span_from(joined, size);
    return EX_OK;
}

int ctl_match(struct ctl *ctl, struct arena *arena, const char *text, struct span *match)
{
    *match = span_from(NULL, 0);
    if (!text)
        return EX_OK;
    if (text[0] != '@')
        return ctl_address(ctl, arena, text, match);
    struct span domain = SPAN("");
    int status = ctl_domain(ctl, arena, text + 1, &domain);
    if (status)
        return status;
    char *joined = arena_alloc(arena, domain.size + 2);
    if (!joined)
        return ctl_fail(ctl, EX_OSERR, "out of memory");
    joined[0] = '@';
    memcpy(joined + 1, domain.data, domain.size);
    *match = span_from(joined, domain.size + 1);
    return EX_OK;
}
