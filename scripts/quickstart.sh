#!/usr/bin/env bash
# quickstart.sh - from a fresh Debian 12 to a simulated LLaMA block: installs what is missing, builds,
# runs the main job, says what to open.
#
# Usage:   scripts/quickstart.sh [OUTDIR]        (default OUTDIR: out)
# Example: scripts/quickstart.sh /tmp/first-look
. "$(dirname "$0")/lib.sh"
case "${1:-}" in -h|--help) show_help; exit 0 ;; esac

OUT=${1:-$ROOT/out}
ensure_packages "${PACKAGES_BUILD[@]}" "${PACKAGES_TEST[@]}"
cd "$ROOT"
say "building (build/release)"
build release
mkdir -p "$OUT"
say "one LLaMA-3.2-1B decode block on the 4-engine NPU of platforms/npu4.xml"
"$ROOT/build/release/llamasim" run --model llama-3.2-1b --platform npu4 --report "$OUT/report.json" --trace "$OUT/trace.json"
cat <<EOM

Written:
  $OUT/trace.json   the timeline: open https://ui.perfetto.dev and drop the file on the page
  $OUT/report.json  every figure, for scripts
Next:
  build/release/llamasim help
  build/release/llamasim run --scheduler serial            # the same work, nothing overlaps
  build/release/llamasim run --set dram.bandwidth=102.4GBps
  scripts/compare-schedules.sh                             # three schedules as pictures
EOM
