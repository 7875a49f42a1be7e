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

static int take_address(struct ctl *ctl, struct arena *arena, const char *text, bool keep_case, struct span *address)
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
        joined[i] = keep_case ? path.local_part.data[i] : ascii_lower(path.local_part.data[i]);
    joined[path.local_part.size] = '@';
    memcpy(joined + path.local_part.size + 1, domain.data, domain.size);
    *address = span_from(joined, size);
    return EX_OK;
}

int ctl_address(struct ctl *ctl, struct arena *arena, const char *text, struct span *address)
{
    return take_address(ctl, arena, text, false, address);
}

int ctl_target(struct ctl *ctl, struct arena *arena, const char *text, struct span *address)
{
    return take_address(ctl, arena, text, true, address);
}

/* The host as it goes before the port. */
static bool take_host(struct arena *arena, struct span text, struct span *host)
{
    struct ip_address address;
    bool brackets = text.size > 2 && text.data[0] == '[' && text.data[text.size - 1] == ']';
    if (brackets) {
        *host = text;
        return ip_address_parse(span_from(text.data + 1, text.size - 2), &address) && !ip_address_is_ipv4(&address);
    }
    if (ip_address_parse(text, &address)) {
        *host = text;
        return ip_address_is_ipv4(&address);
    }
    return text.size && !domain_check(text, true) && !domain_to_ascii(arena, text, host);
}

int ctl_next_hop(struct ctl *ctl, struct arena *arena, const char *text, struct span *next_hop)
{
    struct span host, given = span_text(text);
    uint64_t port = 25;
    size_t colon = span_find_last(given, ':');
    /* The colons of an IPv6 address stand in brackets. */
    bool has_port = colon < given.size && !memchr(given.data + colon, ']', given.size - colon);
    bool good = !has_port || (span_parse_u64(span_skip(given, colon + 1), 65535, &port) && port > 0);
    if (!good || !take_host(arena, has_port ? span_head(given, colon) : given, &host))
        return ctl_fail(ctl, EX_DATAERR,
                        "'%.300s' is no host; give one like mail.example.org, 192.0.2.1:2525 or [2001:db8::1]", text);
    struct buf joined;
    buf_init(&joined, 1024);
    buf_printf(&joined, "%.*s:%u", SPAN_ARG(host), (unsigned)port);
    *next_hop = arena_copy(arena, buf_span(&joined));
    buf_release(&joined);
    return next_hop->data ? EX_OK : ctl_fail(ctl, EX_OSERR, "out of memory");
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
