#!/bin/sh
# Builds the run-time's tests with every optimisation level, with AddressSanitizer and UBSan, and with the ucontext switch, and runs them; the plain -O2
# build also under valgrind. A switch of stacks can work at one level and fail at another. Usage: matrix.sh SOURCE_ROOT
set -eu
root=$1
cc=${MATRIX_CC:-gcc}
# What was compiled before need not be again, wherever this run's directory is.
if command -v ccache >/dev/null; then
    cc="ccache $cc"
    export CCACHE_NOHASHDIR=1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

base="arena buf clock log map span"
run="fiber loop pool stack stream stream_io stream_tls timer tls tls_certificate watch"
tests="fiber timer watch overrun stream tls"

case $(uname -m) in
x86_64) own="switch.c switch_x86_64.S" ;;
aarch64) own="switch.c switch_aarch64.S" ;;
*) own="switch_ucontext.c" ;;
esac

# build NAME SWITCH_SOURCES FLAGS...
build() {
    directory=$work/$1
    switch=$2
    shift 2
    mkdir "$directory"
    sources=
    for name in $base; do sources="$sources $root/src/base/$name.c"; done
    for name in $run; do sources="$sources $root/src/run/$name.c"; done
    for name in $switch; do sources="$sources $root/src/run/$name"; done
    for name in $tests; do sources="$sources $root/tests/unit/run/test_$name.c"; done
    (
        cd "$directory"
        for source in $sources; do
            $cc -std=gnu11 -D_GNU_SOURCE -gdwarf-4 -fno-strict-aliasing "$@" "-I$root/src" -c "$source" || exit 1
        done
        objects=$(find . -name '*.o' ! -name 'test_*')
        for name in $tests; do
            # shellcheck disable=SC2086
            $cc "$@" "test_$name.o" $objects -o "$name" -lcmocka -lssl -lcrypto -lm -lpthread
        done
    ) >"$directory/log" 2>&1
}

# check NAME: runs what build made.
check() {
    for name in $tests; do
        echo "== $1: $name"
        "$work/$1/$name" || return 1
    done >>"$work/$1/log" 2>&1
}

check_valgrind() {
    for name in fiber timer watch stream tls; do
        echo "== valgrind: $name"
        OSTIARY_TEST_SWITCHES=20000 valgrind --quiet --error-exitcode=1 --leak-check=full "$work/$1/$name" || return 1
    done >>"$work/$1/valgrind.log" 2>&1
}

plain() {
    level=$1
    shift
    build "$level" "$own" "$@" && check "$level"
}

first() {
    plain O2 -O2 && { ! command -v valgrind >/dev/null || check_valgrind O2; } && plain O0 -O0 && plain O1 -O1
}

second() {
    plain asan -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -DOSTIARY_TEST_BUILD=1 && plain O3 -O3 &&
        build ucontext switch_ucontext.c -O2 && check ucontext
}

# Two at a time.
first & one=$!
second & two=$!
failed=0
wait $one || failed=1
wait $two || failed=1
for log in "$work"/*/*log; do
    grep -v '^\[ RUN \|^\[       OK ' "$log" || true
done
exit $failed
