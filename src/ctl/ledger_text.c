#include "ctl/ledger_text.h"

#include "base/clock.h"
#include "ctl/foreign.h"
#include "format/date.h"
#include "format/quantity.h"
#include "ipc/binary.h"
#include "policy/decide.h"

#include <stdio.h>
#include <time.h>

#define SINCE_MAX (100ull * 365 * 24 * 3600)

void ledger_write_time(uint64_t at, struct buf *out)
{
    time_t seconds = (time_t)(at / NANOSECONDS);
    struct tm tm;
    char text[40];
    if (gmtime_r(&seconds, &tm) && strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &tm))
        buf_add_text(out, text);
    else
        buf_add_text(out, "at a time that nobody can read");
}

const char *ledger_verdict_word(unsigned verdict)
{
    static const char *const words[] = {
        [VERDICT_NO_OPINION] = "accepted", [VERDICT_ACCEPT] = "accepted", [VERDICT_REFUSE] = "refused",
        [VERDICT_DEFER] = "put off",       [VERDICT_FILE] = "filed",      [VERDICT_WATCH] = "watched"};
    return verdict < sizeof words / sizeof *words ? words[verdict] : "of an unknown verdict";
}

const char *ledger_fate_word(StoreWrite__Fate fate)
{
    switch (fate) {
    case STORE_WRITE__FATE__FATE_UNREAD:
        return "unread";
    case STORE_WRITE__FATE__FATE_READ:
        return "read";
    case STORE_WRITE__FATE__FATE_ANSWERED:
        return "answered";
    case STORE_WRITE__FATE__FATE_FILED:
        return "filed elsewhere";
    case STORE_WRITE__FATE__FATE_DELETED:
        return "deleted";
    default:
        return "";
    }
}

static struct span sender_of(const StoreWrite__LedgerRow *row)
{
    return row->reverse_path.len ? binary_span(row->reverse_path) : span_text("<>");
}

/* Where it lies, but for the inbox, where everybody looks. */
static struct span folder_of(const StoreWrite__LedgerEntry *entry)
{
    struct span folder = binary_span(entry->folder);
    return span_is_nocase(folder, "INBOX") ? (struct span){"", 0} : folder;
}

/* ---- A line ---- */

/* Is the recipient an alias, as of a team: neither the account's address nor that with a detail? */
static bool is_by_another_name(const StoreWrite__LedgerEntry *entry)
{
    struct span account = binary_span(entry->account), recipient = binary_span(entry->row->recipient);
    size_t at = span_find_last(account, '@');
    bool is_same = span_starts_nocase(recipient, span_head(account, at)) &&
                   span_ends_nocase(recipient, span_skip(account, at)) && recipient.size >= account.size;
    if (!account.size || !is_same)
        return account.size > 0;
    /* Behind the name there has to be the domain, or a separator. */
    char next = ascii_lower(recipient.data[at]);
    return (next >= 'a' && next <= 'z') || (next >= '0' && next <= '9');
}

void ledger_write_entry(const StoreWrite__LedgerEntry *entry, struct buf *out)
{
    const StoreWrite__LedgerRow *row = entry->row;
    char reference[10];
    ledger_write_time(row->at, out);
    buf_printf(out, "  %s  ", ledger_verdict_word(row->verdict));
    foreign_write(sender_of(row), false, out);
    buf_add_text(out, " -> ");
    foreign_write(binary_span(row->recipient), false, out);
    if (is_by_another_name(entry)) {
        buf_add_text(out, " (");
        foreign_write(binary_span(entry->account), false, out);
        buf_add_char(out, ')');
    }
    if (row->fetched)
        buf_add_text(out, " (fetched)");
    if (row->rule.len) {
        buf_add_text(out, "  by ");
        foreign_write(binary_span(row->rule), false, out);
    }
    if (row->attempts > 1)
        buf_printf(out, "  %llu times", (unsigned long long)row->attempts);
    if (row->reference) {
        reference_write(row->reference, reference);
        buf_printf(out, "  %s", reference);
    }
    if (*ledger_fate_word(entry->fate))
        buf_printf(out, "  %s", ledger_fate_word(entry->fate));
    if (folder_of(entry).size) {
        buf_add_text(out, ", in the folder ");
        foreign_write(folder_of(entry), false, out);
    }
    buf_add_char(out, '\n');
    struct span more = row->sentence.len ? binary_span(row->sentence) : binary_span(row->subject);
    if (more.size) {
        buf_add_text(out, "    ");
        foreign_write(more, false, out);
        buf_add_char(out, '\n');
    }
}

static void write_fields_json(const StoreWrite__LedgerEntry *entry, struct json *json)
{
    const StoreWrite__LedgerRow *row = entry->row;
    char reference[10] = "";
    if (row->reference)
        reference_write(row->reference, reference);
    json_number(json, "id", entry->id);
    json_text(json, "reference", span_text(reference));
    json_number(json, "at", row->at / NANOSECONDS);
    json_number(json, "attempts", row->attempts);
    json_number(json, "last_at", row->last_at / NANOSECONDS);
    json_text(json, "account", binary_span(entry->account));
    json_text(json, "recipient", binary_span(row->recipient));
    json_text(json, "sender", binary_span(row->reverse_path));
    json_bool(json, "fetched", row->fetched);
    json_text(json, "stage", span_text(row->stage == DECIDE_CONTENT ? "content" : "rcpt"));
    json_text(json, "verdict", span_text(verdict_name((enum verdict_kind)row->verdict)));
    json_text(json, "rule", binary_span(row->rule));
    json_text(json, "level", span_text(row->rule.len ? rule_level_name((enum rule_level)row->level) : ""));
    json_text(json, "ip", binary_span(row->ip));
    json_text(json, "ptr", binary_span(row->ptr));
    json_text(json, "helo", binary_span(row->helo));
    json_text(json, "subject", binary_span(row->subject));
    json_text(json, "message_id", binary_span(row->header_message_id));
    json_text(json, "evidence", binary_span(row->evidence));
    json_text(json, "sentence", binary_span(row->sentence));
    json_text(json, "reply", binary_span(row->reply));
    json_text(json, "fate", span_text(ledger_fate_word(entry->fate)));
    json_text(json, "folder", binary_span(entry->folder));
}

void ledger_write_entry_json(const StoreWrite__LedgerEntry *entry, struct json *json)
{
    json_object(json, NULL);
    write_fields_json(entry, json);
    json_end_object(json);
}

/* ---- Times ---- */

static bool parse_date(struct span text, uint64_t *at)
{
    int64_t seconds;
    bool has_time;
    if (!date_parse_iso(text, &seconds, &has_time) || seconds < 0 || (uint64_t)seconds > UINT64_MAX / NANOSECONDS)
        return false;
    *at = (uint64_t)seconds * NANOSECONDS;
    return true;
}

bool ledger_time_parse(struct span text, uint64_t now, uint64_t *at)
{
    uint64_t seconds;
    if (parse_date(text, at))
        return true;
    if (!quantity_parse(QUANTITY_DURATION, text, 1, SINCE_MAX, &seconds))
        return false;
    *at = now > seconds * NANOSECONDS ? now - seconds * NANOSECONDS : 0;
    return true;
}

/* ---- An explanation ---- */

/* Refusals that are no rule's (smtp/command_rcpt.c names them), and what an administrator may do. */
static const struct other {
    const char *name, *explanation;
    const char *command; /* the recipient's address stands behind it; NULL: nothing is to be done */
    const char *rest;
} others[] = {
    {"no-such-user", "there is no such address here", "account add", ""},
    {"relay", "the address is at another site, and the sender has not logged in", NULL, NULL},
    {"quota", "the mailbox is full", "account set", " --quota SIZE"},
    {"closed", "the account is closed", "account set", " --enable"},
    {"list-post", "the sender may not write to this mailing list", "mailinglist show", ""},
    {"syntax", "the address was not written as addresses are", NULL, NULL},
    {"message-form", "the message was larger than the site takes, or not written as messages are", NULL, NULL},
    {"content-class", "the first recipient of the message has other rules about content: it was asked to come again",
     NULL, NULL},
    {"held-aside", "reading the message made the server fail several times, so it lies unread in the folder Held",
     "mail export --account", " DIRECTORY"},
    {"paused", "intake was paused: it was asked to come again", NULL, NULL},
    {"daily-limit", "the account has sent to as many recipients at other sites as are allowed in a day", NULL, NULL},
    {"held-aside", "reading the message made the server fail, so it lies unread in a folder of its own", NULL, NULL},
    {"too-many-recipients", "one message can't have so many recipients: the rest was asked to come again", NULL, NULL},
};

static const struct other *find_other(struct span rule)
{
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (span_is(rule, others[i].name))
            return &others[i];
    return NULL;
}

bool ledger_has_reason(struct span name)
{
    return find_other(name);
}

static void write_who(const StoreWrite__LedgerEntry *entry, struct buf *out)
{
    const StoreWrite__LedgerRow *row = entry->row;
    char reference[10];
    if (row->reference) {
        reference_write(row->reference, reference);
        buf_printf(out, "Reference %s: ", reference);
    }
    buf_add_text(out, "mail from ");
    foreign_write(sender_of(row), false, out);
    buf_add_text(out, " for ");
    foreign_write(binary_span(row->recipient), false, out);
    if (is_by_another_name(entry)) {
        buf_add_text(out, ", which leads to ");
        foreign_write(binary_span(entry->account), false, out);
        buf_add_char(out, ',');
    }
    buf_printf(out, " was %s on ", ledger_verdict_word(row->verdict));
    ledger_write_time(row->at, out);
    buf_add_text(out, ".\n");
    if (row->attempts > 1) {
        buf_printf(out, "So were %llu more attempts like it, until ", (unsigned long long)row->attempts - 1);
        ledger_write_time(row->last_at, out);
        buf_add_text(out, "; they were counted and not listed one by one.\n");
    }
    if (row->ip.len) {
        buf_printf(out, "It %s ", row->fetched ? "was fetched; it had come to the provider from" : "came from");
        foreign_write(binary_span(row->ip), false, out);
        if (row->ptr.len) {
            buf_add_text(out, ", by the DNS ");
            foreign_write(binary_span(row->ptr), false, out);
        }
        if (row->helo.len) {
            buf_add_text(out, ", which calls itself ");
            foreign_write(binary_span(row->helo), false, out);
        }
        buf_add_text(out, ".\n");
    }
    if (row->subject.len) {
        buf_add_text(out, "Its subject is \"");
        foreign_write(binary_span(row->subject), false, out);
        buf_add_text(out, "\".\n");
    }
    if (entry->folder.len) {
        bool is_told = entry->fate == STORE_WRITE__FATE__FATE_UNREAD || entry->fate == STORE_WRITE__FATE__FATE_READ ||
                       entry->fate == STORE_WRITE__FATE__FATE_ANSWERED;
        buf_add_text(out, "It is in the folder ");
        foreign_write(binary_span(entry->folder), false, out);
        buf_printf(out, "%s%s%s.\n", is_told ? " (" : "", is_told ? ledger_fate_word(entry->fate) : "",
                   is_told ? ")" : "");
    }
}

static void write_line(const char *what, ProtobufCBinaryData text, struct buf *out)
{
    if (!text.len)
        return;
    buf_printf(out, "%s", what);
    foreign_write(binary_span(text), false, out);
    buf_add_char(out, '\n');
}

/* Rules that are on as they are built in, and keep out what stands on a list: there is an entry to be taken away. */
static const struct listed {
    const char *rule, *list;
    bool is_sites;
} listed[] = {
    {"black-list", "black", false},
    {"fetched-black-list", "black", false},
    {"denied-servers", "denied", true},
    {"denied-host-names", "denied-name", true},
};

static const struct listed *find_list(unsigned rule)
{
    for (size_t i = 0; i < sizeof listed / sizeof *listed; i++)
        if (strcmp(rules[rule].name, listed[i].rule) == 0)
            return &listed[i];
    return NULL;
}

/* The rule's own setting at the level that decided. */
static const struct ledger_setting *find_setting(const StoreWrite__LedgerRow *row,
                                                 const struct ledger_setting *settings, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (settings[i].level == row->level && span_equal(settings[i].name, binary_span(row->rule)))
            return &settings[i];
    return NULL;
}

static void write_setting(const struct ledger_setting *s, struct buf *out)
{
    buf_add_text(out, "    ");
    foreign_write(s->name, false, out);
    buf_add_char(out, '=');
    foreign_write(s->value, false, out);
    buf_printf(out, "  of the %s", rule_level_name((enum rule_level)s->level));
    if (s->owner.size) {
        buf_add_char(out, ' ');
        foreign_write(s->owner, false, out);
    }
    buf_add_text(out, s->is_locked ? ", locked, set by " : ", set by ");
    foreign_write(s->set_by, false, out);
    buf_add_text(out, " on ");
    ledger_write_time(s->set_at, out);
    buf_add_char(out, '\n');
}

static void write_rule(const StoreWrite__LedgerRow *row, struct buf *out)
{
    unsigned rule = rule_find(binary_span(row->rule));
    const struct other *other = find_other(binary_span(row->rule));
    if (rule != RULE_NONE) {
        buf_printf(out, "Rule %s: %s\nIt was in force by the %s%s.\n", rules[rule].name, rules[rule].summary,
                   row->level == LEVEL_DEFAULT ? "value that is "
                   : find_list(rule)           ? "setting or the list of the "
                                               : "setting of the ",
                   rule_level_name((enum rule_level)row->level));
    } else if (other) {
        buf_printf(out, "That is no rule of anybody's (%s): %s.\n", other->name, other->explanation);
    } else {
        buf_add_text(out, "That is no rule of this version: ");
        foreign_write(binary_span(row->rule), false, out);
        buf_add_char(out, '\n');
    }
}

static void write_why(const StoreWrite__LedgerRow *row, const struct ledger_setting *settings, size_t count,
                      struct buf *out)
{
    write_line("\nWhy: ", row->sentence, out);
    if (!row->rule.len)
        buf_add_text(out, "\nNo rule had anything to say against it.\n");
    else
        write_rule(row, out);
    write_line("Evidence: ", row->evidence, out);
    write_line(row->fetched ? "What was done: " : "The sender was told: ", row->reply, out);
    if (count)
        buf_add_text(out, "Today's settings of that rule:\n");
    for (size_t i = 0; i < count; i++)
        write_setting(&settings[i], out);
    if (row->rule.len && row->level != LEVEL_DEFAULT && rule_find(binary_span(row->rule)) != RULE_NONE &&
        !find_setting(row, settings, count))
        buf_add_text(out, "That setting, or the list's entry, may have been changed since.\n");
}

/* The search goes on behind a rule that files or watches, and behind none there is no "before". */
static const char *asked_words(const StoreWrite__LedgerRow *row)
{
    bool ended = row->verdict == VERDICT_REFUSE || row->verdict == VERDICT_DEFER || row->verdict == VERDICT_ACCEPT;
    return !row->rule.len ? "Asked, and said nothing: "
           : ended        ? "Asked before it, and said nothing: "
                          : "Asked as well, and said nothing: ";
}

static void write_asked(const StoreWrite__LedgerRow *row, struct buf *out)
{
    const char *before = asked_words(row);
    bool any = false;
    unsigned decided = rule_find(binary_span(row->rule));
    for (unsigned i = 0; i < rule_count; i++) {
        /* A rule that both lets in and keeps out is asked twice. */
        if (i == decided || !(row->asked & rule_bit(i)))
            continue;
        if (!any)
            buf_add_char(out, '\n');
        buf_printf(out, "%s%s", any ? ", " : before, rules[i].name);
        any = true;
    }
    buf_add_text(out, any ? ".\n" : "");
}

/* In a command that people copy to a shell: what a stranger made up must not be one of its own. */
static void write_argument(struct span address, struct buf *out)
{
    for (size_t i = 0; i < address.size; i++) {
        char c = ascii_lower(address.data[i]);
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("@._+=-", c);
        if (!is_plain || c == '\0' || address.data[0] == '-') {
            buf_add_text(out, "ADDRESS");
            return;
        }
    }
    buf_add_span(out, address);
}

static struct span domain_of(struct span address)
{
    return span_skip(address, span_find_last(address, '@'));
}

/* Would it be off if this setting were taken away? */
static bool is_off_without(const StoreWrite__LedgerRow *row, unsigned rule, const struct ledger_setting *settings,
                           size_t count)
{
    bool has_other = false;
    for (size_t i = 0; i < count; i++)
        has_other |= settings[i].level != row->level && span_equal(settings[i].name, binary_span(row->rule));
    return !has_other && find_setting(row, settings, count) && strcmp(rules[rule].parameters[0].fallback, "off") == 0;
}

static void write_list_command(const StoreWrite__LedgerRow *row, unsigned rule, struct span owner, bool is_my,
                               struct buf *out)
{
    const struct listed *list = find_list(rule);
    if (!list || row->level == LEVEL_DEFAULT || (is_my && row->level != LEVEL_ACCOUNT && row->level != LEVEL_ADDRESS))
        return;
    buf_printf(out, "  ostiary %slist show ", is_my ? "my " : "");
    if (list->is_sites || row->level == LEVEL_SITE)
        buf_add_text(out, "--site");
    else
        write_argument(row->level == LEVEL_DOMAIN ? domain_of(owner) : owner, out);
    buf_printf(out, " %s\n      shows the list whose entry it was; 'ostiary %slist remove' takes an entry away\n",
               list->list, is_my ? "my " : "");
}

/* Has the site locked it by now, whoever it was that set it when this came? */
static bool is_locked(const struct ledger_setting *settings, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (settings[i].is_locked)
            return true;
    return false;
}

/* Who has to say it is off, so that this recipient is spared. */
static void write_switch(const StoreWrite__LedgerEntry *entry, const struct ledger_setting *settings, size_t count,
                         bool is_my, struct buf *out)
{
    const StoreWrite__LedgerRow *row = entry->row;
    unsigned rule = rule_find(binary_span(row->rule));
    bool is_sites = is_locked(settings, count);
    bool unsets =
        (row->level == LEVEL_ACCOUNT || row->level == LEVEL_ADDRESS) && is_off_without(row, rule, settings, count);
    struct span owner =
        row->level == LEVEL_ADDRESS || !entry->account.len ? binary_span(row->recipient) : binary_span(entry->account);
    const char *name = rules[rule].name;
    write_list_command(row, rule, owner, is_my, out);
    if (is_sites && is_my) {
        buf_printf(out, "  Only the administrator can switch off %s: it is the site's.\n", name);
        return;
    }
    if (is_sites) {
        buf_printf(out, "  ostiary rules set --site %s=off\n      for everybody\n", name);
        return;
    }
    buf_printf(out, "  ostiary %srules %s ", is_my ? "my " : "", unsets ? "unset" : "set");
    write_argument(owner, out);
    buf_printf(out, " %s%s\n      lets in whatever only this rule keeps out\n", name, unsets ? "" : "=off");
    if (!is_my && row->level == LEVEL_SITE)
        buf_printf(out, "  ostiary rules set --site %s=off\n      for everybody who has not set it\n", name);
    if (!is_my && row->level == LEVEL_DOMAIN) {
        buf_add_text(out, "  ostiary rules set ");
        write_argument(domain_of(owner), out);
        buf_printf(out, " %s=off\n      for everybody in that domain who has not set it\n", name);
    }
}

static void write_undo(const StoreWrite__LedgerEntry *entry, const struct ledger_setting *settings, size_t count,
                       bool is_my, struct buf *out)
{
    const StoreWrite__LedgerRow *row = entry->row;
    char reference[10];
    const struct other *other = find_other(binary_span(row->rule));
    if (other && other->command && !is_my) {
        buf_printf(out, "\nWhat you can do:\n  ostiary %s ", other->command);
        write_argument(entry->account.len ? binary_span(entry->account) : binary_span(row->recipient), out);
        buf_printf(out, "%s\n", other->rest);
        return;
    }
    bool keeps_out = row->verdict == VERDICT_REFUSE || row->verdict == VERDICT_DEFER || row->verdict == VERDICT_FILE;
    if (!keeps_out || rule_find(binary_span(row->rule)) == RULE_NONE)
        return;
    buf_add_text(out, "\nTo let such mail in:\n");
    /* Entries of a white list are not asked before what is locked. */
    bool is_first = is_locked(settings, count) && rules[rule_find(binary_span(row->rule))].group >= GROUP_LOCAL;
    if (row->reference && !is_first) {
        reference_write(row->reference, reference);
        buf_printf(out, "  ostiary %sallow %s\n      exactly this kind, and nothing else\n", is_my ? "my " : "",
                   reference);
    }
    write_switch(entry, settings, count, is_my, out);
}

void ledger_write_explanation(const StoreWrite__LedgerEntry *entry, const struct ledger_setting *settings, size_t count,
                              bool is_my, struct buf *out)
{
    write_who(entry, out);
    write_why(entry->row, settings, count, out);
    write_asked(entry->row, out);
    write_undo(entry, settings, count, is_my, out);
}

static void write_setting_json(const struct ledger_setting *s, struct json *json)
{
    json_object(json, NULL);
    json_text(json, "name", s->name);
    json_text(json, "value", s->value);
    json_text(json, "level", span_text(rule_level_name((enum rule_level)s->level)));
    json_text(json, "owner", s->owner);
    json_bool(json, "locked", s->is_locked);
    json_text(json, "set_by", s->set_by);
    json_number(json, "set_at", s->set_at / NANOSECONDS);
    json_end_object(json);
}

/* The commands of write_undo's text, each as it is typed. */
static void write_undo_json(struct span text, struct json *json)
{
    static const struct span mark = SPAN("  ostiary ");
    json_list(json, "undo");
    while (text.size) {
        struct span line = span_cut(&text, '\n');
        if (span_equal(span_head(line, mark.size), mark))
            json_text(json, NULL, span_skip(line, 2));
    }
    json_end_list(json);
}

void ledger_write_explanation_json(const StoreWrite__LedgerEntry *entry, const struct ledger_setting *settings,
                                   size_t count, bool is_my, struct json *json)
{
    unsigned rule = rule_find(binary_span(entry->row->rule));
    const struct other *other = find_other(binary_span(entry->row->rule));
    struct buf undo;
    buf_init(&undo, 4096);
    json_object(json, NULL);
    write_fields_json(entry, json);
    json_text(json, "summary", span_text(rule != RULE_NONE ? rules[rule].summary : other ? other->explanation : ""));
    json_list(json, "settings");
    for (size_t i = 0; i < count; i++)
        write_setting_json(&settings[i], json);
    json_end_list(json);
    json_list(json, "asked");
    for (unsigned i = 0; i < rule_count; i++)
        if (entry->row->asked & rule_bit(i))
            json_text(json, NULL, span_text(rules[i].name));
    json_end_list(json);
    write_undo(entry, settings, count, is_my, &undo);
    write_undo_json(buf_span(&undo), json);
    json_end_object(json);
    buf_release(&undo);
}
