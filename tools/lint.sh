#!/usr/bin/env bash
# Everything a program can check of the style. Prints a line a check and all that it finds, then fails.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
failed=0
output=build/lint.out
step() {
    local name=$1 began=$SECONDS
    shift
    if "$@" >"$output" 2>&1; then
        tail -n 1 "$output" | grep ': fine' || echo "$name: fine ($((SECONDS - began)) s)"
    else
        failed=1
        echo "$name: FAILED"
        cat "$output"
    fi
}

format() {
    git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror
}

# The analysers read the generated headers, too.
generate() {
    ninja -C build/test -t targets all | sed -nE 's/^(.*\.pb-c\.[ch]): CUSTOM_COMMAND.*/\1/p' | xargs ninja -C build/test
}

tidy() {
    git ls-files 'src/*.c' | xargs -P 2 -n 8 clang-tidy --quiet -p build/test
}

# Its work is kept: what did not change is not read again.
cpp() {
    mkdir -p build/cppcheck
    cppcheck --quiet -j 2 --cppcheck-build-dir=build/cppcheck --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
        --std=c11 -DOSTIARY_TEST_BUILD=1 '-D__has_feature(x)=0' -I src -I build/test/src src fuzz
}

python() {
    git ls-files '*.py' | xargs pyflakes3
}

shell() {
    { git ls-files '*.sh'; git grep -lE '^#!.*\bb?a?sh$' -- ':!*.sh'; } | xargs shellcheck --severity=warning
}

manual() {
    local page built
    for page in doc/*.scd; do
        built=build/$(basename "${page%.scd}")
        scdoc <"$page" >"$built" || return 1
        LC_ALL=C.UTF-8 man --warnings -l "$built" 2>&1 >/dev/null | grep . && return 1
    done
    return 0
}

step "include edges" tools/check_includes.py
step "sizes" tools/check_sizes.py
step "clang-format" format
step "python" python
step "shell scripts" shell
step "manual pages" manual
step "generated sources" generate
step "cppcheck" cpp
step "clang-tidy" tidy
exit $failed
