/* rules set, rules unset, rules lock, rules unlock */
#include "base/list.h"
#include "ctl/commands.h"
#include "ctl/door_edit.h"
#include "ctl/foreign.h"
#include "ctl/rules_text.h"
#include "ipc/binary.h"

#include <sysexits.h>

enum action { SET, UNSET, LOCK, UNLOCK };

static const char *const verbs[] = {"set", "unset", "lock", "unlock"};

struct change_work {
    struct door_work work;
    enum action action;
    struct door_edit *edit;
    struct rules_in_force site;  /* what is set for the site, to keep and to lift its locks */
    struct rules_in_force above; /* of any other owner: what is in force there */
    uint64_t has_row[RULES_MAX]; /* bit k: the site has set parameter k of the rule */
    uint64_t lock_named;         /* bit n: the lock of rule n is set or lifted */
};

static struct span setting_name(struct arena *arena, unsigned rule, unsigned parameter)
{
    struct buf text;
    buf_init(&text, 200);
    rules_write_name(rule, parameter, &text);
    struct span name = arena_copy(arena, buf_span(&text));
    buf_release(&text);
    return name;
}

/* ---- What the site has now ---- */

static int read_site(struct fiber *self, struct door_client *client, struct change_work *w)
{
    StoreWrite__DoorListRequest request = STORE_WRITE__DOOR_LIST_REQUEST__INIT;
    struct door_items items;
    unsigned rule, parameter;
    request.kinds = 1u << DOOR_RULE;
    int status = door_client_gather(self, client, &request, &items);
    if (status)
        return status;
    rules_merge(&w->site, &w->work.arena, &items);
    for (size_t i = 0; i < items.count; i++)
        if (rule_parameter_find(binary_span(items.items[i].name), &rule, &parameter))
            w->has_row[rule] |= 1ull << parameter;
    return EX_OK;
}

/* ---- The settings that were named ---- */

static bool is_named(const struct door_edit *edit, struct span name)
{
    for (size_t i = 0; i < edit->count; i++)
        if (span_equal(binary_span(edit->items[i].name), name))
            return true;
    return false;
}

static int put(struct change_work *w, unsigned rule, unsigned parameter, struct span value, bool locked)
{
    StoreWrite__DoorItem *item = NULL;
    struct span name = setting_name(&w->work.arena, rule, parameter);
    if (!name.data)
        return ctl_fail(w->work.ctl, EX_OSERR, "out of memory");
    if (is_named(w->edit, name))
        return ctl_fail(w->work.ctl, EX_USAGE, "'%.*s' stands there twice", SPAN_ARG(name));
    int status = door_edit_put(w->edit, DOOR_RULE, name, value, &item);
    if (status == EX_OK)
        item->locked = locked;
    return status;
}

/* A lock is the whole rule's: all that the site has set of it gets it, or loses it. */
static int put_lock(struct change_work *w, unsigned rule, bool locked)
{
    int status = EX_OK;
    for (unsigned k = 0; k < rules[rule].parameter_count && status == EX_OK; k++) {
        bool has_row = w->has_row[rule] & 1ull << k;
        if ((has_row || (locked && k == VALUE_MODE)) && !is_named(w->edit, setting_name(&w->work.arena, rule, k)))
            status = put(w, rule, k, w->site.set.rules[rule].value[k].text, locked);
    }
    return status;
}

static int put_locks(struct change_work *w)
{
    int status = EX_OK;
    for (unsigned i = 0; i < rule_count && status == EX_OK; i++)
        if (w->lock_named & 1ull << i)
            status = put_lock(w, i, w->action == LOCK);
    return status;
}

static int take_unlock(struct change_work *w, unsigned rule)
{
    w->lock_named |= 1ull << rule;
    return w->site.set.rules[rule].is_locked
               ? EX_OK
               : ctl_fail(w->work.ctl, EX_DATAERR, "the rule %s is not locked", rules[rule].name);
}

/* Above whoever is not the site, a lock makes what they set count for nothing: better to say so than to keep it. */
static int check_lock(struct change_work *w, unsigned rule)
{
    if (w->edit->owner.level == LEVEL_SITE || !w->above.set.rules[rule].is_locked)
        return EX_OK;
    return ctl_fail(w->work.ctl, EX_DATAERR, "the site has locked the rule %s: nobody else's setting of it counts",
                    rules[rule].name);
}

static int take_value(struct change_work *w, unsigned rule, unsigned parameter, struct span value, bool has_value)
{
    struct ctl *ctl = w->work.ctl;
    bool locked = w->action == LOCK || (w->edit->owner.level == LEVEL_SITE && w->site.set.rules[rule].is_locked);
    if (w->action == SET && !has_value)
        return ctl_fail(ctl, EX_USAGE, "what shall %s be? give a value, as in %s=%s", rules[rule].name,
                        rules[rule].name, rules[rule].parameters[VALUE_MODE].type == PARAMETER_MODE ? "on" : "off");
    /* A lock of what is off would switch off everybody's own at once: that has to be said. */
    if (!has_value && !(w->has_row[rule] & 1ull << parameter)) {
        struct span name = setting_name(&w->work.arena, rule, parameter);
        return ctl_fail(ctl, EX_USAGE, "the site has not set %.*s: say what it shall be for everybody, as in %.*s=%s",
                        SPAN_ARG(name), SPAN_ARG(name),
                        parameter == VALUE_MODE ? "on" : rules[rule].parameters[parameter].fallback);
    }
    if (!has_value)
        value = w->site.set.rules[rule].value[parameter].text;
    if (w->action == LOCK)
        w->lock_named |= 1ull << rule;
    int status = check_lock(w, rule);
    return status ? status : put(w, rule, parameter, value, locked);
}

static int take_setting(struct change_work *w, const char *text)
{
    struct ctl *ctl = w->work.ctl;
    struct span value = span_text(text);
    struct span name = span_trim(span_cut(&value, '='));
    bool has_value = strchr(text, '=');
    if (ctl->is_my && span_find(name, '@') < name.size)
        return ctl_fail(ctl, EX_NOPERM, "%.*s is not one of your addresses", SPAN_ARG(span_head(name, 100)));
    unsigned rule, parameter;
    int status = rules_find_setting(ctl, name, &rule, &parameter);
    if (status)
        return status;
    if (has_value && (w->action == UNSET || w->action == UNLOCK))
        return ctl_fail(ctl, EX_USAGE, "'rules %s' takes no values: give %.*s only", verbs[w->action], SPAN_ARG(name));
    if (w->action == UNLOCK)
        return take_unlock(w, rule);
    if (w->action == UNSET)
        return door_edit_remove(w->edit, DOOR_RULE, setting_name(&w->work.arena, rule, parameter));
    return take_value(w, rule, parameter, span_trim(value), has_value);
}

/* What a lock, or its end, means to everybody. */
static void report_locks(struct change_work *w)
{
    struct buf *out = &w->work.ctl->out;
    for (unsigned i = 0; i < rule_count && !w->work.ctl->json; i++) {
        if (!(w->lock_named & 1ull << i))
            continue;
        buf_printf(out, w->action == LOCK ? "now for everybody:" : "the site's, where nobody sets others:");
        for (size_t k = 0; k < w->edit->count; k++) {
            struct span name = binary_span(w->edit->items[k].name), first = name;
            if (span_is(span_cut(&first, '.'), rules[i].name)) {
                buf_printf(out, " %.*s=", SPAN_ARG(name));
                foreign_write(binary_span(w->edit->items[k].value), false, out);
            }
        }
        if (w->action == UNLOCK)
            buf_printf(out, "; 'ostiary rules unset --site %s' ends that, too", rules[i].name);
        buf_add_char(out, '\n');
    }
}

/* ---- The command ---- */

static int run_change(struct fiber *self, struct door_client *client, struct door_work *work)
{
    struct change_work *w = container_of(work, struct change_work, work);
    struct ctl *ctl = work->ctl;
    struct door_owner owner = {.level = LEVEL_SITE};
    struct door_edit edit;
    bool is_lock = w->action == LOCK || w->action == UNLOCK;
    int status = is_lock ? EX_OK : door_owner_take(client, &owner);
    if (status)
        return status;
    /* Each setting named may bring the others of its rule along. */
    status = door_edit_init(&edit, work, &owner, (ctl->argument_count + 1) * RULE_PARAMETERS_MAX);
    w->edit = &edit;
    if (status == EX_OK && owner.level == LEVEL_SITE)
        status = read_site(self, client, w);
    else if (status == EX_OK && w->action == SET)
        status = rules_read(self, client, work, &owner, &w->above);
    buf_printf(&edit.words, "rules %s", verbs[w->action]);
    for (size_t i = owner.next; i < ctl->argument_count && status == EX_OK; i++) {
        buf_printf(&edit.words, " %.200s", ctl->arguments[i]);
        status = take_setting(w, ctl->arguments[i]);
    }
    if (status == EX_OK && owner.next == ctl->argument_count)
        status = ctl_ask(ctl, "which setting? give one or more");
    if (status == EX_OK)
        status = put_locks(w);
    if (status == EX_OK)
        status = door_edit_send(self, client, &edit, "setting");
    if (status == EX_OK && is_lock)
        report_locks(w);
    door_edit_release(&edit);
    return status;
}

static int change(struct ctl *ctl, enum action action)
{
    struct change_work w = {.work = {.run = run_change, .ctl = ctl}, .action = action};
    return door_client_run(&w.work);
}

int ctl_rules_set(struct ctl *ctl)
{
    return change(ctl, SET);
}

int ctl_rules_unset(struct ctl *ctl)
{
    return change(ctl, UNSET);
}

int ctl_rules_lock(struct ctl *ctl)
{
    return change(ctl, LOCK);
}

int ctl_rules_unlock(struct ctl *ctl)
{
    return change(ctl, UNLOCK);
}
