/* account add, remove, list, show, passwd, set */
#include "auth/credentials.h"
#include "base/list.h"
#include "ctl/address.h"
#include "ctl/commands.h"
#include "ctl/fields.h"
#include "ctl/json.h"
#include "ctl/listing.h"
#include "ctl/password_input.h"

#include <stdio.h>
#include <sysexits.h>
#include <time.h>

#define ARENA_MAX (1u << 16)

struct account_work {
    struct store_work work;
    StoreWrite__ChangeRequest request;
    StoreWrite__Account account;
    struct arena arena;
    struct span address;
    uint64_t id;
};

/* Reads the settings and the address. 0 or an exit status with the sentence; account_end in either case. */
static int account_begin(struct account_work *w, struct ctl *ctl, StoreWrite__Change change)
{
    static const StoreWrite__ChangeRequest request = STORE_WRITE__CHANGE_REQUEST__INIT;
    static const StoreWrite__Account account = STORE_WRITE__ACCOUNT__INIT;
    *w = (struct account_work){.work = {.ctl = ctl}, .request = request, .account = account};
    arena_init(&w->arena, ARENA_MAX);
    int status = ctl_address(ctl, &w->arena, ctl->arguments[0], &w->address);
    if (status)
        return status;
    w->work.settings = ctl_read_settings(ctl);
    if (!w->work.settings)
        return EX_CONFIG;
    w->account.address = binary_from_span(w->address);
    w->request.change = change;
    w->request.account = &w->account;
    return EX_OK;
}

static void account_end(struct account_work *w)
{
    settings_unref(w->work.settings);
    arena_release(&w->arena);
}

static int run_change(struct fiber *self, struct store_client *client, struct store_work *work)
{
    struct account_work *w = container_of(work, struct account_work, work);
    return store_client_change(self, client, &w->request.base, &w->id);
}

static int send_change(struct account_work *w)
{
    w->work.run = run_change;
    return store_client_run(&w->work);
}

/* The options --name and --quota, where the command was given them. */
static int take_name(struct account_work *w)
{
    const char *name = ctl_option(w->work.ctl, "name");
    if (!name)
        return EX_OK;
    struct span text = span_text(name);
    int status = ctl_check_name(w->work.ctl, text);
    if (status)
        return status;
    w->account.name = binary_from_span(text);
    w->request.set_name = true;
    return EX_OK;
}

static int take_quota(struct account_work *w)
{
    const char *quota = ctl_option(w->work.ctl, "quota");
    if (!quota)
        return EX_OK;
    int status = ctl_parse_quota(w->work.ctl, "--quota", span_text(quota), &w->arena, &w->account.quota);
    if (status)
        return status;
    w->request.set_quota = true;
    return EX_OK;
}

/* Asks for the password, makes the credentials and sends the change. */
static int send_with_password(struct account_work *w)
{
    struct ctl *ctl = w->work.ctl;
    struct buf password;
    struct credential_set set = {.count = 0};
    StoreWrite__StoredCredential stored[CREDENTIALS_MAX], *list[CREDENTIALS_MAX];
    password_input_init(&password);
    int status = password_input(ctl, &password);
    bool is_chosen = !ctl_option(ctl, "password-generate");
    if (status == EX_OK && is_chosen &&
        !credentials_are_good(w->work.settings, w->address, buf_span(&password), &ctl->problem))
        status = EX_DATAERR;
    if (status == EX_OK && credentials_make(w->work.settings, buf_span(&password), &set, &ctl->problem) != 0)
        status = EX_DATAERR;
    for (size_t i = 0; status == EX_OK && i < set.count; i++) {
        store_write__stored_credential__init(&stored[i]);
        stored[i].kind = (char *)(uintptr_t)set.items[i].kind;
        stored[i].value = binary_from_span(buf_span(&set.items[i].value));
        list[i] = &stored[i];
    }
    w->request.credentials = list;
    w->request.n_credentials = set.count;
    if (status == EX_OK)
        status = send_change(w);
    if (status == EX_OK && ctl_option(ctl, "password-generate") && !ctl->json)
        buf_printf(&ctl->out, "password: %.*s\n", SPAN_ARG(buf_span(&password)));
    if (status == EX_OK && ctl->json) {
        struct json json;
        json_init(&json, &ctl->out);
        json_object(&json, NULL);
        json_text(&json, "address", w->address);
        if (ctl_option(ctl, "password-generate"))
            json_text(&json, "password", buf_span(&password));
        json_end_object(&json);
    }
    w->request.n_credentials = 0;
    w->request.credentials = NULL;
    credentials_release(&set);
    password_input_release(&password);
    return status;
}

int ctl_account_add(struct ctl *ctl)
{
    struct account_work w;
    int status = account_begin(&w, ctl, STORE_WRITE__CHANGE__ACCOUNT_ADD);
    if (status == EX_OK) {
        w.account.enabled = true;
        w.account.quota = w.work.settings->store.default_quota;
        status = take_name(&w);
    }
    if (status == EX_OK)
        status = take_quota(&w);
    if (status == EX_OK)
        status = send_with_password(&w);
    if (status == EX_OK && !ctl->json)
        buf_printf(&ctl->out, "%.*s is added\n", SPAN_ARG(w.address));
    account_end(&w);
    return status;
}

int ctl_account_passwd(struct ctl *ctl)
{
    struct account_work w;
    int status = account_begin(&w, ctl, STORE_WRITE__CHANGE__ACCOUNT_CREDENTIALS);
    if (status == EX_OK)
        status = send_with_password(&w);
    if (status == EX_OK && !ctl->json)
        buf_printf(&ctl->out, "the password of %.*s is set\n", SPAN_ARG(w.address));
    account_end(&w);
    return status;
}

int ctl_account_set(struct ctl *ctl)
{
    struct account_work w;
    bool enable = ctl_option(ctl, "enable"), disable = ctl_option(ctl, "disable");
    if (enable && disable)
        return ctl_fail(ctl, EX_USAGE, "--enable and --disable exclude one another");
    if (!enable && !disable && !ctl_option(ctl, "name") && !ctl_option(ctl, "quota"))
        return ctl_fail(ctl, EX_USAGE, "nothing is to be changed; give --name, --quota, --enable or --disable");
    int status = account_begin(&w, ctl, STORE_WRITE__CHANGE__ACCOUNT_SET);
    if (status == EX_OK) {
        w.account.enabled = enable;
        w.request.set_enabled = enable || disable;
        status = take_name(&w);
    }
    if (status == EX_OK)
        status = take_quota(&w);
    if (status == EX_OK)
        status = send_change(&w);
    if (status == EX_OK)
        buf_printf(&ctl->out, "%.*s is changed\n", SPAN_ARG(w.address));
    account_end(&w);
    return status;
}

int ctl_account_remove(struct ctl *ctl)
{
    struct account_work w;
    int status = account_begin(&w, ctl, STORE_WRITE__CHANGE__ACCOUNT_REMOVE);
    char question[400];
    snprintf(question, sizeof question, "Remove %.*s and all of its mail?", SPAN_ARG(w.address));
    if (status == EX_OK && !ctl_option(ctl, "yes") && !terminal_confirm(question))
        status = ctl_fail(ctl, EX_USAGE, "nothing was removed; --yes removes the account and its mail without asking");
    if (status == EX_OK)
        status = send_change(&w);
    if (status == EX_OK)
        buf_printf(&ctl->out, "%.*s is removed\n", SPAN_ARG(w.address));
    account_end(&w);
    return status;
}

/* ---- Lists ---- */

struct accounts_work {
    struct store_work work;
    struct listing listing;
    struct json json;
    bool whole; /* account show */
};

static void write_json(struct json *json, const StoreWrite__Account *account)
{
    json_object(json, NULL);
    json_text(json, "address", binary_span(account->address));
    json_text(json, "name", binary_span(account->name));
    json_bool(json, "enabled", account->enabled);
    json_number(json, "quota", account->quota);
    json_number(json, "used", account->used);
    json_number(json, "messages", account->messages);
    json_number(json, "created_at", account->created_at);
    json_end_object(json);
}

static void write_whole(struct buf *out, const StoreWrite__Account *account)
{
    char created[40] = "?";
    time_t seconds = (time_t)account->created_at;
    struct tm utc;
    if (gmtime_r(&seconds, &utc))
        strftime(created, sizeof created, "%Y-%m-%d %H:%M UTC", &utc);
    buf_printf(out, "address   %.*s\n", SPAN_ARG(binary_span(account->address)));
    buf_printf(out, "name      %.*s\n", SPAN_ARG(binary_span(account->name)));
    buf_printf(out, "state     %s\n", account->enabled ? "open" : "closed");
    if (account->quota)
        buf_printf(out, "quota     %llu bytes\n", (unsigned long long)account->quota);
    else
        buf_add_text(out, "quota     none\n");
    buf_add_text(out, "used      ");
    ctl_write_count(out, account->used, "byte");
    buf_add_text(out, " in ");
    ctl_write_count(out, account->messages, "message");
    buf_add_char(out, '\n');
    buf_printf(out, "created   %s\n", created);
}

static void list_accounts(struct listing *listing, const StoreWrite__ListReply *reply)
{
    struct accounts_work *list = container_of(listing, struct accounts_work, listing);
    struct ctl *ctl = list->work.ctl;
    for (size_t i = 0; i < reply->n_accounts; i++) {
        const StoreWrite__Account *account = reply->accounts[i];
        if (ctl->json)
            write_json(&list->json, account);
        else if (list->whole)
            write_whole(&ctl->out, account);
        else
            buf_printf(&ctl->out, "%-40.*s %10llu messages %14llu bytes%s\n", SPAN_ARG(binary_span(account->address)),
                       (unsigned long long)account->messages, (unsigned long long)account->used,
                       account->enabled ? "" : "  closed");
    }
}

static int run_list(struct fiber *self, struct store_client *client, struct store_work *work)
{
    return listing_run(self, client, &container_of(work, struct accounts_work, work)->listing);
}

static int list_matching(struct ctl *ctl, const char *match, bool whole)
{
    struct arena arena;
    struct accounts_work list = {.work = {.run = run_list, .ctl = ctl},
                                 .listing = {.kind = STORE_WRITE__LIST_KIND__LIST_ACCOUNTS, .page = list_accounts},
                                 .whole = whole};
    arena_init(&arena, ARENA_MAX);
    int status = ctl_match(ctl, &arena, match, &list.listing.match);
    if (status == EX_OK && !(list.work.settings = ctl_read_settings(ctl)))
        status = EX_CONFIG;
    if (status == EX_OK) {
        json_init(&list.json, &ctl->out);
        if (ctl->json && !whole)
            json_list(&list.json, NULL);
        status = store_client_run(&list.work);
        if (ctl->json && !whole)
            json_end_list(&list.json);
    }
    if (status == EX_OK && whole && list.listing.count == 0)
        status = ctl_fail(ctl, EX_DATAERR, "there is no account %.*s", SPAN_ARG(list.listing.match));
    settings_unref(list.work.settings);
    arena_release(&arena);
    return status;
}

int ctl_account_list(struct ctl *ctl)
{
    return list_matching(ctl, ctl->argument_count ? ctl->arguments[0] : NULL, false);
}

int ctl_account_show(struct ctl *ctl)
{
    if (ctl->arguments[0][0] == '@')
        return ctl_fail(ctl, EX_USAGE, "'account show' takes one address; 'ostiary account list' takes a domain");
    return list_matching(ctl, ctl->arguments[0], true);
}
