#!/usr/bin/env bash
# roofline.sh - what runs attain, against the platform's roofline: FLOP/s over FLOPs per byte of DRAM traffic, for
# 1 to 1024 tokens a step. The ridge point, where compute takes over from DRAM, is marked. Matrix FLOPs.
#
# Usage:   scripts/roofline.sh [-o FOLDER] [--platform P] [OPTION OF sweep]...      (default: out/sweep, npu4)
# Example: scripts/roofline.sh --platform npu4-hbm --split tile
# Makes FOLDER/roofline.csv, roofline.svg, roofline.png.
. "$(dirname "$0")/sweep-lib.sh"
common "$ROOT/out/sweep" "$@"

rm -f "$OUT"/roofline.csv.{part,sweep}
"$LLAMASIM" sweep --vary tokens=1:1024:x2 "${ARGS[@]}" --out "$OUT/roofline.csv"

# The roof and its ridge, as `inspect` prints them: "bf16  312.5 FLOP/B: 16 Tflop/s over 51.2 GB/s of DRAM bandwidth".
platform=npu4 sets=() dtype=bf16
for ((i = 0; i < ${#ARGS[@]}; i++)); do
  case ${ARGS[i]} in
    --platform) platform=${ARGS[i + 1]} ;;
    --platform=*) platform=${ARGS[i]#*=} ;;
    --set) sets+=(--set "${ARGS[i + 1]}") ;;
    --set=*) sets+=("${ARGS[i]}") ;;
    --dtype) dtype=${ARGS[i + 1]} ;;
    --dtype=*) dtype=${ARGS[i]#*=} ;;
  esac
done
read -r ridge peak < <("$LLAMASIM" inspect "${platform%.xml}.xml" "${sets[@]}" | awk -v d="$dtype" '
  /^ridge point/ { on = 1 } on && $3 == "FLOP/B:" && ($1 == d || !n) { n++; r = $2; p = $4 * ($5 ~ /^T/ ? 1e12 : $5 ~ /^P/ ? 1e15 : 1e9) }
  END { print r, p }')
[ -n "${peak:-}" ] || die "no ridge point in what inspect says of '$platform'"
columns "$OUT/roofline.csv" workload.tokens flops.matrix bytes.dram_read bytes.dram_write makespan_s |
  awk '{ print $1, $2 / ($3 + $4), $2 / $5 / 1e12 }' >"$OUT/roofline.dat"
picture roofline <<GNUPLOT
set title "Attained, against the roofline of $platform"
set xlabel "matrix FLOPs per byte of DRAM traffic"
set ylabel "TFLOP/s"
set logscale xy
set key bottom right
set label "ridge: $ridge FLOP/B" at $ridge,$peak/1e12 offset -4,1
roof(x) = x < $ridge ? x / $ridge * $peak / 1e12 : $peak / 1e12
plot [0.5:4096] roof(x) lw 2 title "roofline", \
     "roofline.dat" using 2:3 with points pt 7 title "simulated, by tokens a step", \
     "" using 2:3:1 with labels offset 0,-1 font ",10" notitle, \
     "<echo $ridge $peak" using 1:(\$2/1e12) with points pt 6 ps 2 lw 2 lc "red" notitle
GNUPLOT
