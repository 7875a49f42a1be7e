#!/usr/bin/env bash
# Everything a program can check of the style. Prints all it finds, then fails.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=0
step() {
    local name=$1
    shift
    if "$@" >build/lint.out 2>&1; then
        tail -n 1 build/lint.out | grep -q fine && tail -n 1 build/lint.out || echo "$name: fine"
    else
        failed=1
        echo "$name: FAILED"
        cat build/lint.out
    fi
}

format() {
    git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror
}

tidy() {
    ninja -C build/test $(ninja -C build/test -t targets all | sed -nE 's/^(.*\.pb-c\.[ch]): CUSTOM_COMMAND.*/\1/p') >/dev/null
    git ls-files 'src/*.c' | xargs -P 2 -n 8 clang-tidy --quiet -p build/test
}

cpp() {
    cppcheck --quiet -j 2 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 --std=c11 \
        --suppressions-list=tools/cppcheck.txt -DOSTIARY_TEST_BUILD=1 '-D__has_feature(x)=0' -I src src
}

manual() {
    for page in doc/*.scd; do
        scdoc <"$page" >"build/$(basename "${page%.scd}")" || return 1
        LC_ALL=C.UTF-8 man --warnings -l "build/$(basename "${page%.scd}")" 2>&1 >/dev/null | grep . && return 1
    done
    return 0
}

step "include edges" tools/check_includes.py
step "sizes" tools/check_sizes.py
step "clang-format" format
step "cppcheck" cpp
step "clang-tidy" tidy
step "manual pages" manual
exit $failed
