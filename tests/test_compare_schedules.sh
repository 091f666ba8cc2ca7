#!/usr/bin/env bash
# scripts/compare-schedules.sh: its table says what physics demands, its pictures are whole, and a second run gives the
# same bytes. Skipped (77) where gnuplot or rsvg-convert is missing.
set -euo pipefail

if [ "${1:-}" = --help ] || [ $# -ne 1 ]; then
  echo "usage: $0 LLAMASIM   (the program to test); exits 0 if all is well, 1 if not"
  [ "${1:-}" = --help ] && exit 0
  exit 2
fi
for program in gnuplot rsvg-convert; do
  command -v "$program" >/dev/null || { echo "skipped: no $program"; exit 77; }
done

LLAMASIM=$(realpath "$1")
export LLAMASIM LC_ALL=C
# In a build with sanitizers: SimGrid keeps what it allocates to the end.
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=0}"
script=$(cd "$(dirname "$0")/.." && pwd)/scripts/compare-schedules.sh
work=$(mktemp -d "${TMPDIR:-/tmp}/llamasim-compare-XXXXXX")
trap 'rm -rf "$work"' EXIT
failures=0

fail() {
  failures=$((failures + 1))
  echo "FAIL: $1" >&2
}

# check_table LOWER_US: of one platform's table on standard input. No block can be faster than its bytes take through the
# DRAM bus. Columns: makespan, speedup, lower bound, gap, engines, DRAM bus, attention.
check_table() {
  awk -v dram="$1" '
    function bad(why) { print "FAIL: " $0 ": " why > "/dev/stderr"; failed = 1 }
    /^[ABC]  / {
      line = $0
      gsub(/ us|%|x /, " ", line)
      n = split(line, v, " ") - 7
      t = v[n + 1]; speedup = v[n + 2]; bound = v[n + 3]; gap = v[n + 4]
      rows++
      if (rows == 1) a = t
      else if (t > last) bad("slower than the one before")
      if (rows > 1 && speedup <= 1) bad("no speedup")
      if (speedup - a / t > 0.01 || a / t - speedup > 0.01) bad("its speedup is not that of its makespan")
      if (t < bound || t < dram) bad("faster than its lower bound")
      if (gap - 100 * (t / bound - 1) > 0.2 || 100 * (t / bound - 1) - gap > 0.2) bad("its gap is not that of its bound")
      if (v[n + 5] > 100 || v[n + 6] > 100) bad("busier than always")
      last = t
    }
    END {
      if (rows != 3) { $0 = "table"; bad("has " rows + 0 " schedules, not 3") }
      exit failed
    }'
}

# number of rows and last end of a timeline are those of the report
check_timeline() {
  awk -F, '
    FILENAME ~ /json$/ {
      if (match($0, /"makespan_s": [^,]*/)) span = substr($0, RSTART + 14, RLENGTH - 14)
      if (match($0, /"tasks": \{"compute": /)) { gsub(/[^0-9,]/, ""); tasks = $1 + $2 + $3 }
      next
    }
    FNR == 1 { if ($1 != "task" || NF != 16) bad = 1; next }
    { rows++; if ($1 != rows - 1 || NF != 16) bad = 1; if ($9 > end) end = $9 }
    END { exit bad || rows != tasks || end != span + 0 }' "$1.report.json" "$1.timeline.csv" || fail "$1.timeline.csv"
}

# whole, not too large for a README, wide enough to read
check_picture() {
  local width
  [ "$(tail -c 8 "$1.svg" | tr -d '\n')" = "</svg>" ] || fail "$1.svg: does not end as SVG"
  [ "$(wc -c <"$1.svg")" -lt 500000 ] || fail "$1.svg: 500 kB or more"
  [ "$(grep -c '<polygon' "$1.svg")" -gt 100 ] || fail "$1.svg: too few boxes"
  # boxes between two pixels are left out unless edges are smoothed, and ones as thin as nothing are not to be seen
  ! grep -q 'crispEdges' "$1.svg" || fail "$1.svg: its edges are not smoothed, so that thin boxes vanish"
  awk -F"points = '" '/<polygon/ {
    n = split($2, point, /[ ,\047]+/)
    least = most = point[1]
    for (i = 3; i <= 7; i += 2) {
      if (point[i] < least) least = point[i]
      if (point[i] > most) most = point[i]
    }
    if (most - least < 0.23) bad = 1
  }
  END { exit bad }' "$1.svg" || fail "$1.svg: a box thinner than a quarter of a pixel"
  ! grep -qi 'nan' "$1.svg" || fail "$1.svg: not a number in it"
  ! grep -q "$work" "$1.svg" || fail "$1.svg: a path in it"
  [ "$(head -c 4 "$1.png" | tail -c 3)" = PNG ] || fail "$1.png: is no PNG"
  width=$((0x$(head -c 20 "$1.png" | tail -c 4 | od -An -tx1 | tr -d ' ')))
  [ "$width" -ge 1600 ] || fail "$1.png: $width pixels wide"
}

"$script" --help | grep -q '^Usage:' || fail "--help"
for bad in '--bogus' '--past' '--past x' 'one two' '--docs --past 5'; do
  status=0
  # shellcheck disable=SC2086  # words on purpose
  (cd "$work" && "$script" $bad >out.txt 2>err.txt) || status=$?
  [ $status -eq 2 ] || fail "'$bad': exit status $status, not 2"
  [ ! -s "$work/out.txt" ] || fail "'$bad': wrote to standard output"
  [ -s "$work/err.txt" ] || fail "'$bad': no message"
done

first="$work/first run" second="$work/second"
"$script" "$first" >"$work/1.txt" || fail "exit status $?"
"$script" "$second" >"$work/2.txt" || fail "second run: exit status $?"

# 121,661,440 bytes of a block, at 819.2 and at 51.2 GB/s
awk '/^npu4-hbm,/ { on = 1 } /^npu4,/ { on = 0 } on' "$work/1.txt" | check_table 148.5 || fail "npu4-hbm"
awk '/^npu4,/ { on = 1 } on' "$work/1.txt" | check_table 2376.1 || fail "npu4"

for platform in npu4 npu4-hbm; do
  for id in A B C; do
    check_timeline "$first/$platform/$id"
    [ -s "$first/$platform/$id.trace.json" ] || fail "$platform/$id.trace.json"
  done
  [ "$(gzip -dc "$first/$platform/schedules.json.gz" | grep -c '"process_name"')" -eq 3 ] || fail "$platform/schedules.json.gz"
  grep -q '^where the makespan moved, by op ' "$first/$platform/compare.txt" || fail "$platform/compare.txt"
  [ "$(wc -l <"$first/$platform/compare.csv")" -eq 4 ] || fail "$platform/compare.csv: not a header and three rows"
done
for name in compare-schedules compare-schedules-npu4; do
  check_picture "$first/$name"
  check_picture "$first/$name-attention"
done

diff -r "$first" "$second" >&2 || fail "a second run differs"
diff <(grep -v "$work" "$work/1.txt") <(grep -v "$work" "$work/2.txt") >&2 || fail "a second table differs"
"$script" "$first" >"$work/3.txt" || fail "third run, over the first: exit status $?"
diff -r "$first" "$second" >&2 || fail "a run over an older one differs"

"$LLAMASIM" compile | "$LLAMASIM" simulate - --timeline "$work/simulate.csv" >/dev/null
"$LLAMASIM" run --timeline - >"$work/run.csv"
cmp "$work/run.csv" "$work/simulate.csv" >&2 || fail "run and simulate give two timelines"

[ $failures -eq 0 ] || { echo "$failures checks failed" >&2; exit 1; }
echo "all checks passed"
