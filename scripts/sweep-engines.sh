#!/usr/bin/env bash
# sweep-engines.sh - latency over the number of engines, from nothing but a loop over `llamasim run --csv`.
# The knee is the fewest engines that are within 10 % of the best.
#
# Usage:   scripts/sweep-engines.sh [-o FOLDER] [OPTION OF run]...        (default: out/sweep)
# Example: scripts/sweep-engines.sh --platform npu4-hbm --dtype int8
# Makes FOLDER/engines.csv, engines.svg, engines.png.
. "$(dirname "$0")/sweep-lib.sh"
common "$ROOT/out/sweep" "$@"

rm -f "$OUT/engines.csv"
for engines in 1 2 4 6 8 12 16; do
  "$LLAMASIM" run --quiet --set engines=$engines "${ARGS[@]}" --csv "$OUT/engines.csv" >/dev/null
done

columns "$OUT/engines.csv" platform.engines makespan_s bounds.lower_s >"$OUT/engines.dat"
read -r x t < <(knee <"$OUT/engines.dat")
printf 'knee: %s engines, %s s\n' "$x" "$t"
picture engines <<GNUPLOT
set title "Latency over engines"
set xlabel "engines"
set ylabel "latency, ms"
set yrange [0:*]
set label "knee: $x engines" at $x,$t*1e3 offset 1,1.5
plot "engines.dat" using 1:(\$2*1e3) with linespoints lw 2 pt 7 title "simulated", \
     "" using 1:(\$3*1e3) with lines lw 2 dt 2 title "lower bound", \
     "<echo $x $t" using 1:(\$2*1e3) with points pt 6 ps 2 lw 2 lc "red" notitle
GNUPLOT
