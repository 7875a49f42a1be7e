/* Messages that nobody here wrote, from a folder that need not be there: $OSTIARY_CORPORA, or ../shared/corpora beside
 * the source tree. Whatever is in it must be summarised soundly; where an expected parse lies beside a message
 * (NAME.json, as the mail-parser project keeps them), subject, first From address and the places of the parts are
 * compared. */
#include "format/encoded_word.h"
#include "format/header.h"
#include "format/received.h"
#include "summary_checks.h"

#include <dirent.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#define MESSAGE_MAX ((size_t)64 << 20)

struct tally {
    size_t messages, subjects, same_subjects, senders, same_senders, parts, same_parts;
    size_t received, received_read, received_whole, received_ips;
};

static bool read_whole(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    char piece[65536];
    size_t n;
    while ((n = fread(piece, 1, sizeof piece, file)) > 0)
        buf_add(out, piece, n);
    bool good = !ferror(file) && !buf_failed(out);
    fclose(file);
    return good;
}

/* The value of the last header of that name in the expected parse of the whole message. */
static const json_t *expected_header(const json_t *expected, const char *name)
{
    const json_t *headers = json_object_get(json_array_get(json_object_get(expected, "parts"), 0), "headers");
    const json_t *value = NULL;
    size_t i;
    json_t *header;
    json_array_foreach(headers, i, header)
    {
        const char *found = json_string_value(json_object_get(header, "name"));
        if (found && strcmp(found, name) == 0 && !value)
            value = json_object_get(header, "value");
    }
    return value;
}

static void compare_subject(const json_t *expected, const struct summary *summary, struct tally *tally,
                            const char *path)
{
    const char *text = json_string_value(json_object_get(expected_header(expected, "subject"), "Text"));
    if (!text)
        return;
    struct buf subject;
    buf_init(&subject, 100000);
    encoded_word_decode(summary->root->envelope->subject, &subject);
    tally->subjects++;
    if (span_is(buf_span(&subject), text))
        tally->same_subjects++;
    else
        print_message("%s: subject \"%.*s\", expected \"%s\"\n", path, SPAN_ARG(buf_span(&subject)), text);
    buf_release(&subject);
}

static void compare_sender(const json_t *expected, const struct summary *summary, struct tally *tally, const char *path)
{
    const json_t *list = json_object_get(json_object_get(expected_header(expected, "from"), "Address"), "List");
    const char *text = json_string_value(json_object_get(json_array_get(list, 0), "address"));
    if (!text)
        return;
    struct buf sender;
    const struct address *first = summary->root->envelope->from.first;
    buf_init(&sender, 100000);
    if (first) {
        buf_add_span(&sender, first->mailbox);
        if (first->host.size)
            buf_add_char(&sender, '@');
        buf_add_span(&sender, first->host);
    }
    tally->senders++;
    if (span_is(buf_span(&sender), text))
        tally->same_senders++;
    else
        print_message("%s: from \"%.*s\", expected \"%s\"\n", path, SPAN_ARG(buf_span(&sender)), text);
    buf_release(&sender);
}

/* The expected parse lists the parts of an embedded message elsewhere: here they are passed over. */
static const struct mime_part *next_outside_messages(const struct mime_part *part)
{
    const struct mime_part *next = part->kind == MIME_MESSAGE ? part->first_child : part;
    for (;;) {
        next = mime_next(next);
        const struct mime_part *up = next ? next->parent : NULL;
        while (up && up != part)
            up = up->parent;
        if (!next || part->kind != MIME_MESSAGE || !up)
            return next;
    }
}

static void compare_parts(const json_t *expected, const struct summary *summary, struct tally *tally, const char *path)
{
    const json_t *parts = json_object_get(expected, "parts");
    const struct mime_part *part = summary->root;
    size_t i = 0;
    bool same = true;
    for (; part && i < json_array_size(parts); i++, part = next_outside_messages(part)) {
        const json_t *other = json_array_get(parts, i);
        json_int_t offset = json_integer_value(json_object_get(other, "offset_header"));
        json_int_t body = json_integer_value(json_object_get(other, "offset_body"));
        same &= (uint64_t)offset == part->offset;
        /* To whom the line end between a header and a boundary belongs is a matter of taste. */
        same &= part->body_size == 0 || (uint64_t)body == part->offset + part->header_size;
    }
    same &= !part && i == json_array_size(parts);
    tally->parts++;
    if (same)
        tally->same_parts++;
    else
        print_message("%s: the parts differ\n", path);
}

static void compare(const char *path, struct span message, const struct summary *summary, struct tally *tally)
{
    char name[4096];
    struct header_field field;
    bool has_cr = header_next(&message, &field) && span_ends_nocase(field.raw, (struct span)SPAN("\r\n"));
    size_t size = strlen(path);
    if (size < 4 || size > sizeof name - 10 || strcmp(path + size - 4, ".eml") != 0)
        return;
    snprintf(name, sizeof name, "%.*s%s.json", (int)(size - 4), path, has_cr ? ".crlf" : "");
    json_error_t error;
    json_t *expected = json_load_file(name, 0, &error);
    if (!expected)
        return;
    compare_subject(expected, summary, tally, path);
    compare_sender(expected, summary, tally, path);
    compare_parts(expected, summary, tally, path);
    json_decref(expected);
}

/* Real servers' lines, of all sorts: who wrote them, and of the client at least an address or a name. */
static void check_received(struct span message, struct tally *tally)
{
    struct header_field field;
    while (header_next(&message, &field)) {
        struct arena arena;
        struct received r;
        if (!span_is_nocase(field.name, "Received"))
            continue;
        arena_init(&arena, 64u << 10);
        tally->received++;
        if (received_parse(field.value, &arena, &r)) {
            tally->received_read++;
            tally->received_whole += r.by.size && (!r.from.size || r.has_ip || r.helo.size);
            tally->received_ips += r.has_ip;
        }
        arena_release(&arena);
    }
}

static void check_message(const char *path, struct tally *tally)
{
    struct buf message, bytes, first, second;
    struct arena arena;
    struct summary summary, direct;
    bool truncated = false;
    buf_init(&message, MESSAGE_MAX);
    buf_init(&bytes, SUMMARY_SIZE_MAX);
    buf_init(&first, MESSAGE_MAX);
    buf_init(&second, MESSAGE_MAX);
    arena_init(&arena, 3 * SUMMARY_ARENA_MAX);
    assert_true(read_whole(path, &message));
    assert_int_equal(summary_make(buf_span(&message), &arena, &bytes), 0);
    bool parsed = summary_parse(buf_span(&bytes), &arena, &summary);
    if (!parsed || !tree_is_sound(summary.root, message.size))
        fail_msg("%s: no sound summary", path);
    write_all(&summary, &first);
    assert_true(imap_text_is_sound(buf_span(&first)));
    direct = summary;
    direct.root = mime_parse(buf_span(&message), &arena, &truncated);
    assert_non_null(direct.root);
    write_all(&direct, &second);
    if (!(summary.flags & (SUMMARY_STRINGS_CUT | SUMMARY_PARTS_DROPPED))) {
        assert_int_equal(first.size, second.size);
        assert_memory_equal(first.data, second.data, first.size);
    }
    compare(path, buf_span(&message), &summary, tally);
    check_received(buf_span(&message), tally);
    tally->messages++;
    buf_release(&message);
    buf_release(&bytes);
    buf_release(&first);
    buf_release(&second);
    arena_release(&arena);
}

static void walk(const char *path, unsigned depth, struct tally *tally)
{
    struct stat info;
    if (lstat(path, &info) != 0 || depth > 8)
        return;
    if (S_ISREG(info.st_mode)) {
        check_message(path, tally);
        return;
    }
    DIR *folder = S_ISDIR(info.st_mode) ? opendir(path) : NULL;
    if (!folder)
        return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char inside[4096];
        if (entry->d_name[0] == '.' && strspn(entry->d_name, ".") == strlen(entry->d_name))
            continue;
        int size = snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name);
        assert_true(size > 0 && (size_t)size < sizeof inside);
        walk(inside, depth + 1, tally);
    }
    closedir(folder);
}

static void test_corpora(void **state)
{
    (void)state;
    const char *folder = getenv("OSTIARY_CORPORA");
    struct tally tally = {.messages = 0};
    if (!folder)
        folder = SOURCE_ROOT "/../shared/corpora";
    walk(folder, 0, &tally);
    if (tally.messages == 0) {
        print_message("no corpora at %s\n", folder);
        skip();
    }
    print_message("%zu messages; of those with an expected parse the same: subject %zu of %zu, from %zu of %zu, "
                  "parts %zu of %zu\n",
                  tally.messages, tally.same_subjects, tally.subjects, tally.same_senders, tally.senders,
                  tally.same_parts, tally.parts);
    print_message("%zu Received: lines, %zu read, %zu with both ends, %zu with an address\n", tally.received,
                  tally.received_read, tally.received_whole, tally.received_ips);
    /* "(qmail 7 invoked by uid 0)" and the like tell neither end. */
    assert_true(tally.received_read * 10 >= tally.received * 9);
    assert_true(tally.received_whole * 100 >= tally.received_read * 95);
    assert_int_equal(tally.same_subjects, tally.subjects);
    assert_int_equal(tally.same_senders, tally.senders);
    /* Of broken boundaries and unclosed embedded messages each parser thinks differently. */
    assert_true(tally.same_parts * 10 >= tally.parts * 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_corpora)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
