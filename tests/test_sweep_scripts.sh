#!/usr/bin/env bash
# The sweep scripts: CSV, whole pictures, a second run with the same bytes. Skipped (77) where gnuplot or rsvg-convert is
# missing.
set -u

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
scripts=$(cd "$(dirname "$0")/.." && pwd)/scripts
work=$(mktemp -d "${TMPDIR:-/tmp}/llamasim-scripts-XXXXXX")
trap 'rm -rf "$work"' EXIT
failures=0
fail() { failures=$((failures + 1)); echo "FAIL: $1" >&2; }

# check SCRIPT NAME ROWS ARGUMENT...
check() {
  local script=$1 name=$2 rows=$3 folder
  shift 3
  "$scripts/$script" --help | grep -q '^Usage:' || fail "$script --help"
  for folder in one two one; do # the third time over the first's files
    "$scripts/$script" -o "$work/$folder" "$@" >"$work/said" 2>&1 || fail "$script: exit status $?: $(cat "$work/said")"
  done
  [ "$(wc -l <"$work/one/$name.csv")" -eq $((rows + 1)) ] || fail "$script: not a header and $rows rows"
  [ "$(tail -c 8 "$work/one/$name.svg" | tr -d '\n')" = "</svg>" ] || fail "$script: $name.svg does not end as SVG"
  ! grep -qi 'nan' "$work/one/$name.svg" || fail "$script: not a number in $name.svg"
  [ "$(head -c 4 "$work/one/$name.png" | tail -c 3)" = PNG ] || fail "$script: $name.png is no PNG"
  diff -r "$work/one" "$work/two" >&2 || fail "$script: a second run differs"
  "$scripts/$script" -o "$work/bad" "$@" --bogus >/dev/null 2>&1 && fail "$script: takes --bogus"
  rm -rf "$work/one" "$work/two" "$work/bad"
}

check sweep-engines.sh engines 7 --model stories15m
check sweep-bandwidth.sh bandwidth 29 --model stories15m
check sweep-grid.sh grid 352 --dtypes bf16,int4 --model stories15m
check roofline.sh roofline 11 --dtype int8
check pareto.sh pareto 120 --model stories15m --area 0.3,0.02

[ $failures -eq 0 ] || { echo "$failures checks failed" >&2; exit 1; }
echo "all checks passed"
