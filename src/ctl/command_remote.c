/* remote add, remote set, remote remove, remote list */
#include "base/clock.h"
#include "base/list.h"
#include "courier.pb-c.h"
#include "ctl/commands.h"
#include "ctl/control_client.h"
#include "ctl/door_edit.h"
#include "ctl/duration.h"
#include "ctl/foreign.h"
#include "ctl/json.h"
#include "ctl/password_input.h"
#include "ctl/store_client.h"
#include "format/sealed.h"
#include "ipc/binary.h"
#include "policy/remote_account.h"
#include "proc/remote_key.h"

#include <stdio.h>
#include <sysexits.h>

#define ANSWER_SECONDS 60

struct remote_work {
    struct door_work work;
    struct door_edit edit;
    struct buf password; /* secret */
    bool is_new, removes;
};

/* ---- add, set, remove ---- */

static int seal(struct door_client *client, struct remote_work *w, struct remote_account *account)
{
    struct ctl *ctl = w->work.ctl;
    const unsigned char *public_key = door_client_remote_key(client);
    unsigned char key[SEALED_KEY_SIZE];
    struct buf context, text;
    buf_init(&context, 2000);
    buf_init(&text, SEALED_TEXT_MAX);
    int status = password_input_once(ctl, ctl_option(ctl, "password-stdin") != NULL, "the password at the provider",
                                     "password-stdin", &w->password);
    if (status == EX_OK && !public_key) {
        status = remote_key_public(w->work.settings->data_directory, key, &ctl->problem) ? EX_NOPERM : EX_OK;
        public_key = key;
    }
    remote_account_context(account, &context);
    if (status == EX_OK && sealed_write(public_key, buf_span(&context), buf_span(&w->password), &text))
        status = ctl_fail(ctl, EX_OSERR, "the password can't be sealed");
    if (status == EX_OK)
        account->secret = arena_copy(&w->work.arena, buf_span(&text));
    buf_release(&context);
    buf_release(&text);
    return status;
}

/* The words NAME=VALUE of the command line. */
static int take_words(struct remote_work *w, size_t first, struct remote_account *account)
{
    struct ctl *ctl = w->work.ctl;
    for (size_t i = first; i < ctl->argument_count; i++) {
        struct span word = span_text(ctl->arguments[i]);
        size_t equals = span_find(word, '=');
        if (equals == word.size || span_is(span_head(word, equals), "secret"))
            return ctl_fail(ctl, EX_USAGE, "'%.100s' is none of the form name=value; see 'ostiary help %s'",
                            ctl->arguments[i], ctl->command->name);
        if (!remote_account_set(account, &w->work.arena, span_head(word, equals), span_skip(word, equals + 1),
                                &ctl->problem))
            return EX_USAGE;
    }
    return EX_OK;
}

static bool context_changed(const struct remote_account *a, const struct remote_account *b)
{
    struct buf x, y;
    buf_init(&x, 2000);
    buf_init(&y, 2000);
    remote_account_context(a, &x);
    remote_account_context(b, &y);
    bool changed = !span_equal(buf_span(&x), buf_span(&y));
    buf_release(&x);
    buf_release(&y);
    return changed;
}

/* The one that is there under that name; NULL: there is none. */
static int find(struct fiber *self, struct door_client *client, struct remote_work *w, const struct door_owner *owner,
                struct span name, const StoreWrite__DoorItem **found)
{
    StoreWrite__DoorListRequest request = STORE_WRITE__DOOR_LIST_REQUEST__INIT;
    struct door_items items;
    request.owner = binary_from_span(owner->owner);
    request.kinds = 1u << DOOR_REMOTE;
    request.secrets = true;
    *found = NULL;
    int status = door_client_gather(self, client, &request, &items);
    const StoreWrite__DoorItem *list = items.items; /* in the work's arena */
    for (size_t i = 0; status == EX_OK && i < items.count; i++)
        if (span_equal(binary_span(list[i].name), name))
            *found = list + i;
    return status;
}

/* How it stands, and with what is asked for now. The password is asked for where there is none yet, where it is to be
 * another, and where the server it is for has changed: it was sealed for the one before. */
static int change_account(struct door_client *client, struct remote_work *w, const StoreWrite__DoorItem *there,
                          size_t first, struct remote_account *account)
{
    struct ctl *ctl = w->work.ctl;
    struct remote_account before;
    if (there && !remote_account_parse(binary_span(there->value), &w->work.arena, account, &ctl->problem)) {
        buf_add_text(&ctl->problem, "; remove it and add it anew");
        return EX_DATAERR;
    }
    before = *account;
    int status = take_words(w, first, account);
    if (status)
        return status;
    /* The standard port follows the kind of TLS, unless one was named. */
    if (there && account->tls != before.tls && account->port == before.port &&
        before.port == (before.tls == REMOTE_TLS_POP3S ? 995 : 110))
        account->port = 0;
    if (!account->host.size || !account->login.size)
        return ctl_ask(ctl, "host= and login= are needed");
    if (!there || context_changed(account, &before) || ctl_option(ctl, "password-stdin"))
        status = seal(client, w, account);
    return status;
}

static int write_account(struct remote_work *w, const struct remote_account *account, struct span name)
{
    struct ctl *ctl = w->work.ctl;
    struct buf text;
    buf_init(&text, REMOTE_ACCOUNT_TEXT_MAX);
    int status = EX_OK;
    if (!remote_account_check(account, &ctl->problem))
        status = EX_USAGE;
    remote_account_write(account, &text);
    struct span value = arena_copy(&w->work.arena, buf_span(&text));
    if (status == EX_OK && (buf_failed(&text) || !value.data))
        status = ctl_fail(ctl, EX_DATAERR, "that is too much for one remote account");
    if (status == EX_OK)
        status = door_edit_put(&w->edit, DOOR_REMOTE, name, value, NULL);
    buf_release(&text);
    return status;
}

/* When it will be fetched: the courier looks for changes that often (fetch/fetcher.c). */
static void say_when(const struct remote_work *w, const struct remote_account *account)
{
    struct ctl *ctl = w->work.ctl;
    bool is_running = ctl->is_my || store_client_has_server(w->work.settings);
    if (ctl->json)
        return;
    if (!account->enabled) {
        buf_add_text(&ctl->out, "nothing is fetched from it while enabled=no\n");
        return;
    }
    buf_printf(&ctl->out, "mail is fetched %s, and then every ",
               is_running ? "within 20 seconds" : "as soon as the server runs");
    ctl_write_duration(&ctl->out, account->interval ? account->interval : w->work.settings->remote.interval);
    buf_printf(&ctl->out, "; 'ostiary %sremote list' shows what came of it\n", ctl->is_my ? "my " : "");
}

static int run_change(struct fiber *self, struct door_client *client, struct door_work *work)
{
    struct remote_work *w = container_of(work, struct remote_work, work);
    struct ctl *ctl = work->ctl;
    struct door_owner owner;
    const StoreWrite__DoorItem *there;
    struct remote_account account;
    remote_account_init(&account);
    int status = door_owner_take(client, &owner);
    if (status == EX_OK && owner.next >= ctl->argument_count)
        status = ctl_ask(ctl, "which one? give its name");
    if (status)
        return status;
    struct span name = span_text(ctl->arguments[owner.next]);
    status = door_edit_init(&w->edit, work, &owner, 1);
    if (status == EX_OK)
        status = find(self, client, w, &owner, name, &there);
    if (status)
        return status;
    buf_printf(&w->edit.words, "%s %.*s", ctl->command->name, SPAN_ARG(span_head(name, 100)));
    if (!w->is_new && !there)
        return ctl_fail(ctl, EX_DATAERR, "there is no remote account '%.100s'; see 'ostiary remote list'",
                        ctl->arguments[owner.next]);
    if (w->is_new && there)
        return ctl_fail(ctl, EX_DATAERR,
                        "there is a remote account '%.100s' already; change it with 'ostiary remote set'",
                        ctl->arguments[owner.next]);
    if (w->removes) {
        status = door_edit_remove(&w->edit, DOOR_REMOTE, name);
    } else {
        status = change_account(client, w, there, owner.next + 1, &account);
        if (status == EX_OK)
            status = write_account(w, &account, name);
    }
    if (status == EX_OK)
        status = door_edit_send(self, client, &w->edit, "remote account");
    if (status == EX_OK && !w->removes)
        say_when(w, &account);
    return status;
}

static int change(struct ctl *ctl, struct remote_work *w)
{
    w->work = (struct door_work){.run = run_change, .ctl = ctl};
    password_input_init(&w->password);
    int status = door_client_run(&w->work);
    password_input_release(&w->password);
    door_edit_release(&w->edit);
    return status;
}

int ctl_remote_add(struct ctl *ctl)
{
    struct remote_work w = {.is_new = true};
    return change(ctl, &w);
}

int ctl_remote_set(struct ctl *ctl)
{
    struct remote_work w = {.is_new = false};
    return change(ctl, &w);
}

void ctl_remote_write_settings(struct buf *out)
{
    buf_add_text(out, "\nSettings:\n");
    for (size_t i = 0; remote_account_field_name(i); i++)
        if (strcmp(remote_account_field_name(i), "secret") != 0)
            buf_printf(out, "  %s\n      %s\n", remote_account_field_name(i), remote_account_field_help(i));
}

int ctl_remote_remove(struct ctl *ctl)
{
    struct remote_work w = {.removes = true};
    return change(ctl, &w);
}

/* ---- list ---- */

struct list_work {
    struct door_work work;
    struct door_items items;
    struct json json;
};

static const Courier__FetchState *state_of(const Courier__FetchStateReply *states, const StoreWrite__DoorItem *item)
{
    for (size_t i = 0; states && i < states->n_states; i++)
        if (span_equal(binary_span(states->states[i]->account), binary_span(item->owner)) &&
            span_equal(binary_span(states->states[i]->name), binary_span(item->name)))
            return states->states[i];
    return NULL;
}

static void write_fields(struct list_work *w, const struct remote_account *account)
{
    struct ctl *ctl = w->work.ctl;
    struct buf value;
    buf_init(&value, REMOTE_ACCOUNT_TEXT_MAX);
    for (size_t i = 0; remote_account_field_name(i); i++) {
        const char *name = remote_account_field_name(i);
        buf_reset(&value);
        if (strcmp(name, "secret") == 0 || !remote_account_field_write(account, i, &value))
            continue;
        if (ctl->json) {
            json_text(&w->json, name, buf_span(&value));
        } else {
            buf_printf(&ctl->out, " %s=", name);
            foreign_write(buf_span(&value), false, &ctl->out);
        }
    }
    buf_release(&value);
}

static void write_state_json(struct json *json, const Courier__FetchState *state)
{
    json_number(json, "last_at", state->last_at / NANOSECONDS);
    json_number(json, "next_at", state->next_at / NANOSECONDS);
    json_number(json, "failures", state->failures);
    json_number(json, "fetched", state->fetched);
    json_text(json, "problem", binary_span(state->problem));
}

static void write_next(struct buf *out, const Courier__FetchState *state, bool is_on, uint64_t now)
{
    if (!is_on) {
        buf_add_text(out, "switched off");
    } else if (!state->next_at) {
        buf_add_text(out, "stopped until it is changed, or somebody says 'remote fetch'");
    } else if (state->next_at <= now) {
        buf_add_text(out, "next now");
    } else {
        buf_add_text(out, "next in ");
        ctl_write_duration(out, (state->next_at - now) / NANOSECONDS);
    }
}

static void write_state(struct buf *out, const Courier__FetchState *state, bool is_on)
{
    uint64_t now = clock_wall();
    if (state->last_at) {
        buf_add_text(out, state->failures ? "  last tried " : "  last ");
        ctl_write_duration(out, now > state->last_at ? (now - state->last_at) / NANOSECONDS : 0);
        buf_add_text(out, " ago, ");
    } else {
        buf_add_text(out, "  not fetched yet, ");
    }
    write_next(out, state, is_on, now);
    buf_printf(out, ", %llu fetched", (unsigned long long)state->fetched);
    if (state->problem.len) {
        buf_add_text(out, "\n  failed ");
        ctl_write_count(out, state->failures, "time");
        buf_add_text(out, " in a row: ");
        foreign_write(binary_span(state->problem), false, out);
    }
    buf_add_char(out, '\n');
}

static void write_item(struct list_work *w, const StoreWrite__DoorItem *item, const Courier__FetchState *state)
{
    struct ctl *ctl = w->work.ctl;
    struct remote_account account;
    struct buf problem;
    buf_init(&problem, 1000);
    bool good = remote_account_parse(binary_span(item->value), &w->work.arena, &account, &problem);
    if (ctl->json) {
        json_object(&w->json, NULL);
        json_text(&w->json, "account", binary_span(item->owner));
        json_text(&w->json, "name", binary_span(item->name));
    } else {
        foreign_write(binary_span(item->owner), false, &ctl->out);
        buf_add_char(&ctl->out, ' ');
        foreign_write(binary_span(item->name), false, &ctl->out);
    }
    if (good)
        write_fields(w, &account);
    else
        buf_printf(ctl->json ? &problem : &ctl->out, " (%.*s)", SPAN_ARG(buf_span(&problem)));
    if (ctl->json && state)
        write_state_json(&w->json, state);
    if (ctl->json)
        json_end_object(&w->json);
    else
        buf_add_char(&ctl->out, '\n');
    if (!ctl->json && state)
        write_state(&ctl->out, state, !good || account.enabled);
    buf_release(&problem);
}

static void write_all(struct list_work *w, const Courier__FetchStateReply *states)
{
    struct ctl *ctl = w->work.ctl;
    json_init(&w->json, &ctl->out);
    if (ctl->json)
        json_list(&w->json, NULL);
    for (size_t i = 0; i < w->items.count; i++)
        write_item(w, &w->items.items[i], state_of(states, &w->items.items[i]));
    if (ctl->json)
        json_end_list(&w->json);
    else if (!w->items.count)
        buf_add_text(&ctl->out, "there are no remote accounts\n");
}

/* Without a running server there is no state to show. */
static int show_with_state(struct fiber *self, struct control_client *client, struct control_work *work)
{
    struct list_work *w = work->context;
    Courier__FetchStateRequest request = COURIER__FETCH_STATE_REQUEST__INIT;
    struct answer answer;
    int status = control_client_call(self, client, COURIER_FETCH_STATE, &request.base, ANSWER_SECONDS, &answer);
    if (status || !answer.message)
        return status;
    write_all(w, (const Courier__FetchStateReply *)answer.message);
    answer_release(&answer);
    return EX_OK;
}

/* A person asks by the socket they are logged in at, where the server says only what is theirs. */
static int show_mine(struct fiber *self, struct door_client *client, struct list_work *w)
{
    Courier__FetchStateRequest request = COURIER__FETCH_STATE_REQUEST__INIT;
    struct answer answer;
    int status = door_client_call(self, client, MY_FETCH_STATE, &request.base, &answer);
    if (status)
        return status;
    write_all(w, (const Courier__FetchStateReply *)answer.message);
    answer_release(&answer);
    return EX_OK;
}

static int run_list(struct fiber *self, struct door_client *client, struct door_work *work)
{
    struct list_work *w = container_of(work, struct list_work, work);
    struct ctl *ctl = work->ctl;
    StoreWrite__DoorListRequest request = STORE_WRITE__DOOR_LIST_REQUEST__INIT;
    struct door_owner owner = {0};
    int status = ctl->argument_count || ctl->is_my ? door_owner_take(client, &owner) : EX_OK;
    request.owner = binary_from_span(owner.owner);
    request.everything = !owner.owner.size;
    request.kinds = 1u << DOOR_REMOTE;
    request.secrets = true; /* without its password none can be read; it is not shown */
    if (status == EX_OK)
        status = door_client_gather(self, client, &request, &w->items);
    if (status)
        return status;
    struct control_work state = {.run = show_with_state, .ctl = ctl, .settings = work->settings, .context = w};
    if (ctl->is_my)
        return show_mine(self, client, w);
    if (control_client_has_server(work->settings, CONTROL_COURIER))
        return control_client_run(&state, CONTROL_COURIER);
    write_all(w, NULL);
    return EX_OK;
}

int ctl_remote_list(struct ctl *ctl)
{
    struct list_work w = {.work = {.run = run_list, .ctl = ctl}};
    return door_client_run(&w.work);
}
