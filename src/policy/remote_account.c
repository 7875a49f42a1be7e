#include "policy/remote_account.h"

#include "format/address.h"
#include "format/quantity.h"
#include "format/sealed.h"
#include "format/xtext.h"

#define LOGIN_MAX 255
#define FOLDER_NAME_MAX 200
#define WORDS_MAX 500
#define DELETE_AFTER_MOST (3650u * 86400)

enum field_type { FIELD_HOST, FIELD_PORT, FIELD_CHOICE, FIELD_YES, FIELD_DURATION, FIELD_TEXT, FIELD_DOMAIN };

static const char *const tls_words[] = {
    [REMOTE_TLS_POP3S] = "pop3s", [REMOTE_TLS_STLS] = "stls", [REMOTE_TLS_NONE] = "none", NULL};
static const char *const method_words[] = {
    [REMOTE_METHOD_AUTO] = "auto",   [REMOTE_METHOD_SCRAM] = "scram", [REMOTE_METHOD_APOP] = "apop",
    [REMOTE_METHOD_PLAIN] = "plain", [REMOTE_METHOD_LOGIN] = "login", NULL};

struct field {
    const char *name;
    enum field_type type;
    size_t offset;
    const char *const *words; /* CHOICE */
    uint64_t least, most;     /* DURATION, seconds; TEXT: bytes */
    bool may_be_none;         /* DURATION: 0, TEXT and DOMAIN: empty */
    const char *help;
};

#define AT(member) offsetof(struct remote_account, member)

static const struct field fields[] = {
    {"host", FIELD_HOST, AT(host), .help = "the provider's POP3 server"},
    {"port", FIELD_PORT, AT(port), .help = "995 with tls=pop3s and 110 else when it is not given"},
    {"tls", FIELD_CHOICE, AT(tls), .words = tls_words,
     .help = "pop3s: from the first byte; stls: nothing is said before STLS; none"},
    {"login", FIELD_TEXT, AT(login), .least = 1, .most = LOGIN_MAX, .help = "the name to log in with"},
    {"method", FIELD_CHOICE, AT(method), .words = method_words,
     .help = "auto: the best that is offered; or scram, apop, plain, login"},
    {"clear-password", FIELD_YES, AT(clear_password),
     .help = "yes: without TLS the password may be sent for everybody on the way to read"},
    {"verify", FIELD_YES, AT(verify), .help = "no: anybody's certificate will do"},
    {"interval", FIELD_DURATION, AT(interval), .least = REMOTE_INTERVAL_LEAST, .most = REMOTE_INTERVAL_MOST,
     .may_be_none = true, .help = "how often mail is fetched; 0: as remote.interval says"},
    {"leave", FIELD_YES, AT(leave), .help = "yes: mail stays at the provider, too"},
    {"delete-after", FIELD_DURATION, AT(delete_after), .least = 60, .most = DELETE_AFTER_MOST, .may_be_none = true,
     .help = "with leave=yes: it is deleted there so long after it was fetched; 0: never"},
    {"folder", FIELD_TEXT, AT(folder), .most = FOLDER_NAME_MAX, .may_be_none = true,
     .help = "the mailbox that it goes to; INBOX when it is not given"},
    {"split", FIELD_DOMAIN, AT(split), .may_be_none = true,
     .help = "a domain: its mail lies all in this mailbox and goes to whom the header names"},
    {"headers", FIELD_TEXT, AT(headers), .most = WORDS_MAX, .may_be_none = true,
     .help = "with split: the fields that say for whom a message was, in that order"},
    {"servers", FIELD_TEXT, AT(servers), .most = WORDS_MAX, .may_be_none = true,
     .help = "domains of the provider's servers, where they are others than the host's"},
    {"enabled", FIELD_YES, AT(enabled), .help = "no: nothing is fetched"},
    {"secret", FIELD_TEXT, AT(secret), .most = SEALED_TEXT_MAX, .may_be_none = true, .help = "the sealed password"},
};
#define FIELD_COUNT (sizeof fields / sizeof *fields)

void remote_account_init(struct remote_account *account)
{
    *account = (struct remote_account){.enabled = true, .verify = true};
}

static const struct field *find(struct span name)
{
    for (size_t i = 0; i < FIELD_COUNT; i++)
        if (span_is(name, fields[i].name))
            return &fields[i];
    return NULL;
}

/* ---- One value ---- */

static bool parse_yes(struct span text, bool *value)
{
    *value = span_is(text, "yes");
    return *value || span_is(text, "no");
}

static bool parse_choice(const struct field *f, struct span text, unsigned *value)
{
    for (*value = 0; f->words[*value]; ++*value)
        if (span_is(text, f->words[*value]))
            return true;
    return false;
}

static bool parse_duration(const struct field *f, struct span text, uint32_t *value)
{
    uint64_t seconds = 0;
    if (!quantity_parse(QUANTITY_DURATION, text, f->may_be_none ? 0 : f->least, f->most, &seconds) ||
        (seconds && seconds < f->least))
        return false;
    *value = (uint32_t)seconds;
    return true;
}

static bool is_clean(struct span text)
{
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] < ' ' || text.data[i] == 127)
            return false;
    return true;
}

static bool parse_domain(struct arena *arena, struct span text, struct span *value)
{
    return domain_check(text, true) == NULL && domain_to_ascii(arena, text, value) == NULL;
}

static bool parse_host(struct arena *arena, struct span text, struct span *value)
{
    struct ip_address ip;
    if (ip_address_parse(text, &ip)) {
        *value = arena_copy(arena, text);
        return value->data != NULL;
    }
    return parse_domain(arena, text, value);
}

static bool parse_text(const struct field *f, struct arena *arena, struct span text, struct span *value)
{
    if (text.size < f->least || text.size > f->most || !is_clean(text))
        return false;
    *value = arena_copy(arena, text);
    return value->data != NULL;
}

static bool parse_value(const struct field *f, void *place, struct arena *arena, struct span text)
{
    uint64_t number = 0;
    switch (f->type) {
    case FIELD_HOST:
        return parse_host(arena, text, place);
    case FIELD_PORT:
        if (!span_parse_u64(text, UINT16_MAX, &number) || !number)
            return false;
        *(uint16_t *)place = (uint16_t)number;
        return true;
    case FIELD_CHOICE:
        return parse_choice(f, text, place);
    case FIELD_YES:
        return parse_yes(text, place);
    case FIELD_DURATION:
        return parse_duration(f, text, place);
    case FIELD_TEXT:
        return parse_text(f, arena, text, place);
    case FIELD_DOMAIN:
        return text.size ? parse_domain(arena, text, place) : ((*(struct span *)place = (struct span){"", 0}), true);
    }
    return false;
}

static void explain(const struct field *f, struct span value, struct buf *problem)
{
    buf_printf(problem, "%s can't be '%.*s': ", f->name, SPAN_ARG(span_head(value, 100)));
    switch (f->type) {
    case FIELD_HOST:
        buf_add_text(problem, "the name or address of a server is expected");
        break;
    case FIELD_PORT:
        buf_add_text(problem, "a number from 1 to 65535 is expected");
        break;
    case FIELD_CHOICE:
        for (size_t i = 0; f->words[i]; i++)
            buf_printf(problem, "%s%s", i ? f->words[i + 1] ? ", " : " or " : "", f->words[i]);
        buf_add_text(problem, " is expected");
        break;
    case FIELD_YES:
        buf_add_text(problem, "yes or no is expected");
        break;
    case FIELD_DURATION:
        buf_printf(problem, "%sa time from %llu s to %llu d is expected, like 15m or 7d", f->may_be_none ? "0 or " : "",
                   (unsigned long long)f->least, (unsigned long long)(f->most / 86400));
        break;
    case FIELD_TEXT:
        buf_printf(problem, "%llu to %llu bytes without control characters are expected", (unsigned long long)f->least,
                   (unsigned long long)f->most);
        break;
    case FIELD_DOMAIN:
        buf_add_text(problem, "a domain is expected");
        break;
    }
}

bool remote_account_set(struct remote_account *account, struct arena *arena, struct span name, struct span value,
                        struct buf *problem)
{
    const struct field *f = find(name);
    if (!f) {
        buf_printf(problem, "a remote account has no '%.*s'; it has", SPAN_ARG(span_head(name, 100)));
        for (size_t i = 0; i + 1 < FIELD_COUNT; i++)
            buf_printf(problem, " %s", fields[i].name);
        return false;
    }
    if (parse_value(f, (char *)account + f->offset, arena, value))
        return true;
    explain(f, value, problem);
    return false;
}

/* ---- The whole ---- */

bool remote_account_check(const struct remote_account *a, struct buf *problem)
{
    const char *wrong = NULL;
    if (!a->host.size)
        wrong = "host is missing: the name of the provider's POP3 server";
    else if (!a->login.size)
        wrong = "login is missing: the name to log in with";
    else if (!a->secret.size)
        wrong = "the password is missing";
    else if (a->delete_after && !a->leave)
        wrong = "delete-after makes sense with leave=yes only";
    else if (a->tls == REMOTE_TLS_NONE && !a->clear_password &&
             (a->method == REMOTE_METHOD_PLAIN || a->method == REMOTE_METHOD_LOGIN))
        wrong = "without TLS this method shows the password to everybody on the way; choose tls=pop3s or tls=stls, "
                "or say clear-password=yes";
    if (wrong)
        buf_add_text(problem, wrong);
    return !wrong;
}

bool remote_account_parse(struct span text, struct arena *arena, struct remote_account *account, struct buf *problem)
{
    remote_account_init(account);
    if (text.size > REMOTE_ACCOUNT_TEXT_MAX) {
        buf_add_text(problem, "it is too long");
        return false;
    }
    for (struct span rest = text; rest.size;) {
        struct span word = span_cut(&rest, ' ');
        if (!word.size)
            continue;
        size_t equals = span_find(word, '=');
        struct span value;
        if (equals == word.size || !xtext_parse(span_skip(word, equals + 1), arena, &value)) {
            buf_printf(problem, "'%.*s' is not of the form name=value", SPAN_ARG(span_head(word, 100)));
            return false;
        }
        if (!remote_account_set(account, arena, span_head(word, equals), value, problem))
            return false;
    }
    if (!account->port)
        account->port = account->tls == REMOTE_TLS_POP3S ? 995 : 110;
    return remote_account_check(account, problem);
}

bool remote_account_field_write(const struct remote_account *account, size_t i, struct buf *out)
{
    const struct field *f = &fields[i];
    struct remote_account standard;
    remote_account_init(&standard);
    const void *place = (const char *)account + f->offset, *other = (const char *)&standard + f->offset;
    switch (f->type) {
    case FIELD_HOST:
    case FIELD_TEXT:
    case FIELD_DOMAIN:
        buf_add_span(out, *(const struct span *)place);
        return ((const struct span *)place)->size > 0;
    case FIELD_PORT:
        if (*(const uint16_t *)place)
            buf_add_u64(out, *(const uint16_t *)place);
        return *(const uint16_t *)place != 0;
    case FIELD_CHOICE:
        if (*(const unsigned *)place == *(const unsigned *)other)
            return false;
        buf_add_text(out, f->words[*(const unsigned *)place]);
        return true;
    case FIELD_YES:
        if (*(const bool *)place == *(const bool *)other)
            return false;
        buf_add_text(out, *(const bool *)place ? "yes" : "no");
        return true;
    case FIELD_DURATION:
        if (*(const uint32_t *)place)
            quantity_write(QUANTITY_DURATION, *(const uint32_t *)place, out);
        return *(const uint32_t *)place != 0;
    }
    return false;
}

const char *remote_account_field_name(size_t i)
{
    return i < FIELD_COUNT ? fields[i].name : NULL;
}

const char *remote_account_field_help(size_t i)
{
    return fields[i].help;
}

void remote_account_write(const struct remote_account *account, struct buf *out)
{
    struct buf value;
    buf_init(&value, REMOTE_ACCOUNT_TEXT_MAX);
    bool is_first = true;
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        buf_reset(&value);
        if (!remote_account_field_write(account, i, &value))
            continue;
        buf_printf(out, "%s%s=", is_first ? "" : " ", fields[i].name);
        xtext_write(buf_span(&value), out);
        is_first = false;
    }
    out->failed |= buf_failed(&value);
    buf_release(&value);
}

void remote_account_context(const struct remote_account *a, struct buf *out)
{
    unsigned port = a->port ? a->port : a->tls == REMOTE_TLS_POP3S ? 995 : 110;
    buf_printf(out, "remote %.*s %u %s ", SPAN_ARG(a->host), port, tls_words[a->tls]);
    buf_printf(out, "%s %s ", a->clear_password ? "clear" : "-", a->verify ? "verified" : "-");
    buf_add_span(out, a->login);
}
