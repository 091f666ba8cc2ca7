#!/usr/bin/env bash
# scripts/schedule-quality.sh: its table comes from its rows, and it fails loudly where attribution does not sum to the
# makespan, where the bound is above it, and where a run fails.
set -euo pipefail

if [ "${1:-}" = --help ] || [ $# -ne 1 ]; then
  echo "usage: $0 LLAMASIM   (the program to test); exits 0 if all is well, 1 if not"
  [ "${1:-}" = --help ] && exit 0
  exit 2
fi

program=$(realpath "$1")
export LC_ALL=C
# In a build with sanitizers: SimGrid keeps what it allocates to the end.
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=0}"
script=$(cd "$(dirname "$0")/.." && pwd)/scripts/schedule-quality.sh
work=$(mktemp -d "${TMPDIR:-/tmp}/llamasim-quality-XXXXXX")
trap 'rm -rf "$work"' EXIT
failures=0

fail() {
  failures=$((failures + 1))
  echo "FAIL: $1" >&2
}

quality() { # quality PROGRAM: three small points
  LLAMASIM=$1 "$script" --points 3 --jobs 1 --out "$work/out" fit heft >"$work/table" 2>"$work/said"
}

quality "$program" || fail "three points: exit status $?"
grep -q "3 points; 0 do not fit their chip; attribution sums to the makespan in 6 runs" "$work/table" || fail "the first line"
[ "$(grep -c ',ok,' "$work/out/quality.csv")" = 6 ] || fail "six rows"
# of three, the worst is the maximum
worst=$(awk -F, '$2 == "fit" && $5 > most {most = $5} END {printf "%.2f", 100 * (most - 1)}' "$work/out/quality.csv")
grep -qE "^fit .* $worst %\$" "$work/table" || fail "the maximum of fit is not $worst"

# A program whose every number of the named column is a little more.
more() { # more COLUMN FACTOR STATUS
  cat >"$work/program" <<EOP
#!/bin/sh
"$program" "\$@" | awk -F, -v OFS=, 'NR == 1 {for (k = 1; k <= NF; k++) if (\$k == "$1") at = k} NR > 1 {\$at = sprintf("%.17g", \$at * $2 + 1e-12)} {print}'
EOP
  chmod +x "$work/program"
  status=0
  quality "$work/program" || status=$?
  [ $status = 1 ] || fail "$1 times $2: exit status $status"
  grep -q "$3" "$work/said" || fail "$1 times $2: not said"
  grep -q "FAILED" "$work/table" || fail "$1 times $2: not in the table"
}
more attribution.dram_s 1.00001 unexplained
more attribution.dram_s 0.99999 unexplained
more bounds.lower_s 9 below-bound

printf '#!/bin/sh\nexit 3\n' >"$work/program"
status=0
quality "$work/program" || status=$?
[ $status = 1 ] || fail "a failing program: exit status $status"

[ $failures = 0 ] && echo "all is well"
exit $((failures > 0))
