# Shared by the sweep scripts: options, columns of a CSV, the knee, pictures. Source it.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
export LC_ALL=C # awk and sort: a point in numbers, order by bytes

# common OUT ARGUMENT...: --help, [-o FOLDER]; what is left is for llamasim, in ARGS.
common() {
  OUT=$1
  ARGS=()
  shift
  while [ $# -gt 0 ]; do
    case $1 in
      -h | --help) show_help; exit 0 ;;
      -o) [ $# -gt 1 ] || die "-o needs a folder"; OUT=$2; shift ;;
      *) ARGS+=("$1") ;;
    esac
    shift
  done
  find_llamasim
  command -v gnuplot >/dev/null && command -v rsvg-convert >/dev/null || ensure_packages "${PACKAGES_PICTURES[@]}"
  mkdir -p "$OUT"
  OUT=$(cd "$OUT" && pwd)
}

# columns FILE NAME...: these columns, parted by blanks, of all rows that have a result
columns() {
  local file=$1
  shift
  awk -F, -v names="$*" '
    NR == 1 { n = split(names, name, " "); for (i = 1; i <= NF; i++) at[$i] = i
              for (i = 1; i <= n; i++) if (!(name[i] in at)) { print "no column " name[i] > "/dev/stderr"; exit 1 }; next }
    /,$/ { for (i = 1; i <= n; i++) printf "%s%s", $(at[name[i]]), i < n ? " " : "\n" }' "$file"
}

# knee: of lines "x latency" on standard input, the first whose latency is within 10 % of the best
knee() { awk '{ x[NR] = $1; t[NR] = $2; if (NR == 1 || $2 < best) best = $2 } END { for (i = 1; i <= NR; i++) if (t[i] <= 1.1 * best) { print x[i], t[i]; exit } }'; }

# picture NAME: the gnuplot commands on standard input draw $OUT/NAME.svg; NAME.png is made of it
picture() {
  { printf 'set terminal svg size 820,520 font "sans-serif,14" background "white"\nset output "%s.svg"\nset grid lc "#dddddd"\nset key top right\n' "$1"; cat; } |
    (cd "$OUT" && LC_ALL=C.UTF-8 gnuplot)
  rsvg-convert --zoom 2 "$OUT/$1.svg" --output "$OUT/$1.png"
  echo "$OUT/$1.svg, .png"
}
