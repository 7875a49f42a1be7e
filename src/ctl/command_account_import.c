/* account import */
#include "auth/credentials.h"
#include "auth/dovecot_scheme.h"
#include "base/list.h"
#include "base/map.h"
#include "ctl/address.h"
#include "ctl/commands.h"
#include "ctl/fields.h"
#include "ctl/import_rows.h"
#include "ctl/json.h"
#include "ctl/store_client.h"
#include "ipc/binary.h"
#include "store_write.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define FILE_MAX (64u << 20)
#define ROW_MEMORY (1u << 20)
#define TARGETS_MAX 100 /* of one row */

struct import_work {
    struct store_work work;
    enum import_format format;
    struct span text;
    const char *domain; /* for names without one, or NULL */
    bool dry_run;
    struct arena header, row; /* row: of one */
    struct buf unused;
    struct buf done; /* a byte a row: has it an account now? */
    struct map seen; /* dry run: addresses */
    struct json json;
    size_t added, left_out;
};

/* ---- Reading a row ---- */

struct prepared {
    struct import_row row;
    struct span address;
    StoreWrite__Account account;
    StoreWrite__StoredCredential stored[CREDENTIALS_MAX], *list[CREDENTIALS_MAX];
    struct credential_set made; /* of a plain text */
    struct buf value;           /* of a hash */
    size_t count;
};

static void prepared_release(struct prepared *p)
{
    credentials_release(&p->made);
    if (p->value.data)
        explicit_bzero(p->value.data, p->value.room);
    buf_release(&p->value);
}

static int take_address(struct import_work *w, struct prepared *p)
{
    struct ctl *ctl = w->work.ctl;
    struct span given = p->row.address;
    const char *domain = w->domain ? w->domain : w->work.settings->auth.default_domain;
    struct buf whole;
    if (memchr(given.data, 0, given.size) || given.size > 320)
        return ctl_fail(ctl, EX_DATAERR, "this is no address");
    if (span_find(given, '@') == given.size && !*domain)
        return ctl_fail(ctl, EX_DATAERR, "it has no domain: name one with --domain");
    buf_init(&whole, 1024);
    buf_add_span(&whole, given);
    if (span_find(given, '@') == given.size)
        buf_printf(&whole, "@%s", domain);
    char *text = buf_failed(&whole) ? NULL : arena_text(&w->row, buf_span(&whole));
    buf_release(&whole);
    return text ? ctl_address(ctl, &w->row, text, &p->address) : ctl_fail(ctl, EX_OSERR, "out of memory");
}

static void add_stored(struct prepared *p, const char *kind, struct span value)
{
    StoreWrite__StoredCredential *c = &p->stored[p->count];
    store_write__stored_credential__init(c);
    c->kind = (char *)(uintptr_t)kind;
    c->value = binary_from_span(value);
    p->list[p->count++] = c;
}

/* We know the password itself: the account gets all that an account has which was added by hand. */
static int take_plain(struct import_work *w, struct prepared *p, struct span text)
{
    struct ctl *ctl = w->work.ctl;
    struct password password;
    if (w->dry_run) {
        bool good = password_parse(text, &password);
        password_wipe(&password);
        return good ? EX_OK : ctl_fail(ctl, EX_DATAERR, "a password has 1 to %d bytes of UTF-8 text", PASSWORD_MAX);
    }
    buf_reset(&ctl->problem);
    if (credentials_make(w->work.settings, text, &p->made, &ctl->problem) != 0)
        return EX_DATAERR;
    for (size_t i = 0; i < p->made.count; i++)
        add_stored(p, p->made.items[i].kind, buf_span(&p->made.items[i].value));
    return EX_OK;
}

static int take_password(struct import_work *w, struct prepared *p)
{
    static const char *const kinds[] = {[DOVECOT_CRYPT] = CREDENTIAL_CRYPT,
                                        [DOVECOT_SCRAM_SHA_256] = CREDENTIAL_SCRAM_SHA_256,
                                        [DOVECOT_OWN] = CREDENTIAL_DOVECOT};
    enum dovecot_kind kind;
    if (!p->row.is_hash && !dovecot_scheme_is_named(p->row.password))
        return take_plain(w, p, p->row.password);
    const char *problem = dovecot_scheme_parse(p->row.password, &kind, &p->value);
    if (problem)
        return ctl_fail(w->work.ctl, EX_DATAERR, "%s", problem);
    if (kind == DOVECOT_PLAIN)
        return take_plain(w, p, buf_span(&p->value));
    add_stored(p, kinds[kind], buf_span(&p->value));
    return EX_OK;
}

static int check_forward(struct import_work *w, const struct prepared *p)
{
    struct span rest = p->row.forward, address;
    size_t count = 0;
    while ((address = import_forward_next(&rest)).size) {
        struct span target;
        char *text = address.size > 320 ? NULL : arena_text(&w->row, address);
        if (!text || memchr(text, 0, address.size) || ++count > TARGETS_MAX)
            return ctl_fail(w->work.ctl, EX_DATAERR,
                            "its forwarding has an address that is too long, or over %d of them", TARGETS_MAX);
        int status = ctl_target(w->work.ctl, &w->row, text, &target);
        if (status)
            return status;
    }
    return EX_OK;
}

static int prepare(struct import_work *w, struct prepared *p)
{
    struct ctl *ctl = w->work.ctl;
    if (p->row.problem)
        return ctl_fail(ctl, EX_DATAERR, "%s", p->row.problem);
    store_write__account__init(&p->account);
    p->account.enabled = true;
    p->account.quota = p->row.has_quota ? p->row.quota : w->work.settings->store.default_quota;
    p->account.name = binary_from_span(p->row.name);
    int status = take_address(w, p);
    p->account.address = binary_from_span(p->address);
    if (status == EX_OK)
        status = ctl_check_name(ctl, p->row.name);
    if (status == EX_OK && p->row.quota_text.size)
        status = ctl_parse_quota(ctl, "a quota", p->row.quota_text, &w->row, &p->account.quota);
    if (status == EX_OK)
        status = check_forward(w, p);
    return status ? status : take_password(w, p);
}

/* ---- Telling ---- */

/* What is wrong with the line stands in ctl->problem, and is taken from there. */
static void say_bad(struct import_work *w, const struct prepared *p)
{
    struct ctl *ctl = w->work.ctl;
    struct span address = p->address.size ? p->address : span_head(p->row.address, 320);
    struct span problem = buf_span(&ctl->problem);
    if (ctl->json) {
        json_object(&w->json, NULL);
        json_number(&w->json, "line", p->row.line);
        json_text(&w->json, "address", address);
        json_text(&w->json, "problem", problem);
        json_end_object(&w->json);
    } else {
        buf_printf(&ctl->out, "line %zu", p->row.line);
        if (address.size)
            buf_add_text(&ctl->out, ", ");
        for (size_t i = 0; i < address.size; i++)
            buf_add_char(&ctl->out,
                         (unsigned char)address.data[i] < ' ' || address.data[i] == 127 ? '?' : address.data[i]);
        buf_printf(&ctl->out, ": %.*s\n", SPAN_ARG(problem));
    }
    buf_reset(&ctl->problem);
}

static void say_begin(struct import_work *w)
{
    struct ctl *ctl = w->work.ctl;
    json_init(&w->json, &ctl->out);
    if (ctl->json) {
        json_object(&w->json, NULL);
        json_text(&w->json, "unused_columns", buf_span(&w->unused));
        json_list(&w->json, "problems");
    } else if (w->unused.size) {
        buf_printf(&ctl->out, "not used: the columns %.*s\n", SPAN_ARG(buf_span(&w->unused)));
    }
}

static void say_end(struct import_work *w)
{
    struct ctl *ctl = w->work.ctl;
    if (ctl->json) {
        json_end_list(&w->json);
        json_number(&w->json, "added", w->added);
        json_number(&w->json, "left_out", w->left_out);
        json_bool(&w->json, "dry_run", w->dry_run);
        json_end_object(&w->json);
        return;
    }
    ctl_write_count(&ctl->out, w->added, "account");
    buf_add_text(&ctl->out, w->dry_run ? " would be added, " : " added, ");
    ctl_write_count(&ctl->out, w->left_out, "line");
    buf_add_text(&ctl->out, w->dry_run ? " left out\nnothing was changed; what is there already was not looked at\n"
                                       : " left out\n");
}

/* ---- Sending ---- */

static int add_account(struct fiber *self, struct store_client *client, struct prepared *p)
{
    StoreWrite__ChangeRequest request = STORE_WRITE__CHANGE_REQUEST__INIT;
    request.change = STORE_WRITE__CHANGE__ACCOUNT_ADD;
    request.account = &p->account;
    request.credentials = p->list;
    request.n_credentials = p->count;
    return store_client_change(self, client, &request.base, NULL);
}

static int add_forward(struct fiber *self, struct store_client *client, struct import_work *w, struct prepared *p)
{
    StoreWrite__Alias alias = STORE_WRITE__ALIAS__INIT;
    StoreWrite__ChangeRequest request = STORE_WRITE__CHANGE_REQUEST__INIT;
    ProtobufCBinaryData targets[TARGETS_MAX + 1];
    struct span rest = p->row.forward, given;
    alias.address = p->account.address;
    alias.targets = targets;
    if (p->row.keep)
        targets[alias.n_targets++] = alias.address;
    while ((given = import_forward_next(&rest)).size && alias.n_targets <= TARGETS_MAX) {
        struct span target;
        char *text = arena_text(&w->row, given);
        int status = text ? ctl_target(w->work.ctl, &w->row, text, &target) : EX_OSERR;
        if (status)
            return status;
        targets[alias.n_targets++] = binary_from_span(target);
    }
    request.change = STORE_WRITE__CHANGE__ALIAS_PUT;
    request.alias = &alias;
    return store_client_change(self, client, &request.base, NULL);
}

static int note_seen(struct import_work *w, const struct prepared *p)
{
    if (map_get(&w->seen, p->address))
        return ctl_fail(w->work.ctl, EX_DATAERR, "a line before has this address");
    return map_put(&w->seen, p->address, w) ? ctl_fail(w->work.ctl, EX_OSERR, "out of memory") : EX_OK;
}

/* The first time: the account. 0 also where the line is bad, and told. */
static int do_account(struct fiber *self, struct store_client *client, struct import_work *w, struct prepared *p)
{
    int status = prepare(w, p);
    if (status == EX_OK)
        status = w->dry_run ? note_seen(w, p) : add_account(self, client, p);
    buf_add_char(&w->done, status == EX_OK ? 1 : 0);
    w->added += status == EX_OK;
    w->left_out += status == EX_DATAERR;
    if (status == EX_DATAERR)
        say_bad(w, p);
    return status == EX_DATAERR ? EX_OK : status;
}

/* The second time, when all accounts are there: its forwarding. */
static int do_forward(struct fiber *self, struct store_client *client, struct import_work *w, struct prepared *p,
                      size_t number)
{
    if (number >= w->done.size || !w->done.data[number] || p->row.forward.size == 0)
        return EX_OK;
    int status = take_address(w, p);
    p->account.address = binary_from_span(p->address);
    if (status == EX_OK)
        status = add_forward(self, client, w, p);
    if (status != EX_DATAERR)
        return status;
    struct buf reason;
    buf_init(&reason, 4096);
    buf_printf(&reason, "the account is added, but not its forwarding: %.*s",
               SPAN_ARG(buf_span(&w->work.ctl->problem)));
    ctl_fail(w->work.ctl, EX_DATAERR, "%.*s", SPAN_ARG(buf_span(&reason)));
    buf_release(&reason);
    say_bad(w, p);
    w->left_out++;
    return EX_OK;
}

static int pass(struct fiber *self, struct store_client *client, struct import_work *w, bool is_second)
{
    struct import_rows rows;
    struct buf unused;
    struct ctl *ctl = w->work.ctl;
    int status = EX_OK;
    buf_init(&unused, 4096);
    arena_reset(&w->header);
    bool begun = import_rows_begin(&rows, w->format, w->text, &w->header, &unused, &ctl->problem);
    buf_release(&unused);
    if (!begun)
        return EX_DATAERR;
    for (size_t number = 0; status == EX_OK; number++) {
        static const struct prepared empty = {.count = 0};
        struct prepared p = empty;
        arena_reset(&w->row);
        buf_init(&p.value, DOVECOT_VALUE_MAX + 64);
        if (!import_rows_next(&rows, &w->row, &p.row)) {
            prepared_release(&p);
            break;
        }
        status = is_second ? do_forward(self, client, w, &p, number) : do_account(self, client, w, &p);
        prepared_release(&p);
    }
    if (status == EX_OK && buf_failed(&w->done))
        status = ctl_fail(ctl, EX_OSERR, "out of memory");
    return status;
}

static int run_import(struct fiber *self, struct store_client *client, struct store_work *work)
{
    struct import_work *w = container_of(work, struct import_work, work);
    int status = pass(self, client, w, false);
    return status ? status : pass(self, client, w, true);
}

/* ---- The command ---- */

static int read_file(struct ctl *ctl, const char *path, struct buf *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : 1;
    while (n > 0) {
        char *place = buf_reserve(text, 65536);
        if (!place) {
            close(fd);
            return ctl_fail(ctl, EX_DATAERR, "%s has more than %u MiB; import it in pieces", path, FILE_MAX >> 20);
        }
        n = read(fd, place, 65536);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n > 0)
            text->size += (size_t)n;
    }
    int error = errno;
    if (fd >= 0)
        close(fd);
    return n == 0 ? EX_OK : ctl_fail(ctl, EX_NOINPUT, "%s can't be read: %s", path, strerror(error));
}

static int take_format(struct ctl *ctl, enum import_format *format)
{
    const char *given = ctl_option(ctl, "format");
    if (!given)
        *format =
            span_ends_nocase(span_text(ctl->arguments[0]), (struct span)SPAN(".csv")) ? IMPORT_CSV : IMPORT_PASSWD_FILE;
    else if (strcmp(given, "csv") == 0)
        *format = IMPORT_CSV;
    else if (strcmp(given, "dovecot") == 0)
        *format = IMPORT_PASSWD_FILE;
    else
        return ctl_fail(ctl, EX_USAGE, "--format takes csv or dovecot, not '%.40s'", given);
    return EX_OK;
}

static int begin(struct import_work *w, struct buf *text)
{
    struct ctl *ctl = w->work.ctl;
    struct import_rows rows;
    struct span domain;
    w->domain = ctl_option(ctl, "domain");
    w->dry_run = ctl_option(ctl, "dry-run");
    int status = take_format(ctl, &w->format);
    if (status == EX_OK && w->domain)
        status = ctl_domain(ctl, &w->row, w->domain, &domain);
    if (status == EX_OK)
        status = read_file(ctl, ctl->arguments[0], text);
    if (status == EX_OK && !(w->work.settings = ctl_read_settings(ctl)))
        status = EX_CONFIG;
    w->text = buf_span(text);
    /* Before the store is opened: a wrong header is wrong for all lines. */
    if (status == EX_OK && !import_rows_begin(&rows, w->format, w->text, &w->header, &w->unused, &ctl->problem))
        status = EX_DATAERR;
    return status;
}

int ctl_account_import(struct ctl *ctl)
{
    struct import_work w = {.work = {run_import, ctl, NULL}};
    struct buf text;
    buf_init(&text, FILE_MAX + 65536);
    buf_init(&w.unused, 4096);
    buf_init(&w.done, FILE_MAX);
    arena_init(&w.header, ROW_MEMORY);
    arena_init(&w.row, ROW_MEMORY);
    map_init(&w.seen);
    int status = begin(&w, &text);
    if (status == EX_OK) {
        say_begin(&w);
        status = w.dry_run ? pass(NULL, NULL, &w, false) : store_client_run(&w.work);
        say_end(&w);
    }
    if (status == EX_OK && w.left_out)
        status = EX_DATAERR; /* told line by line */
    if (text.data)
        explicit_bzero(text.data, text.size);
    buf_release(&text);
    buf_release(&w.unused);
    buf_release(&w.done);
    arena_release(&w.header);
    arena_release(&w.row);
    map_release(&w.seen);
    settings_unref(w.work.settings);
    return status;
}
