#!/usr/bin/env bash
# Runs fuzz targets on their seeds: tools/run_fuzz.sh [--seconds N] [TARGET...]. What they find new is kept in build/corpus; a crash stays in build/crashes.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=60
targets=()
while [ $# -gt 0 ]; do
    case $1 in
    --seconds)
        seconds=${2:?--seconds needs a number}
        shift 2
        ;;
    *)
        targets+=("$1")
        shift
        ;;
    esac
done
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(find build/fuzz/fuzz -maxdepth 1 -type f -executable -name 'fuzz_*' -printf '%f\n' | sed 's/^fuzz_//' | sort)
for target in "${targets[@]}"; do
    mkdir -p "build/corpus/$target" build/crashes "fuzz/corpus/$target"
    dictionary=()
    [ -f "fuzz/$target.dict" ] && dictionary=("-dict=fuzz/$target.dict")
    echo "fuzzing $target for $seconds s"
    "build/fuzz/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=0 -verbosity=0 \
        -artifact_prefix="build/crashes/$target-" "${dictionary[@]}" "build/corpus/$target" "fuzz/corpus/$target"
done
