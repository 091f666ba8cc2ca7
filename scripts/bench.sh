#!/usr/bin/env bash
# bench.sh - speed, as ratios taken side by side in one run: programs to compare take turns (A B A B ...) and medians
# are printed, so that a slow or busy machine slows both.
#
#   default run      the whole process: wall time and memory                       wanted: <= 30 ms, <= 50 MB
#   simulation       llamasim's tasks/s on a DAG of 100k tasks against a bare SimGrid program that performs the same
#                    executions and transfers without dependencies (bench/bare_simgrid.c)     wanted: >= 0.7
#   trace            events/s and memory of the trace writer                       wanted: >= 500k events/s, constant
#   whole model      a decode step of LLaMA-3.2-1B, and a hybrid run (prefill 128, 32 steps): time, tasks/s, memory
#   scale            decode of 18, 180, 1800 blocks, 10k to 1M tasks: cost a task against that at 10k     wanted: <= 1.3
#   engines          4 against 64: the same DAG, and one compiled for as many; flows at once stay few      wanted: <= 2
#   policies         what each decides in, a task, on a DAG of 100k tasks and more                             wanted: <= 2 us
#   kernels          one thread, batch 1: GB/s of weights and ms for the linear layers of a LLaMA-3.2-1B block, for each
#                    weight format, beside a STREAM-like copy                      wanted: f32 >= 0.6 of the copy
#   sweep            points/s of `llamasim sweep` on one core and on all, one LLaMA-3.2-1B block in decode, CSV written;
#                    what a point costs; memory for 1,000 and 10,000 points   wanted: >= 250 points/s a core, same memory
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
cmake --build build/release --target bare_simgrid --target bench_run --target bench_policies --target bench_kernels >&2
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
  "$BIN/bench_run" model=llama-3.1-70b layers=16 trace=1 >"$WORK/run"
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
"$BIN/bench_run" model=llama-3.1-70b layers=2 trace=1 >"$WORK/small"
awk -v e="$(median <"$WORK/trace")" -v n="$(value trace_events "$WORK/run")" -v m="$(value trace_memory_B "$WORK/run")" -v n2="$(value trace_events "$WORK/small")" -v m2="$(value trace_memory_B "$WORK/small")" 'BEGIN {
  printf "trace            %.2fM events/s; memory grows by %.1f MB for %.2fM events, %.1f MB for %.2fM\n", e / 1e6, m2 / 1e6, n2 / 1e6, m / 1e6, n / 1e6}'

# turns NAME "ARGUMENTS" [NAME "ARGUMENTS" ...]: bench_run with each, taking turns; what each printed goes to $WORK/NAME.N
turns() {
  local round i
  for round in $(seq "$ROUNDS"); do
    for ((i = 1; i < $#; i += 2)); do
      # shellcheck disable=SC2086  # arguments are several words
      "$BIN/bench_run" ${@:i+1:1} >"$WORK/${!i}.$round"
    done
  done
}
# of NAME KEY: the median over the rounds
of() { for f in "$WORK/$1".*; do value "$2" "$f"; done | median; }

# --- the whole model
turns decode "layers=all" hybrid "phase=hybrid tokens=128 steps=32 layers=all"
for name in decode hybrid; do
  awk -v name="$name" -v n="$(of $name tasks)" -v us="$(of $name all_us)" -v sim="$(of $name tasks_per_s)" -v m="$(of $name memory_B)" -v t="$(of $name makespan_s)" 'BEGIN {
    what = name == "decode" ? "a decode step" : "prefill of 128, 32 decode steps"
    printf "whole model      %s of llama-3.2-1b (%.4g s simulated): %d tasks in %.3f s, %.0fk tasks/s in simulation, %.0f MB\n", what, t, n, n * us / 1e6, sim / 1e3, m / 1e6}'
done

# --- cost a task: 10k, 100k, 1M tasks of the same kind
turns scale10k "layers=18" scale100k "layers=180" scale1M "layers=1800"
for name in scale10k scale100k scale1M; do
  awk -v n="$(of $name tasks)" -v s="$(of $name simulate_us)" -v a="$(of $name all_us)" -v m="$(of $name memory_B)" -v s0="$(of scale10k simulate_us)" -v a0="$(of scale10k all_us)" 'BEGIN {
    printf "scale            %7d tasks: simulation %.2f us a task, ratio %.2f; compile to report %.2f us, ratio %.2f; %.0f MB\n", n, s, s / s0, a, a / a0, m / 1e6}'
done

# --- 4 and 64 engines
turns four "layers=180" same64 "layers=180 engines=64 parts=4" own64 "layers=13 engines=64"
for name in four same64 own64; do
  awk -v name="$name" -v n="$(of $name tasks)" -v f="$(of $name flows)" -v s="$(of $name simulate_us)" -v a="$(of $name all_us)" -v s0="$(of four simulate_us)" -v a0="$(of four all_us)" 'BEGIN {
    what = name == "four" ? " 4 engines" : name == "same64" ? "64 engines, the same DAG" : "64 engines, a DAG for 64"
    printf "engines          %s: %d tasks, at most %d flows at once, simulation %.2f us a task, ratio %.2f; compile to report %.2f us, ratio %.2f\n", what, n, f, s, s / s0, a, a / a0}'
done
# --- what policies decide in
for _ in $(seq "$ROUNDS"); do "$BIN/bench_policies"; done >"$WORK/policies"
awk -v n="$(awk '$1 == "tasks" {print $2; exit}' "$WORK/policies")" 'BEGIN {printf "policies         us a task, on a DAG of %d tasks:", n}'
for name in $(awk '$1 == "policy" && !seen[$2]++ {print $2}' "$WORK/policies"); do
  printf ' %s %.2f' "$name" "$(awk -v p="$name" '$1 == "policy" && $2 == p {print $3}' "$WORK/policies" | median)"
done
echo

# --- the reference kernels against a copy, taking turns
"$BIN/bench_kernels" $((ROUNDS < 101 ? ROUNDS : 101)) | sed '1s/^/kernels          /; 2,$s/^/                 /'

# --- sweeps: 1,000 bandwidths, one DAG; 1,000 lengths of the past, a DAG each
# sweep NAME ARGUMENT...: points a second to $WORK/NAME.rate, a processor second to NAME.cpu, the last cost split to NAME.split
sweep() {
  local name=$1
  shift
  for _ in $(seq "$ROUNDS"); do
    /usr/bin/time -o "$WORK/time" -f '%U %S' "$BIN/llamasim" sweep --progress "$@" --out "$WORK/$name.csv" 2>"$WORK/$name.said"
    awk -v n="$(wc -l <"$WORK/$name.csv")" '{ print (n - 1) / ($1 + $2) }' "$WORK/time" >>"$WORK/$name.cpu"
    awk '/to go$/ { rate = $4 } END { print rate + 0 }' "$WORK/$name.said" >>"$WORK/$name.rate"
  done
  sed -n 's/.*DAGs compiled; //p' "$WORK/$name.said" >"$WORK/$name.split"
}
sweep one --vary dram.bandwidth=10GBps:109.9GBps:+0.1GBps --jobs 1
sweep all --vary dram.bandwidth=10GBps:109.9GBps:+0.1GBps
sweep work --vary past=0:999:+1
awk -v one="$(median <"$WORK/one.rate")" -v all="$(median <"$WORK/all.rate")" -v work="$(median <"$WORK/work.rate")" -v cpu="$(median <"$WORK/all.cpu")" -v n="$(nproc)" 'BEGIN {
  printf "sweep            %.0f points/s with --jobs 1; %.0f on %d cores; %.0f where each compiles a DAG of its own\n", one, all, n, work
  printf "                 %.0f points a second of processor time, processes and all (what a core does that has nothing else to do)\n", cpu}'
printf '                 with --jobs 1, %s\n' "$(cat "$WORK/one.split")"
for n in 1000 10000; do
  /usr/bin/time -o "$WORK/time" -f '%M' "$BIN/llamasim" sweep --quiet --vary "dram.bandwidth=10GBps:$(awk -v n=$n 'BEGIN { print 10 + (n - 1) / 100 }')GBps:+0.01GBps" --out "$WORK/memory.csv"
  awk -v n="$(($(wc -l <"$WORK/memory.csv") - 1))" '{ printf "                 %d points: %.1f MB\n", n, $1 * 1024 / 1e6 }' "$WORK/time"
done
