#!/usr/bin/env bash
# test.sh - installs what is missing, builds twice, runs all tests: parsers, compiler, reports under AddressSanitizer and
# UndefinedBehaviorSanitizer (preset dev), simulations and the command line without them (preset release).
#
# Usage:   scripts/test.sh [CTEST-OPTIONS]
# Example: scripts/test.sh -R platform
. "$(dirname "$0")/lib.sh"
case "${1:-}" in -h|--help) show_help; exit 0 ;; esac

ensure_packages "${PACKAGES_BUILD[@]}" "${PACKAGES_TEST[@]}" "${PACKAGES_PICTURES[@]}"
if [ "$(id -u)" -eq 0 ]; then (ensure_packages "${PACKAGES_SLURM[@]}") || say "no Slurm: its test is skipped"; fi
cd "$ROOT"
status=0
for preset in dev release; do
  say "building (build/$preset)"
  build "$preset"
  say "testing (build/$preset)"
  ctest --test-dir "$ROOT/build/$preset" --output-on-failure -j "$JOBS" "$@" || status=1
done
exit $status
