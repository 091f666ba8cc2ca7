#!/usr/bin/env bash
# schedule-quality.sh - how far schedules are from the lower bound: over a grid of models, phases, engines, DRAM and SRAM,
# dtypes and splits, the median, 95th percentile and maximum of makespan / lower bound, a row a policy, and one for the best
# of all automatic policies (all but search) on each point.
#
# The grid is the full product of the values below; POINTS of them are taken, evenly strewn (a fixed stride, no chance).
# Points that do not fit a chip (the program says so) are counted and left out, for all policies alike.
# Of every run it checks that the bound is not above the makespan, and that attribution sums to the makespan, both to 1e-9 of it.
# A run that breaks that, or fails, is named, and the exit status is 1.
#
# Usage:   scripts/schedule-quality.sh [--quick] [--points N] [--budget N] [--jobs N] [--out FOLDER] [POLICY ...]
#          N = 360 points, the program's own budget of 1000 evaluations for search, all cores; the policies: all but exact, serial, random.
#          --quick: 60 points, a budget of 20
# Example: scripts/schedule-quality.sh --points 40 heft prio
# OUT/quality.csv has a row a point and policy: makespan, bound, what binds. Progress goes to standard error.
. "$(dirname "$0")/lib.sh"
POINTS=360 BUDGET=1000 OUT=$ROOT/out/quality WORKERS=$JOBS POLICIES=()
while [ $# -gt 0 ]; do
  case $1 in
  -h | --help) show_help; exit 0 ;;
  --quick) POINTS=60 BUDGET=20; shift ;;
  --points | --budget | --jobs | --out)
    [ $# -ge 2 ] || die "$1 needs a value"
    case $1 in --points) POINTS=$2 ;; --budget) BUDGET=$2 ;; --jobs) WORKERS=$2 ;; --out) OUT=$2 ;; esac
    shift 2 ;;
  -*) die "unknown option '$1'; --help says what there is" ;;
  *) POLICIES+=("$1"); shift ;;
  esac
done
for n in "$POINTS" "$BUDGET" "$WORKERS"; do [[ $n =~ ^[1-9][0-9]*$ ]] || die "'$n' is no whole number from 1 on"; done
find_llamasim
[ ${#POLICIES[@]} -gt 0 ] || mapfile -t POLICIES < <("$LLAMASIM" schedulers | awk '$1 !~ /^(exact|serial|random)$/ {print $1}')
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
rm -rf "$OUT/points" "$OUT/quality.csv"
mkdir -p "$OUT/points"

# The points: index, then the options. The stride is prime to the product, so that every value comes up about equally often.
grid() {
  awk -v points="$POINTS" 'BEGIN {
    n[1] = split("llama-3.2-1b llama-3.2-3b llama-3.1-8b", v1, " ")
    n[2] = split("decode:4 decode:64 decode:512 decode:2048 decode:8192 prefill:32 prefill:128 prefill:512 prefill:1024", v2, " ")
    n[3] = split("1 2 4 8 16", v3, " ")
    n[4] = split("12.8 25.6 51.2 102.4 204.8 409.6 819.2", v4, " ")
    n[5] = split("1 2 4 8 16 32", v5, " ")
    n[6] = split("bf16 int8", v6, " ")
    n[7] = split("none op head tile", v7, " ")
    total = 1
    for (i = 1; i <= 7; i++) total *= n[i]
    stride = 17389
    for (k = 0; k < points && k < total; k++) {
      x = (k * stride) % total
      for (i = 7; i >= 1; i--) { d[i] = x % n[i] + 1; x = int(x / n[i]) }
      split(v2[d[2]], w, ":")
      printf "%d --model %s --phase %s %s --set engines=%s --set dram.bandwidth=%sGBps --set sram.capacity=%sMiB --dtype %s --split %s\n",
        k, v1[d[1]], w[1], w[1] == "decode" ? "--past " w[2] : "--tokens " w[2], v3[d[3]], v4[d[4]], v5[d[5]], v6[d[6]], v7[d[7]]
    }
  }'
}

# One point, all policies: a line each.
cat >"$OUT/point.sh" <<'EOP'
read -r index options <<<"$1"
for p in $POLICIES; do
  extra=
  [ "$p" = search ] && extra="--search-budget $BUDGET"
  # shellcheck disable=SC2086
  "$LLAMASIM" run $options --scheduler "$p" $extra --quiet --csv - >"$OUT/points/$index.out" 2>"$OUT/points/$index.err"
  status=$?
  if [ $status -eq 1 ]; then echo "$index,$p,,,,,infeasible,$options"; continue; fi
  if [ $status -ne 0 ]; then echo "$index $p: $(head -1 "$OUT/points/$index.err")" >&2; echo "$index,$p,,,,,failed,$options"; continue; fi
  awk -F, -v i="$index" -v p="$p" -v o="$options" 'NR == 1 {for (k = 1; k <= NF; k++) {at[$k] = k; part[k] = $k ~ /^attribution\./}; next}
    {
      sum = 0; n = 0; total = $at["makespan_s"]; status = "ok"
      for (k = 1; k <= NF; k++) if (part[k]) {sum += $k; n++}
      if (n < 8 || !(sum - total <= 1e-9 * total && total - sum <= 1e-9 * total)) status = "unexplained"
      if (!($at["bounds.lower_s"] <= total * (1 + 1e-9))) status = "below-bound"
      if (status != "ok")
        printf "%s %s: %s: makespan %s, attribution %.17g, bound %s: %s\n", i, p, status, total, sum, $at["bounds.lower_s"], o >"/dev/stderr"
      printf "%d,%s,%s,%s,%.9f,%s,%s,%s\n", i, p, total, $at["bounds.lower_s"], total / $at["bounds.lower_s"], $at["bounds.binding"], status, o
    }
    END {if (NR < 2) {printf "%d,%s,,,,,failed,%s\n", i, p, o; printf "%s %s: no row\n", i, p >"/dev/stderr"}}' "$OUT/points/$index.out"
done >"$OUT/points/$index.csv"
rm -f "$OUT/points/$index.out" "$OUT/points/$index.err"
n=$(find "$OUT/points" -name '*.done' | wc -l)
: >"$OUT/points/$index.done"
n=$((n + 1))
if [ -t 2 ]; then printf '\r%d of %d points' "$n" "$POINTS" >&2; [ "$n" -lt "$POINTS" ] || echo >&2
elif [ $((n % 20)) -eq 0 ]; then echo "$n of $POINTS points, ${SECONDS_AT:+$(($(date +%s) - SECONDS_AT)) s}" >&2; fi
EOP
SECONDS_AT=$(date +%s)
export LLAMASIM OUT BUDGET POINTS SECONDS_AT
say "$POINTS points, policies ${POLICIES[*]}; $OUT/quality.csv"
grid | tr '\n' '\0' | POLICIES="${POLICIES[*]}" xargs -0 -P "$WORKERS" -I{} bash "$OUT/point.sh" {}
{
  echo "point,policy,makespan_s,lower_s,ratio,binding,status,options"
  cat "$OUT"/points/*.csv | sort -t, -k1,1n -k2,2
} >"$OUT/quality.csv"

# The table. A point counts where every policy ran it.
awk -F, -v policies="${POLICIES[*]}" '
  function show(name, list, n,   i, j, x) { # insertion sort: n is some hundreds
    for (i = 2; i <= n; i++) { x = list[i]; for (j = i - 1; j > 0 && list[j] > x; j--) list[j + 1] = list[j]; list[j + 1] = x }
    printf "%-22s %8.2f %% %8.2f %% %8.2f %%\n", name, 100 * (list[int((n + 1) / 2)] - 1), 100 * (list[int(0.95 * n + 0.999999)] - 1), 100 * (list[n] - 1)
  }
  function table(title, splits,   i, m, p, k, name, good, list, best) {
    for (i in seen) if (!(i in bad) && split_of[i] ~ splits) good[++m] = i
    if (m == 0) return
    printf "\n%-22s %10s %10s %10s\n", title " (" m ")", "median", "95th pct.", "maximum"
    k = split(policies, name, " ")
    for (p = 1; p <= k; p++) {
      for (i = 1; i <= m; i++) list[i] = r[good[i], name[p]]
      show(name[p], list, m)
    }
    for (i = 1; i <= m; i++) {
      best[i] = 1e300
      for (p = 1; p <= k; p++) if (name[p] != "search" && r[good[i], name[p]] + 0 < best[i]) best[i] = r[good[i], name[p]] + 0
    }
    show("best, without search", best, m)
  }
  NR == 1 {next}
  {seen[$1] = 1; split_of[$1] = $8; sub(/.*split /, "", split_of[$1])}
  $7 == "infeasible" {bad[$1] = 1; no[$1] = 1}
  $7 == "failed" || $7 == "unexplained" || $7 == "below-bound" {bad[$1] = 1; broke[$1] = 1}
  $7 == "ok" {r[$1, $2] = $5 + 0; runs++}
  END {
    for (i in seen) {points++; if (i in broke) failed++; else if (i in no) cannot++}
    printf "%d points; %d do not fit their chip%s; attribution sums to the makespan in %d runs; makespan above the lower bound by:\n",
      points, cannot, failed ? "; " failed " FAILED" : "", runs
    table("all", ".")
    table("split head, tile", "^(head|tile)$")
    table("split op", "^op$")
    table("split none", "^none$")
    exit failed > 0
  }' "$OUT/quality.csv"
