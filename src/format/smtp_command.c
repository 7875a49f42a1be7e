#include "format/smtp_command.h"

#include "format/utf8.h"
#include "format/xtext.h"

#define HELO_MAX 255
#define MECHANISM_MAX 20     /* RFC 4422 section 3.1 */
#define PROBLEM_TEXT_MAX 400 /* with the code a reply line stays below 512 octets */

static const char *const verb_names[] = {"HELO", "EHLO", "MAIL", "RCPT", "DATA", "BDAT",     "RSET",
                                         "NOOP", "VRFY", "EXPN", "HELP", "QUIT", "STARTTLS", "AUTH"};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Takes the first word of *rest and the blanks behind it. */
static struct span take_word(struct span *rest)
{
    struct span word = *rest;
    size_t size = 0;

    while (size < word.size && !is_blank(word.data[size]))
        size++;
    *rest = span_trim(span_skip(*rest, size));
    return span_head(word, size);
}

static bool has_control(struct span s, bool allow_tab)
{
    for (size_t i = 0; i < s.size; i++)
        if (((unsigned char)s.data[i] < 32 && !(allow_tab && s.data[i] == '\t')) || s.data[i] == 127)
            return true;
    return false;
}

const struct smtp_problem *smtp_command_parse(struct span line, struct smtp_command *command)
{
    static const struct smtp_problem controls = {500, "5.5.2", "A control character in the command line"};
    static const struct smtp_problem blank = {500, "5.5.2", "A space before the command"};

    *command = (struct smtp_command){.verb = SMTP_UNKNOWN};
    if (has_control(line, true))
        return &controls;
    if (line.size && is_blank(line.data[0]))
        return &blank;
    command->word = take_word(&line);
    command->argument = line;
    for (size_t i = 0; i < SMTP_UNKNOWN; i++)
        if (span_is_nocase(command->word, verb_names[i]))
            command->verb = (enum smtp_verb)i;
    return NULL;
}

const char *smtp_verb_name(enum smtp_verb verb)
{
    return verb < SMTP_UNKNOWN ? verb_names[verb] : "UNKNOWN";
}

/* ---- ESMTP parameters ---- */

static const struct smtp_problem no_memory = {452, "4.3.1", "No memory for this command"};

/* A problem whose text names what was wrong: `before`, the peer's word made harmless, `after`. */
static const struct smtp_problem *make_problem(struct arena *arena, struct smtp_problem problem, const char *before,
                                               struct span word, const char *after)
{
    struct smtp_problem *made = arena_alloc(arena, sizeof(*made));
    struct buf text;

    buf_init(&text, PROBLEM_TEXT_MAX);
    buf_add_text(&text, before);
    for (size_t i = 0; i < word.size && i < 64; i++)
        buf_add_char(&text, word.data[i] >= ' ' && word.data[i] <= '~' ? word.data[i] : '?');
    buf_add_text(&text, after);
    problem.text = buf_failed(&text) ? NULL : arena_text(arena, buf_span(&text));
    buf_release(&text);
    if (!made || !problem.text)
        return &no_memory;
    *made = problem;
    return made;
}

static const struct smtp_problem *wrong_value(struct arena *arena, const char *name)
{
    return make_problem(arena, (struct smtp_problem){501, "5.5.4", NULL}, "The value of ", span_text(name),
                        " is not one it may have");
}

/* What the parsers of the parameters share. `result` is the struct smtp_mail or smtp_rcpt. */
struct parameters {
    const struct smtp_abilities *abilities;
    struct arena *arena;
    void *result;
    const struct parameter *table;
    size_t count;
    unsigned seen; /* bits of table places */
};

struct parameter {
    const char *name;
    size_t ability; /* the place of its flag in struct smtp_abilities */
    bool has_value; /* otherwise it may not have one */
    /* `value` may be empty. */
    const struct smtp_problem *(*parse)(struct parameters *p, struct span value);
};

static const struct smtp_problem *parse_one(struct parameters *p, struct span word)
{
    bool has_value = span_find(word, '=') < word.size;
    struct span value = word;
    struct span name = span_cut(&value, '=');

    for (size_t i = 0; i < p->count; i++) {
        const struct parameter *entry = &p->table[i];
        if (!span_is_nocase(name, entry->name))
            continue;
        if (!*(const bool *)((const char *)p->abilities + entry->ability))
            break;
        if (p->seen & 1u << i)
            return make_problem(p->arena, (struct smtp_problem){501, "5.5.4", NULL}, "", name, " was given twice");
        p->seen |= 1u << i;
        if (has_value != entry->has_value)
            return wrong_value(p->arena, entry->name);
        return entry->parse(p, value);
    }
    return make_problem(p->arena, (struct smtp_problem){555, "5.5.4", NULL}, "The parameter ", name,
                        " is not known here");
}

/* 8-bit paths are let through here and judged when it is known whether the transaction is an SMTPUTF8 one. */
static const struct smtp_problem *parse_path(struct span *argument, const char *keyword, enum path_kind kind,
                                             struct arena *arena, struct mail_path *path)
{
    bool is_mail = kind == REVERSE_PATH;
    struct smtp_problem problem = {501, is_mail ? "5.1.7" : "5.1.3", NULL};

    if (!span_starts_nocase(*argument, span_text(keyword)))
        return make_problem(arena, (struct smtp_problem){501, "5.5.4", NULL}, is_mail ? "MAIL " : "RCPT ",
                            span_text(keyword), "<address> is how it is written");
    *argument = span_skip(*argument, strlen(keyword));
    const char *sentence = mail_path_parse(argument, kind, true, arena, path);
    if (sentence)
        return make_problem(arena, problem,
                            is_mail ? "Bad sender address: " : "Bad recipient address: ", span_text(sentence), "");
    if (argument->size && !is_blank(argument->data[0]))
        return make_problem(arena, problem, "A space is missing behind the ", span_text("address"), "");
    *argument = span_trim(*argument);
    return NULL;
}

static const struct smtp_problem needs_smtputf8 = {553, "5.6.7", "This address needs SMTPUTF8 in MAIL"};

/* ---- MAIL ---- */

static const struct smtp_problem *parse_size(struct parameters *p, struct span value)
{
    static const struct smtp_problem too_large = {552, "5.3.4", "The message is larger than is taken here"};
    struct smtp_mail *mail = p->result;

    if (value.size == 0 || value.size > 20)
        return wrong_value(p->arena, "SIZE");
    for (size_t i = 0; i < value.size; i++)
        if (value.data[i] < '0' || value.data[i] > '9')
            return wrong_value(p->arena, "SIZE");
    mail->has_size = true;
    if (!span_parse_u64(value, UINT64_MAX, &mail->size))
        mail->size = UINT64_MAX;
    return p->abilities->size_max && mail->size > p->abilities->size_max ? &too_large : NULL;
}

static const struct smtp_problem *parse_body(struct parameters *p, struct span value)
{
    static const struct smtp_problem binary = {555, "5.5.4", "BODY=BINARYMIME is not taken here"};
    struct smtp_mail *mail = p->result;

    if (span_is_nocase(value, "BINARYMIME"))
        return &binary;
    mail->eight_bit = span_is_nocase(value, "8BITMIME");
    return mail->eight_bit || span_is_nocase(value, "7BIT") ? NULL : wrong_value(p->arena, "BODY");
}

static const struct smtp_problem *parse_smtputf8(struct parameters *p, struct span value)
{
    struct smtp_mail *mail = p->result;

    (void)value;
    mail->smtputf8 = true;
    return NULL;
}

static const struct smtp_problem *parse_prdr(struct parameters *p, struct span value)
{
    struct smtp_mail *mail = p->result;
    mail->prdr = true;
    return NULL;
}

static const struct smtp_problem *parse_ret(struct parameters *p, struct span value)
{
    struct smtp_mail *mail = p->result;

    if (span_is_nocase(value, "FULL"))
        mail->ret = SMTP_RET_FULL;
    else if (span_is_nocase(value, "HDRS"))
        mail->ret = SMTP_RET_HDRS;
    else
        return wrong_value(p->arena, "RET");
    return NULL;
}

/* Decoded xtext goes into the header-like fields of a DSN: nothing in it may end a line (RFC 3461 sections 4.2 and 4.4:
 * printable ASCII). */
static bool parse_printable_xtext(struct span value, size_t max, struct arena *arena, struct span *decoded)
{
    return value.size && value.size <= max && xtext_parse(value, arena, decoded) && utf8_is_ascii(*decoded) &&
           !has_control(*decoded, false);
}

static const struct smtp_problem *parse_envid(struct parameters *p, struct span value)
{
    struct smtp_mail *mail = p->result;
    struct span decoded;

    if (!parse_printable_xtext(value, SMTP_ENVID_MAX, p->arena, &decoded))
        return wrong_value(p->arena, "ENVID");
    mail->has_envid = true;
    mail->envid = value;
    return NULL;
}

static const struct smtp_problem *parse_auth_parameter(struct parameters *p, struct span value)
{
    struct smtp_mail *mail = p->result;
    struct mail_path path;

    mail->has_auth = true;
    if (span_is(value, "<>"))
        return NULL;
    if (value.size == 0 || !xtext_parse(value, p->arena, &mail->auth))
        return wrong_value(p->arena, "AUTH");
    if (mail_address_parse(mail->auth, true, p->arena, &path))
        mail->auth = (struct span){NULL, 0};
    return NULL;
}

const struct smtp_problem *smtp_mail_parse(struct span argument, const struct smtp_abilities *abilities,
                                           struct arena *arena, struct smtp_mail *mail)
{
    static const struct parameter table[] = {
        {"SIZE", offsetof(struct smtp_abilities, size), true, parse_size},
        {"BODY", offsetof(struct smtp_abilities, eight_bit_mime), true, parse_body},
        {"SMTPUTF8", offsetof(struct smtp_abilities, smtputf8), false, parse_smtputf8},
        {"PRDR", offsetof(struct smtp_abilities, prdr), false, parse_prdr},
        {"RET", offsetof(struct smtp_abilities, dsn), true, parse_ret},
        {"ENVID", offsetof(struct smtp_abilities, dsn), true, parse_envid},
        {"AUTH", offsetof(struct smtp_abilities, auth), true, parse_auth_parameter},
    };
    *mail = (struct smtp_mail){0};
    struct parameters p = {abilities, arena, mail, table, sizeof(table) / sizeof(*table), 0};
    const struct smtp_problem *problem = parse_path(&argument, "FROM:", REVERSE_PATH, arena, &mail->path);
    while (!problem && argument.size)
        problem = parse_one(&p, take_word(&argument));
    if (problem)
        return problem;
    return mail->path.has_utf8 && !mail->smtputf8 ? &needs_smtputf8 : NULL;
}

/* ---- RCPT ---- */

static const struct smtp_problem *parse_notify(struct parameters *p, struct span value)
{
    struct smtp_rcpt *rcpt = p->result;

    if (span_is_nocase(value, "NEVER")) {
        rcpt->notify = SMTP_NOTIFY_NEVER;
        return NULL;
    }
    if (value.size == 0 || value.data[value.size - 1] == ',')
        return wrong_value(p->arena, "NOTIFY");
    while (value.size) {
        struct span word = span_cut(&value, ',');
        if (span_is_nocase(word, "SUCCESS"))
            rcpt->notify |= SMTP_NOTIFY_SUCCESS;
        else if (span_is_nocase(word, "FAILURE"))
            rcpt->notify |= SMTP_NOTIFY_FAILURE;
        else if (span_is_nocase(word, "DELAY"))
            rcpt->notify |= SMTP_NOTIFY_DELAY;
        else
            return wrong_value(p->arena, "NOTIFY");
    }
    return NULL;
}

/* An address type is an atom: RFC 3461 section 4.2. */
static bool is_atom(struct span s)
{
    for (size_t i = 0; i < s.size; i++)
        if (s.data[i] < '!' || s.data[i] > '~' || strchr("()<>@,;:\\\".[]", s.data[i]))
            return false;
    return s.size > 0;
}

static const struct smtp_problem *parse_orcpt(struct parameters *p, struct span value)
{
    struct smtp_rcpt *rcpt = p->result;
    struct span address = value;
    struct span type = span_cut(&address, ';');
    /* RFC 6533 section 3: the type utf-8 has an encoding of its own, and may hold UTF-8 as it is. */
    bool is_utf8 = span_is_nocase(type, "utf-8");

    if (value.size > SMTP_ORCPT_MAX || !is_atom(type) || address.size == 0)
        return wrong_value(p->arena, "ORCPT");
    if (is_utf8 ? !utf8_is_valid(address) || has_control(address, false)
                : !parse_printable_xtext(address, SMTP_ORCPT_MAX, p->arena, &rcpt->orcpt_address))
        return wrong_value(p->arena, "ORCPT");
    if (is_utf8)
        rcpt->orcpt_address = address;
    rcpt->has_orcpt = true;
    rcpt->orcpt = value;
    rcpt->orcpt_type = type;
    return NULL;
}

static bool is_passcode(struct span word)
{
    for (size_t i = 0; i < word.size; i++)
        if (word.data[i] < '0' || word.data[i] > '9')
            return false;
    return word.size > 0 && word.size <= 20;
}

static const struct smtp_problem *parse_rcpt_word(struct parameters *p, struct span word)
{
    static const struct smtp_problem twice = {501, "5.5.4", "A passcode was given twice"};
    struct smtp_rcpt *rcpt = p->result;

    if (!is_passcode(word))
        return parse_one(p, word);
    if (rcpt->passcode.size)
        return &twice;
    rcpt->passcode = word;
    return NULL;
}

const struct smtp_problem *smtp_rcpt_parse(struct span argument, const struct smtp_abilities *abilities, bool utf8,
                                           struct arena *arena, struct smtp_rcpt *rcpt)
{
    static const struct parameter table[] = {
        {"NOTIFY", offsetof(struct smtp_abilities, dsn), true, parse_notify},
        {"ORCPT", offsetof(struct smtp_abilities, dsn), true, parse_orcpt},
    };
    *rcpt = (struct smtp_rcpt){0};
    struct parameters p = {abilities, arena, rcpt, table, sizeof(table) / sizeof(*table), 0};
    const struct smtp_problem *problem = parse_path(&argument, "TO:", FORWARD_PATH, arena, &rcpt->path);
    while (!problem && argument.size)
        problem = parse_rcpt_word(&p, take_word(&argument));
    if (problem)
        return problem;
    bool has_utf8 = rcpt->path.has_utf8 || !utf8_is_ascii(rcpt->orcpt);
    return has_utf8 && !utf8 ? &needs_smtputf8 : NULL;
}

/* ---- BDAT, HELO, AUTH ---- */

const struct smtp_problem *smtp_bdat_parse(struct span argument, uint64_t *size, bool *last)
{
    static const struct smtp_problem form = {501, "5.5.4", "BDAT size [LAST] is how it is written"};
    struct span word = take_word(&argument);

    *last = span_is_nocase(argument, "LAST");
    if ((argument.size && !*last) || !span_parse_u64(word, UINT64_MAX, size))
        return &form;
    return NULL;
}

const struct smtp_problem *smtp_helo_parse(struct span argument, struct smtp_helo *helo)
{
    static const struct smtp_problem missing = {501, "5.5.4", "Your host name is missing"};
    static const struct smtp_problem too_long = {501, "5.5.4", "Your host name is longer than 255 octets"};
    static const struct smtp_problem controls = {501, "5.5.4", "A control character in your host name"};

    *helo = (struct smtp_helo){.name = take_word(&argument)};
    if (helo->name.size == 0)
        return &missing;
    if (helo->name.size > HELO_MAX)
        return &too_long;
    if (has_control(helo->name, false))
        return &controls;
    helo->is_literal = ip_address_parse_literal(helo->name, &helo->literal);
    helo->is_well_formed = argument.size == 0 && (helo->is_literal || !domain_check(helo->name, false));
    return NULL;
}

static bool is_mechanism(struct span s)
{
    for (size_t i = 0; i < s.size; i++) {
        char c = ascii_lower(s.data[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
    }
    return s.size > 0 && s.size <= MECHANISM_MAX;
}

const struct smtp_problem *smtp_auth_parse(struct span argument, struct span *mechanism, bool *has_initial,
                                           struct span *initial)
{
    static const struct smtp_problem form = {501, "5.5.4", "AUTH mechanism [initial-response] is how it is written"};

    *mechanism = take_word(&argument);
    *initial = take_word(&argument);
    *has_initial = initial->size > 0;
    if (!is_mechanism(*mechanism) || argument.size)
        return &form;
    if (span_is(*initial, "="))
        *initial = span_head(*initial, 0);
    return NULL;
}
