#!/usr/bin/env bash
# pareto.sh - latency against energy (or area) over engines x DRAM bandwidth x SRAM; the front is marked: points than which
# no other is better in both. Energy is the report's, from the platform's properties. Area is a rule of thumb of yours:
# an engine counts 1, a MiB of SRAM and a GB/s of DRAM bandwidth what --area says.
#
# Usage:   scripts/pareto.sh [-o FOLDER] [--area SRAM_MIB,DRAM_GBPS] [OPTION OF sweep]...      (default: out/sweep, energy)
# Example: scripts/pareto.sh --area 0.3,0.02 --dtype int8
# Makes FOLDER/pareto.csv, pareto.svg, pareto.png.
. "$(dirname "$0")/sweep-lib.sh"
AREA=''
arguments=()
while [ $# -gt 0 ]; do
  if [ "$1" = --area ]; then
    [[ ${2:-} =~ ^[0-9.]+,[0-9.]+$ ]] || die "--area needs two numbers, such as 0.3,0.02"
    AREA=$2
    shift 2
  else
    arguments+=("$1")
    shift
  fi
done
common "$ROOT/out/sweep" "${arguments[@]}"

rm -f "$OUT"/pareto.csv.{part,sweep}
"$LLAMASIM" sweep --vary engines=1,2,4,8,16 --vary dram.bandwidth=12.8GBps:409.6GBps:x2 --vary sram.capacity=2MiB:16MiB:x2 \
  "${ARGS[@]}" --out "$OUT/pareto.csv"

columns "$OUT/pareto.csv" makespan_s energy_J.total platform.engines platform.overrides.sram.capacity platform.overrides.dram.bandwidth |
  awk -v area="$AREA" '{ split(area, a, ","); sub("MiB", "", $4); sub("GBps", "", $5)
    print $1 * 1e3, area == "" ? $2 * 1e3 : $3 + a[1] * $4 + a[2] * $5, $3 "x" $5 "x" $4 }' | sort -g -k1,1 -k2,2 >"$OUT/pareto.dat"
awk 'NR == 1 || $2 < best { print; best = $2 }' "$OUT/pareto.dat" >"$OUT/pareto-front.dat"
echo "front: latency ms, $([ -n "$AREA" ] && echo area || echo 'energy mJ'), engines x GB/s x MiB"
cat "$OUT/pareto-front.dat"
picture pareto <<GNUPLOT
set title "Latency against $([ -n "$AREA" ] && echo area || echo energy), engines x GB/s x MiB of SRAM"
set xlabel "latency, ms"
set ylabel "$([ -n "$AREA" ] && echo 'area, engines' || echo 'energy, mJ')"
set logscale x
set autoscale xfix
set offsets graph 0.02, graph 0.02, 0, 0
set xtics (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
plot "pareto.dat" using 1:2 with points pt 7 ps 0.5 lc "#999999" title "all points", \
     "pareto-front.dat" using 1:2 with linespoints pt 7 lw 2 lc "red" title "front", \
     "" using 1:2:3 with labels offset 1,1 left font ",9" notitle
GNUPLOT
