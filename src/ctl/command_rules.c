/* rules list, rules show */
#include "base/clock.h"
#include "base/list.h"
#include "ctl/commands.h"
#include "ctl/door_edit.h"
#include "ctl/foreign.h"
#include "ctl/json.h"
#include "ctl/rules_text.h"
#include "ipc/binary.h"

#include <sysexits.h>

/* ---- rules list ---- */

static void write_names(const struct rule *rule, struct buf *out)
{
    if (rule->simbeymail)
        buf_printf(out, "  (SimbeyMail: %s)", rule->simbeymail);
    if (rule->sims)
        buf_printf(out, "  (SIMS: %s)", rule->sims);
}

static void write_parameter(unsigned rule, unsigned parameter, struct buf *out)
{
    const struct rule_parameter *p = &rules[rule].parameters[parameter];
    buf_add_text(out, "\n  ");
    rules_write_name(rule, parameter, out);
    buf_printf(out, "=%s\n      %s\n      Expected: ", p->fallback, p->explanation);
    rules_write_expected(p, out);
    buf_add_text(out, ".\n");
}

static const char *stranger_words(const struct rule *rule)
{
    if (rule->flags & RULE_STRANGERS)
        return "It is asked of strangers only, not of members and client networks.\n";
    return "";
}

static const char *way_words(const struct rule *rule)
{
    switch (rule->flags & (RULE_DIRECT | RULE_FETCHED)) {
    case RULE_DIRECT:
        return "It is about mail that comes by SMTP.\n";
    case RULE_FETCHED:
        return "It is about mail that is fetched from remote accounts.\n";
    default:
        return "It is about all mail, by SMTP and fetched.\n";
    }
}

static void explain(unsigned rule, struct buf *out)
{
    const struct rule *row = &rules[rule];
    buf_printf(out, "%s: %s", row->name, rules_group_name(row->group));
    write_names(row, out);
    buf_printf(out, "\n\n%s\n%s%s", row->summary, way_words(row), stranger_words(row));
    for (unsigned k = 0; k < row->parameter_count; k++)
        write_parameter(rule, k, out);
}

static void write_rule_json(struct json *json, unsigned rule)
{
    const struct rule *row = &rules[rule];
    struct buf text;
    buf_init(&text, 1000);
    json_object(json, NULL);
    json_text(json, "name", span_text(row->name));
    json_text(json, "summary", span_text(row->summary));
    json_text(json, "group", span_text(rules_group_name(row->group)));
    json_text(json, "simbeymail", span_text(row->simbeymail ? row->simbeymail : ""));
    json_text(json, "sims", span_text(row->sims ? row->sims : ""));
    json_bool(json, "direct", !(row->flags & RULE_FETCHED) || row->flags & RULE_DIRECT);
    json_bool(json, "fetched", !(row->flags & RULE_DIRECT) || row->flags & RULE_FETCHED);
    json_bool(json, "strangers_only", row->flags & RULE_STRANGERS);
    json_list(json, "settings");
    for (unsigned k = 0; k < row->parameter_count; k++) {
        json_object(json, NULL);
        buf_reset(&text);
        rules_write_name(rule, k, &text);
        json_text(json, "name", buf_span(&text));
        json_text(json, "default", span_text(row->parameters[k].fallback));
        buf_reset(&text);
        rules_write_expected(&row->parameters[k], &text);
        json_text(json, "expected", buf_span(&text));
        json_text(json, "explanation", span_text(row->parameters[k].explanation));
        json_end_object(json);
    }
    json_end_list(json);
    json_end_object(json);
    buf_release(&text);
}

static void write_list(struct ctl *ctl)
{
    enum rule_group group = GROUP_LOCKED;
    for (unsigned i = 0; i < rule_count; i++) {
        if (rules[i].group != group)
            buf_printf(&ctl->out, "%s%s:\n", i ? "\n" : "", rules_group_name(rules[i].group));
        group = rules[i].group;
        buf_printf(&ctl->out, "  %s=%s", rules[i].name, rules[i].parameters[VALUE_MODE].fallback);
        write_names(&rules[i], &ctl->out);
        buf_printf(&ctl->out, "\n      %s\n", rules[i].summary);
    }
    buf_add_text(&ctl->out,
                 "\nMail that a rule puts into a folder is kept there. POP3 shows the INBOX only: 'ostiary mail "
                 "export' shows\nan administrator the others.\n\n'ostiary rules list NAME' tells more of one.\n");
}

int ctl_rules_list(struct ctl *ctl)
{
    unsigned rule = RULE_NONE;
    struct json json;
    int status = ctl->argument_count ? rules_find(ctl, span_text(ctl->arguments[0]), &rule) : EX_OK;
    if (status)
        return status;
    if (!ctl->json && rule == RULE_NONE) {
        write_list(ctl);
    } else if (!ctl->json) {
        explain(rule, &ctl->out);
    } else {
        json_init(&json, &ctl->out);
        json_list(&json, NULL);
        for (unsigned i = 0; i < rule_count; i++)
            if (rule == RULE_NONE || i == rule)
                write_rule_json(&json, i);
        json_end_list(&json);
    }
    return EX_OK;
}

/* ---- rules show ---- */

struct show_work {
    struct door_work work;
    struct rules_in_force in_force;
};

static void write_value(struct show_work *w, unsigned rule, unsigned parameter)
{
    struct buf *out = &w->work.ctl->out;
    const struct rule_value *value = &w->in_force.set.rules[rule].value[parameter];
    struct buf setting;
    buf_init(&setting, 8192);
    rules_write_name(rule, parameter, &setting);
    buf_printf(&setting, "=%.*s", SPAN_ARG(value->text));
    buf_printf(out, "%-40.*s  %s", SPAN_ARG(buf_span(&setting)), rule_level_name(value->level));
    buf_release(&setting);
    const struct rule_values *values = &w->in_force.set.rules[rule];
    if (parameter == VALUE_MODE && rule_mode_get(&rules[rule], values) > MODE_WATCH &&
        rule_is_unsure(&rules[rule], values))
        buf_printf(out, ", only watches without %s.sure=on", rules[rule].name);
    if (w->in_force.set.rules[rule].is_locked && value->level == LEVEL_SITE)
        buf_add_text(out, ", locked");
    if (w->in_force.who[rule][parameter].by.size) {
        buf_add_text(out, ", set by ");
        foreign_write(w->in_force.who[rule][parameter].by, false, out);
    }
    if (w->in_force.who[rule][parameter].at) {
        buf_add_text(out, " on ");
        door_time_write(w->in_force.who[rule][parameter].at / NANOSECONDS, out);
    }
    buf_add_char(out, '\n');
}

static void write_value_json(struct json *json, struct show_work *w, unsigned rule, unsigned parameter)
{
    const struct rule_value *value = &w->in_force.set.rules[rule].value[parameter];
    struct buf name;
    buf_init(&name, 1000);
    rules_write_name(rule, parameter, &name);
    json_object(json, NULL);
    json_text(json, "name", buf_span(&name));
    json_text(json, "value", value->text);
    json_text(json, "level", span_text(rule_level_name(value->level)));
    json_bool(json, "locked", w->in_force.set.rules[rule].is_locked);
    json_text(json, "set_by", w->in_force.who[rule][parameter].by);
    json_number(json, "set_at", w->in_force.who[rule][parameter].at / NANOSECONDS);
    json_end_object(json);
    buf_release(&name);
}

static size_t write_values(struct show_work *w, struct json *json)
{
    struct ctl *ctl = w->work.ctl;
    bool all = ctl_option(ctl, "all");
    size_t count = 0;
    for (unsigned i = 0; i < rule_count; i++)
        for (unsigned k = 0; k < rules[i].parameter_count; k++) {
            if (!all && w->in_force.set.rules[i].value[k].level == LEVEL_DEFAULT)
                continue;
            if (ctl->json)
                write_value_json(json, w, i, k);
            else
                write_value(w, i, k);
            count++;
        }
    return count;
}

static int run_show(struct fiber *self, struct door_client *client, struct door_work *work)
{
    struct show_work *w = container_of(work, struct show_work, work);
    struct ctl *ctl = work->ctl;
    struct door_owner owner;
    struct json json;
    int status = door_owner_take(client, &owner);
    if (status == EX_OK)
        status = door_owner_is_last(ctl, owner.next);
    if (status == EX_OK)
        status = rules_read(self, client, work, &owner, &w->in_force);
    if (status)
        return status;
    json_init(&json, &ctl->out);
    if (ctl->json) {
        json_list(&json, NULL);
        write_values(w, &json);
        json_end_list(&json);
    } else if (!write_values(w, &json)) {
        buf_add_text(&ctl->out, "nothing is set for ");
        door_owner_write(&owner, &ctl->out);
        buf_add_text(&ctl->out, ": all rules are as they are built in, see --all\n");
    }
    return EX_OK;
}

int ctl_rules_show(struct ctl *ctl)
{
    struct show_work w = {.work = {.run = run_show, .ctl = ctl}};
    return door_client_run(&w.work);
}
