#include "ctl/door_client.h"

#include "base/clock.h"
#include "base/list.h"
#include "ctl/address.h"
#include "ctl/control_socket.h"
#include "ctl/conversation.h"
#include "ctl/password_input.h"
#include "ctl/store_client.h"
#include "format/sealed.h"
#include "ipc/binary.h"
#include "my.pb-c.h"
#include "policy/rule.h"

#include <errno.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#define CALL_SECONDS 60
#define LOGIN_SECONDS 120 /* whoever guessed waits */
#define PAGE 1000

struct door_client {
    struct door_work *work;
    struct store_work store_work; /* the administrator's way */
    struct store_client *store;
    struct channel *my; /* a person's */
    bool is_blind;      /* the person may not read the configuration, and the usual settings are taken */
    struct buf account;
    unsigned char remote_key[SEALED_KEY_SIZE];
};

/* ---- The administrator ---- */

static int run_as_admin(struct fiber *self, struct store_client *store, struct store_work *store_work)
{
    struct door_client *client = container_of(store_work, struct door_client, store_work);
    client->store = store;
    return client->work->run(self, client, client->work);
}

static const enum store_write_method admin_methods[] = {
    [MY_DOOR_CHANGE] = STORE_WRITE_DOOR_CHANGE,
    [MY_DOOR_LIST] = STORE_WRITE_DOOR_LIST,
    [MY_DOOR_HISTORY] = STORE_WRITE_DOOR_HISTORY,
    [MY_LEDGER_LIST] = STORE_WRITE_LEDGER_LIST,
};

/* ---- A person ---- */

static const char *login_name(const struct ctl *ctl)
{
    return ctl->login ? ctl->login : getenv("OSTIARY_LOGIN");
}

static int log_in(struct fiber *self, struct door_client *client, struct span login, struct span password)
{
    struct ctl *ctl = client->work->ctl;
    My__LoginRequest request = MY__LOGIN_REQUEST__INIT;
    struct answer answer;
    request.login = binary_from_span(login);
    request.password = binary_from_span(password);
    int error = channel_call(self, client->my, MY_LOGIN, &request.base, (struct span){NULL, 0}, -1,
                             clock_in_seconds(LOGIN_SECONDS), &answer);
    if (error)
        return conversation_explain(ctl, "the server", error);
    const My__LoginReply *reply = (const My__LoginReply *)answer.message;
    int status = EX_OK;
    if (reply->accepted && reply->remote_key.len == sizeof client->remote_key) {
        buf_add_span(&client->account, binary_span(reply->address));
        memcpy(client->remote_key, reply->remote_key.data, sizeof client->remote_key);
    } else if (reply->accepted) {
        status = ctl_fail(ctl, EX_PROTOCOL, "the server speaks otherwise; is it of this version?");
    } else {
        status = ctl_fail(ctl, EX_NOPERM, "%s", *reply->problem ? reply->problem : "the login was refused");
    }
    if (buf_failed(&client->account))
        status = ctl_fail(ctl, EX_OSERR, "out of memory");
    answer_release(&answer);
    return status;
}

static int run_as_person(struct fiber *self, struct channel *channel, void *context)
{
    struct door_client *client = context;
    struct ctl *ctl = client->work->ctl;
    struct buf password;
    client->my = channel;
    password_input_init(&password);
    int status = password_input_once(ctl, ctl->login_stdin, "your password", "login-stdin", &password);
    if (status == EX_OK)
        status = log_in(self, client, span_text(login_name(ctl)), buf_span(&password));
    password_input_release(&password);
    return status == EX_OK ? client->work->run(self, client, client->work) : status;
}

static int explain_connecting(const struct door_client *client, const char *name, int error)
{
    struct ctl *ctl = client->work->ctl;
    bool is_path = *name == '/';
    if (error == -ENOENT || error == -ECONNREFUSED || error == -ENOTDIR)
        ctl_fail(ctl, EX_UNAVAILABLE, "no server answers at %s%s%s",
                 is_path ? "" : client->work->settings->data_directory, is_path ? "" : "/", name);
    else if (error == -EACCES || error == -EPERM)
        return ctl_fail(ctl, EX_NOPERM,
                        "the socket %s%s%s can't be reached by you; the server's administrator may put it elsewhere by "
                        "my.socket",
                        is_path ? "" : client->work->settings->data_directory, is_path ? "" : "/", name);
    else
        ctl_fail(ctl, EX_UNAVAILABLE, "the server's socket can't be reached: %s", strerror(-error));
    if (client->is_blind && !ctl->socket)
        buf_printf(&ctl->problem,
                   "; you may not read %s, where another place may stand: ask for it, and give --socket PATH",
                   ctl->config_path);
    return EX_UNAVAILABLE;
}

static int connect_as_person(struct door_client *client)
{
    struct ctl *ctl = client->work->ctl;
    const struct settings *settings = client->work->settings;
    if (!login_name(ctl) || !*login_name(ctl))
        return ctl_fail(ctl, EX_USAGE, "who are you? give --login alice@example.org, or set OSTIARY_LOGIN");
    const char *name = ctl->socket ? ctl->socket : settings->my.socket;
    if (!*name)
        return ctl_fail(ctl, EX_UNAVAILABLE, "this server has no such socket: the setting my.socket is empty");
    int fd = control_socket_connect(settings, name);
    if (fd < 0)
        return explain_connecting(client, name, fd);
    return conversation_run(ctl, fd, &my_service, ROLE_DESK, run_as_person, client);
}

/* The configuration is the server's. All that a person needs of it is where the socket is, which is usually known;
 * whose door it is the server decides. NULL: it is to be read, or can't be made. */
static struct settings *usual_settings(struct door_client *client)
{
    struct ctl *ctl = client->work->ctl;
    bool is_hidden = access(ctl->config_path, R_OK) < 0 && (errno == EACCES || (errno == ENOENT && ctl->socket));
    if (!ctl->is_my || !is_hidden)
        return NULL;
    client->is_blind = true;
    return settings_parse((struct span)SPAN("hostname=unknown.invalid\n"), &ctl->problem);
}

/* ---- Both ---- */

int door_client_run(struct door_work *work)
{
    struct ctl *ctl = work->ctl;
    struct door_client client = {.work = work};
    work->settings = usual_settings(&client);
    if (!work->settings)
        work->settings = ctl_read_settings(ctl);
    if (!work->settings)
        return EX_CONFIG;
    client.store_work = (struct store_work){run_as_admin, ctl, work->settings};
    buf_init(&client.account, 4096);
    arena_init(&work->arena, DOOR_ARENA_MAX);
    int status = ctl->is_my ? connect_as_person(&client) : store_client_run(&client.store_work);
    arena_release(&work->arena);
    buf_release(&client.account);
    settings_unref(work->settings);
    work->settings = NULL;
    return status;
}

struct span door_client_account(const struct door_client *client)
{
    return buf_span(&client->account);
}

const unsigned char *door_client_remote_key(const struct door_client *client)
{
    return client->store ? NULL : client->remote_key;
}

int door_client_call(struct fiber *self, struct door_client *client, enum my_method method,
                     const ProtobufCMessage *request, struct answer *answer)
{
    if (client->store) {
        if (method == MY_LOGIN || method == MY_FETCH_STATE || method == MY_FETCH_NOW)
            abort(); /* a command that asks the wrong one */
        return store_client_call(self, client->store, admin_methods[method], request, answer);
    }
    int error = channel_call(self, client->my, method, request, (struct span){NULL, 0}, -1,
                             clock_in_seconds(CALL_SECONDS), answer);
    return conversation_explain(client->work->ctl, "the server", error);
}

int door_client_change(struct fiber *self, struct door_client *client, StoreWrite__DoorChangeRequest *request,
                       uint32_t *changed, uint64_t *number)
{
    struct answer answer;
    if (client->store)
        request->by = binary_from_span((struct span)SPAN("admin"));
    int status = door_client_call(self, client, MY_DOOR_CHANGE, &request->base, &answer);
    if (status)
        return status;
    const StoreWrite__DoorChangeReply *reply = (const StoreWrite__DoorChangeReply *)answer.message;
    if (*reply->problem)
        status = ctl_fail(client->work->ctl, EX_DATAERR, "%s", reply->problem);
    if (changed)
        *changed = reply->changed;
    if (number)
        *number = reply->number;
    answer_release(&answer);
    return status;
}

static ProtobufCBinaryData copy_bytes(struct arena *arena, ProtobufCBinaryData bytes, bool *failed)
{
    struct span copy = arena_copy(arena, binary_span(bytes));
    *failed |= bytes.len && !copy.data;
    return binary_from_span(copy);
}

/* Growing leaves the old place to the arena: all of them together are as large as the last. */
static int keep_item(struct door_work *work, struct door_items *list, const StoreWrite__DoorItem *item)
{
    bool failed = false;
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 64;
        StoreWrite__DoorItem *larger = arena_array(&work->arena, room, sizeof *larger);
        if (!larger)
            return ctl_fail(work->ctl, EX_OSERR, "there is too much of it for the memory");
        if (list->count)
            memcpy(larger, list->items, list->count * sizeof *larger);
        list->items = larger;
        list->room = room;
    }
    StoreWrite__DoorItem *copy = &list->items[list->count++];
    *copy = *item;
    copy->owner = copy_bytes(&work->arena, item->owner, &failed);
    copy->name = copy_bytes(&work->arena, item->name, &failed);
    copy->value = copy_bytes(&work->arena, item->value, &failed);
    copy->set_by = copy_bytes(&work->arena, item->set_by, &failed);
    return failed ? ctl_fail(work->ctl, EX_OSERR, "there is too much of it for the memory") : EX_OK;
}

static int compare_spans(ProtobufCBinaryData a, ProtobufCBinaryData b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_items(const void *left, const void *right)
{
    const StoreWrite__DoorItem *a = left, *b = right;
    if (a->level != b->level)
        return a->level < b->level ? -1 : 1;
    int order = compare_spans(a->owner, b->owner);
    if (order)
        return order;
    return a->kind != b->kind ? (a->kind < b->kind ? -1 : 1) : compare_spans(a->name, b->name);
}

int door_client_gather(struct fiber *self, struct door_client *client, StoreWrite__DoorListRequest *request,
                       struct door_items *items)
{
    int status = EX_OK;
    *items = (struct door_items){0};
    request->after_id = 0;
    request->limit = PAGE;
    for (bool more = true; more && status == EX_OK;) {
        struct answer answer;
        status = door_client_call(self, client, MY_DOOR_LIST, &request->base, &answer);
        if (status)
            break;
        const StoreWrite__DoorListReply *reply = (const StoreWrite__DoorListReply *)answer.message;
        if (*reply->problem)
            status = ctl_fail(client->work->ctl, EX_DATAERR, "%s", reply->problem);
        for (size_t i = 0; i < reply->n_items && status == EX_OK; i++) {
            status = keep_item(client->work, items, reply->items[i]);
            request->after_id = reply->items[i]->id;
        }
        more = reply->more && reply->n_items;
        answer_release(&answer);
    }
    if (status == EX_OK && items->count)
        qsort(items->items, items->count, sizeof *items->items, compare_items);
    return status;
}

/* ---- Whose door ---- */

int door_owner_parse(struct ctl *ctl, struct arena *arena, const struct settings *settings, const char *text,
                     struct door_owner *owner)
{
    *owner = (struct door_owner){.level = LEVEL_DOMAIN};
    if (*text == '@')
        return ctl_domain(ctl, arena, text + 1, &owner->owner);
    int status = ctl_address(ctl, arena, text, &owner->owner);
    if (status)
        return status;
    const char *separator = settings->smtp.detail_separator;
    size_t at = span_find_last(owner->owner, '@');
    owner->level = LEVEL_ACCOUNT;
    for (size_t i = 1; i + 1 < at && *separator; i++)
        if (owner->owner.data[i] == *separator)
            owner->level = LEVEL_ADDRESS;
    return EX_OK;
}

/* Is the address the account's own, or one of its own with a detail? */
static bool is_of(struct span address, struct span account, const char *separator)
{
    size_t at = span_find_last(address, '@'), own = span_find_last(account, '@');
    if (span_equal(address, account))
        return true;
    return *separator && at > own && address.data[own] == *separator &&
           span_equal(span_head(address, own), span_head(account, own)) &&
           span_equal(span_skip(address, at), span_skip(account, own));
}

static int take_mine(struct door_client *client, struct door_owner *owner)
{
    struct door_work *work = client->work;
    struct ctl *ctl = work->ctl;
    const char *text = ctl->argument_count ? ctl->arguments[0] : "";
    struct span account = door_client_account(client);
    *owner = (struct door_owner){.level = LEVEL_ACCOUNT, .owner = account};
    if (!strchr(text, '@') || strchr(text, '=') || *text == '@')
        return EX_OK;
    struct door_owner named;
    int status = door_owner_parse(ctl, &work->arena, work->settings, text, &named);
    buf_reset(&ctl->problem); /* what is no address is the next argument's matter */
    if (status == EX_OK && is_of(named.owner, account, work->settings->smtp.detail_separator)) {
        *owner = named;
        owner->next = 1;
    }
    return EX_OK;
}

int door_owner_take(struct door_client *client, struct door_owner *owner)
{
    struct ctl *ctl = client->work->ctl;
    bool site = ctl_is_for_site(ctl);
    if (site && ctl->is_my)
        return ctl_fail(ctl, EX_USAGE, "--site is the administrator's: the command without 'my'");
    if (ctl->is_my)
        return take_mine(client, owner);
    if (site) {
        *owner = (struct door_owner){.level = LEVEL_SITE};
        return EX_OK;
    }
    if (!ctl->argument_count || !strchr(ctl->arguments[0], '@'))
        return ctl_ask(ctl, "whose door? give an address or @DOMAIN first");
    int status = door_owner_parse(ctl, &client->work->arena, client->work->settings, ctl->arguments[0], owner);
    owner->next = 1;
    return status;
}

int door_owner_is_last(struct ctl *ctl, size_t count)
{
    if (ctl->argument_count <= count)
        return EX_OK;
    const char *text = ctl->arguments[count];
    if (ctl->is_my && count == 0 && strchr(text, '@'))
        return ctl_fail(ctl, EX_NOPERM, "%.100s is not one of your addresses", text);
    return ctl_fail(ctl, EX_USAGE, "'%.64s' is too much", text);
}

void door_owner_write(const struct door_owner *owner, struct buf *out)
{
    if (owner->level == LEVEL_SITE)
        buf_add_text(out, "the site");
    else
        buf_printf(out, "%s%.*s", owner->level == LEVEL_DOMAIN ? "@" : "", SPAN_ARG(owner->owner));
}
