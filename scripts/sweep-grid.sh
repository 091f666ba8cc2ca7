#!/usr/bin/env bash
# sweep-grid.sh - engines x DRAM bandwidth: a heat map of latency, a panel a dtype. The line is the memory wall: left of it
# the DRAM bus is what binds, and more engines gain nothing. A ring marks the knee: of the points within 10 % of the best,
# the one with the least bandwidth, then the fewest engines.
#
# Usage:   scripts/sweep-grid.sh [-o FOLDER] [--dtypes D,D,...] [OPTION OF sweep]...      (default: out/sweep, bf16)
# Example: scripts/sweep-grid.sh --dtypes bf16,int8,int4 --past 1024
# Makes FOLDER/grid.csv, grid.svg, grid.png.
. "$(dirname "$0")/sweep-lib.sh"
DTYPES=bf16
arguments=()
while [ $# -gt 0 ]; do
  if [ "$1" = --dtypes ]; then
    DTYPES=${2:-}
    shift 2 || die "--dtypes needs some"
  else
    arguments+=("$1")
    shift
  fi
done
common "$ROOT/out/sweep" "${arguments[@]}"

rm -f "$OUT"/grid.csv.{part,sweep}
"$LLAMASIM" sweep --vary "dtype=$DTYPES" --vary engines=1:16:+1 --vary dram.bandwidth=12.8GBps:409.6GBps:x1.4142135623731 \
  "${ARGS[@]}" --out "$OUT/grid.csv"

# dtype, engines, GB/s, ms, 1 where the DRAM bus binds
columns "$OUT/grid.csv" workload.weight_dtype platform.engines platform.overrides.dram.bandwidth makespan_s bounds.binding |
  awk '{ sub("GBps", "", $3); print $1, $2, $3, $4 * 1e3, $5 == "dram_bus" }' >"$OUT/grid.dat"

plots='' n=0
for dtype in ${DTYPES//,/ }; do
  n=$((n + 1))
  # a matrix for the picture: the row is log2 of the bandwidth, half steps
  awk -v d="$dtype" '$1 == d { print log($3 / 12.8) / log(2) * 2, $2, $4 }' "$OUT/grid.dat" |
    sort -k2,2n -k1,1n | awk 'NR > 1 && $2 != last { print "" } { print; last = $2 }' >"$OUT/grid-$dtype.dat"
  # the wall: for each number of engines, half a step beyond the last bandwidth at which the bus binds
  awk -v d="$dtype" '$1 == d && $5 { w[$2] = log($3 / 12.8) / log(2) * 2 } END { for (e = 1; e <= 16; e++) if (e in w) { print w[e] + .5, e - .5; print w[e] + .5, e + .5 } }' \
    "$OUT/grid.dat" >"$OUT/grid-$dtype-wall.dat"
  read -r x y t gbps < <(awk -v d="$dtype" '$1 == d { n++; e[n] = $2; b[n] = $3; t[n] = $4; if (n == 1 || $4 < best) best = $4 }
    END { for (i = 1; i <= n; i++) if (t[i] <= 1.1 * best && (!k || b[i] < b[k] || (b[i] == b[k] && e[i] < e[k]))) k = i
          print log(b[k] / 12.8) / log(2) * 2, e[k], t[k], b[k] }' "$OUT/grid.dat")
  printf '%-5s knee: %s engines, %.1f GB/s, %.3f ms; at 51.2 GB/s: ' "$dtype" "$y" "$gbps" "$t"
  awk -v d="$dtype" '$1 == d && $3 > 51.1 && $3 < 51.3 { if ($2 == 1) a = $4; if ($2 == 4) b = $4; if ($2 == 16) c = $4 }
    END { printf "%.3f ms on 1 engine, %.3f on 4, %.3f on 16\n", a, b, c }' "$OUT/grid.dat"
  plots="$plots
set title \"$dtype\"
plot \"grid-$dtype.dat\" with image pixels notitle, \"grid-$dtype-wall.dat\" with lines lw 3 lc \"white\" title \"memory wall\", \"<echo $x $y\" with points pt 6 ps 2 lw 3 lc \"red\" title \"knee\""
done

# one scale for all panels
read -r low high < <(awk '{ if (NR == 1 || $4 < l) l = $4; if ($4 > h) h = $4 } END { print l, h }' "$OUT/grid.dat")
width=$((n == 1 ? 620 : 160 + 330 * n))
picture grid <<GNUPLOT
set terminal svg size $width,480 font "sans-serif,13" background "white"
set output "grid.svg"
set multiplot layout 1,$n
unset grid
set xlabel "DRAM bandwidth, GB/s"
set ylabel "engines"
set cblabel "latency, ms"
set logscale cb
set cbrange [$low:$high]
set cbtics (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
set xrange [-.5:10.5]
set yrange [.5:16.5]
set xtics ("12.8" 0, "25.6" 2, "51.2" 4, "102" 6, "205" 8, "410" 10)
set ytics (1, 2, 4, 8, 12, 16)
set palette defined (0 "#0d0887", 1 "#7e03a8", 2 "#cc4778", 3 "#f89540", 4 "#f0f921")
set key at graph 0.99,0.6 right samplen 1 font ",10" textcolor "white"
$plots
unset multiplot
GNUPLOT
