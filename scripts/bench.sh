#!/usr/bin/env bash
# bench.sh - speed, as ratios taken side by side in one run: programs to compare take turns (A B A B ...) and medians
# are printed, so that a slow or busy machine slows both.
#
#   default run      the whole process: wall time and memory                       wanted: <= 30 ms, <= 50 MB
#   simulation       llamasim's tasks/s on a DAG of 100k tasks against a bare SimGrid program that performs the same
#                    executions and transfers without dependencies (bench/bare_simgrid.c)     wanted: >= 0.7
#   trace            events/s and memory of the trace writer                       wanted: >= 500k events/s, constant
#   kernels          one thread, batch 1: GB/s of weights and ms for the linear layers of a LLaMA-3.2-1B block, for each
#                    weight format, beside a STREAM-like copy                      wanted: f32 >= 0.6 of the copy
#
# Usage:   scripts/bench.sh [ROUNDS]          (default 7)
# Example: scripts/bench.sh 15
. "$(dirname "$0")/lib.sh"
case "${1:-}" in -h|--help) show_help; exit 0 ;; esac
ROUNDS=${1:-7}
[[ "$ROUNDS" =~ ^[1-9][0-9]*$ ]] || die "ROUNDS is '$ROUNDS'; it must be a whole number from 1 on"

ensure_packages "${PACKAGES_BUILD[@]}" "${PACKAGES_TEST[@]}" time
cd "$ROOT"
build release
cmake --build build/release --target bare_simgrid --target bench_run --target bench_kernels >&2
BIN=$ROOT/build/release
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

median() { sort -g | awk '{v[NR] = $1} END {print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }
value() { awk -v k="$1" '$1 == k {print $2}' "$2"; }

printf 'machine: %s cores, %s; %s rounds, medians\n\n' "$(nproc)" "$(awk -F': ' '/model name/ {print $2; exit}' /proc/cpuinfo)" "$ROUNDS"

# --- the default run, as a whole process
"$BIN/llamasim" run >/dev/null
for _ in $(seq $((ROUNDS * 3))); do
  /usr/bin/time -o "$WORK/time" -f '%M' "$BIN/llamasim" run >/dev/null
  cat "$WORK/time" >>"$WORK/rss"
  start=$(date +%s%N)
  "$BIN/llamasim" run >/dev/null
  echo $(($(date +%s%N) - start)) >>"$WORK/wall"
done
awk -v w="$(median <"$WORK/wall")" -v m="$(median <"$WORK/rss")" \
  'BEGIN {printf "default run      %.1f ms, %.1f MB\n", w / 1e6, m * 1024 / 1e6}'

# --- simulation against bare SimGrid, taking turns
for _ in $(seq "$ROUNDS"); do
  "$BIN/bench_run" llama-3.1-70b 16 >"$WORK/run"
  value tasks_per_s "$WORK/run" >>"$WORK/ours"
  value trace_events_per_s "$WORK/run" >>"$WORK/trace"
  "$BIN/bare_simgrid" llama-3.1-70b 16 same | awk '{print $3}' >>"$WORK/same"
  "$BIN/bare_simgrid" llama-3.1-70b 16 exec | awk '{print $3}' >>"$WORK/exec"
done
awk -v n="$(value tasks "$WORK/run")" -v a="$(median <"$WORK/ours")" -v s="$(median <"$WORK/same")" -v x="$(median <"$WORK/exec")" 'BEGIN {
  printf "simulation       %.0fk tasks/s (planning included) on a DAG of %d tasks, llama-3.1-70b, 16 blocks\n", a / 1e3, n
  printf "  bare SimGrid   %.0fk tasks/s, same executions, streams and transfers: ratio %.2f\n", s / 1e3, a / s
  printf "  bare SimGrid   %.0fk tasks/s, executions alone, no operand streams, no DMA setup: ratio %.2f\n", x / 1e3, a / x}'
awk -v c="$(value compile_s "$WORK/run")" -v b="$(value bounds_s "$WORK/run")" -v r="$(value report_s "$WORK/run")" -v n="$(value tasks "$WORK/run")" 'BEGIN {
  printf "  beside it      compile %.2f us, bounds %.2f us, report %.2f us a task\n", c / n * 1e6, b / n * 1e6, r / n * 1e6}'

# --- the trace writer
"$BIN/bench_run" llama-3.1-70b 2 >"$WORK/small"
awk -v e="$(median <"$WORK/trace")" -v n="$(value trace_events "$WORK/run")" -v m="$(value trace_memory_B "$WORK/run")" -v n2="$(value trace_events "$WORK/small")" -v m2="$(value trace_memory_B "$WORK/small")" 'BEGIN {
  printf "trace            %.2fM events/s; memory grows by %.1f MB for %.2fM events, %.1f MB for %.2fM\n", e / 1e6, m2 / 1e6, n2 / 1e6, m / 1e6, n / 1e6}'

# --- the reference kernels against a copy, taking turns
"$BIN/bench_kernels" $((ROUNDS < 101 ? ROUNDS : 101)) | sed '1s/^/kernels          /; 2,$s/^/                 /'
