#!/usr/bin/env bash
# Hostile input, from outside: names in files that would steer a terminal come out as text, wherever a command prints them;
# files cut short, and what is no file, are refused with one line.
set -u

if [ "${1:-}" = --help ] || [ $# -ne 1 ]; then
  echo "usage: $0 LLAMASIM   (the program to test); exits 0 if all is well, 1 if not"
  [ "${1:-}" = --help ] && exit 0
  exit 2
fi

bin=$(realpath "$1")
source_dir=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/llamasim-hostile-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
export LC_ALL=C
unset LLAMASIM_DATA
checks=0
failures=0

fail() {
  failures=$((failures + 1))
  echo "FAIL: $1" >&2
}

shown() { cat -v all | head -c 600; }

# clean STATUS TEXT ARGUMENT...: the program ends so, prints TEXT, and no control character but line ends.
clean() {
  local status=$1 text=$2 got
  shift 2
  checks=$((checks + 1))
  "$bin" "$@" >all 2>&1 </dev/null
  got=$?
  [ $got -eq "$status" ] || fail "llamasim $*: exit status $got, not $status: $(shown)"
  grep -qF -- "$text" all || fail "llamasim $*: does not print '$text' but: $(shown)"
  [ "$(tr -d '\n' <all | tr -dc '\000-\037\177' | wc -c)" -eq 0 ] || fail "llamasim $*: control characters: $(shown)"
}

# ---- names that would steer a terminal -------------------------------------------------------------------------------

esc=$'\033]0;owned\007'
"$bin" run --quiet --report a.json >/dev/null
"$bin" run --quiet --trace a.trace.json >/dev/null
sed 's/"llama-3.2-1b"/"x\\u001b]0;owned\\u0007y"/' a.json >b.json
clean 1 'x?]0;owned?y' compare a.json b.json
sed 's/"name":"MatMul L0.q_proj/"name":"\\u001b[2JMatMul L0.q_proj/' a.trace.json >b.trace.json
cmp -s a.trace.json b.trace.json && fail "the trace has no such task"
clean 1 'only in B' compare a.trace.json b.trace.json
sed 's/"makespan_s"/"\\u001b[2J": 1, "makespan_s"/' a.json >c.json
clean 1 '?[2J' compare a.json c.json
sed 's/"makespan_s"/"\\u001b[2J": {"a": 1, "a": 2}, "makespan_s"/' a.json >d.json
clean 2 '?[2J' compare a.json d.json
mkdir "m$esc"
cp "$source_dir"/workloads/models/stories15m.json "m$esc/config.json"
clean 0 'm?]0;owned?' run --model "m$esc" --progress
clean 0 'm?]0;owned?' inspect "m$esc"
clean 0 'm?]0;owned?' inspect "m$esc" --kv
clean 0 'm?]0;owned?' verify --model "m$esc" --layers 1 --steps 1 --tokens 2 --progress
clean 2 '?]0;owned?' run --model "none$esc"
clean 2 '?]0;owned?' run --scheduler "$esc"
clean 2 '?]0;owned?' run --set "$esc=1"
clean 2 '?]0;owned?' "$esc"
clean 2 '?]0;owned?' sweep --vary "$esc=1" --out s.csv
cp "$source_dir/platforms/npu4.xml" "p$esc.xml"
clean 0 'p?]0;owned?' inspect "p$esc.xml"
printf '{"format":"llamasim-dag\\u001b[2J","version":1}' >dag.json
clean 2 '?[2J' simulate dag.json

# ---- files cut short, and none --------------------------------------------------------------------------------------

"$bin" run --quiet --model stories15m --save-schedule schedule.json >/dev/null
"$bin" compile --model stories15m >whole.json
# kind, file, command; @ is the file
kinds=("dag.json|whole.json|simulate @" "report.json|a.json|compare @ a.json" "trace.json|a.trace.json|compare @ a.trace.json"
  "schedule|schedule.json|run --model stories15m --scheduler file:@" "chip.xml|$source_dir/platforms/npu4.xml|run --platform @"
  "chip.xml|$source_dir/platforms/npu4.xml|inspect @" "config.json|$source_dir/workloads/models/stories15m.json|run --model @"
  "m.gguf|$source_dir/tests/fixtures/tiny-hd32.q4_0.gguf|verify --model @" "m.bin|$source_dir/tests/fixtures/tiny-gqa-plain.v2q80.bin|inspect @")
for k in "${kinds[@]}"; do
  IFS='|' read -r name whole command <<<"$k"
  size=$(wc -c <"$whole")
  for n in 0 1 8 100 $((size / 3)) $((size / 2)) $((size - 2)); do
    head -c "$n" "$whole" >"$name"
    read -ra words <<<"${command//@/$name}"
    clean 2 'llamasim: ' "${words[@]}"
    [ "$(wc -l <all)" -eq 1 ] || fail "llamasim ${words[*]}: not one line: $(shown)"
  done
  rm "$name"
  mkdir -p box/folder
  for name in box/folder nothing /dev/null /proc/self/mem; do
    read -ra words <<<"${command//@/$name}"
    clean 2 'llamasim: ' "${words[@]}"
  done
done
left=$(find . -name '*.tmp')
[ -z "$left" ] || fail "left behind: $left"

echo "$checks checks, $failures failures"
[ $failures -eq 0 ]
