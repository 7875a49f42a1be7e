#include "ctl/rules_text.h"

#include "config/nearest.h"
#include "format/quantity.h"
#include "ipc/binary.h"
#include "policy/door_item.h"

#include <stdio.h>
#include <sysexits.h>

void rules_write_name(unsigned rule, unsigned parameter, struct buf *out)
{
    const char *name = rules[rule].parameters[parameter].name;
    buf_printf(out, "%s%s%s", rules[rule].name, *name ? "." : "", name);
}

static void write_choices(const char *words, struct buf *out)
{
    struct span rest = span_text(words);
    for (bool first = true; rest.size; first = false) {
        struct span word = span_cut(&rest, '|');
        buf_printf(out, "%s%.*s", first ? "" : rest.size ? ", " : " or ", SPAN_ARG(word));
    }
}

static void write_range(enum quantity_kind kind, const char *what, const struct rule_parameter *p, struct buf *out)
{
    buf_printf(out, "%s from ", what);
    quantity_write(kind, p->least, out);
    buf_add_text(out, " to ");
    quantity_write(kind, p->most, out);
}

void rules_write_expected(const struct rule_parameter *p, struct buf *out)
{
    switch (p->type) {
    case PARAMETER_MODE:
    case PARAMETER_CHOICE:
        write_choices(p->words, out);
        return;
    case PARAMETER_SWITCH:
        buf_add_text(out, "off or on");
        return;
    case PARAMETER_NUMBER:
        write_range(QUANTITY_NUMBER, "a number", p, out);
        return;
    case PARAMETER_SIZE:
        write_range(QUANTITY_SIZE, "a size", p, out);
        return;
    case PARAMETER_DURATION:
        write_range(QUANTITY_DURATION, "a time", p, out);
        return;
    case PARAMETER_WORDS:
        buf_add_text(out, "words with blanks or commas between them");
        return;
    case PARAMETER_FOLDER:
        buf_add_text(out, "the name of a mailbox");
        return;
    case PARAMETER_ADDRESS:
        buf_add_text(out, "an address, or nothing");
        return;
    }
}

const char *rules_group_name(enum rule_group group)
{
    static const char *const names[] = {
        [GROUP_LOCKED] = "locked by the site",
        [GROUP_PROTECTION] = "protects senders",
        [GROUP_LETS_IN] = "lets in",
        [GROUP_LOCAL] = "keeps out, at once",
        [GROUP_DNS] = "keeps out, by the DNS",
        [GROUP_CALLS_OUT] = "keeps out, after asking others",
        [GROUP_CONTENT] = "keeps out, by the message",
        [GROUP_ACTION] = "what is done with mail",
    };
    return (unsigned)group < sizeof names / sizeof *names && names[group] ? names[group] : "?";
}

/* ---- Finding ---- */

static int unknown(struct ctl *ctl, const char *what, struct span name, const struct nearest *nearest)
{
    ctl_fail(ctl, EX_DATAERR, "there is no %s '%.*s'", what, SPAN_ARG(span_head(name, 100)));
    if (nearest_get(nearest))
        buf_printf(&ctl->problem, "; did you mean '%s'?", nearest_get(nearest));
    else
        buf_add_text(&ctl->problem, "; 'ostiary rules list' lists them");
    return EX_DATAERR;
}

/* What SIMS called it is a few words: any of them that is nobody else's will do ("RBL"). */
static unsigned find_by_sims(struct span name)
{
    unsigned found = RULE_NONE;
    for (unsigned i = 0; i < rule_count && name.size >= 3; i++) {
        struct span words = span_text(rules[i].sims);
        for (size_t at = 0; at + name.size <= words.size; at++) {
            if (!span_equal_nocase(span_head(span_skip(words, at), name.size), name))
                continue;
            if (found != RULE_NONE && found != i)
                return RULE_NONE;
            found = i;
        }
    }
    return found;
}

int rules_find(struct ctl *ctl, struct span name, unsigned *rule)
{
    struct nearest nearest;
    *rule = rule_find(name);
    if (*rule == RULE_NONE)
        *rule = find_by_sims(name);
    if (*rule != RULE_NONE)
        return EX_OK;
    nearest_init(&nearest, name);
    for (unsigned i = 0; i < rule_count; i++)
        nearest_offer(&nearest, rules[i].name);
    return unknown(ctl, "rule", name, &nearest);
}

int rules_find_setting(struct ctl *ctl, struct span name, unsigned *rule, unsigned *parameter)
{
    struct span rest = name;
    struct nearest nearest;
    char called[RULE_PARAMETERS_MAX][128];
    if (rule_parameter_find(name, rule, parameter))
        return EX_OK;
    int status = rules_find(ctl, span_cut(&rest, '.'), rule);
    if (status)
        return status;
    nearest_init(&nearest, rest);
    for (size_t k = 0; k < rules[*rule].parameter_count; k++) {
        const char *known = rules[*rule].parameters[k].name;
        snprintf(called[k], sizeof called[k], "%s.%s", rules[*rule].name, known);
        if (*known)
            nearest_offer_as(&nearest, known, called[k]);
    }
    status = unknown(ctl, "rule setting", name, &nearest);
    if (nearest_get(&nearest))
        return status;
    return ctl_fail(ctl, status, "the rule %s has no setting '%.*s'; 'ostiary rules list %s' shows what it has",
                    rules[*rule].name, SPAN_ARG(span_head(rest, 100)), rules[*rule].name);
}

/* ---- In force ---- */

static void note_who(struct rules_in_force *in_force, const StoreWrite__DoorItem *item)
{
    unsigned rule, parameter;
    if (!rule_parameter_find(binary_span(item->name), &rule, &parameter) ||
        in_force->set.rules[rule].value[parameter].level != item->level)
        return;
    in_force->who[rule][parameter].by = binary_span(item->set_by);
    in_force->who[rule][parameter].at = item->set_at;
}

void rules_merge(struct rules_in_force *in_force, struct arena *arena, const struct door_items *items)
{
    memset(in_force->who, 0, sizeof in_force->who);
    ruleset_init(&in_force->set);
    for (size_t i = 0; i < items->count; i++) {
        const StoreWrite__DoorItem *item = &items->items[i];
        if (item->kind != DOOR_RULE)
            continue;
        ruleset_put(&in_force->set, arena, binary_span(item->name), binary_span(item->value),
                    (enum rule_level)item->level, item->locked);
        note_who(in_force, item);
    }
}

int rules_read(struct fiber *self, struct door_client *client, struct door_work *work, const struct door_owner *owner,
               struct rules_in_force *in_force)
{
    StoreWrite__DoorListRequest request = STORE_WRITE__DOOR_LIST_REQUEST__INIT;
    struct door_items items;
    request.owner = binary_from_span(owner->owner);
    request.levels_above = true;
    request.kinds = 1u << DOOR_RULE;
    int status = door_client_gather(self, client, &request, &items);
    if (status == EX_OK)
        rules_merge(in_force, &work->arena, &items);
    return status;
}
