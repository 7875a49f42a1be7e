#include "config/settings.h"

#include "base/list.h"
#include "config/build.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* What the texts of one configuration may take: the largest lists stay far below. */
#define MEMORY_MAX (4u << 20)

struct settings_block {
    struct arena memory;
    struct settings settings;
};

struct arena *settings_memory(struct settings *settings)
{
    return &container_of(settings, struct settings_block, settings)->memory;
}

struct settings *settings_new(void)
{
    struct settings_block *block = calloc(1, sizeof *block);
    if (!block)
        return NULL;
    arena_init(&block->memory, MEMORY_MAX);
    struct settings *settings = &block->settings;
    settings->references = 1;
    settings->file = settings->hostname = "";
    for (size_t i = 0; i < schema_count; i++) {
        bool set =
            !schema[i].fallback || setting_parse(&schema[i], span_text(schema[i].fallback), settings, &block->memory);
        if (!set) {
            settings_unref(settings);
            return NULL;
        }
    }
    return settings;
}

struct settings *settings_ref(struct settings *settings)
{
    settings->references++;
    return settings;
}

void settings_unref(struct settings *settings)
{
    if (!settings || --settings->references)
        return;
    struct settings_block *block = container_of(settings, struct settings_block, settings);
    arena_release(&block->memory);
    free(block);
}

bool network_list_has(const struct network_list *list, const unsigned char address[16])
{
    for (size_t i = 0; i < list->count; i++) {
        const struct network *n = &list->networks[i];
        unsigned whole = n->bits / 8, rest = n->bits % 8;
        if (memcmp(address, n->address, whole) != 0)
            continue;
        if (rest == 0 || ((address[whole] ^ n->address[whole]) >> (8 - rest)) == 0)
            return true;
    }
    return false;
}

const char *service_kind_name(enum service_kind kind)
{
    for (const struct setting_choice *c = listener_record.fields[0].choices; c->name; c++)
        if (c->value == (unsigned)kind)
            return c->name;
    return "";
}

/* ---- Checks that need more than one setting ---- */

static bool fail(struct setting_fault *fault, const char *name, size_t item)
{
    *fault = (struct setting_fault){.setting = schema_find(span_text(name)), .item = item};
    return false;
}

/* Two sizes in the wrong order. */
static bool fail_order(const struct settings *settings, const char *larger, const char *smaller, const char *why,
                       struct setting_fault *fault, struct buf *problem)
{
    const struct setting *first = schema_find(span_text(larger)), *second = schema_find(span_text(smaller));
    *fault = (struct setting_fault){.setting = first, .other = second};
    buf_printf(problem, "%s (", larger);
    setting_write_lua(first, settings, problem);
    buf_printf(problem, ") is smaller than %s (", smaller);
    setting_write_lua(second, settings, problem);
    buf_printf(problem, "); %s", why);
    return false;
}

/* The system's name with a dot: as it stands, or as the hosts file or the resolver completes it. */
static bool find_hostname(struct settings *settings, struct setting_fault *fault, struct buf *problem)
{
    const struct setting *row = schema_find(span_text("hostname"));
    char name[256];
    if (gethostname(name, sizeof name) != 0)
        name[0] = 0;
    name[sizeof name - 1] = 0;
    if (setting_parse(row, span_text(name), settings, settings_memory(settings)))
        return true;
    struct addrinfo *found = NULL, hints = {.ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM};
    bool set = false;
    if (name[0] && getaddrinfo(name, NULL, &hints, &found) == 0 && found && found->ai_canonname)
        set = setting_parse(row, span_text(found->ai_canonname), settings, settings_memory(settings));
    if (found)
        freeaddrinfo(found);
    if (set)
        return true;
    buf_printf(problem,
               "hostname is not set, and the system's own name '%.253s' is not a full domain name; add a line like "
               "hostname = \"mail.example.org\"",
               name);
    return fail(fault, "hostname", 0);
}

static bool check_tls(const struct settings *settings, struct setting_fault *fault, struct buf *problem)
{
    bool certificate = settings->tls.certificate[0], key = settings->tls.key[0];
    if (certificate == key)
        return true;
    buf_printf(problem, "tls.%s is set but tls.%s is not; TLS needs both", certificate ? "certificate" : "key",
               certificate ? "key" : "certificate");
    return fail(fault, certificate ? "tls.certificate" : "tls.key", 0);
}

static bool check_listeners(const struct settings *settings, struct setting_fault *fault, struct buf *problem)
{
    for (size_t i = 0; i < settings->listener_count; i++) {
        const struct listener_setting *l = &settings->listeners[i];
        bool needs_tls = l->service == SERVICE_SUBMISSIONS || l->service == SERVICE_POP3S || l->service == SERVICE_PWDS;
        if (needs_tls && !settings->tls.certificate[0]) {
            buf_printf(problem, "a %s listener needs TLS; set tls.certificate and tls.key",
                       service_kind_name(l->service));
            return fail(fault, "listeners", i + 1);
        }
        for (size_t j = 0; j < i; j++) {
            const struct listener_setting *other = &settings->listeners[j];
            if (l->port == other->port && strcmp(l->address, other->address) == 0) {
                buf_printf(problem, "two listeners have the address %s and port %u", l->address, l->port);
                return fail(fault, "listeners", i + 1);
            }
        }
    }
    return true;
}

static bool check_hash(const struct settings *settings, struct setting_fault *fault, struct buf *problem)
{
    static const struct {
        const char *prefix;
        unsigned least, most;
    } costs[] = {{"$y$", 1, 11},  {"$gy$", 1, 11},          {"$7$", 6, 11},
                 {"$2b$", 4, 31}, {"$6$", 1000, 999999999}, {"$5$", 1000, 999999999}};
    unsigned cost = settings->auth.hash_cost;
    for (size_t i = 0; cost && i < sizeof costs / sizeof *costs; i++) {
        bool same = strcmp(costs[i].prefix, settings->auth.password_hash) == 0;
        if (same && (cost < costs[i].least || cost > costs[i].most)) {
            buf_printf(problem, "auth.hash_cost of \"%s\" is from %u to %u (or 0 for the default), but it is %u",
                       costs[i].prefix, costs[i].least, costs[i].most, cost);
            return fail(fault, "auth.hash_cost", 0);
        }
    }
    return true;
}

static bool check_sizes(const struct settings *settings, struct setting_fault *fault, struct buf *problem)
{
    if (settings->store.volume_size < settings->smtp.message_size)
        return fail_order(settings, "store.volume_size", "smtp.message_size",
                          "a volume has to hold at least one message", fault, problem);
    if (settings->smtp.message_size < settings->smtp.header_size)
        return fail_order(settings, "smtp.message_size", "smtp.header_size",
                          "a message has to hold its header, so lower smtp.header_size too", fault, problem);
    return true;
}

bool settings_finish(struct settings *settings, struct setting_fault *fault, struct buf *problem)
{
    *fault = (struct setting_fault){0};
    if (!settings->hostname[0] && !find_hostname(settings, fault, problem))
        return false;
    if (!settings->my.socket)
        settings->my.socket =
            strcmp(settings->data_directory, SETTINGS_DATA_DIRECTORY) == 0 ? SETTINGS_MY_SOCKET : "my.sock";
    return check_tls(settings, fault, problem) && check_listeners(settings, fault, problem) &&
           check_hash(settings, fault, problem) && check_sizes(settings, fault, problem);
}
