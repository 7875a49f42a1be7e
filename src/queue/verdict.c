#include "queue/verdict.h"

#include <stdio.h>

/* ---- Replies ---- */

/* "5.1.1": three numbers, the first of them the class, none of more than three digits (RFC 3463 section 2). */
static bool status_is_well_formed(struct span s)
{
    for (unsigned i = 0; i < 3; i++) {
        uint64_t number;
        size_t end = span_find(s, '.');
        if (end > 3 || (end < s.size) != (i < 2) || !span_parse_u64(span_head(s, end), 999, &number))
            return false;
        s = span_skip(s, end + 1);
    }
    return true;
}

/* Of a server that gives none. */
static const char *const plain_status[] = {
    [VERDICT_AT_GREETING] = "3.0", [VERDICT_AT_HELLO] = "3.0", [VERDICT_AT_MAIL] = "1.0",
    [VERDICT_AT_RCPT] = "1.0",     [VERDICT_AT_DATA] = "5.0",  [VERDICT_AT_END] = "0.0",
};

static struct verdict make(enum verdict_kind kind, char class, enum verdict_stage stage, struct span enhanced)
{
    struct verdict v = {.kind = kind};
    if (status_is_well_formed(enhanced) && enhanced.data[0] == class && enhanced.data[1] == '.')
        snprintf(v.status, sizeof v.status, "%.*s", SPAN_ARG(enhanced));
    else
        snprintf(v.status, sizeof v.status, "%c.%s", class, plain_status[stage]);
    return v;
}

static bool is_early(enum verdict_stage stage)
{
    return stage == VERDICT_AT_GREETING || stage == VERDICT_AT_HELLO;
}

static struct verdict of_temporary(enum verdict_stage stage, unsigned code, struct span enhanced, bool others)
{
    /* "Too many recipients" with and without its enhanced code; where none was taken it would go round for ever. */
    bool too_many = stage == VERDICT_AT_RCPT && others &&
                    (span_is(enhanced, "4.5.3") || (code == 452 && !status_is_well_formed(enhanced)));
    if (too_many)
        return make(VERDICT_AGAIN, '4', stage, enhanced);
    /* 421 is about the server, not about the message, unless it comes behind the data. */
    bool about_host = is_early(stage) || (code == 421 && stage < VERDICT_AT_END);
    return make(about_host ? VERDICT_NEXT_HOST : VERDICT_DEFERRED, '4', stage, enhanced);
}

struct verdict verdict_of_reply(enum verdict_stage stage, unsigned code, struct span enhanced, bool others)
{
    if (code == 0) {
        struct verdict lost = verdict_of_trouble(TROUBLE_LOST);
        lost.kind = is_early(stage) ? VERDICT_NEXT_HOST : VERDICT_DEFERRED;
        return lost;
    }
    if (code >= 200 && code < 300 && (stage == VERDICT_AT_END || stage == VERDICT_AT_RCPT))
        return make(VERDICT_DELIVERED, '2', stage, enhanced);
    if (code >= 400 && code < 500)
        return of_temporary(stage, code, enhanced, others);
    /* Old servers say 552 where 452 is meant: RFC 5321 section 4.5.3.1.10. */
    if (code == 552 && enhanced.size && enhanced.data[0] == '4')
        return of_temporary(stage, 452, enhanced, others);
    if (code == 552 && stage == VERDICT_AT_RCPT && others &&
        (!status_is_well_formed(enhanced) || span_is(enhanced, "5.5.3")))
        return make(VERDICT_AGAIN, '4', stage, (struct span){0});
    if (code >= 500 && code < 600)
        return make(VERDICT_FAILED, '5', stage, enhanced);
    /* A reply that has no meaning here: the server is out of order. */
    struct verdict odd = make(VERDICT_DEFERRED, '4', stage, (struct span){0});
    snprintf(odd.status, sizeof odd.status, "4.5.0");
    return odd;
}

/* ---- Troubles ---- */

static const struct {
    enum verdict_kind kind;
    const char *status, *text;
} troubles[TROUBLE_COUNT] = {
    [TROUBLE_NO_DOMAIN] = {VERDICT_FAILED, "5.1.2", "There is no domain of this name"},
    [TROUBLE_NO_ADDRESS] = {VERDICT_FAILED, "5.1.2", "This domain has no mail server"},
    [TROUBLE_NULL_MX] = {VERDICT_FAILED, "5.1.10", "This domain says that it takes no mail"},
    [TROUBLE_BAD_ADDRESS] = {VERDICT_FAILED, "5.1.3", "This is no address that mail can be sent to"},
    [TROUBLE_DNS] = {VERDICT_DEFERRED, "4.4.3", "The domain's name servers do not answer"},
    [TROUBLE_LOOP] = {VERDICT_FAILED, "5.4.6",
                      "The domain's mail servers lead back to this server, which does not know the domain"},
    [TROUBLE_UNREACHABLE] = {VERDICT_DEFERRED, "4.4.1", "None of the domain's mail servers can be reached"},
    [TROUBLE_TLS] = {VERDICT_DEFERRED, "4.7.5", "An encrypted connection can't be made as it is asked for"},
    [TROUBLE_LOST] = {VERDICT_DEFERRED, "4.4.2", "The connection broke off"},
    [TROUBLE_EXPIRED] = {VERDICT_FAILED, "5.4.7", "It could not be delivered for too long a time"},
    [TROUBLE_GIVEN_UP] = {VERDICT_FAILED, "5.4.7", "The administrator of this server gave it up"},
    [TROUBLE_LIST_GONE] = {VERDICT_FAILED, "5.1.1", "The mailing list does not exist any more"},
    [TROUBLE_LIST_LOOP] = {VERDICT_FAILED, "5.4.6", "The message has been through this mailing list before"},
    [TROUBLE_OURS] = {VERDICT_DEFERRED, "4.3.0", "This server has a passing problem of its own"},
};

struct verdict verdict_of_trouble(enum verdict_trouble trouble)
{
    struct verdict v = {.kind = troubles[trouble].kind};
    snprintf(v.status, sizeof v.status, "%s", troubles[trouble].status);
    return v;
}

const char *verdict_trouble_text(enum verdict_trouble trouble)
{
    return troubles[trouble].text;
}

/* ---- Words ---- */

/* The longest match of "subject.detail" counts; RFC 3463 section 3, in a newcomer's words. */
static const struct {
    const char *rest, *text;
} meanings[] = {
    {"1.1", "There is nobody of this name at that domain. Please check how the address is written."},
    {"1.2", "The domain in the address does not exist or takes no mail. Please check how the address is written."},
    {"1.3", "The address is not one that mail can be sent to. Please check how it is written."},
    {"1.6", "The mailbox has moved, and nobody says where to. Please ask the person for the new address."},
    {"1.7", "The other server does not accept the sender's address. Please ask your administrator."},
    {"1.8", "The other server does not accept the sender's address. Please ask your administrator."},
    {"1.10", "The domain in the address takes no mail. Please check how the address is written."},
    {"1.", "The other server does not accept this address. Please check how it is written."},
    {"2.1", "The mailbox is closed. Please reach the person in another way."},
    {"2.2", "The mailbox is full. Please try again later, or tell the person in another way."},
    {"2.3", "The message is larger than that mailbox takes. Please send less at once."},
    {"2.", "The mailbox can't take the message. Please reach the person in another way."},
    {"3.4", "The message is larger than the other server takes. Please send less at once."},
    {"3.", "The other server can't take the message. Please try again later."},
    {"4.6", "The message goes round in circles between servers. Please tell the administrators of the two."},
    {"4.7", "It was tried again and again, for as long as this server does. Please check the domain in the address, or "
            "reach the person in another way."},
    {"4.", "The other server could not be reached. Please check the domain in the address, or try again later."},
    {"6.3", "The other server is too old for this message's characters. Please send it as plain text."},
    {"6.7", "The other server does not know international addresses. Please use another address of the person."},
    {"6.", "The other server can't take a message of this kind. Please send it in another form."},
    {"7.2", "The mailing list takes no post from you. Please ask its owner."},
    {"7.", "The other server refuses it by its own rules. Its words are below: they say whom to ask."},
    {"", "The other server's own words are below: they are all that is known."},
};

const char *verdict_status_text(struct span status)
{
    struct span rest = span_skip(status, 2);
    size_t i = 0;
    for (;; i++) {
        struct span prefix = span_text(meanings[i].rest);
        bool is_subject = !prefix.size || prefix.data[prefix.size - 1] == '.';
        if (is_subject ? span_starts_nocase(rest, prefix) : span_equal(rest, prefix))
            return meanings[i].text;
    }
}
