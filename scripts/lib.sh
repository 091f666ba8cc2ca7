# Shared by the scripts in this folder: where things are, what must be installed, how to build. Source it.
# shellcheck shell=bash
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
JOBS=$(nproc 2>/dev/null || echo 2)

# Debian 12 packages. Build: compiler, cmake, ninja, libraries. gnuplot and librsvg draw the pictures.
PACKAGES_BUILD=(gcc libc6-dev cmake ninja-build pkg-config libsimgrid-dev libcjson-dev libxml2-dev zlib1g-dev)
PACKAGES_TEST=(check)
PACKAGES_FUZZ=(clang libclang-rt-14-dev llvm) # llvm: names in stack traces
PACKAGES_PICTURES=(gnuplot-nox librsvg2-bin)
PACKAGES_SLURM=(slurm-wlm munge) # for one test, which root alone can run

say() { printf '\n== %s\n' "$*" >&2; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 2; }

# The script's own header comment is its help.
show_help() { sed -n '2,/^[^#]/{/^#/{s/^# \{0,1\}//;p}}' "$0"; }

# Installs those of the named packages that are missing; as root, or through sudo where that works.
ensure_packages() {
  local missing=() p
  for p in "$@"; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  say "installing ${missing[*]}"
  local sudo=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "needs the packages ${missing[*]}; install them as root, then run this again"
    sudo=(sudo)
  fi
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

# build PRESET: configures and builds into build/PRESET.
build() {
  cmake --preset "$1" -S "$ROOT" >/dev/null
  cmake --build "$ROOT/build/$1" -j "$JOBS" >&2
}

# The release binary; LLAMASIM overrides. Built if it is not there.
find_llamasim() {
  LLAMASIM=${LLAMASIM:-$ROOT/build/release/llamasim}
  [ -x "$LLAMASIM" ] || { ensure_packages "${PACKAGES_BUILD[@]}" "${PACKAGES_TEST[@]}"; (cd "$ROOT" && build release); }
}
