#!/usr/bin/env bash
# scripts/sweep-slurm.sh on a real Slurm of one node, started here on loopback: the merged CSV is that of one sweep; shards
# that fail are resumed. Skipped (77), with the reason, where no Slurm can be started.
set -u

if [ "${1:-}" = --help ] || [ $# -ne 1 ]; then
  echo "usage: $0 LLAMASIM   (the program to test); exits 0 if all is well, 1 if not, 77 if skipped"
  [ "${1:-}" = --help ] && exit 0
  exit 2
fi
LLAMASIM=$(realpath "$1")
export LLAMASIM
export PATH=$PATH:/usr/sbin:/sbin
script=$(cd "$(dirname "$0")/.." && pwd)/scripts/sweep-slurm.sh

skip() { echo "skipped: $1"; exit 77; }
for program in munged slurmctld slurmd sbatch sinfo scontrol; do
  command -v $program >/dev/null || skip "no $program (Debian: slurm-wlm munge)"
done
[ "$(id -u)" -eq 0 ] || skip "slurmd needs root"

work=$(mktemp -d "${TMPDIR:-/tmp}/llamasim-slurm-XXXXXX")
daemons=()
trap 'for d in "${daemons[@]}"; do kill "$d" 2>/dev/null; done; wait 2>/dev/null; rm -rf "$work"' EXIT
cd "$work" || exit 2
chmod 755 .
mkdir -m 700 munge
mkdir state spool
node=$(hostname -s)
base=$((20000 + $$ % 20000))
dd if=/dev/urandom of=munge/key bs=1024 count=1 2>/dev/null
chmod 400 munge/key
cat >slurm.conf <<CONF
ClusterName=test
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=$base
SlurmdPort=$((base + 1))
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge/socket
CredType=cred/munge
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
MailProg=/bin/true
NodeName=$node NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=test Nodes=$node Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$work/slurm.conf

munged --foreground --force --socket="$work/munge/socket" --key-file="$work/munge/key" --pid-file="$work/munge/pid" \
  --log-file="$work/munge/log" --seed-file="$work/munge/seed" >munged.out 2>&1 &
daemons+=($!)
for _ in $(seq 50); do [ -S munge/socket ] && break; sleep 0.1; done
[ -S munge/socket ] || skip "munged does not start: $(tail -n 1 munged.out munge/log 2>/dev/null)"
slurmctld -D -i >slurmctld.out 2>&1 &
daemons+=($!)
slurmd -D >slurmd.out 2>&1 &
daemons+=($!)
for _ in $(seq 100); do
  sinfo --noheader --format %t 2>/dev/null | grep -q '^idle$' && break
  sleep 0.2
done
sinfo --noheader --format %t 2>/dev/null | grep -q '^idle$' ||
  skip "no idle Slurm node after 20 s: $(sinfo 2>&1 | tail -n 1); $(grep -h error slurmd.out slurmd.log 2>/dev/null | tail -n 1)"

failures=0
fail() { failures=$((failures + 1)); echo "FAIL: $1" >&2; }
keys=(--model stories15m --vary past=0:19:+1 --vary engines=1,4)

"$LLAMASIM" sweep --quiet "${keys[@]}" --out whole.csv || fail "one sweep: exit status $?"
"$script" --shards 3 --out merged.csv "${keys[@]}" || fail "3 shards: exit status $?: $(cat merged.csv.shards/*.log 2>/dev/null)"
cmp whole.csv merged.csv >&2 || fail "3 shards are not the whole"
[ ! -e merged.csv.shards ] || fail "shards left behind"

# A shard that cannot be written: the others are there; run again, only that one runs, and the whole is the same.
mkdir -p again.csv.shards/2.csv.part
status=0
"$script" --shards 3 --out again.csv "${keys[@]}" 2>err || status=$?
[ $status -eq 3 ] && grep -q 'shard 2 is missing' err || fail "a failed shard: exit status $status: $(cat err)"
[ -e again.csv.shards/1.csv ] && [ -e again.csv.shards/3.csv ] && [ ! -e again.csv ] || fail "a failed shard: $(ls again.csv*)"
status=0
"$script" --shards 3 --out again.csv "${keys[@]}" --set dma.channels=1 2>err || status=$?
[ $status -eq 2 ] && grep -q 'belongs to another sweep' err || fail "another sweep: exit status $status: $(cat err)"
rmdir again.csv.shards/2.csv.part
sed -i '2s/$/marked/' again.csv.shards/1.csv # a mark that running the shard again would remove
status=0
"$script" --shards 3 --out again.csv "${keys[@]}" 2>err || status=$?
[ $status -eq 1 ] && grep -q '1 points failed' err || fail "again: exit status $status: $(cat err)"
sed '2s/marked$//' again.csv | cmp whole.csv - >&2 || fail "resumed shards are not the whole"

# points that fail
status=0
"$script" --shards 2 --out failed.csv --model stories15m --vary sram.capacity=1KiB,8MiB 2>err || status=$?
[ $status -eq 1 ] && grep -q '1 points failed' err || fail "a failed point: exit status $status: $(cat err)"

for bad in '' '--shards 2' '--shards 0 --out x.csv --vary past=1' '--shards 2 --out x.csv' '--shards 2 --out x.csv --vary past=1 --resume'; do
  status=0
  # shellcheck disable=SC2086  # words on purpose
  "$script" $bad >/dev/null 2>err || status=$?
  [ $status -eq 2 ] && [ -s err ] || fail "'$bad': exit status $status"
done
"$script" --help | grep -q '^Usage:' || fail "--help"

[ $failures -eq 0 ] || { echo "$failures checks failed" >&2; exit 1; }
echo "all checks passed"
