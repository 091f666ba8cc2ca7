#!/usr/bin/env bash
# Keeps the levels of the architecture: no file includes one of a higher level, and each library behind us is seen by few
# files only. Every file of sim/, workloads/ and kernels/ has a level in the table below; one that has none is refused, so
# that the table stays complete: a new module gets its row here.
set -u

usage() {
  cat <<'EOM'
usage: check_layers.sh          checks the source tree that this script is in, then itself: plants violations in
                                copies of the tree and expects each to be refused
       check_layers.sh FOLDER   checks that source tree only
Exit status: 0 all is well; 1 not; 2 bad usage. A line on standard error for each violation.
EOM
}

# ---- the table --------------------------------------------------------------------------------------------------------

# level FILE: sets `level`; fails where the file is unknown. A pattern's * stops at no '/', so the first match counts.
level() {
  case $1 in
  sim/base/*) level=0 ;; # errors, arena, units, bytes, file, map, json

  # reads or checks with the cost functions, although dag.h declares both: a header may promise what a file above it does
  workloads/dag_check*.[ch] | workloads/dag_read.c) level=2 ;;
  workloads/dag_format.[ch] | workloads/dag_dot.c | workloads/dag_chakra.c) level=2 ;; # other forms, with costs
  # opens checkpoints, although model.h declares it
  workloads/model_load.c | workloads/ckpt/*.[ch]) level=2 ;;
  workloads/dtype.[ch] | workloads/op.[ch] | workloads/dag*.[ch] | workloads/model*.[ch]) level=1 ;;
  workloads/cost.[ch]) level=2 ;;
  kernels/clones.h | kernels/convert.[ch] | kernels/quant.[ch] | kernels/matmul.[ch]) level=1 ;; # math
  kernels/vector.[ch] | kernels/rope.[ch] | kernels/attention.[ch]) level=1 ;;
  kernels/golden.[ch] | kernels/seeded.[ch] | kernels/reference.[ch]) level=1 ;; # to compare with
  workloads/ckpt/*.[ch]) level=2 ;; # checkpoint readers
  kernels/dag_exec*.[ch]) level=3 ;; # the kernel executor
  kernels/points.[ch] | kernels/source.[ch] | kernels/verify*.[ch]) level=3 ;; # what it computes, compared
  workloads/block*.[ch] | workloads/build.h | workloads/linear.c | workloads/attention.c | workloads/heads.c) level=3 ;;
  workloads/chunks.c | workloads/kv.[ch] | workloads/resident.c | workloads/spill.[ch] | workloads/step.c | workloads/place.[ch]) level=3 ;;

  sim/jobs*.[ch]) level=1 ;; # processes
  sim/platform_xml*.[ch] | sim/platform_schema*.[ch]) level=2 ;; # the reader
  sim/platform.[ch] | sim/platform_*.[ch]) level=1 ;;            # the plain table
  sim/estimate*.[ch] | sim/reach.[ch]) level=3 ;;
  sim/policy.h | sim/policy/*.[ch] | sim/observer.h) level=4 ;;
  sim/machine*.[ch] | sim/order*.[ch] | sim/sram*.[ch] | sim/exec*.[ch] | sim/timeline*.[ch] | sim/evaluate.[ch]) level=5 ;;
  sim/attribution*.[ch] | sim/report*.[ch] | sim/explain*.[ch] | sim/compare*.[ch]) level=6 ;;
  sim/schedule_file.[ch] | sim/sweep*.[ch]) level=6 ;;
  sim/design*.[ch]) level=6 ;;
  sim/cli*.[ch] | sim/cmd.h | sim/cmd_*.[ch] | sim/main.c) level=7 ;;
  *) return 1 ;;
  esac
}

# Levels alone do not say these. may_not FROM TO: fails, with `why`, where FROM must not include our own file TO.
may_not() {
  case $1:$2 in
  workloads/*:sim/base/*) ;;
  workloads/*:sim/*) why="workloads/ knows nothing of platforms or time; of sim/ it may include sim/base/ only" && return 1 ;;
  sim/policy*:sim/machine* | sim/policy*:sim/exec* | sim/policy*:sim/evaluate*)
    why="the executor asks the policy; the policy never calls the executor" && return 1 ;;
  sim/machine*:sim/timeline* | sim/order*:sim/timeline* | sim/sram*:sim/timeline* | sim/exec*:sim/timeline*)
    why="the executor knows observers, not the timeline" && return 1 ;;
  sim/timeline*:sim/machine* | sim/timeline*:sim/exec* | sim/attribution*:sim/machine* | sim/attribution*:sim/exec* | \
    sim/report*:sim/machine* | sim/report*:sim/exec*)
    why="reports read the timeline, and the timeline what it observes; neither sees the executor" && return 1 ;;
  *:*.c) why="a source file is compiled, not included" && return 1 ;;
  esac
  return 0
}

# library FROM HEADER: fails, with `why`, where the header belongs to a library that FROM may not see.
library() {
  case $2 in
  cjson/* | cJSON*)
    case $1 in sim/base/json*.c) return 0 ;; esac
    why="only sim/base/json*.c may see cJSON" && return 1 ;;
  libxml/* | libxml2/*)
    case $1 in sim/platform_xml*.c | sim/platform_schema*.c) return 0 ;; esac
    why="only sim/platform_xml*.c and sim/platform_schema*.c may see libxml2" && return 1 ;;
  simgrid/* | xbt/* | smpi/*)
    case $1 in sim/exec_simgrid*.c | bench/*) return 0 ;; esac
    why="only sim/exec_simgrid*.c and bench/ may see SimGrid" && return 1 ;;
  esac
  return 0
}

# ---- the check --------------------------------------------------------------------------------------------------------

refuse() {
  echo "check_layers: $1" >&2
  faults=$((faults + 1))
}

# include FILE LINE TEXT: one #include directive. Needs the level of FILE in `from`.
include() {
  local file=$1 at="$1:$2" name
  local form='^[[:space:]]*#[[:space:]]*include[[:space:]]*(["<])([^">]+)[">]'
  if ! [[ $3 =~ $form ]]; then
    refuse "$at: cannot tell what this includes; write the file's name in quotes or angle brackets"
    return
  fi
  name=${BASH_REMATCH[2]}
  why=""
  library "$file" "$name" || { refuse "$at: includes <$name>; $why"; return; }
  case ${BASH_REMATCH[1]}$name in
  '<'sim/* | '<'workloads/* | '<'kernels/* | '"'*) ;;
  *) return ;;
  esac
  case $file in bench/*) return ;; esac
  if [ ! -f "$name" ]; then
    refuse "$at: includes \"$name\", which is no file; write its path from the top of the source tree"
  elif ! level "$name"; then
    refuse "$at: includes $name, which has no level; give it one in tests/check_layers.sh"
  elif [ "$level" -gt "$from" ]; then
    refuse "$at: includes $name, which is of level $level; this file is of level $from and may include none above it"
  elif ! may_not "$file" "$name"; then
    refuse "$at: includes $name; $why"
  fi
}

# check FOLDER: the whole tree; the number of files goes to standard output, faults to standard error.
check() (
  cd "$1" || exit 1
  faults=0 known=0
  folders=()
  for folder in sim workloads kernels bench; do [ -d "$folder" ] && folders+=("$folder"); done
  mapfile -t files < <(find "${folders[@]}" -name '*.[ch]' | LC_ALL=C sort)
  [ ${#files[@]} -gt 0 ] || refuse "$1: no sources here"
  declare -A level_of
  for file in "${files[@]}"; do
    case $file in bench/*) level=8 ;; *) level "$file" || level= ;; esac
    level_of[$file]=$level
    [ -n "$level" ] && known=$((known + 1)) && continue
    refuse "$file: has no level; give it one in tests/check_layers.sh"
  done
  while IFS=: read -r file line text; do
    from=${level_of[$file]}
    [ -z "$from" ] || include "$file" "$line" "$text"
  done < <(grep -nHE '^[[:space:]]*#[[:space:]]*(include|import)' /dev/null "${files[@]}")
  echo "$known files"
  [ $faults -eq 0 ]
)

# ---- the check of the check -------------------------------------------------------------------------------------------

# plants FILE TEXT MESSAGE: a copy of the tree in which FILE ends in TEXT is refused, for FILE alone, with MESSAGE.
plants() {
  local tree="$work/tree" said
  rm -rf "$tree"
  cp -r "$work/clean" "$tree"
  mkdir -p "$(dirname "$tree/$1")"
  printf '%s\n' "$2" >>"$tree/$1"
  planted=$((planted + 1))
  if said=$(check "$tree" 2>&1 >/dev/null); then
    echo "check_layers: does not see '$2' in $1" >&2
    misses=$((misses + 1))
  elif [ "$(grep -cvF "check_layers: $1:" <<<"$said")" -ne 0 ] || ! grep -qF -- "$3" <<<"$said"; then
    echo "check_layers: '$2' in $1 is refused with '$said', not with '$3'" >&2
    misses=$((misses + 1))
  fi
}

self_test() {
  local root=$1 folder
  work=$(mktemp -d "${TMPDIR:-/tmp}/check-layers-XXXXXX")
  trap 'rm -rf "$work"' EXIT
  planted=0 misses=0
  mkdir "$work/clean"
  for folder in sim workloads kernels bench; do [ -d "$root/$folder" ] && cp -r "$root/$folder" "$work/clean"; done
  plants sim/base/arena.c '#include "workloads/op.h"' "of level 1; this file is of level 0"
  plants workloads/dag.h '# include "workloads/block.h"' "of level 3; this file is of level 1"
  plants workloads/dag.c '#include <workloads/cost.h>' "of level 2; this file is of level 1"
  plants sim/estimate.c '#include "sim/policy.h" // a remark' "of level 4; this file is of level 3"
  plants sim/policy/policy_heft.c '  #  include "sim/exec.h"' "of level 5; this file is of level 4"
  plants sim/machine.c '#include "sim/report.h"' "of level 6; this file is of level 5"
  plants sim/report_json.c '#include "sim/cli.h"' "of level 7; this file is of level 6"
  plants sim/report.h '#include "sim/machine.h"' "neither sees the executor"
  plants sim/exec_fluid.c '#include "sim/timeline.h"' "observers, not the timeline"
  plants workloads/block.c '#include "sim/platform.h"' "may include sim/base/ only"
  plants sim/report.c '#include <cjson/cJSON.h>' "may see cJSON"
  plants sim/platform.c '#include <libxml/tree.h>' "may see libxml2"
  plants sim/cmd_run.c '#include <simgrid/engine.h>' "may see SimGrid"
  plants sim/main.c '#include <xbt/log.h>' "may see SimGrid"
  plants bench/planted.c '#include <libxml/tree.h>' "may see libxml2"
  plants sim/machine.c '#include "order.h"' "is no file"
  plants sim/machine.c '#include "sim/order.c"' "is compiled, not included"
  plants sim/machine.c '#include HEADER' "cannot tell what this includes"
  plants sim/planted.c '#include <stdio.h>' "has no level"
  plants workloads/policy/planted.h '' "has no level"
  echo "$planted planted violations, $misses missed"
  [ $misses -eq 0 ]
}

[ $# -le 1 ] || { usage >&2; exit 2; }
case ${1:-} in
--help) usage && exit 0 ;;
-*) usage >&2 && exit 2 ;;
'') ;;
*) check "$1"; exit ;;
esac
root=$(cd "$(dirname "$0")/.." && pwd)
status=0
check "$root" || status=1
# a tree with faults of its own cannot show which fault a plant added
[ $status -ne 0 ] || self_test "$root" || status=1
exit $status
