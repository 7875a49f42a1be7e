#!/usr/bin/env bash
# Runs fuzz targets on their seeds: tools/run_fuzz.sh [--seconds N] [TARGET...]. What they find new is kept in build/corpus; a crash stays in build/crashes,
# the other targets still run, and the end is a status of 1.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=60
targets=()
while [ $# -gt 0 ]; do
    case $1 in
    --seconds)
        seconds=${2:?--seconds needs a number}
        shift
        ;;
    -*)
        echo "dev fuzz: unknown option '$1'; there are --seconds N and the names of targets" >&2
        exit 64
        ;;
    *) targets+=("$1") ;;
    esac
    shift
done
[[ $seconds =~ ^[1-9][0-9]*$ ]] || {
    echo "dev fuzz: --seconds takes a whole number from 1, not '$seconds'" >&2
    exit 64
}
if [ ${#targets[@]} = 0 ]; then
    for source in fuzz/fuzz_*.c; do
        name=${source#fuzz/fuzz_}
        targets+=("${name%.c}")
    done
fi

crashed=()
for target in "${targets[@]}"; do
    program=build/fuzz/fuzz/fuzz_$target
    seeds=fuzz/corpus/$target
    if [ ! -x "$program" ] || [ -z "$(ls -A "$seeds" 2>/dev/null)" ]; then
        echo "dev fuzz: $target has no program ($program) or no seeds ($seeds)" >&2
        crashed+=("$target")
        continue
    fi
    mkdir -p "build/corpus/$target" build/crashes
    options=(-max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 -artifact_prefix="build/crashes/$target-")
    [ ! -f "fuzz/$target.dict" ] || options+=(-dict="fuzz/$target.dict")
    echo "fuzzing $target for $seconds s"
    "$program" "${options[@]}" "build/corpus/$target" "$seeds" || {
        crashed+=("$target")
        echo "dev fuzz: $target failed; the input is in build/crashes: $program FILE plays it again" >&2
    }
done
[ ${#crashed[@]} = 0 ] || {
    echo "dev fuzz: failed: ${crashed[*]}" >&2
    exit 1
}
