#!/bin/sh
# Are the sanitizers on, do they find what they are for, and do they end the program? A test run in which they slept would find nothing and be green.
# Usage: faults.sh PROGRAM (faults.c, built like everything else); prints the Test Anything Protocol.
program=$1
number=0
failed=0

# check FAULT WORDS: the program must fail, say WORDS, and not go on behind the fault.
check() {
    number=$((number + 1))
    if output=$("$program" "$1" 2>&1); then
        verdict="not ok"
    else
        case $output in
        *"gone on"*) verdict="not ok" ;;
        *"$2"*) verdict="ok" ;;
        *) verdict="not ok" ;;
        esac
    fi
    [ "$verdict" = ok ] || {
        failed=1
        printf '%s\n' "$output" | sed 's/^/# /'
    }
    echo "$verdict $number - $1 is found"
}

echo 1..3
check leak "LeakSanitizer: detected memory leaks"
check overflow "AddressSanitizer: heap-buffer-overflow"
check undefined "runtime error: signed integer overflow"
exit $failed
