/* Plays the scripts named on the command line and reports in the Test Anything Protocol, a line a script. */
#include "player.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SCRIPT_MAX ((size_t)1 << 20)

static bool read_file(const char *path, struct buf *text, struct buf *problem)
{
    FILE *file = fopen(path, "re");
    char piece[4096];
    size_t n;
    if (!file) {
        buf_printf(problem, "%s", strerror(errno));
        return false;
    }
    while ((n = fread(piece, 1, sizeof piece, file)) > 0)
        buf_add(text, piece, n);
    bool good = !ferror(file) && !buf_failed(text);
    fclose(file);
    if (!good)
        buf_add_text(problem, "it can't be read, or is too long");
    return good;
}

static bool play_file(const char *path, struct buf *problem)
{
    struct buf text;
    struct arena arena;
    struct script script;
    buf_init(&text, SCRIPT_MAX);
    arena_init(&arena, 8 * SCRIPT_MAX);
    bool good = read_file(path, &text, problem) && script_parse(buf_span(&text), &arena, &script, problem) &&
                play(&script, problem);
    arena_release(&arena);
    buf_release(&text);
    return good;
}

static void print_comment(struct span text)
{
    while (text.size) {
        struct span line = span_cut(&text, '\n');
        printf("#   %.*s\n", SPAN_ARG(line));
    }
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

int main(int argc, char **argv)
{
    int failed = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..%d\n", argc - 1);
    for (int i = 1; i < argc; i++) {
        struct buf problem;
        buf_init(&problem, 1u << 20);
        bool good = play_file(argv[i], &problem);
        printf("%sok %d - %s\n", good ? "" : "not ", i, base_name(argv[i]));
        print_comment(buf_span(&problem));
        buf_release(&problem);
        failed += !good;
    }
    return failed || argc < 2 ? EXIT_FAILURE : EXIT_SUCCESS;
}
