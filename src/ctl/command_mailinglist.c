/* mailinglist add, set, remove, join, leave, list, show */
#include "base/list.h"
#include "ctl/address.h"
#include "ctl/commands.h"
#include "ctl/directory_change.h"
#include "ctl/fields.h"

#include <sysexits.h>

static const char *const postings[] = {"everybody", "members", "owner"};

/* ---- Changes ---- */

static int send(struct ctl *ctl, StoreWrite__Change kind, StoreWrite__MailingList *list, const char *done)
{
    StoreWrite__ChangeRequest request = STORE_WRITE__CHANGE_REQUEST__INIT;
    request.change = kind;
    request.list = list;
    int status = directory_change(ctl, &request);
    if (status == EX_OK)
        buf_printf(&ctl->out, "%.*s %s\n", SPAN_ARG(binary_span(list->address)), done);
    return status;
}

static int take_address(struct ctl *ctl, struct arena *arena, const char *text, ProtobufCBinaryData *address)
{
    struct span span = {NULL, 0};
    int status = ctl_address(ctl, arena, text, &span);
    *address = binary_from_span(span);
    return status;
}

static int take_name(struct ctl *ctl, const char *name, StoreWrite__MailingList *list)
{
    list->name = binary_from_span(span_text(name));
    return ctl_check_name(ctl, span_text(name));
}

static int take_posting(struct ctl *ctl, const char *text, StoreWrite__MailingList *list)
{
    for (size_t i = 0; i < sizeof postings / sizeof *postings; i++)
        if (strcmp(text, postings[i]) == 0) {
            list->posting = (StoreWrite__ListPosting)i;
            return EX_OK;
        }
    return ctl_fail(ctl, EX_USAGE, "--posting takes everybody, members or owner, not '%.40s'", text);
}

static int take_options(struct ctl *ctl, struct arena *arena, StoreWrite__MailingList *list)
{
    const char *name = ctl_option(ctl, "name"), *owner = ctl_option(ctl, "owner"),
               *posting = ctl_option(ctl, "posting");
    int status = name ? take_name(ctl, name, list) : EX_OK;
    if (status == EX_OK && owner && *owner)
        status = take_address(ctl, arena, owner, &list->owner);
    if (status == EX_OK && posting)
        status = take_posting(ctl, posting, list);
    list->set_name = name != NULL;
    list->set_owner = owner != NULL;
    list->set_posting = posting != NULL;
    return status;
}

static int put(struct ctl *ctl, struct arena *arena, bool is_new)
{
    StoreWrite__MailingList list = STORE_WRITE__MAILING_LIST__INIT;
    list.posting = STORE_WRITE__LIST_POSTING__POSTING_MEMBERS;
    int status = take_address(ctl, arena, ctl->arguments[0], &list.address);
    if (status == EX_OK)
        status = take_options(ctl, arena, &list);
    if (status)
        return status;
    if (is_new)
        list.set_name = list.set_owner = list.set_posting = false;
    else if (!list.set_name && !list.set_owner && !list.set_posting)
        return ctl_fail(ctl, EX_USAGE, "nothing is to be changed; give --name, --owner or --posting");
    return send(ctl, STORE_WRITE__CHANGE__LIST_PUT, &list, is_new ? "is added" : "is changed");
}

static int with_arena(struct ctl *ctl, bool is_new)
{
    struct arena arena;
    arena_init(&arena, DIRECTORY_ARENA_MAX);
    int status = put(ctl, &arena, is_new);
    arena_release(&arena);
    return status;
}

int ctl_mailinglist_add(struct ctl *ctl)
{
    return with_arena(ctl, true);
}

int ctl_mailinglist_set(struct ctl *ctl)
{
    return with_arena(ctl, false);
}

static int change_members(struct ctl *ctl, StoreWrite__Change kind, const char *done)
{
    StoreWrite__MailingList list = STORE_WRITE__MAILING_LIST__INIT;
    struct arena arena;
    arena_init(&arena, DIRECTORY_ARENA_MAX);
    size_t count = ctl->argument_count - 1;
    StoreWrite__MailingListMember *members = arena_array(&arena, count + 1, sizeof *members);
    list.members = arena_array(&arena, count + 1, sizeof(StoreWrite__MailingListMember *));
    bool has_memory = members && list.members;
    int status = has_memory ? take_address(ctl, &arena, ctl->arguments[0], &list.address)
                            : ctl_fail(ctl, EX_OSERR, "out of memory");
    for (size_t i = 0; has_memory && status == EX_OK && i < count; i++) {
        store_write__mailing_list_member__init(&members[i]);
        status = take_address(ctl, &arena, ctl->arguments[i + 1], &members[i].address);
        list.members[list.n_members++] = &members[i];
    }
    if (status == EX_OK)
        status = send(ctl, kind, &list, done);
    arena_release(&arena);
    return status;
}

int ctl_mailinglist_join(struct ctl *ctl)
{
    return change_members(ctl, STORE_WRITE__CHANGE__LIST_JOIN, "has them as members");
}

int ctl_mailinglist_leave(struct ctl *ctl)
{
    return change_members(ctl, STORE_WRITE__CHANGE__LIST_LEAVE, "has them as members no more");
}

int ctl_mailinglist_remove(struct ctl *ctl)
{
    StoreWrite__MailingList list = STORE_WRITE__MAILING_LIST__INIT;
    struct arena arena;
    arena_init(&arena, DIRECTORY_ARENA_MAX);
    int status = take_address(ctl, &arena, ctl->arguments[0], &list.address);
    if (status == EX_OK)
        status = send(ctl, STORE_WRITE__CHANGE__LIST_REMOVE, &list, "is removed");
    arena_release(&arena);
    return status;
}

/* ---- Lists ---- */

static const char *posting_of(const StoreWrite__MailingList *list)
{
    return (unsigned)list->posting < sizeof postings / sizeof *postings ? postings[list->posting] : "?";
}

static void write_facts(struct json *json, const StoreWrite__MailingList *list)
{
    json_text(json, "address", binary_span(list->address));
    json_text(json, "name", binary_span(list->name));
    json_text(json, "owner", binary_span(list->owner));
    json_text(json, "posting", span_text(posting_of(list)));
    json_number(json, "member_count", list->member_count);
}

static void list_lists(struct listing *listing, const StoreWrite__ListReply *reply)
{
    struct directory_list *work = container_of(listing, struct directory_list, listing);
    struct ctl *ctl = work->work.ctl;
    for (size_t i = 0; i < reply->n_lists; i++) {
        const StoreWrite__MailingList *list = reply->lists[i];
        if (ctl->json) {
            json_object(&work->json, NULL);
            write_facts(&work->json, list);
            json_end_object(&work->json);
            continue;
        }
        buf_printf(&ctl->out, "%-40.*s ", SPAN_ARG(binary_span(list->address)));
        ctl_write_count(&ctl->out, list->member_count, "member");
        buf_printf(&ctl->out, ", %s may post%s%.*s\n", posting_of(list), list->name.len ? "  " : "",
                   SPAN_ARG(binary_span(list->name)));
    }
}

int ctl_mailinglist_list(struct ctl *ctl)
{
    const char *match = ctl->argument_count ? ctl->arguments[0] : NULL;
    if (match && *match != '@')
        return ctl_fail(ctl, EX_USAGE,
                        "'mailinglist list' takes a domain like @example.org; 'mailinglist show' one list");
    return directory_list(ctl, STORE_WRITE__LIST_KIND__LIST_LISTS, match, list_lists);
}

struct show_work {
    struct store_work work;
    struct listing listing;
    struct json json;
};

static void write_member(struct show_work *w, const StoreWrite__MailingListMember *member)
{
    struct ctl *ctl = w->work.ctl;
    if (ctl->json) {
        json_object(&w->json, NULL);
        json_text(&w->json, "address", binary_span(member->address));
        json_number(&w->json, "bounces", member->bounces);
        json_bool(&w->json, "suspended", member->suspended);
        json_end_object(&w->json);
        return;
    }
    buf_printf(&ctl->out, "member    %.*s", SPAN_ARG(binary_span(member->address)));
    if (member->bounces) {
        buf_add_text(&ctl->out, "  ");
        ctl_write_count(&ctl->out, member->bounces, "bounce");
    }
    buf_add_text(&ctl->out, member->suspended ? "  suspended\n" : "\n");
}

static void show_page(struct listing *listing, const StoreWrite__ListReply *reply)
{
    struct show_work *w = container_of(listing, struct show_work, listing);
    struct buf *out = &w->work.ctl->out;
    for (size_t i = 0; i < reply->n_lists; i++) {
        const StoreWrite__MailingList *list = reply->lists[i];
        /* The further pages have further members. */
        if (listing->count == 0 && w->work.ctl->json) {
            json_object(&w->json, NULL);
            write_facts(&w->json, list);
            json_list(&w->json, "members");
        } else if (listing->count == 0) {
            buf_printf(out, "address   %.*s\nname      %.*s\nowner     %.*s\nposting   %s\n",
                       SPAN_ARG(binary_span(list->address)), SPAN_ARG(binary_span(list->name)),
                       SPAN_ARG(binary_span(list->owner)), posting_of(list));
        }
        for (size_t j = 0; j < list->n_members; j++)
            write_member(w, list->members[j]);
    }
}

static int run_show(struct fiber *self, struct store_client *client, struct store_work *work)
{
    struct show_work *w = container_of(work, struct show_work, work);
    int status = listing_run(self, client, &w->listing);
    if (status == EX_OK && w->listing.count == 0)
        return ctl_fail(work->ctl, EX_DATAERR, "there is no mailing list %.*s", SPAN_ARG(w->listing.match));
    if (w->listing.count && work->ctl->json) {
        json_end_list(&w->json);
        json_end_object(&w->json);
    }
    return status;
}

int ctl_mailinglist_show(struct ctl *ctl)
{
    struct show_work w = {.work = {run_show, ctl, NULL},
                          .listing = {.kind = STORE_WRITE__LIST_KIND__LIST_LISTS, .page = show_page}};
    struct arena arena;
    arena_init(&arena, DIRECTORY_ARENA_MAX);
    json_init(&w.json, &ctl->out);
    int status = ctl_address(ctl, &arena, ctl->arguments[0], &w.listing.match);
    if (status == EX_OK && !(w.work.settings = ctl_read_settings(ctl)))
        status = EX_CONFIG;
    if (status == EX_OK)
        status = store_client_run(&w.work);
    settings_unref(w.work.settings);
    arena_release(&arena);
    return status;
}
