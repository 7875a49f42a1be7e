/* The own black list: lines, the compiled form against a naive look at the same entries, damaged blobs. */
#include "policy/blacklist.h"

#include "policy/blacklist_blob.h"
#include "policy/blacklist_compile.h"
#include "policy/blacklist_files.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define RANDOM_LISTS 200
#define RANDOM_ENTRIES 40

/* ---- Lines ---- */

static void test_lines(void **state)
{
    /* "": empty. A word in capitals: the line is bad and its problem has what follows. */
    static const struct {
        const char *line, *written, *reason;
    } rows[] = {
        {"", "", ""},
        {"   \t", "", ""},
        {"; only a comment", "", ""},
        {"# 10.0.0.1", "", ""},
        {"10.0.0.1", "10.0.0.1", ""},
        {"010.012.000.009", "10.12.0.9", ""},
        {"10.0.0.1\r", "10.0.0.1", ""},
        {"  10.0.0.1   spam source, 2026-10-02  ", "10.0.0.1", "spam source, 2026-10-02"},
        {"10.0.0.1 spam ; comment", "10.0.0.1", "spam"},
        {"10.0.0.1;comment", "10.0.0.1", ""},
        {"!10.0.0.1 a friend", "!10.0.0.1", "a friend"},
        {"! 10.0.0.0/8", "!10.0.0.0/8", ""},
        {"12.34.50.01-12.34.59.99", "12.34.50.1-12.34.59.99", ""},
        {"10.0.0.0 - 10.0.0.255 a network", "10.0.0.0/24", "a network"},
        {"10.0.0.0- 10.0.0.9 x", "10.0.0.0-10.0.0.9", "x"},
        {"10.0.0.1 - not a range", "10.0.0.1", "- not a range"},
        {"0.0.0.0/0", "0.0.0.0/0", ""},
        {"10.1.2.3/32", "10.1.2.3", ""},
        {"2001:DB8::/32", "2001:db8::/32", ""},
        {"2001:db8::1-2001:db8::9", "2001:db8::1-2001:db8::9", ""},
        {"::ffff:10.0.0.1", "10.0.0.1", ""},
        {"::/0", "::/0", ""},
        {"Mail.Example.COM", "mail.example.com", ""},
        {"mail.example.com. why", "mail.example.com", "why"},
        {".example.org", ".example.org", ""},
        {"*.dialup.example.net", "*.dialup.example.net", ""},
        {"host-*.example.com", "host-*.example.com", ""},
        {"1-2-3-4.example.com", "1-2-3-4.example.com", ""},
        {"!*.example.com", "!*.example.com", ""},
        {"include other file.txt ; more", "include", "other file.txt"},
        {"include.example.com", "include.example.com", ""},
        {"!include other.txt", "BAD no dot", NULL},
        {"include. x", "BAD no dot", NULL},
        {"localhost", "BAD no dot", NULL},
        {".com", ".com", ""},
        {"include", "BAD file to read", NULL},
        {"!", "BAD behind '!'", NULL},
        {"10.0.0.256", "BAD no IP address", NULL},
        {"10.0.0", "BAD no IP address", NULL},
        {"10.0.0.1.2", "BAD no IP address", NULL},
        {"10.0.0.0001", "BAD no IP address", NULL},
        {"10.1.2.3/8", "BAD did you mean 10.0.0.0/8?", NULL},
        {"10.0.0.0/33", "BAD 0 to 32", NULL},
        {"10.0.0.0/", "BAD 0 to 32", NULL},
        {"2001:db8::/129", "BAD 0 to 128", NULL},
        {"2001:db8::1/64", "BAD did you mean 2001:db8::/64?", NULL},
        {"10.0.0.9-10.0.0.1", "BAD ends before", NULL},
        {"10.0.0.9-", "BAD both ends", NULL},
        {"10.0.0.1-9", "BAD both ends", NULL},
        {"10.0.0.9-2001:db8::1", "BAD of IPv4 or of IPv6", NULL},
        {"2001:db8:::1", "BAD no IP address", NULL},
        {"*", "BAD every host", NULL},
        {"*.*", "BAD every host", NULL},
        {"a..b", "BAD empty part", NULL},
        {"..b", "BAD empty part", NULL},
        {"a.b..", "BAD empty part", NULL},
        {"what?", "BAD is no IP address, host name", NULL},
        {"m\xc3\xbcller.example", "BAD xn--", NULL},
        {".a*.example", "BAD begins with a dot", NULL},
        {"a*b*c*d*e*f*g*h*i*j.example", "BAD too many stars", NULL},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example", "BAD 63", NULL},
        {"10.0.0.1 \x01", "BAD control characters", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct blacklist_entry entry;
        struct buf problem, out;
        buf_init(&problem, 6000);
        buf_init(&out, 1000);
        enum blacklist_line kind = blacklist_line_parse(span_text(rows[i].line), &entry, &problem);
        buf_add_char(&problem, 0);
        if (rows[i].reason == NULL) {
            assert_int_equal(kind, BLACKLIST_LINE_BAD);
            if (!strstr(problem.data, rows[i].written + 4))
                fail_msg("%s: %s", rows[i].line, problem.data);
        } else {
            assert_string_equal(problem.data, "");
            if (kind == BLACKLIST_LINE_INCLUDE) {
                buf_add_text(&out, "include");
                entry.reason = entry.name;
            } else if (kind != BLACKLIST_LINE_EMPTY)
                blacklist_entry_write(kind, &entry, &out);
            buf_add_char(&out, 0);
            assert_string_equal(out.data, rows[i].written);
            assert_true(span_is(entry.reason, rows[i].reason));
        }
        buf_release(&problem);
        buf_release(&out);
    }
}

/* ---- A list from a text ---- */

struct list {
    struct blacklist_builder builder;
    struct buf blob;
    struct blacklist *list;
    size_t dropped;
};

static void make(struct list *l, const char *text)
{
    blacklist_builder_init(&l->builder);
    buf_init(&l->blob, BLACKLIST_BLOB_MAX);
    int file = blacklist_add_file(&l->builder, span_text("/etc/list.txt"));
    assert_int_equal(file, 0);
    uint32_t line = 0;
    for (struct span rest = span_text(text); rest.size;) {
        struct blacklist_entry entry;
        struct buf problem;
        buf_init(&problem, 6000);
        enum blacklist_line kind = blacklist_line_parse(span_cut(&rest, '\n'), &entry, &problem);
        line++;
        assert_int_equal(problem.size, 0);
        if (kind != BLACKLIST_LINE_EMPTY)
            assert_int_equal(blacklist_add(&l->builder, kind, &entry, 0, line), 0);
        buf_release(&problem);
    }
    assert_int_equal(blacklist_compile(&l->builder, &l->blob, &l->dropped), 0);
    l->list = blacklist_open(buf_span(&l->blob));
    assert_non_null(l->list);
}

static void drop(struct list *l)
{
    blacklist_close(l->list);
    buf_release(&l->blob);
    blacklist_builder_release(&l->builder);
}

static const char *const verdicts[] = {"nothing", "listed", "excepted"};

static void test_decisions(void **state)
{
    static const char text[] = "10.0.0.0/8 the ten\n"
                               "!10.1.0.0/16 a friend\n"
                               "10.1.2.3 never wins\n"
                               "10.2.2.2 the ten was first\n"
                               "192.0.2.1-192.0.2.9\n"
                               "192.0.2.10 next to it\n"
                               "255.255.255.255\n"
                               "0.0.0.0\n"
                               "2001:db8::/32 six\n"
                               "!2001:db8:1::/48\n"
                               "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff\n"
                               "::/16 over the mapped ones\n"
                               ".example.org a domain\n"
                               "!good.example.org\n"
                               "*.dialup.example.net\n"
                               "host-*.example.com\n"
                               "!host-7*.example.com\n"
                               "mx.example.com\n"
                               "dsl*\n"
                               "*-pool\n"
                               "a*b*c.test\n";
    static const struct {
        const char *what;
        unsigned line;
        enum blacklist_verdict verdict;
        const char *reason;
    } rows[] = {
        {"10.0.0.0", 1, BLACKLIST_LISTED, "the ten"},
        {"10.255.255.255", 1, BLACKLIST_LISTED, "the ten"},
        {"10.0.255.255", 1, BLACKLIST_LISTED, "the ten"},
        {"10.1.0.0", 2, BLACKLIST_EXCEPTED, "a friend"},
        {"10.1.2.3", 2, BLACKLIST_EXCEPTED, "a friend"},
        {"10.1.255.255", 2, BLACKLIST_EXCEPTED, "a friend"},
        {"10.2.0.0", 1, BLACKLIST_LISTED, "the ten"},
        {"10.2.2.2", 1, BLACKLIST_LISTED, "the ten"},
        {"9.255.255.255", 0, BLACKLIST_NOTHING, ""},
        {"11.0.0.0", 0, BLACKLIST_NOTHING, ""},
        {"192.0.2.0", 0, BLACKLIST_NOTHING, ""},
        {"192.0.2.9", 5, BLACKLIST_LISTED, ""},
        {"192.0.2.10", 6, BLACKLIST_LISTED, "next to it"},
        {"192.0.2.11", 0, BLACKLIST_NOTHING, ""},
        {"255.255.255.255", 7, BLACKLIST_LISTED, ""},
        {"255.255.255.254", 0, BLACKLIST_NOTHING, ""},
        {"0.0.0.0", 8, BLACKLIST_LISTED, ""},
        {"0.0.0.1", 0, BLACKLIST_NOTHING, ""},
        {"2001:db8::1", 9, BLACKLIST_LISTED, "six"},
        {"2001:db8:1::1", 10, BLACKLIST_EXCEPTED, ""},
        {"2001:db9::", 0, BLACKLIST_NOTHING, ""},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 11, BLACKLIST_LISTED, ""},
        {"::1", 12, BLACKLIST_LISTED, "over the mapped ones"},
        {"::1:0:0:0", 12, BLACKLIST_LISTED, "over the mapped ones"},
        {"example.org", 13, BLACKLIST_LISTED, "a domain"},
        {"EXAMPLE.org.", 13, BLACKLIST_LISTED, "a domain"},
        {"a.b.example.org", 13, BLACKLIST_LISTED, "a domain"},
        {"notexample.org", 0, BLACKLIST_NOTHING, ""},
        {"good.example.org", 14, BLACKLIST_EXCEPTED, ""},
        {"very.good.example.org", 13, BLACKLIST_LISTED, "a domain"},
        {"dialup.example.net", 0, BLACKLIST_NOTHING, ""},
        {"a.dialup.example.net", 15, BLACKLIST_LISTED, ""},
        {"a.b.dialup.example.net", 15, BLACKLIST_LISTED, ""},
        {"host-1.example.com", 16, BLACKLIST_LISTED, ""},
        {"host-.example.com", 16, BLACKLIST_LISTED, ""},
        {"host-a.b.example.com", 16, BLACKLIST_LISTED, ""},
        {"host-77.example.com", 17, BLACKLIST_EXCEPTED, ""},
        {"a.host-1.example.com", 0, BLACKLIST_NOTHING, ""},
        {"host-1.example.com.test", 0, BLACKLIST_NOTHING, ""},
        {"mx.example.com", 18, BLACKLIST_LISTED, ""},
        {"a.mx.example.com", 0, BLACKLIST_NOTHING, ""},
        {"dsl-1.some.where", 19, BLACKLIST_LISTED, ""},
        {"adsl.some.where", 0, BLACKLIST_NOTHING, ""},
        {"7-pool", 20, BLACKLIST_LISTED, ""},
        {"7-pool.test", 0, BLACKLIST_NOTHING, ""},
        {"axbybzc.test", 21, BLACKLIST_LISTED, ""},
        {"axcyb.test", 0, BLACKLIST_NOTHING, ""},
        {".", 0, BLACKLIST_NOTHING, ""},
        {"", 0, BLACKLIST_NOTHING, ""},
    };
    struct list l;
    make(&l, text);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ip_address address;
        struct blacklist_hit hit;
        struct span what = span_text(rows[i].what);
        if (ip_address_parse(what, &address))
            blacklist_find_address(l.list, address.bytes, &hit);
        else
            blacklist_find_name(l.list, what, &hit);
        if (hit.verdict != rows[i].verdict || (hit.verdict && hit.line != rows[i].line) ||
            !span_is(hit.reason, rows[i].reason))
            fail_msg("%s: %s by line %u (%.*s)", rows[i].what, verdicts[hit.verdict], hit.line, SPAN_ARG(hit.reason));
        if (hit.verdict)
            assert_true(span_is(hit.file, "/etc/list.txt"));
    }
    drop(&l);
}

static void test_no_list(void **state)
{
    static const unsigned char address[16];
    struct blacklist_hit hit;
    assert_int_equal(blacklist_find_address(NULL, address, &hit), BLACKLIST_NOTHING);
    assert_int_equal(blacklist_find_name(NULL, span_text("a"), &hit), BLACKLIST_NOTHING);
    assert_int_equal(blacklist_range_count(NULL) + blacklist_name_count(NULL), 0);
    struct list l;
    make(&l, "; empty\n");
    assert_int_equal(blacklist_find_address(l.list, address, &hit), BLACKLIST_NOTHING);
    assert_int_equal(blacklist_find_name(l.list, span_text("a"), &hit), BLACKLIST_NOTHING);
    drop(&l);
}

static void test_which_holds(void **state)
{
    /* By address, by name: N, L, E; which is taken: a or n. */
    static const char rows[][4] = {"NNa", "LNa", "ENa", "NLn", "LLa", "ELa", "NEn", "LEn", "EEa"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        static const char letters[] = "NLE";
        struct blacklist_hit address = {.verdict = (enum blacklist_verdict)(strchr(letters, rows[i][0]) - letters)};
        struct blacklist_hit name = {.verdict = (enum blacklist_verdict)(strchr(letters, rows[i][1]) - letters)};
        assert_ptr_equal(blacklist_decide(&address, &name), rows[i][2] == 'a' ? &address : &name);
    }
}

/* ---- Random ranges against the naive answer ---- */

struct plain {
    unsigned first, last;
    bool is_exception;
};

/* The line that decides about 10.0.<place>; 0: none. */
static unsigned naive(const struct plain *entries, size_t count, unsigned place)
{
    unsigned line = 0;
    for (size_t i = 0; i < count; i++)
        if (place >= entries[i].first && place <= entries[i].last &&
            (!line || (entries[i].is_exception && !entries[line - 1].is_exception)))
            line = (unsigned)i + 1;
    return line;
}

static void test_random_ranges(void **state)
{
    unsigned seed = 7;
    for (int round = 0; round < RANDOM_LISTS; round++) {
        struct plain entries[RANDOM_ENTRIES];
        struct buf text;
        struct list l;
        buf_init(&text, 10000);
        for (size_t i = 0; i < RANDOM_ENTRIES; i++) {
            unsigned a = (unsigned)rand_r(&seed) % 300, b = a + (unsigned)rand_r(&seed) % 60;
            entries[i] = (struct plain){a, b, rand_r(&seed) % 5 == 0};
            buf_printf(&text, "%s10.0.%u.%u-10.0.%u.%u\n", entries[i].is_exception ? "!" : "", a >> 8, a & 255, b >> 8,
                       b & 255);
        }
        buf_add_char(&text, 0);
        make(&l, text.data);
        for (unsigned place = 0; place < 400; place++) {
            unsigned char address[16] = {[10] = 0xff, 0xff, 10, 0, (unsigned char)(place >> 8), (unsigned char)place};
            struct blacklist_hit hit;
            blacklist_find_address(l.list, address, &hit);
            assert_int_equal(hit.verdict ? hit.line : 0, naive(entries, RANDOM_ENTRIES, place));
        }
        drop(&l);
        buf_release(&text);
    }
}

/* ---- Damage ---- */

static void test_damaged_blobs(void **state)
{
    struct list l;
    make(&l, "10.0.0.0/8 ten\n!10.1.0.0/16\n2001:db8::/32\n.example.org\nhost-*.example.com\n");
    char *copy = aligned_alloc(16, (l.blob.size + 15) / 16 * 16);
    assert_non_null(copy);
    unsigned taken = 0;
    for (size_t at = 0; at < l.blob.size; at++)
        for (int bit = 0; bit < 8; bit++) {
            memcpy(copy, l.blob.data, l.blob.size);
            copy[at] ^= (char)(1 << bit);
            struct blacklist *list = blacklist_open(span_from(copy, l.blob.size));
            if (!list)
                continue;
            /* Whatever it says: it stays inside. The sanitizers look. */
            static const unsigned char address[16] = {[10] = 0xff, 0xff, 10, 1};
            struct blacklist_hit hit;
            blacklist_find_address(list, address, &hit);
            blacklist_find_name(list, span_text("host-1.example.com"), &hit);
            blacklist_find_name(list, span_text("a.example.org"), &hit);
            blacklist_close(list);
            taken++;
        }
    assert_true(taken > 0);
    for (size_t size = 0; size < l.blob.size; size++) {
        memcpy(copy, l.blob.data, l.blob.size);
        assert_null(blacklist_open(span_from(copy, size)));
    }
    free(copy);
    drop(&l);
}

static void test_maps_sealed_lists_only(void **state)
{
    struct list l;
    make(&l, "10.0.0.0/8\n");
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, l.blob.data, l.blob.size), l.blob.size);
    assert_null(blacklist_map(fd));
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
    struct blacklist *list = blacklist_map(fd);
    close(fd);
    assert_non_null(list);
    assert_int_equal(blacklist_range_count(list), 1);
    blacklist_close(list);
    drop(&l);
}

/* A look-up is bounded: what shares a tail is counted, and said. */
static void test_too_many_patterns_of_one_tail(void **state)
{
    struct buf text;
    struct list l;
    buf_init(&text, 1 << 20);
    for (int i = 0; i < 1500; i++)
        buf_printf(&text, "h%d-*.example.com\n", i);
    buf_add_char(&text, 0);
    make(&l, text.data);
    assert_int_equal(l.dropped, 500);
    assert_int_equal(blacklist_name_count(l.list), 1000);
    drop(&l);
    buf_release(&text);
}

/* ---- Files ---- */

static void gather(void *context, struct span file, uint32_t line, struct span sentence)
{
    size_t slash = span_find_last(file, '/');
    buf_printf(context, "%.*s:%u: %.*s\n", SPAN_ARG(span_skip(file, slash + 1)), line, SPAN_ARG(sentence));
}

static void write_file(const char *directory, const char *name, const char *text)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void test_files(void **state)
{
    char directory[] = "/tmp/test-blacklist-XXXXXX", path[4096];
    struct blacklist_files files;
    struct buf said, blob;
    struct blacklist_hit hit;
    struct ip_address address;
    assert_non_null(mkdtemp(directory));
    write_file(directory, "a.txt",
               "\xef\xbb\xbf"
               "10.0.0.1 one\ninclude b.txt\nnonsense?\n10.0.0.3");
    write_file(directory, "b.txt", "10.0.0.2 two\r\ninclude a.txt\ninclude none.txt\n10.0.0.999\n");
    buf_init(&said, 10000);
    buf_init(&blob, BLACKLIST_BLOB_MAX);
    blacklist_files_init(&files, gather, &said);
    snprintf(path, sizeof path, "%s/a.txt", directory);
    assert_int_equal(blacklist_files_read(&files, path, false), 0);
    snprintf(path, sizeof path, "%s/nothing.txt", directory);
    assert_int_equal(blacklist_files_read(&files, path, true), 0);
    assert_int_equal(blacklist_files_read(&files, path, false), 0);
    assert_int_equal(blacklist_files_compile(&files, &blob), 0);
    buf_add_char(&said, 0);
    static const char *const expected[] = {"b.txt:2: ",
                                           "a.txt is not read: it was read already",
                                           "b.txt:3: ",
                                           "none.txt can't be read: No such file",
                                           "b.txt:4: '10.0.0.999' is no IP address\n",
                                           "a.txt:3: 'nonsense?' is no",
                                           "nothing.txt:0: "};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        if (!strstr(said.data, expected[i]))
            fail_msg("'%s' is not in '%s'", expected[i], said.data);
    assert_int_equal(files.problem_count, 5);
    struct blacklist *list = blacklist_open(buf_span(&blob));
    assert_non_null(list);
    static const struct {
        const char *address;
        unsigned line;
    } rows[] = {{"10.0.0.1", 1}, {"10.0.0.2", 1}, {"10.0.0.3", 4}};
    for (size_t i = 0; i < 3; i++) {
        assert_true(ip_address_parse(span_text(rows[i].address), &address));
        assert_int_equal(blacklist_find_address(list, address.bytes, &hit), BLACKLIST_LISTED);
        assert_int_equal(hit.line, rows[i].line);
    }
    blacklist_close(list);
    blacklist_files_release(&files);
    buf_release(&said);
    buf_release(&blob);
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%c.txt", directory, "ab"[i]);
        unlink(path);
    }
    rmdir(directory);
}

static void test_long_lines(void **state)
{
    char directory[] = "/tmp/test-blacklist-XXXXXX", path[4096];
    struct buf text, said;
    assert_non_null(mkdtemp(directory));
    buf_init(&text, 1 << 20);
    buf_init(&said, 10000);
    for (int i = 0; i < 200000; i++)
        buf_add_char(&text, 'x');
    buf_add_text(&text, "\n10.0.0.1\n");
    buf_add_char(&text, 0);
    write_file(directory, "long.txt", text.data);
    snprintf(path, sizeof path, "%s/long.txt", directory);
    struct blacklist_files files;
    blacklist_files_init(&files, gather, &said);
    assert_int_equal(blacklist_files_read(&files, path, false), 0);
    assert_int_equal(files.problem_count, 1);
    assert_int_equal(blacklist_entry_count(&files.builder), 1);
    blacklist_files_release(&files);
    buf_release(&text);
    buf_release(&said);
    unlink(path);
    rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_decisions),
        cmocka_unit_test(test_no_list),
        cmocka_unit_test(test_which_holds),
        cmocka_unit_test(test_random_ranges),
        cmocka_unit_test(test_damaged_blobs),
        cmocka_unit_test(test_maps_sealed_lists_only),
        cmocka_unit_test(test_too_many_patterns_of_one_tail),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_long_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
