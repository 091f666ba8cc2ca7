#!/usr/bin/env bash
# fuzz.sh - feeds damaged input to the readers of outside files, with libFuzzer under AddressSanitizer and
# UndefinedBehaviorSanitizer. Installs what is missing and builds (preset fuzz) before.
#
# Usage:   scripts/fuzz.sh NAME|all [RUNS]        (default RUNS: 1000000; NAMEs: see tests/fuzz_*.c)
#          FUZZ_SECONDS=N scripts/fuzz.sh ...     (default 600: no target runs longer, done or not)
# Example: scripts/fuzz.sh dag 5000000
#
# Targets run side by side, one process each. Each starts from tests/corpus/NAME, the shipped files of its kind, and what
# earlier runs found. New inputs are kept in build/fuzz/corpus/NAME, findings in build/fuzz/findings/NAME, the output in
# build/fuzz/NAME.log. A finding that is mended goes into tests/corpus/NAME, which runs with the tests.
# Exit status: 0 nothing found; 1 findings; 2 bad usage.
. "$(dirname "$0")/lib.sh"
case "${1:-}" in -h|--help) show_help; exit 0 ;; esac

[ $# -eq 1 ] || [ $# -eq 2 ] || die "wants NAME|all [RUNS]; see --help"
RUNS=${2:-1000000}
SECONDS_MAX=${FUZZ_SECONDS:-600}
for number in "$RUNS" "$SECONDS_MAX"; do
  case $number in '' | *[!0-9]* | 0*) die "'$number' is no number of runs or seconds; write a whole number from 1" ;; esac
done
names=()
for f in "$ROOT"/tests/fuzz_*.c; do
  n=$(basename "$f" .c)
  case $n in fuzz_main | fuzz_json_mutator) ;; *) names+=("${n#fuzz_}") ;; esac
done
if [ "$1" != all ]; then
  case " ${names[*]} " in
  *" $1 "*) names=("$1") ;;
  *) die "there is no target '$1'; there are: ${names[*]}, all" ;;
  esac
fi

ensure_packages "${PACKAGES_BUILD[@]}" "${PACKAGES_TEST[@]}" "${PACKAGES_FUZZ[@]}"
cd "$ROOT"
say "building (build/fuzz)"
cmake --preset fuzz >/dev/null
cmake --build build/fuzz --target fuzzers -j "$JOBS" >&2

# fuzz NAME: one target, with its shipped files and its words where it has any.
fuzz() {
  local name=$1 words longest=20000 dict=() shipped=()
  case $name in
  platform) shipped=(platforms) ;;
  model) shipped=(workloads/models) ;;
  run | dx) shipped=(tests/corpus/dag) ;;
  set) longest=1000 ;;
  esac
  words=tests/fuzz_$name.dict
  [[ $name = run || $name = dx ]] && words=tests/fuzz_dag.dict
  [ -f "$words" ] && dict=("-dict=$words")
  mkdir -p "build/fuzz/corpus/$name" "build/fuzz/findings/$name"
  "build/fuzz/tests/fuzz_$name" "${dict[@]}" -runs="$RUNS" -max_total_time="$SECONDS_MAX" -timeout=10 -max_len="$longest" \
    -print_final_stats=1 -artifact_prefix="build/fuzz/findings/$name/" \
    "build/fuzz/corpus/$name" "tests/corpus/$name" "${shipped[@]}" >"build/fuzz/$name.log" 2>&1
}

say "fuzzing ${names[*]}: $RUNS runs each, $SECONDS_MAX s at most"
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; exit 130' INT TERM
for n in "${names[@]}"; do
  fuzz "$n" &
  pids+=($!)
done
status=0
for i in "${!names[@]}"; do
  n=${names[$i]}
  verdict="nothing found"
  wait "${pids[$i]}" || { status=1; verdict="FOUND something: build/fuzz/$n.log, build/fuzz/findings/$n/"; }
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/$n.log")
  printf '%-10s %9s runs, %s inputs kept, %s\n' "$n" "${runs:-?}" "$(find "build/fuzz/corpus/$n" -type f | wc -l)" "$verdict"
done
exit $status
