/* A fiber that overruns its stack is caught and named, in the sanitizer's build and in the ordinary one. */
#include "run/fiber.h"
#include "run/loop.h"
#include "run/stack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static volatile bool endless = true;

static __attribute__((noinline)) int overrun(int depth)
{
    volatile char frame[512];
    frame[0] = (char)depth;
    int below = endless ? overrun(depth + 1) : 0;
    return below + frame[0];
}

static void overrun_main(struct fiber *self, void *argument)
{
    exit(overrun(0) & 1);
}

/* A program of its own, because cmocka takes the signals of the one that it runs in. */
static int run_child(void)
{
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    struct loop *loop = loop_new();
    if (!loop || !fiber_start(loop, "the deep one", overrun_main, NULL))
        return 3;
    return loop_run(loop) == 0 ? 4 : 5;
}

static void exec_child(int out)
{
    dup2(out, STDERR_FILENO);
    execl("/proc/self/exe", "test_overrun", "child", (char *)NULL);
    _exit(6);
}

static void overrun_is_named(void **state)
{
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        exec_child(pipe_fds[1]);
    close(pipe_fds[1]);
    char text[65536];
    size_t size = 0;
    ssize_t n;
    while (size < sizeof text - 1 && (n = read(pipe_fds[0], text + size, sizeof text - 1 - size)) > 0)
        size += (size_t)n;
    text[size] = '\0';
    close(pipe_fds[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!strstr(text, "fiber 'the deep one' overran its stack"))
        fail_msg("not named: %s", text);
#ifdef RUN_ASAN
    if (!strstr(text, "AddressSanitizer: stack-overflow"))
        fail_msg("AddressSanitizer is silent: %s", text);
#else
    assert_true(WIFSIGNALED(status));
#endif
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return run_child();
    const struct CMUnitTest tests[] = {cmocka_unit_test(overrun_is_named)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
