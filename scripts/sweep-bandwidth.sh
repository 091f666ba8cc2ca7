#!/usr/bin/env bash
# sweep-bandwidth.sh - latency over DRAM bandwidth, by `llamasim sweep`.
# The knee is the least bandwidth that is within 10 % of the best.
#
# Usage:   scripts/sweep-bandwidth.sh [-o FOLDER] [OPTION OF sweep]...    (default: out/sweep)
# Example: scripts/sweep-bandwidth.sh --set engines=8 --dtype int8
# Makes FOLDER/bandwidth.csv, bandwidth.svg, bandwidth.png.
. "$(dirname "$0")/sweep-lib.sh"
common "$ROOT/out/sweep" "$@"

rm -f "$OUT"/bandwidth.csv.{part,sweep}
"$LLAMASIM" sweep --vary dram.bandwidth=6.4GBps:819.2GBps:x1.189207115 "${ARGS[@]}" --out "$OUT/bandwidth.csv"

columns "$OUT/bandwidth.csv" platform.overrides.dram.bandwidth makespan_s bounds.lower_s |
  sed 's/GBps//' >"$OUT/bandwidth.dat"
read -r x t < <(knee <"$OUT/bandwidth.dat")
x=$(printf '%.1f' "$x")
printf 'knee: %s GB/s, %s s\n' "$x" "$t"
picture bandwidth <<GNUPLOT
set title "Latency over DRAM bandwidth"
set xlabel "DRAM bandwidth, GB/s"
set ylabel "latency, ms"
set logscale xy
set autoscale xfix
set xtics (6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6, 819.2)
set label "knee: $x GB/s" at $x,$t*1e3 offset 1,1.5
plot "bandwidth.dat" using 1:(\$2*1e3) with linespoints lw 2 pt 7 ps 0.5 title "simulated", \
     "" using 1:(\$3*1e3) with lines lw 2 dt 2 title "lower bound", \
     "<echo $x $t" using 1:(\$2*1e3) with points pt 6 ps 2 lw 2 lc "red" notitle
GNUPLOT
