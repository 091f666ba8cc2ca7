# compare-schedules.awk - part of compare-schedules.sh: reads reports and timelines of the schedules A, B, C in the
# present folder, and prints what `mode` asks for:
#   table      a line a schedule
#   overview   a gnuplot script: three Gantt panels on one time axis, from 0 to the longest makespan
#   attention  the same, cut out around each schedule's attention (QK to PV); 0 is the start of its first QK
# Variables: mode, past, out (the picture's name). Times are in us.

BEGIN {
  IDS = 3
  split("A B C", ID, " ")
  TITLE["A"] = "No parallelism"
  TITLE["B"] = "With parallelism"
  TITLE["C"] = "Multi-head parallelism"
  MEANS["A"] = "one task at a time, on one engine: load a piece of the weights, use it, load the next"
  MEANS["B"] = "whole ops, each on one engine; loads run ahead"
  MEANS["C"] = "attention by head, linear layers by output columns; loads run ahead"
  for (k = 1; k <= IDS; k++) {
    read_report(ID[k])
    read_timeline(ID[k])
  }
  if (mode == "table") print_table()
  else draw_picture()
}

# ---- input ----

# The number behind "key": in a line of the report.
function number(line, key) {
  if (!match(line, "\"" key "\": [-+.0-9e]+")) return 0
  return substr(line, RSTART + length(key) + 4, RLENGTH - length(key) - 4) + 0
}

# Engines and DMA channels become rows 1.., in the report's order from the top; below them is the DRAM bus.
function read_report(id,    file, line, q) {
  file = id ".report.json"
  while ((getline line < file) > 0) {
    split(line, q, "\"")
    if (q[2] == "platform") platform = q[6]
    if (q[2] == "workload") {
      model = q[6]
      if (match(line, /"weight_dtype": "[a-z0-9]*/)) dtype = substr(line, RSTART + 17, RLENGTH - 17)
    }
    if (q[2] == "makespan_s") span[id] = number(line, "makespan_s") * 1e6
    if (q[2] == "bounds") {
      bound[id] = number(line, "lower_s") * 1e6
      gap[id] = number(line, "gap")
    }
    if (q[6] != "role") continue
    used[id, q[4]] = number(line, "utilization")
    if (q[8] == "engine") { engines[id]++; engine_use[id] += used[id, q[4]] }
    if (q[4] == "dram_bus") dram_Bps = number(line, "bytes") / number(line, "busy_s")
    if ((q[8] == "engine" || q[8] == "dma") && !(q[4] in row)) { row[q[4]] = ++rows; resource[rows] = q[4] }
  }
  close(file)
  if (span[id] == 0) { print file ": no makespan in it" > "/dev/stderr"; exit 2 }
}

# Tasks in order of their start. Names of built-in models have no commas, so that no cell is quoted.
function read_timeline(id,    cmd, line, f, n) {
  cmd = "sort -t, -k8,8g -k1,1n " id ".timeline.csv"
  while ((cmd | getline line) > 0) {
    split(line, f, ",")
    if (f[1] == "task" || f[6] == "") continue
    n = ++tasks[id]
    name[id, n] = f[2]; op[id, n] = f[3]; class[id, n] = f[4]; where[id, n] = f[6]
    start[id, n] = f[8] * 1e6; end[id, n] = f[9] * 1e6
    if (f[3] == "MatMul") matmul[id] += end[id, n] - start[id, n]
    if (f[4] != "load" && f[4] != "store") engine_busy[id] += end[id, n] - start[id, n]
    flow_start[id, n] = f[10] * 1e6; flow_end[id, n] = f[11] * 1e6
    if (f[3] !~ /^(QK|SoftmaxMax|SoftmaxExp|SoftmaxNorm|PV)$/) continue
    if (!att_n[id]++) att_start[id] = start[id, n]
    if (end[id, n] > att_end[id]) att_end[id] = end[id, n]
    att_busy[id] += end[id, n] - start[id, n]
  }
  close(cmd)
}

function attention_span(id) { return att_end[id] - att_start[id] }

# ---- table ----

function print_table(    k, id) {
  printf "%-25s %11s %8s %12s %13s %8s %9s %11s\n", "schedule", "makespan", "speedup", "lower bound", "gap to bound",
    "engines", "DRAM bus", "attention"
  for (k = 1; k <= IDS; k++) {
    id = ID[k]
    printf "%-25s %8.1f us %7.2fx %9.1f us %12.1f%% %7.1f%% %8.1f%% %8.1f us\n", id "  " TITLE[id], span[id],
      span["A"] / span[id], bound[id], 100 * gap[id], 100 * engine_use[id] / engines[id], 100 * used[id, "dram_bus"],
      attention_span(id)
  }
}

# ---- boxes ----

# Okabe and Ito's colours, which colour-blind readers can tell apart; where single ops are to be seen, in shades.
function colour(o, shades) {
  if (o == "MatMul") return "0x0072B2"
  if (o == "QK") return "0xD55E00"
  if (o == "PV") return shades ? "0x8A3A00" : "0xD55E00"
  if (o == "SoftmaxMax") return shades ? "0xF6DD7A" : "0xE69F00"
  if (o == "SoftmaxExp") return "0xE69F00"
  if (o == "SoftmaxNorm") return shades ? "0xA06A00" : "0xE69F00"
  if (o ~ /^Load/) return "0x56B4E9"
  if (o ~ /^Store/) return "0xCC79A7"
  return "0x009E73"
}

function at_least(t) { return t < lo ? lo : t }
function at_most(t) { return t > hi ? hi : t }

# A box narrower than the eye can see, or than its white border lets through, is drawn a little wider.
function print_box(r,    width, least, from) {
  if (r in box_end) {
    width = box_end[r] - box_start[r]
    least = (zoom ? 1.2 : 0.25) / px
    from = width < least ? (box_start[r] + box_end[r] - least) / 2 : box_start[r]
    if (width < least) width = least
    if (from + width > hi) from = hi - width
    from = at_least(from)
    printf "%.4f %.4f %d %s 0.4\n", from, from + width, rows - r, box_colour[r]
  }
  delete box_end[r]
}

# Neighbours of one colour become one box where between them lies less than a twentieth of a pixel (unless single tasks
# are to be seen), which changes nothing to the eye. Rows are kept apart, tasks come in order of start.
function add_box(r, from, to, c, task_apart) {
  from = at_least(from)
  to = at_most(to)
  if (from >= to) return
  if (r in box_end && box_colour[r] == c && from >= box_start[r] && from <= box_end[r] + 0.05 / px && !task_apart) {
    if (to > box_end[r]) box_end[r] = to
    return
  }
  print_box(r)
  box_start[r] = from; box_end[r] = to; box_colour[r] = c
}

# No schedule of these tasks on this platform can end before this dashed line.
function print_bound(id,    y) {
  for (y = -1.25; y < rows - 0.5; y += 0.5)
    printf "%.4f %.4f %.2f 0x000000 0.15\n", bound[id] - 0.8 / px, bound[id] + 0.8 / px, y
}

# Data blocks. Below: idle rows in grey, and when the DRAM bus moves data (the time in which a load or store has data on
# its way). Above: tasks. Times count from zero[id].
function print_boxes(id,    n, r) {
  print "$below" id " << EOD"
  for (r = 1; r <= rows + 1; r++) {
    add_box(r, -zero[id], span[id] - zero[id], "0xE9E9E9", 1)
    print_box(r)
  }
  for (n = 1; n <= tasks[id]; n++)
    if (class[id, n] == "load" || class[id, n] == "store")
      add_box(rows + 1, flow_start[id, n] - zero[id], flow_end[id, n] - zero[id], "0x555555", 0)
  print_box(rows + 1)
  print "EOD\n$above" id " << EOD"
  for (n = 1; n <= tasks[id]; n++)
    add_box(row[where[id, n]], start[id, n] - zero[id], end[id, n] - zero[id], colour(op[id, n], zoom), zoom)
  for (r = 1; r <= rows; r++) print_box(r)
  if (!zoom) print_bound(id)
  print plates "EOD"
}

# ---- labels ----

function put_label(text, x, y, more) {
  printf "set label \"%s\" at %s, %s %s\n", text, x, y, more
}

# Numbers of heads on their boxes, wherever there is room.
function print_heads(id,    n, s, from, to) {
  for (n = 1; n <= tasks[id]; n++) {
    if (!match(name[id, n], /\.h[0-9-]+$/)) continue
    s = substr(name[id, n], RSTART + 2)
    from = at_least(start[id, n] - zero[id])
    to = at_most(end[id, n] - zero[id])
    if ((to - from) * px >= 5.1 * length(s) - 2.2 * gsub(/-/, "-", s) + 1)
      put_label(s, (from + to) / 2, rows - row[where[id, n]], "center front font ',8' tc rgb '" \
        (op[id, n] ~ /Max|Exp/ ? "#000000" : "#FFFFFF") "'")
  }
}

# "gate" of "L0.gate 1/4 piece 2/4", "q" of "L0.q_proj"
function layer_of(id, n,    s) {
  s = name[id, n]
  sub(/^L[0-9]+\./, "", s)
  sub(/_proj.*| .*/, "", s)
  return s
}

# The visible pieces of each linear layer on each row.
function find_pieces(id,    n, key, from, to) {
  for (n = 1; n <= tasks[id]; n++) {
    from = at_least(start[id, n] - zero[id])
    to = at_most(end[id, n] - zero[id])
    if (op[id, n] != "MatMul" || from >= to) continue
    key = id "," row[where[id, n]] "," layer_of(id, n)
    if (!pieces[key]++) layers[id, row[where[id, n]]] = layers[id, row[where[id, n]]] " " layer_of(id, n)
    piece_from[key, pieces[key]] = from
    piece_to[key, pieces[key]] = to
    piece_sum[key] += to - from
  }
}

# Names of linear layers on dark plates, once each, on the topmost row with room: on the piece in the middle of the work.
# Sets `plates`.
function print_layers(id,    r, i, m, s, key, order, named, sum, middle, half) {
  plates = ""
  find_pieces(id)
  for (r = 1; r <= rows; r++)
    for (i = split(layers[id, r], order, " "); i > 0; i--) {
      s = order[i]
      key = id "," r "," s
      half = (4 * length(s) + 4) / px
      if (s in named || piece_to[key, pieces[key]] - piece_from[key, 1] < 2 * half + 4 / px) continue
      named[s]
      sum = 0
      for (m = 1; (sum += piece_to[key, m] - piece_from[key, m]) < piece_sum[key] / 2; m++) {}
      middle = (piece_from[key, m] + piece_to[key, m]) / 2
      put_label(s, middle, rows - r, "center front tc rgb '#FFFFFF'")
      plates = plates sprintf("%.4f %.4f %d 0x003D63 0.3\n", middle - half, middle + half, rows - r)
    }
}

# What stands left and right of the rows.
function print_rows(id,    r, s, left, right) {
  for (r = 1; r <= rows; r++) {
    s = resource[r]
    sub(/^engine/, "engine ", s)
    sub(/^dma/, "DMA ", s)
    left = left "\"" s "\" " rows - r ", "
    right = right "\"" percent(used[id, resource[r]]) "\" " rows - r ", "
  }
  print "set ytics (" left "\"DRAM bus\" -1)"
  print zoom ? "unset y2tics" : "set y2tics left (" right "\"" percent(used[id, "dram_bus"]) "\" -1)"
}

function percent(share) { return sprintf("%.0f %%%%", 100 * share) }

function print_headings(id, y,    s, right) {
  if (zoom) {
    s = sprintf("attention %.1f µs", attention_span(id))
    right = sprintf("%d tasks of %.2f µs on average", att_n[id], att_busy[id] / att_n[id])
  } else {
    s = sprintf("%.1f µs", span[id])
    if (id != "A") s = s sprintf(", %.2f× as fast as A", span["A"] / span[id])
    right = MEANS[id]
    put_label("busy", sprintf("screen %.5f", RIGHT + 0.008), at_screen(y), "left tc rgb '#555555'")
  }
  put_label("{/:Bold " id "   " TITLE[id] ": " s "}", "screen " LEFT, at_screen(y), "left font ',15'")
  put_label(right, "screen " RIGHT, at_screen(y), "right tc rgb '#555555'")
}

function print_title(    title, more, heads, one, all) {
  if (zoom) {
    title = "Attention, QK to PV, in the three schedules"
    more = "Numbers: the heads that a task is for."
    heads = att_n["C"] / att_n["B"]
    one = att_busy["C"] / att_n["C"]
    all = att_busy["B"] / att_n["B"]
    if (att_n["B"] == 5) # an op is one task in A and B
      more = sprintf("Numbers: heads that share a KV head; in A and B a task has all. %.2f µs for one of %d groups, %.2f µs for all%s",
        one, heads, all, heads * one / engines["C"] > all ? ": here splitting does not pay." : ".")
  } else {
    title = "One transformer block, three schedules"
    more = "Grey: idle. Right: share of the makespan that each is busy. "
    more = more sprintf("MatMul is %.0f %% of the work of A's engine.", 100 * matmul["A"] / engine_busy["A"])
  }
  put_label(title, "screen " LEFT, at_screen(height - 22), "left font ',18'")
  put_label(sprintf("%s, decode, past %s, %s; %s: %d engines, DRAM %.1f GB/s", model, past, dtype, platform,
    engines["A"], dram_Bps / 1e9), "screen " RIGHT, at_screen(height - 22), "right tc rgb '#555555'")
  put_label(more, "screen " LEFT, at_screen(height - 50), "left tc rgb '#555555'")
}

function add_legend(text, fill) {
  legend[++n_legend] = text
  legend_fill[n_legend] = fill
}

# Squares with their meaning, centred on height y.
function print_legend(y,    k, x, thin) {
  add_legend("MatMul", colour("MatMul"))
  if (zoom) {
    add_legend("QK", colour("QK", 1))
    add_legend("softmax: max", colour("SoftmaxMax", 1))
    add_legend("exp", colour("SoftmaxExp", 1))
    add_legend("normalise", colour("SoftmaxNorm", 1))
    add_legend("PV", colour("PV", 1))
    add_legend("norm, RoPE, KV append", colour("RoPE"))
  } else {
    add_legend("attention (QK, PV)", colour("QK"))
    add_legend("softmax", colour("SoftmaxExp"))
    add_legend("norm, RoPE, elementwise", colour("RoPE"))
  }
  add_legend("load", colour("LoadWeight"))
  add_legend("store", colour("StoreKV"))
  add_legend("DRAM bus busy", "0x555555")
  if (zoom) add_legend("idle", "0xE9E9E9")
  else add_legend("lower bound", "0x000000")
  x = LEFT * WIDTH
  for (k = 1; k <= n_legend; k++) {
    thin = legend[k] == "lower bound" # a line as the picture's
    printf "set object rectangle from screen %.5f, %.5f to screen %.5f, %.5f fs solid noborder fc rgb %s\n",
      (x + 6 * thin) / WIDTH, (y - 7) / height, (x + (thin ? 7.6 : 14)) / WIDTH, (y + 7) / height, legend_fill[k]
    put_label(legend[k], sprintf("screen %.5f", (x + 19) / WIDTH), at_screen(y), "left")
    x += 19 + 7.4 * length(legend[k]) + 14
  }
}

# ---- pictures ----

function print_page() {
  print "set encoding utf8"
  print "set terminal svg size " WIDTH "," height " fixed font 'sans-serif,13' background '#FFFFFF'"
  print "set output '" out "'"
  print "set multiplot"
  print "set lmargin at screen " LEFT
  print "set rmargin at screen " RIGHT
  print "set border 0\nset key off\nset tics scale 0"
  print "set grid xtics back lc rgb '#DDDDDD' lt 1 lw 0.7"
  printf "set xrange [%.4f:%.4f]\n", lo, hi
  # the rows, from the middle of the DRAM bus at -1 to the first engine's at rows - 1, and air
  printf "set yrange [-1.5:%.3f]\nset y2range [-1.5:%.3f]\n", rows - 0.5 + AIR / LANE, rows - 0.5 + AIR / LANE
}

# A bracket over the rows where attention runs.
function mark_attention(id) {
  printf "set arrow from %.4f, %.3f to %.4f, %.3f nohead front lw 3 lc rgb '#D55E00'\n", att_start[id], rows - 0.35,
    att_end[id], rows - 0.35
  put_label(sprintf("attention %.1f µs", attention_span(id)), sprintf("%.4f", att_end[id] + 4 / px), rows - 0.2,
    "left font ',11' tc rgb '#A84A00'")
}

function print_panel(id, k,    top, plot) {
  top = height - HEAD - (k - 1) * PANEL - HEADING
  printf "set tmargin at screen %.5f\nset bmargin at screen %.5f\n", top / height,
    (top - AIR - LANE * (rows + 1)) / height
  print_headings(id, top + 9)
  print_rows(id)
  print_layers(id)
  if (zoom) print_heads(id)
  else mark_attention(id)
  print_boxes(id)
  if (k < IDS) print "set format x ''"
  else print "set format x '%g'\nset xlabel '" (zoom ? "µs from the start of the first QK" : "µs") "' offset 0, 0.3"
  plot = id " using (($1 + $2) / 2):3:1:2:($3 - $5):($3 + $5):4 with boxxyerror fs solid 1.0 "
  print "plot $below" plot "noborder lc rgb variable, $above" plot \
    (zoom ? "border rgb '#FFFFFF' lw 0.6" : "noborder") " lc rgb variable"
  print "unset label\nunset object\nunset arrow"
}

function draw_picture(    k, longest, latest) {
  zoom = mode == "attention"
  WIDTH = 1100; LEFT = 0.085; RIGHT = zoom ? 0.985 : 0.945
  HEAD = 98; HEADING = 28; AIR = zoom ? 0 : 14; LANE = 27; FOOT = 50
  PANEL = HEADING + AIR + LANE * (rows + 1) + 10
  height = HEAD + IDS * PANEL + FOOT
  for (k = 1; k <= IDS; k++) {
    if (attention_span(ID[k]) > longest) longest = attention_span(ID[k])
    if (span[ID[k]] > latest) latest = span[ID[k]]
    zero[ID[k]] = zoom ? att_start[ID[k]] : 0
  }
  lo = zoom ? -0.3 * longest : 0
  hi = zoom ? 1.1 * longest : latest
  px = WIDTH * (RIGHT - LEFT) / (hi - lo)
  print_page()
  print_title()
  print_legend(height - 78)
  for (k = 1; k <= IDS; k++) print_panel(ID[k], k)
  print "unset multiplot\nset output"
}

function at_screen(y) { return sprintf("screen %.5f", y / height) }
