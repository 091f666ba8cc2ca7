#!/usr/bin/env bash
# `llamasim sweep` from outside: rows are those of single runs, to the byte, in the order of points, at any --jobs, in
# shards, and after any kill; what cannot run is a row with its reason; what makes no sense is refused before the first point.
set -u

if [ "${1:-}" = --help ] || [ $# -ne 1 ]; then
  echo "usage: $0 LLAMASIM   (the program to test); exits 0 if all is well, 1 if not"
  [ "${1:-}" = --help ] && exit 0
  exit 2
fi

bin=$(realpath "$1")
work=$(mktemp -d "${TMPDIR:-/tmp}/llamasim-sweep-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
mkdir tmp
export TMPDIR="$work/tmp"
unset LLAMASIM_DATA
failures=0

fail() {
  failures=$((failures + 1))
  echo "FAIL: $1" >&2
}

sweep() { "$bin" sweep --quiet "$@"; }

# says STATUS TEXT ARGUMENT...: that exit status, that text in one message, and no file written
says() {
  local status=$1 text=$2 got before
  shift 2
  before=$(ls)
  sweep "$@" >.stdout 2>.stderr
  got=$?
  [ $got -eq "$status" ] || fail "sweep $*: exit status $got, not $status: $(cat .stderr)"
  grep -qF -- "$text" .stderr || fail "sweep $*: does not say '$text' but: $(cat .stderr)"
  [ "$(wc -l <.stderr)" -eq 1 ] || fail "sweep $*: not one message: $(cat .stderr)"
  [ ! -s .stdout ] || fail "sweep $*: wrote to standard output"
  rm .stdout .stderr
  [ "$(ls)" = "$before" ] || fail "sweep $*: left files: $(ls)"
}

same() { cmp -s "$1" "$2" || fail "$3: $1 and $2 differ"; }

# --- --search-budget is for the points that search
sweep --model stories15m --split op --vary scheduler=search,heft --search-budget 3 --out budget.csv || fail "budget: exit status $?"
"$bin" run --quiet --model stories15m --split op --scheduler search --search-budget 3 --csv budget1.csv >/dev/null || fail "run: exit status $?"
"$bin" run --quiet --model stories15m --split op --scheduler heft --csv budget1.csv >/dev/null || fail "run: exit status $?"
cut -d, -f"1-$(head -1 budget1.csv | tr , '\n' | wc -l)" budget.csv | cmp -s - budget1.csv || fail "search-budget: rows differ from single runs"

# --- rows are those of single runs: a hundred points over options and --set keys of every kind, in the order of --vary
keys=(--vary dtype=bf16,int8 --vary scheduler=serial,heft --vary engines=1:16:x4,6 --vary 'dram.bandwidth=12.8GBps:409.6GBps:x2')
sweep --model stories15m "${keys[@]}" --out jobs1.csv --jobs 1 || fail "jobs 1: exit status $?"
sweep --model stories15m "${keys[@]}" --out jobs7.csv --jobs 7 || fail "jobs 7: exit status $?"
same jobs1.csv jobs7.csv "--jobs"
sweep --model stories15m "${keys[@]}" >standard.csv || fail "standard output: exit status $?"
same jobs1.csv standard.csv "standard output"
for dtype in bf16 int8; do
  for scheduler in serial heft; do
    for engines in 1 4 16 6; do
      for bandwidth in 12.8 25.6 51.2 102.4 204.8 409.6; do
        "$bin" run --quiet --model stories15m --dtype $dtype --scheduler $scheduler --set engines=$engines \
          --set dram.bandwidth=${bandwidth}GBps --csv single.csv >/dev/null || fail "run: exit status $?"
      done
    done
  done
done
same jobs1.csv single.csv "96 points and 96 runs"
[ "$(wc -l <jobs1.csv)" -eq 97 ] || fail "not a header and 96 rows"
# and of the block that the README studies, with models and past rows that differ
sweep --vary model=llama-3.2-1b,stories15m --vary past=0,100 --out models.csv || fail "models: exit status $?"
for model in llama-3.2-1b stories15m; do
  for past in 0 100; do "$bin" run --quiet --model $model --past $past --csv models-single.csv >/dev/null; done
done
same models.csv models-single.csv "models"

# and where all platforms are alike but for rates, so that processes start from one that has its platform already
rates=(--vary dram.bandwidth=20GBps,60GBps --vary sram.bandwidth=90GBps,400GBps --vary port0.bandwidth=30GBps,100GBps --vary engine.speed=1Tf,8Tf)
sweep --model stories15m "${rates[@]}" --out rates.csv --jobs 2 || fail "rates: exit status $?"
for dram in 20 60; do for sram in 90 400; do for port in 30 100; do for speed in 1 8; do
  "$bin" run --quiet --model stories15m --set dram.bandwidth=${dram}GBps --set sram.bandwidth=${sram}GBps \
    --set port0.bandwidth=${port}GBps --set engine.speed=${speed}Tf --csv rates-single.csv >/dev/null || fail "run: exit status $?"
done; done; done; done
same rates.csv rates-single.csv "16 points of rates and 16 runs"

# and where one process runs points that fit, points that do not, and DAGs that take turns: each as alone
mixed=(--vary dram.bandwidth=20GBps:90GBps:+10GBps --vary sram.capacity=8MiB,1KiB,2MiB --vary past=4,90)
sweep --model stories15m "${mixed[@]}" --jobs 1 --out mixed.csv 2>stderr
[ $? -eq 1 ] || fail "mixed: exit status"
sweep --model stories15m "${mixed[@]}" --shard 1/48 --out mixed-alone.csv
for i in $(seq 2 48); do
  sweep --model stories15m "${mixed[@]}" --shard "$i/48" --out mixed-one.csv 2>stderr
  tail -n +2 mixed-one.csv >>mixed-alone.csv
done
same mixed.csv mixed-alone.csv "48 points at once and each alone"
[ "$(grep -c 'capacity' mixed.csv)" -ge 16 ] || fail "mixed: too few failed"
rm -f stderr mixed-one.csv

# --- a file of points: the same rows; quotes, blank lines, an empty cell, CRLF
{
  printf 'dtype,scheduler,engines,dram.bandwidth\n'
  for dtype in bf16 int8; do for scheduler in serial heft; do for engines in 1 4 16 6; do
    for bandwidth in 12.8 25.6 51.2 102.4 204.8 409.6; do echo "$dtype,\"$scheduler\",$engines,${bandwidth}GBps"; done
  done; done; done
} >points.csv
sweep --model stories15m --points points.csv --out from-points.csv || fail "--points: exit status $?"
same jobs1.csv from-points.csv "--points"
printf 'past,split\r\n\r\n5,\r\n\n"6",tile' >odd.csv
sweep --model stories15m --points odd.csv --out odd-out.csv || fail "odd points: exit status $?"
rm -f odd-single.csv
"$bin" run --quiet --model stories15m --past 5 --csv odd-single.csv >/dev/null
"$bin" run --quiet --model stories15m --past 6 --split tile --csv odd-single.csv >/dev/null
same odd-out.csv odd-single.csv "odd points"

# --- shards, one after the other, are the whole
for i in 1 2 3 4 5 6 7; do sweep --model stories15m "${keys[@]}" --shard $i/7 --out shard$i.csv || fail "shard $i: exit status $?"; done
{
  cat shard1.csv
  for i in 2 3 4 5 6 7; do tail -n +2 shard$i.csv; done
} >shards.csv
same jobs1.csv shards.csv "shards"

# --- a shard has the columns of the whole
printf 'platform,past\nnpu4,1\nnpu4,2\nnpu4-pads,1\nnpu4-pads,2\n' >mixed-platforms.csv
says 2 "point 3 (platform=npu4-pads, past=1): its row has other columns than the first point's" --model stories15m --points mixed-platforms.csv --out no.csv
says 2 "point 3 (platform=npu4-pads, past=1): its row has other columns than the first point's" --model stories15m --points mixed-platforms.csv --shard 2/2 --out no.csv

# --- a budget is for points that search, however it is given
says 2 "point 1 (past=1): --search-budget goes with --scheduler search; 'heft' makes no use of it" --model stories15m --vary past=1,2 --scheduler heft --search-budget 3 --out no.csv
says 2 "point 1 (scheduler=heft, search-budget=1): --search-budget goes with --scheduler search" --model stories15m --vary scheduler=heft,search --vary search-budget=1,3 --out no.csv

# --- what cannot run is a row with its reason, after the others' rows, and the exit status says so
sweep --model stories15m --vary sram.capacity=1KiB,8MiB --vary past=0,4 --out infeasible.csv 2>stderr
[ $? -eq 1 ] || fail "infeasible: exit status"
grep -q '2 of 4 points failed' stderr || fail "infeasible: $(cat stderr)"
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "seed") seed = i }
  NR == 2 || NR == 3 { if ($(seed + 1) != "" || $0 !~ /"[^"]*capacity[^"]*"$/) exit 1 }
  NR > 3 { if ($(seed + 1) == "" || $0 !~ /,$/) exit 1 } END { if (NR != 5) exit 1 }' infeasible.csv || fail "infeasible: $(cut -c 1-200 infeasible.csv)"
"$bin" run --quiet --model stories15m --set sram.capacity=8MiB --past 0 --csv feasible.csv >/dev/null
"$bin" run --quiet --model stories15m --set sram.capacity=8MiB --past 4 --csv feasible.csv >/dev/null
same <(tail -n 2 infeasible.csv) <(tail -n 2 feasible.csv) "feasible beside infeasible"
rm -f stderr

# --- refused before the first point
printf 'past,past\n1,2\n' >bad1
printf 'past,seed\n1\n' >bad2
printf 'past\n"1\n' >bad3
printf 'past\n' >bad4
: >bad5
says 2 'needs --vary' --out x.csv
says 2 'needs --vary' --vary past=1 --points points.csv --out x.csv
says 2 "did you mean 'past'" --vary pst=1,2 --out x.csv
says 2 'no such key' --vary engins=1,2 --out x.csv
says 2 "'report' cannot vary" --vary report=a --out x.csv
says 2 "'jobs' cannot vary" --vary jobs=1 --out x.csv
says 2 'leave one out' --vary past=1,2 --past 3 --out x.csv
says 2 'leave one out' --vary engines=1,2 --set engines=4 --out x.csv
says 2 'varies twice' --vary past=1 --vary past=2 --out x.csv
says 2 'stands there twice' --vary past=1,2,1 --out x.csv
says 2 'a value is missing' --vary past=1,,2 --out x.csv
says 2 'a value is missing' --vary past= --out x.csv
says 2 'is not KEY=' --vary past --out x.csv
for range in 1:16 1:16:2 1:16:y2 1:16:x1 1:16:x0.5 16:1:x2 1:16:+0 1:16:+-1 16:1:+1 1:16:+1:+1 0:16:x2 1:x:+1 1GBps:16:x2 1:16:x2GBps 1:16:+nan; do
  says 2 'a range is START:STOP' --vary "dram.bandwidth=$range" --out x.csv
done
says 2 'more than 1000000 values' --vary past=0:16777216:+1 --out x.csv
says 2 'point 2 (past=1.5)' --vary past=1:9:x1.5 --out x.csv
says 2 'point 3 (layer=99)' --vary layer=0,1,99 --out x.csv
says 2 'point 2 (engines=0)' --vary engines=1,0 --out x.csv
says 2 "unknown scheduler 'foo'" --vary scheduler=heft,foo --out x.csv
says 2 'point 2 (dtype=int7)' --vary dtype=int8,int7 --out x.csv
says 2 "point 2 (model=nobody)" --vary model=stories15m,nobody --out x.csv
says 2 'empty cache' --phase prefill --vary past=0,4 --out x.csv
says 2 'other columns' --vary platform=npu4,npu4-pads --out x.csv
says 2 '--jobs' --vary past=1 --jobs 0 --out x.csv
for shard in 0/4 5/4 1 1/0 a/b 1/4/2; do says 2 'is not I/N' --vary past=1,2,3,4 --shard $shard --out x.csv; done
says 2 'has none of the 2 points' --vary past=1,2 --shard 1/3 --out x.csv
says 2 'no-folder/x.csv' --vary past=1 --out no-folder/x.csv
says 2 'is a folder' --vary past=1 --out tmp
ln -s nowhere.csv dangling.csv
says 2 'is a link to a file that is not there' --vary past=1 --out dangling.csv
[ -L dangling.csv ] || fail "the link is gone"
says 2 'which no point has' --vary scheduler=heft,prio --search-budget 3 --out x.csv
says 2 'overwrite the input' --points points.csv --out points.csv
says 2 'is no file' --vary past=1 --resume --out -
says 2 'cannot read' --points none.csv --out x.csv
says 2 'must be a regular file' --points /dev/null --out x.csv
says 2 'stands there twice' --points bad1 --out x.csv
says 2 'bad2:2: has 1 cells' --points bad2 --out x.csv
says 2 'quotes are wrong' --points bad3 --out x.csv
says 2 'no point' --points bad4 --out x.csv
says 2 'is empty' --points bad5 --out x.csv

# --- a full disk: what was there stays, and --resume goes on
cp jobs1.csv before.csv
(ulimit -f 40; sweep --model stories15m "${keys[@]}" --out jobs1.csv 2>stderr)
[ $? -eq 2 ] && grep -q -- '--resume goes on' stderr || fail "file size limit: $(cat stderr)"
same jobs1.csv before.csv "an older file while a sweep is unfinished"
says 2 'is left over by a sweep that was interrupted' --model stories15m "${keys[@]}" --out jobs1.csv
says 2 'is left over by another sweep' --model stories15m "${keys[@]}" --out jobs1.csv --resume --past 5
says 2 'is left over by another sweep' --model stories15m "${keys[@]}" --out jobs1.csv --resume --shard 1/2
sweep --model stories15m "${keys[@]}" --out jobs1.csv --resume || fail "resuming: exit status $?"
same jobs1.csv before.csv "resumed after a full disk"

# --- a power cut: a row cut short, and zeros behind it
head -c 30000 jobs1.csv >cut.csv.part
head -c 4096 /dev/zero >>cut.csv.part
(ulimit -f 40; sweep --model stories15m "${keys[@]}" --out plan.csv 2>stderr)
mv plan.csv.sweep cut.csv.sweep
rm plan.csv.part
sweep --model stories15m "${keys[@]}" --out cut.csv --resume || fail "resuming after a power cut: exit status $?"
same cut.csv before.csv "resumed after a power cut"

# --- infeasible rows count after resuming, too
some=(--model stories15m --vary sram.capacity=1KiB,8MiB --vary past=0:19:+1)
sweep "${some[@]}" --out infeasible1.csv 2>/dev/null
(ulimit -f 20; sweep "${some[@]}" --out infeasible2.csv 2>/dev/null)
[ -e infeasible2.csv.part ] || fail "infeasible: not interrupted"
sweep "${some[@]}" --out infeasible2.csv --resume 2>stderr
[ $? -eq 1 ] && grep -q '20 of 40 points failed' stderr || fail "infeasible, resumed: $(cat stderr)"
same infeasible1.csv infeasible2.csv "infeasible, resumed"

# --- killed at 20 random moments and resumed
RANDOM=${SEED:-$$}
seed=${SEED:-$$}
long=(--model stories15m --vary past=0:149:+1 --vary prefetch=0:3:+1 --out killed.csv)
begun=$(date +%s%N)
sweep "${long[@]}" || fail "uninterrupted: exit status $?"
took_ms=$((($(date +%s%N) - begun) / 1000000)) # kills fall within it, on a busy machine, too
mv killed.csv uninterrupted.csv
kills=0 rounds=0 went_on=0
while [ $kills -lt 20 ] && [ $rounds -lt 200 ]; do
  rounds=$((rounds + 1))
  "$bin" sweep --quiet "${long[@]}" --resume 2>stderr &
  child=$!
  ms=$((RANDOM % (took_ms < 900 ? took_ms + 1 : 900)))
  sleep "0.$(printf '%03d' $ms)"
  signal=$((RANDOM % 4 == 0 ? 15 : 9))
  if kill -$signal $child 2>/dev/null; then
    wait $child 2>/dev/null
    if [ ! -e killed.csv ]; then
      kills=$((kills + 1))
      [ ! -e killed.csv.part ] || [ "$(wc -l <killed.csv.part)" -lt 2 ] || went_on=$((went_on + 1))
      continue
    fi
  fi
  wait $child
  same killed.csv uninterrupted.csv "killed (SEED=$seed)" # done: the next round starts anew
  rm -f killed.csv
done
[ $kills -eq 20 ] || fail "killed $kills times only (SEED=$seed)"
[ $went_on -gt 0 ] || fail "no kill left a row to go on from (SEED=$seed)"
sweep "${long[@]}" --resume || fail "after 20 kills: exit status $? (SEED=$seed)"
same killed.csv uninterrupted.csv "killed 20 times (SEED=$seed)"

# --- two sweeps on one file: the second is refused, and the first is not disturbed
"$bin" sweep --quiet "${long[@]}" &
child=$!
while [ ! -e killed.csv.part ] && kill -0 $child 2>/dev/null; do sleep 0.01; done
kill -STOP $child
sweep "${long[@]}" 2>stderr
[ $? -eq 2 ] && grep -q 'another sweep is writing it' stderr || fail "second sweep: $(cat stderr)"
sweep "${long[@]}" --resume 2>stderr
[ $? -eq 2 ] && grep -q 'another sweep is writing it' stderr || fail "second sweep, resuming: $(cat stderr)"
kill -CONT $child
wait $child || fail "the first of two sweeps: exit status $?"
same killed.csv uninterrupted.csv "the first of two sweeps"

# --- a process of a point that is killed is run again
"$bin" sweep --quiet "${long[@]}" --jobs 2 &
child=$! shot=0
while [ $shot -eq 0 ] && kill -0 $child 2>/dev/null; do # one only: the second try counts
  read -r victim _ 2>/dev/null </proc/$child/task/$child/children
  [ -n "${victim:-}" ] && kill -9 "$victim" 2>/dev/null && shot=1
done
wait $child || fail "a process of a point killed: exit status $?"
same killed.csv uninterrupted.csv "a process of a point killed"

# --- nothing is left behind
[ -z "$(ls tmp)" ] || fail "left in TMPDIR: $(ls tmp)"
[ -z "$(ls -- *.part *.sweep .*.tmp 2>/dev/null)" ] || fail "left: $(ls -- *.part *.sweep .*.tmp 2>/dev/null)"

# --- progress
"$bin" sweep --model stories15m --vary past=1,2,3 --out p.csv --progress 2>stderr || fail "--progress: exit status $?"
grep -q '3/3 points' stderr || fail "--progress: $(cat stderr)"

# --- a DAG is compiled once for each distinct workload, whether equal ones come in a row or round again
for order in '--vary past=0:3:+1 --vary dram.bandwidth=10GBps:14GBps:+1GBps' '--vary dram.bandwidth=10GBps:14GBps:+1GBps --vary past=0:3:+1'; do
  # shellcheck disable=SC2086  # words on purpose
  "$bin" sweep --model stories15m $order --out p.csv --progress 2>stderr || fail "$order: exit status $?"
  grep -q ': 4 DAGs compiled' stderr || fail "$order: $(cat stderr)"
done

[ $failures -eq 0 ] || { echo "$failures checks failed" >&2; exit 1; }
echo "all checks passed"
