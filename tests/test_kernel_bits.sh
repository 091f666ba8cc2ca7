#!/usr/bin/env bash
# test_kernel_bits.sh CLONES PLAIN WIDE - the kernels give the same bits whatever they are compiled for: the library as it is,
# the same without clones, and compiled for processors with AVX2 and fused multiply-add (run only on one that has both).
set -eu
clones=$("$1")
[ "$(wc -l <<<"$clones")" -ge 15 ] || { echo "kernel_bits printed too little: $clones" >&2; exit 1; }
distinct=$(awk '{print $2}' <<<"$clones" | sort -u | wc -l)
# int4 and q4_0 hold the same values
[ "$distinct" -eq $(($(wc -l <<<"$clones") - 1)) ] || { echo "kernels that differ have equal sums: $clones" >&2; exit 1; }
others=("$2")
if grep -qw avx2 /proc/cpuinfo && grep -qw fma /proc/cpuinfo; then others+=("$3"); fi
for other in "${others[@]}"; do
  diff <(echo "$clones") <("$other") || { echo "$1 and $other differ" >&2; exit 1; }
done
echo "${#others[@]} other builds agree with $(wc -l <<<"$clones") sums"
