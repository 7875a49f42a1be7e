/* How long the site's own black list takes: to be read and compiled, and to find an address or a name in it.
 *
 *   blacklist ENTRIES LOOKUPS
 *
 * Half of the entries are addresses (every tenth a /24), half are host names (every tenth a pattern for all below a
 * domain); half of what is looked for is listed. JSON on standard output; CPU time of this process. */
#include "policy/blacklist.h"
#include "policy/blacklist_compile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAMES 4096 /* are made before the clock runs */
#define NAME_SIZE 80

static uint64_t state = 88172645463325252u;

static uint64_t random_next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void need(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "blacklist: %s\n", what);
    exit(1);
}

/* The entry's number decides all of it, so that a look-up can name one that is listed. */
static uint32_t mixed(uint32_t number)
{
    return number * 2654435761u;
}

static void address_of(uint32_t number, unsigned char address[16])
{
    uint32_t ip = mixed(number);
    memset(address, 0, 10);
    memset(address + 10, 255, 2);
    for (int i = 0; i < 4; i++)
        address[12 + i] = (unsigned char)(ip >> (24 - 8 * i));
}

static int write_name(uint32_t number, bool is_listed, char *out)
{
    return snprintf(out, NAME_SIZE, "host-%x.%s%x.%s.test", mixed(number), is_listed ? "dial" : "good", number % 5000,
                    number % 3 ? "provider" : "cable");
}

static int write_line(uint32_t number, char *out, size_t room)
{
    unsigned char a[16];
    char name[NAME_SIZE];
    if (number % 2) {
        write_name(number, true, name);
        return snprintf(out, room, "%s%s spam source", number % 20 == 1 ? "*." : "", name);
    }
    address_of(number, a);
    if (number % 20 == 0)
        return snprintf(out, room, "%u.%u.%u.0/24 spam source", a[12], a[13], a[14]);
    return snprintf(out, room, "%u.%u.%u.%u spam source", a[12], a[13], a[14], a[15]);
}

static void build(uint32_t entries, struct buf *blob)
{
    struct blacklist_builder builder;
    struct buf problem;
    char line[200];
    size_t dropped;
    blacklist_builder_init(&builder);
    buf_init(&problem, 1000);
    buf_init(blob, BLACKLIST_BLOB_MAX);
    need(blacklist_add_file(&builder, span_text("bench.txt")) == 0, "no memory for a file");
    for (uint32_t i = 0; i < entries; i++) {
        struct blacklist_entry entry;
        int size = write_line(i, line, sizeof line);
        enum blacklist_line kind = blacklist_line_parse(span_from(line, (size_t)size), &entry, &problem);
        need(kind == BLACKLIST_LINE_ADDRESSES || kind == BLACKLIST_LINE_NAME, line);
        need(blacklist_add(&builder, kind, &entry, 0, i + 1) == 0, "no memory for an entry");
    }
    need(blacklist_compile(&builder, blob, &dropped) == 0 && dropped == 0, "the list can't be compiled");
    blacklist_builder_release(&builder);
    buf_release(&problem);
}

/* Microseconds a look-up; *listed counts up. */
static double time_addresses(const struct blacklist *list, uint32_t entries, uint32_t lookups, uint32_t *listed)
{
    double began = seconds();
    for (uint32_t i = 0; i < lookups; i++) {
        unsigned char address[16];
        struct blacklist_hit hit;
        uint32_t number = (uint32_t)(random_next() % entries) & ~1u;
        address_of(i % 2 ? number : entries + number, address);
        *listed += blacklist_find_address(list, address, &hit) == BLACKLIST_LISTED;
    }
    return (seconds() - began) * 1e6 / lookups;
}

static double time_names(const struct blacklist *list, uint32_t entries, uint32_t lookups, uint32_t *listed)
{
    static char names[NAMES][NAME_SIZE];
    double spent = 0;
    uint32_t asked = 0;
    for (; asked < lookups; asked += NAMES) {
        struct blacklist_hit hit;
        for (uint32_t i = 0; i < NAMES; i++)
            write_name((uint32_t)(random_next() % entries) | 1, i % 2, names[i]);
        double began = seconds();
        for (uint32_t i = 0; i < NAMES; i++)
            *listed += blacklist_find_name(list, span_text(names[i]), &hit) == BLACKLIST_LISTED;
        spent += seconds() - began;
    }
    return spent * 1e6 / asked;
}

int main(int argc, char **argv)
{
    uint32_t entries = argc == 3 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0, listed = 0;
    uint32_t lookups = argc == 3 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0, names_listed = 0;
    struct buf blob;
    need(entries >= 100 && lookups >= NAMES, "usage: blacklist ENTRIES LOOKUPS (at least 100 and 4096)");
    double began = seconds();
    build(entries, &blob);
    double built = seconds() - began;
    struct blacklist *list = blacklist_open(buf_span(&blob));
    need(list != NULL, "the compiled list can't be opened");
    double addresses = time_addresses(list, entries, lookups, &listed);
    need(listed >= lookups / 2, "listed addresses were not found");
    double names = time_names(list, entries, lookups, &names_listed);
    need(names_listed >= lookups * 2 / 5, "listed names were not found");
    printf(
        "{\"entries\": %u, \"ranges\": %zu, \"names\": %zu, \"bytes\": %zu, \"lookups\": %u, \"build_seconds\": %.3f, "
        "\"address_us\": %.3f, \"name_us\": %.3f, \"addresses_listed\": %u, \"names_listed\": %u}\n",
        entries, blacklist_range_count(list), blacklist_name_count(list), blob.size, lookups, built, addresses, names,
        listed, names_listed);
    blacklist_close(list);
    buf_release(&blob);
    return 0;
}
