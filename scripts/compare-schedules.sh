#!/usr/bin/env bash
# compare-schedules.sh - one LLaMA block under three schedules, as a table and as pictures:
#   A  no parallelism            one task at a time, in program order, on one engine
#   B  with parallelism          whole ops, each on one engine; loads run ahead
#   C  multi-head parallelism    attention by head, linear layers by output columns; loads run ahead
# LLaMA-3.2-1B (D = 2048), one block, decode, four past tokens, four engines; on npu4-hbm and on npu4.
#
# Usage:   scripts/compare-schedules.sh [--past N] [--docs] [OUTDIR]      (default OUTDIR: out/compare)
#   --past N   tokens in the KV cache (default: 4)
#   --docs     also renews the pictures of the README: docs/compare-schedules{,-attention}.{svg,png}
#   LLAMASIM   in the environment: the program to run (default: build/release/llamasim, built if it is not there)
# Example: scripts/compare-schedules.sh --past 2048 /tmp/compare
#
# Of the table: engines is their mean utilisation; attention is the time from the start of the first QK to the end of the
# last PV. OUTDIR gets the pictures, and a folder a platform with reports (.report.json), traces for ui.perfetto.dev
# (.trace.json) and timelines (.timeline.csv) of A, B and C, one trace with all three (schedules.json.gz), what `llamasim
# compare` says of them (compare.txt), and compare.csv with all figures. Same input, same bytes.
. "$(dirname "$0")/lib.sh"
export LC_ALL=C # awk and sort: a point in numbers, order by bytes

PAST=4 DOCS='' OUT=''
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) show_help; exit 0 ;;
    --past)
      [[ ${2:-} =~ ^[0-9]+$ ]] || die "--past needs a number"
      PAST=$2
      shift
      ;;
    --docs) DOCS=1 ;;
    -*) die "unknown option '$1'; see --help" ;;
    *)
      [ -z "$OUT" ] || die "takes one folder, but got '$OUT' and '$1'"
      OUT=$1
      ;;
  esac
  shift
done
[ -z "$DOCS" ] || [ "$PAST" = 4 ] || die "--docs draws the README's pictures, which show past 4; leave out --past"

# simulate PLATFORM ID OPTION...
simulate() {
  local to=$OUT/$1/$2
  "$LLAMASIM" run --quiet --model llama-3.2-1b --platform "$1" --layers 1 --phase decode --past "$PAST" "${@:3}" \
    --report "$to.report.json" --trace "$to.trace.json" --timeline "$to.timeline.csv" --csv "$OUT/$1/compare.csv" \
    >"$OUT/$1/$2.summary.txt"
}

# show PLATFORM MODE [NAME]: the table; with NAME, a picture NAME.svg and, twice as large, NAME.png.
show() (
  cd "$OUT/$1" || exit
  draw() { awk -v mode="$1" -v past="$PAST" -v out="$2" -f "$ROOT/scripts/compare-schedules.awk"; }
  if [ $# -eq 2 ]; then
    draw "$2" ''
  else
    draw "$2" "../$3.svg" | LC_ALL=C.UTF-8 gnuplot
    # What gnuplot asks for leaves out boxes that lie between two pixels; smoothed, they are there, as dark as they are wide.
    sed -i "s/shape-rendering='crispEdges'/shape-rendering='geometricPrecision'/" "../$3.svg"
    rsvg-convert --zoom 2 "../$3.svg" --output "../$3.png"
  fi
)

# compare PLATFORM NAME WHY: everything on one platform; pictures NAME.* and NAME-attention.*.
compare() {
  mkdir -p "$OUT/$1"
  rm -f "$OUT/$1/compare.csv" # runs append to it
  simulate "$1" A --split op --scheduler serial
  simulate "$1" B --split op --scheduler heft
  simulate "$1" C --split head --scheduler heft
  (
    llamasim=$(realpath "$LLAMASIM")
    cd "$OUT/$1" || exit
    "$llamasim" compare --quiet A.trace.json B.trace.json C.trace.json --trace schedules.json.gz >compare.txt 2>/dev/null ||
      [ $? -eq 1 ] # they differ
  ) || die "cannot compare the schedules on $1"
  printf '%s, past %s: %s\n' "$1" "$PAST" "$3"
  show "$1" table
  echo
  show "$1" overview "$2"
  show "$1" attention "$2-attention"
}

find_llamasim
if ! command -v gnuplot >/dev/null || ! command -v rsvg-convert >/dev/null; then
  ensure_packages "${PACKAGES_PICTURES[@]}"
fi
mkdir -p "${OUT:=$ROOT/out/compare}"
OUT=$(cd "$OUT" && pwd)

compare npu4-hbm compare-schedules \
  "DRAM is fast, so the schedule of the engines decides; the README shows this one"
compare npu4 compare-schedules-npu4 \
  "DRAM is slow: once loads run ahead its bus is always busy, and more parallelism gains little"
if [ -n "$DOCS" ]; then
  mkdir -p "$ROOT/docs"
  cp "$OUT"/compare-schedules{,-attention}.{svg,png} "$ROOT/docs/"
fi
echo "Pictures, reports, traces, timelines: $OUT"
