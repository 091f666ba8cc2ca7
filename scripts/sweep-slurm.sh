#!/usr/bin/env bash
# sweep-slurm.sh - a sweep as a Slurm job array: a job a shard (contiguous points), then one CSV, the same bytes as one
# `llamasim sweep` on one machine would write. FILE.csv.shards/ must be on a file system that all nodes share.
#
# Run it again after a failure: shards that are there are not run again, shards that were interrupted go on with their next
# point. Exit status: 0 done; 1 done, but some points failed (column `error`); 2 bad usage; 3 some shards are missing.
#
# Usage:   scripts/sweep-slurm.sh --shards N --out FILE.csv [--sbatch OPTION]... OPTION OF sweep...
#   --sbatch OPTION   for sbatch, such as --sbatch --partition=long; repeatable. Each job uses --cpus-per-task cores.
#   LLAMASIM          in the environment: the program to run (default: build/release/llamasim)
# Example: scripts/sweep-slurm.sh --shards 64 --out grid.csv --sbatch --cpus-per-task=8 \
#            --vary engines=1:16:+1 --vary past=0:4096:+16
# Without Slurm, GNU parallel does the same:
#   parallel llamasim sweep ... --shard {}/64 --out shard-{}.csv --resume ::: $(seq 64)
. "$(dirname "$0")/lib.sh"

shards='' out='' sbatch=() args=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) show_help; exit 0 ;;
    --shards | --out | --sbatch)
      [ $# -gt 1 ] || die "$1 needs a value"
      case $1 in --shards) shards=$2 ;; --out) out=$2 ;; *) sbatch+=("$2") ;; esac
      shift
      ;;
    --shard | --shard=* | --resume | --jobs | --jobs=*) die "$1 is what this script decides; leave it out" ;;
    *) args+=("$1") ;;
  esac
  shift
done
[[ $shards =~ ^[1-9][0-9]{0,5}$ ]] || die "--shards needs a number from 1 on"
[ -n "$out" ] || die "--out needs a file"
[ ${#args[@]} -gt 0 ] || die "needs what varies: --vary KEY=V1,V2,... or --points FILE.csv"
command -v sbatch >/dev/null || die "no sbatch here; this script submits to Slurm (slurm-wlm)"
find_llamasim
LLAMASIM=$(realpath "$LLAMASIM")

dir=$out.shards
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
plan=$(printf '%q ' "$shards" "${args[@]}")
if [ -e "$dir/plan" ] && [ "$(cat "$dir/plan")" != "$plan" ]; then
  die "$dir belongs to another sweep ($(cat "$dir/plan")); finish that one, or remove the folder"
fi
printf '%s\n' "$plan" >"$dir/plan"

missing=''
for ((i = 1; i <= shards; i++)); do [ -e "$dir/$i.csv" ] || missing=$missing,$i; done
if [ -n "$missing" ]; then
  {
    echo '#!/bin/bash'
    # shellcheck disable=SC2016  # for the job's own shell
    printf 'exec %q sweep --quiet %s --shard "$SLURM_ARRAY_TASK_ID/%s" --out %q/"$SLURM_ARRAY_TASK_ID.csv" --resume --jobs "${SLURM_CPUS_PER_TASK:-1}"\n' \
      "$LLAMASIM" "$(printf '%q ' "${args[@]}")" "$shards" "$dir"
  } >"$dir/job.sh"
  # its status tells of failed points, too: what counts is which shards are there
  sbatch --quiet --wait --array="${missing#,}" --job-name=llamasim-sweep --output="$dir/%a.log" --chdir="$PWD" \
    "${sbatch[@]}" "$dir/job.sh" >&2 || true
fi

for ((i = 1; i <= shards; i++)); do
  [ -e "$dir/$i.csv" ] && continue
  echo "sweep-slurm.sh: shard $i is missing: $(tail -n 1 "$dir/$i.log" 2>/dev/null); run this again to go on" >&2
  exit 3
done
{
  head -n 1 "$dir/1.csv"
  for ((i = 1; i <= shards; i++)); do tail -n +2 "$dir/$i.csv"; done
} >"$out.merged"
mv "$out.merged" "$out"
failed=$(tail -n +2 "$out" | grep -vc ',$' || true)
rm -rf "$dir"
[ "$failed" -eq 0 ] || { echo "sweep-slurm.sh: $failed points failed; the column 'error' of $out says why" >&2; exit 1; }
