#!/usr/bin/env bash
# Traces of real runs keep the rules of trace_rules.h, whatever the model, platform, split and scheduler; hold a slice for
# every task of the report; are the same by every run; and a gzipped one unpacks to the bytes of the plain one.
set -u

if [ "${1:-}" = --help ] || [ $# -lt 2 ] || [ $# -gt 3 ]; then
  echo "usage: $0 LLAMASIM TRACE_CHECK [brief]   (the two programs; brief: not every prefetch); exits 0 if all is well, 1 if not"
  [ "${1:-}" = --help ] && exit 0
  exit 2
fi

bin=$(realpath "$1")
trace_check=$(realpath "$2")
prefetches=(0 2)
[ "${3:-}" != brief ] || prefetches=(2)
work=$(mktemp -d "${TMPDIR:-/tmp}/llamasim-trace-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
unset LLAMASIM_DATA
# In a build with sanitizers: SimGrid keeps what it allocates to the end.
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=0}"
traces=0
failures=0

fail() {
  failures=$((failures + 1))
  echo "FAIL: $*" >&2
}

# run FILE OPTION...: a trace, and the report beside it
run() {
  local file=$1
  shift
  what="llamasim run $*"
  traces=$((traces + 1))
  rm -f "$file" report.json
  "$bin" run --quiet --trace "$file" --report report.json "$@" >stdout 2>stderr </dev/null ||
    { fail "$what: exit status $?: $(head -c 1000 stderr)"; return 1; }
}

rules() { "$trace_check" "$1" >said 2>&1 || fail "$what: $(cat said)"; }

# every task has one slice that names it
complete() {
  local tasks slices
  tasks=$(sed -n 's/.*"tasks": {"compute": \([0-9]*\), "load": \([0-9]*\), "store": \([0-9]*\), "move": \([0-9]*\)}.*/\1 + \2 + \3 + \4/p' report.json)
  slices=$(grep -c '"ph":"X".*"task_id":' trace.json)
  [ -n "$tasks" ] || { fail "$what: no tasks in its report: $(head -c 1000 report.json)"; return; }
  [ $((tasks)) -eq "$slices" ] || fail "$what: $((tasks)) tasks, but $slices slices that name one"
}

checked() { run trace.json "$@" && rules trace.json && complete; }

packed() {
  local options=("$@")
  run trace.json.gz "${options[@]}" || return
  rules trace.json.gz
  run trace.json "${options[@]}" || return
  gzip -dc trace.json.gz >unpacked || fail "$what: gzip cannot unpack it"
  cmp -s unpacked trace.json || fail "$what: .json.gz holds other bytes than .json"
}

# ---- the checker refuses what it should -----------------------------------------------------------------------------

what="trace_check"
run trace.json --model stories15m
gzip -c trace.json >good.json.gz
"$trace_check" trace.json good.json.gz >said 2>&1 || fail "$what refuses a good one: $(cat said)"
head -c 1000 good.json.gz >cut.json.gz
cp trace.json plain.json.gz
sed '0,/"ph":"f"/{/"ph":"f"/d}' trace.json >flow.json
sed '0,/"thread_name"/{/"thread_name"/d}' trace.json >name.json
sed '0,/"ph":"e"/{/"ph":"e"/d}' trace.json >async.json
# damage STATUS TEXT FILE
damage() {
  "$trace_check" "$3" >said 2>&1
  local got=$?
  if [ $got -ne "$1" ] || ! grep -q "$2" said; then
    fail "trace_check $3: status $got, says '$(cat said)', not $1 and '$2'"
  fi
}
damage 2 'cut off' cut.json.gz
damage 2 'not gzipped' plain.json.gz
damage 2 'cannot read it' nowhere.json
damage 1 'flow:' flow.json
damage 1 'names:' name.json
damage 1 'async:' async.json

# ---- the matrix -----------------------------------------------------------------------------------------------------

mapfile -t schedulers < <("$bin" schedulers | cut -d' ' -f1 | grep -v :) # file:F wants a file
[ ${#schedulers[@]} -ge 4 ] || fail "llamasim schedulers lists ${#schedulers[@]}"
# a platform, in a folder of its own; says how many traces it made, and how many were wrong
of_platform() {
  mkdir "$1" && cd "$1" || exit 2
  traces=0 failures=0
  for split in none op head; do
    for scheduler in "${schedulers[@]}"; do
      for prefetch in "${prefetches[@]}"; do
        checked --model stories15m --platform "$1" --split $split --scheduler "$scheduler" --prefetch $prefetch --layers 2
      done
    done
    checked --model llama-3.2-1b --platform "$1" --split $split
  done
  echo "$traces $failures" >counted
}
platforms=(npu1 npu4 npu16 npu4-sram1m npu4-resident npu4-hbm npu4-pads npu4-pads-direct)
for i in "${!platforms[@]}"; do # two at a time
  [ "$i" -lt 2 ] || wait -n
  (of_platform "${platforms[i]}") &
done
wait
for platform in "${platforms[@]}"; do
  read -r made wrong <"$platform/counted" || fail "$platform: counted nothing"
  traces=$((traces + made)) failures=$((failures + wrong))
done
for scheduler in "${schedulers[@]}"; do
  for prefetch in 0 2; do
    checked --model llama-3.2-1b --scheduler "$scheduler" --prefetch $prefetch --layers 2
    packed --model stories15m --scheduler "$scheduler" --prefetch $prefetch --layers 2
  done
done
for dtype in f32 int8 w4a8; do
  checked --model stories15m --dtype $dtype --past 100
  checked --model stories15m --dtype $dtype --phase prefill --tokens 16 --batch 2
done
for split in none op head tile; do
  checked --model stories15m --split $split --phase hybrid --tokens 20 --steps 2 --layers all
  checked --model stories15m --split $split --phase prefill --tokens 100 --attention flash --set sram.capacity=200KiB
done
packed --model llama-3.2-1b --phase prefill --tokens 512
packed --model llama-3.2-1b --past 512 --batch 2
packed --model llama-3.2-1b --platform npu16 --layers 2

# ---- five schedules in one file, from traces and from reports ----
schedules=("--scheduler serial" "--scheduler eager --split op" "--scheduler prio" "--scheduler heft" "--platform npu16 --split tile")
inputs=()
for i in "${!schedules[@]}"; do
  # shellcheck disable=SC2086
  run $i.trace.json ${schedules[i]}
  cp report.json $i.json
  if [ $((i % 2)) -eq 0 ]; then inputs+=($i.trace.json); else inputs+=($i.json); fi
done
what="llamasim compare ${inputs[*]}"
"$bin" compare "${inputs[@]}" --trace five.json.gz >stdout 2>stderr
[ $? -eq 1 ] || fail "$what: $(cat stderr)"
rules five.json.gz
slices=$(gzip -dc five.json.gz | grep -c '"ph":"X".*"task_id":')
tasks=$(cat {0..4}.trace.json | grep -c '"ph":"X".*"task_id":')
[ "$slices" -eq "$tasks" ] || fail "$what: $slices slices of tasks, not $tasks"
for label in A B C D E; do
  gzip -dc five.json.gz | grep -q "\"process_name\",\"args\":{\"name\":\"$label: " || fail "$what: no process $label"
done

echo "$traces traces, $failures failures"
[ $failures -eq 0 ]
