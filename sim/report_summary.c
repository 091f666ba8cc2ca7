#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/units.h"
#include "sim/report.h"

enum { WIDTH = 100, LABEL = 14, BAR = 24, TOP_OPS = 5, MANY = 8, ITEM = 160 };

/* ---- pieces ---- */

static size_t columns(const char *s) {
  size_t n = 0;
  for (; *s != '\0'; s++) n += ((unsigned char)*s & 0xC0) != 0x80; /* not a UTF-8 continuation */
  return n;
}

static void put_padded(out *o, const char *s, size_t width) {
  out_str(o, s);
  for (size_t n = columns(s); n < width; n++) out_char(o, ' ');
}

/* A share of BAR cells, in eighths of a cell. */
static void put_bar(out *o, double share) {
  static const char *const PART[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  long eighths = lround(fmin(fmax(share, 0), 1) * BAR * 8);
  if (eighths == 0 && share > 0) eighths = 1;
  int cells = 0;
  for (; cells < eighths / 8; cells++) out_str(o, "█");
  if (eighths % 8 != 0) {
    out_str(o, PART[eighths % 8]);
    cells++;
  }
  for (; cells < BAR; cells++) out_str(o, "·");
}

/* 4 digits and a prefix: "2.412 mJ". */
static const char *si(char buf[UNITS_TEXT], double v, const char *unit) {
  static const char *const PREFIX[] = {"p", "n", "u", "m", "", "k", "M", "G", "T", "P"};
  int i = 4;
  for (; v != 0 && fabs(v) < 1 && i > 0; i--) v *= 1000;
  for (; fabs(v) >= 999.95 && i < 9; i++) v /= 1000;
  snprintf(buf, UNITS_TEXT, "%.4g %s%s", v, PREFIX[i], unit);
  return buf;
}

static const char *seconds(char buf[UNITS_TEXT], double s) {
  return si(buf, s, "s");
}

static const char *percent(char buf[UNITS_TEXT], double share) {
  if (share > 0 && share < 0.0005)
    snprintf(buf, UNITS_TEXT, "<0.1%%");
  else
    snprintf(buf, UNITS_TEXT, "%.1f%%", 100 * share);
  return buf;
}

/* A labelled line of items that wraps before it gets too wide. */
typedef struct line {
  out *o;
  size_t at; /* columns so far */
  bool any;
} line;

static line begin_line(out *o, const char *label) {
  put_padded(o, label, LABEL);
  return (line){.o = o, .at = columns(label) > LABEL ? columns(label) : LABEL};
}

__attribute__((format(printf, 2, 3))) static void add_item(line *l, const char *fmt, ...) {
  char text[ITEM];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  size_t n = columns(text);
  if (l->any) out_char(l->o, ',');
  if (l->any && l->at + 2 + n >= WIDTH) {
    out_char(l->o, '\n');
    put_padded(l->o, "", LABEL);
    l->at = LABEL;
  } else if (l->any) {
    out_char(l->o, ' ');
    l->at += 2;
  }
  out_str(l->o, text);
  l->at += n;
  l->any = true;
}

static void end_line(line *l) {
  out_char(l->o, '\n');
}

/* ---- what ran ---- */

static void add_count(line *l, uint64_t n, const char *what) {
  add_item(l, "%llu %s%s", (unsigned long long)n, what, n == 1 ? "" : "s");
}

static void print_workload(const dag_workload *w, out *o) {
  line l = begin_line(o, "workload");
  if (*w->model != '\0') add_item(&l, "%s", w->model);
  if (*w->phase != '\0') add_item(&l, "%s", w->phase);
  if (w->tokens == 0) { /* a DAG by hand that does not say what it is */
    add_item(&l, "task DAG");
    end_line(&l);
    return;
  }
  add_item(&l, "past %llu", (unsigned long long)w->past);
  add_count(&l, w->tokens, "token");
  if (w->steps > 1) add_count(&l, w->steps, "step");
  add_item(&l, "batch %llu", (unsigned long long)w->batch);
  add_count(&l, w->layers, "layer");
  if (w->weight_dtype == w->act_dtype && w->act_dtype == w->kv_dtype)
    add_item(&l, "%s", dtype_name(w->weight_dtype));
  else
    add_item(&l, "weights %s, activations %s, KV %s", dtype_name(w->weight_dtype),
             dtype_name(w->act_dtype), dtype_name(w->kv_dtype));
  if (*w->split != '\0') add_item(&l, "split %s", w->split);
  if (*w->attention != '\0') add_item(&l, "%s", w->attention);
  if (*w->kv_update != '\0' && strcmp(w->kv_update, "smart-mask") != 0)
    add_item(&l, "%s", w->kv_update);
  end_line(&l);
}

static void print_platform(const report *r, out *o) {
  line l = begin_line(o, "platform");
  add_item(&l, "%s", r->plat->name);
  add_count(&l, r->plat->n_engines, "engine");
  for (size_t i = 0; i < r->plat->n_overrides; i++)
    add_item(&l, "%s=%s", r->plat->overrides[i].key, r->plat->overrides[i].value);
  end_line(&l);
  l = begin_line(o, "scheduler");
  add_item(&l, "%s", r->tl->scheduler);
  add_item(&l, "prefetch %u", r->tl->prefetch);
  if (r->tl->seed != 0) add_item(&l, "seed %llu", (unsigned long long)r->tl->seed);
  char moves[32] = "";
  if (r->totals.move > 0)
    snprintf(moves, sizeof moves, ", %llu move", (unsigned long long)r->totals.move);
  add_item(&l, "%llu compute, %llu load, %llu store%s tasks", (unsigned long long)r->totals.compute,
           (unsigned long long)r->totals.load, (unsigned long long)r->totals.store, moves);
  end_line(&l);
}

/* ---- how long, and how far from the best ---- */

static void print_latency(const report *r, out *o) {
  char a[UNITS_TEXT], b[UNITS_TEXT], c[UNITS_TEXT], d[UNITS_TEXT];
  const cost_totals *t = &r->totals;
  line l = begin_line(o, "latency");
  add_item(&l, "%s", seconds(a, r->tl->makespan_s));
  if (r->tokens_per_s > 0) add_item(&l, "%s", si(a, r->tokens_per_s, "tokens/s"));
  if (r->ttft_s > 0) add_item(&l, "TTFT %s", seconds(a, r->ttft_s));
  if (r->tpot_s > 0) add_item(&l, "TPOT %s", seconds(a, r->tpot_s));
  end_line(&l);
  l = begin_line(o, "lower bound");
  add_item(&l, "%s by %s", seconds(a, r->bound.lower_s), r->bound.binding);
  add_item(&l, "gap %.2f%%", 100 * r->gap);
  add_item(&l, "critical path %s", seconds(a, r->bound.critical_path_s));
  add_item(&l, "engine work %s", seconds(a, r->bound.engine_s));
  end_line(&l);
  l = begin_line(o, "work");
  add_item(&l, "matrix %s, vector %s", si(a, (double)t->matrix_flops, "FLOP"),
           si(b, (double)t->vector_flops, "FLOP"));
  add_item(&l, "DRAM %s read, %s written", units_size_si(c, (double)t->dram_read),
           units_size_si(d, (double)t->dram_write));
  if (t->move > 0) add_item(&l, "%s moved between SRAMs", units_size_si(a, (double)t->moved));
  end_line(&l);
}

/* ---- resources ---- */

/* Resources shown on one line together. */
typedef struct group {
  size_t n;
  double busy_s, least, most;
  uint64_t tasks, bytes;
} group;

static void add_to_group(group *g, const report_resource *x) {
  if (g->n == 0 || x->utilization < g->least) g->least = x->utilization;
  if (g->n == 0 || x->utilization > g->most) g->most = x->utilization;
  g->n++;
  g->busy_s += x->busy_s;
  g->tasks += x->tasks;
  g->bytes += x->bytes;
}

static double mean_of(const report *r, const group *g) {
  double all_s = (double)g->n * r->tl->makespan_s;
  return all_s > 0 ? g->busy_s / all_s : 0;
}

static void print_use(out *o, size_t width, const char *name, double share, const char *time,
                      uint64_t tasks, uint64_t bytes) {
  char u[UNITS_TEXT], b[UNITS_TEXT];
  put_padded(o, name, width);
  put_bar(o, share);
  out_printf(o, " %6s  %13s %8llu  %9s\n", percent(u, share), time, (unsigned long long)tasks,
             units_size_si(b, (double)bytes));
}

static void print_group(const report *r, const group *g, const char *name, size_t width, out *o) {
  char label[UNITS_TEXT], range[UNITS_TEXT];
  snprintf(label, sizeof label, "%zu %s", g->n, name);
  snprintf(range, sizeof range, "%.1f..%.1f%%", 100 * g->least, 100 * g->most);
  print_use(o, width, label, mean_of(r, g), range, g->tasks, g->bytes);
}

/* Each class one by one, or on one line where there are many; ports always, as they mirror the
 * engines. */
enum { ENGINES, CHANNELS, PORTS, LINKS, CLASSES };

static int class_of(const report *r, size_t i) {
  if (i < r->plat->n_engines) return ENGINES;
  if (i < r->tl->n_resources) return CHANNELS;
  return r->plat->links[i - r->tl->n_resources].role == PLAT_LINK_PORT ? PORTS : LINKS;
}

static void group_resources(const report *r, group g[CLASSES]) {
  memset(g, 0, CLASSES * sizeof *g);
  for (size_t i = 0; i < r->n_resources; i++) add_to_group(&g[class_of(r, i)], &r->resources[i]);
}

static void print_memory(const report_memory *m, const char *name, size_t width, out *o) {
  char used[UNITS_TEXT], all[UNITS_TEXT], u[UNITS_TEXT];
  double share = m->capacity_B > 0 ? (double)m->high_water_B / m->capacity_B : 0;
  put_padded(o, name, width);
  put_bar(o, share);
  out_printf(o, " %6s  at most %s of %s\n", percent(u, share),
             units_size(used, (double)m->high_water_B), units_size(all, m->capacity_B));
}

/* The srams one by one; of many scratchpads only the fullest. */
static void print_memories(const report *r, size_t width, out *o) {
  const report_memory *fullest = NULL;
  size_t pads = 0;
  for (size_t i = 0; i + 1 < r->n_memory; i++) {
    const report_memory *m = &r->memory[i];
    if (r->n_memory <= MANY || plat_pad_of(r->plat, i) == PLAT_NONE) {
      print_memory(m, m->name, width, o);
      continue;
    }
    pads++;
    if (fullest == NULL || m->high_water_B > fullest->high_water_B) fullest = m;
  }
  char label[UNITS_TEXT];
  snprintf(label, sizeof label, "%zu pads", pads);
  if (pads > 0) print_memory(fullest, label, width, o);
}

static void print_resources(const report *r, const group g[CLASSES], size_t width, out *o) {
  static const int ORDER[CLASSES] = {ENGINES, CHANNELS, LINKS, PORTS};
  static const char *const NAME[CLASSES] = {"engines", "channels", "ports", "links"};
  put_padded(o, "resource", width);
  out_printf(o, "%-*s %6s  %13s %8s  %9s\n", (int)BAR, "utilization", "", "busy", "tasks", "bytes");
  for (int k = 0; k < CLASSES; k++) {
    int class = ORDER[k];
    if (g[class].n > (class == PORTS ? 1 : MANY)) {
      print_group(r, &g[class], NAME[class], width, o);
      continue;
    }
    for (size_t i = 0; i < r->n_resources; i++) {
      const report_resource *x = &r->resources[i];
      char busy[UNITS_TEXT];
      if (class_of(r, i) == class)
        print_use(o, width, x->name, x->utilization, seconds(busy, x->busy_s), x->tasks, x->bytes);
    }
  }
  print_memories(r, width, o);
}

/* The class of resources that is used most. A channel is also busy while its data flows, which is
 * the links' doing, so that only its setup and latency count here. */
static void print_bound(const report *r, const group g[CLASSES], out *o) {
  char u[UNITS_TEXT];
  const char *name = "engines";
  double most = mean_of(r, &g[ENGINES]);
  double dma_s = (double)g[CHANNELS].n * r->tl->makespan_s;
  double dma = dma_s > 0 ? r->dma_lead_s / dma_s : 0;
  if (dma > most) most = dma, name = "DMA setup and latency";
  for (size_t i = r->tl->n_resources; i < r->n_resources; i++) {
    if (r->plat->links[i - r->tl->n_resources].fatpipe || class_of(r, i) != LINKS) continue;
    if (r->resources[i].utilization > most)
      most = r->resources[i].utilization, name = r->resources[i].name;
  }
  if (mean_of(r, &g[PORTS]) > most) most = mean_of(r, &g[PORTS]), name = "ports";
  line l = begin_line(o, "bound by:");
  add_item(&l, "%s %s", name, percent(u, most));
  if (most < 0.8) add_item(&l, "so nothing is saturated: see where the time goes");
  end_line(&l);
}

/* ---- ops, causes, energy ---- */

typedef struct ranked {
  int id;
  double s;
} ranked;

static int by_share(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->s != y->s) return x->s > y->s ? -1 : 1;
  return (x->id > y->id) - (x->id < y->id);
}

static void print_ops(const report *r, size_t width, out *o) {
  ranked op_s[OP_COUNT];
  double all_s = 0;
  for (int i = 0; i < OP_COUNT; i++) {
    op_s[i] = (ranked){i, r->op_s[i]};
    all_s += r->op_s[i];
  }
  qsort(op_s, OP_COUNT, sizeof *op_s, by_share);
  put_padded(o, "top ops", width);
  out_printf(o, "%-*s %6s  %13s %8s  %9s\n", (int)BAR, "share of task time", "", "task time",
             "tasks", "makespan");
  for (int i = 0; i < TOP_OPS && op_s[i].s > 0; i++) {
    char share[UNITS_TEXT], time[UNITS_TEXT], span[UNITS_TEXT];
    int id = op_s[i].id;
    double critical = r->tl->makespan_s > 0 ? r->attr.op_s[id] / r->tl->makespan_s : 0;
    put_padded(o, op_name((op)id), width);
    put_bar(o, op_s[i].s / all_s);
    out_printf(o, " %6s  %13s %8llu  %9s\n", percent(share, op_s[i].s / all_s),
               seconds(time, op_s[i].s), (unsigned long long)r->op_tasks[id],
               percent(span, critical));
  }
}

static void print_causes(const report *r, out *o) {
  ranked cause[ATTR_COUNT];
  for (int i = 0; i < ATTR_COUNT; i++) cause[i] = (ranked){i, r->attr.cause_s[i]};
  qsort(cause, ATTR_COUNT, sizeof *cause, by_share);
  line l = begin_line(o, "time goes to");
  for (int i = 0; i < ATTR_COUNT && cause[i].s > 0; i++) {
    char u[UNITS_TEXT];
    add_item(&l, "%s %s", attr_text((attr_cause)cause[i].id),
             percent(u, cause[i].s / r->tl->makespan_s));
  }
  end_line(&l);
}

static void print_energy(const report *r, out *o) {
  const struct {
    const char *name;
    double J;
  } part[] = {{"engines", r->energy_engine_J},
              {"idle", r->energy_idle_J},
              {"SRAM", r->energy_sram_J},
              {"DRAM", r->energy_dram_J}};
  if (!(r->energy_J > 0)) return;
  char a[UNITS_TEXT], b[UNITS_TEXT];
  line l = begin_line(o, "energy");
  if (r->tl->makespan_s > 0)
    add_item(&l, "%s, %s on average", si(a, r->energy_J, "J"),
             si(b, r->energy_J / r->tl->makespan_s, "W"));
  for (size_t i = 0; i < sizeof part / sizeof *part; i++)
    if (part[i].J > 0) add_item(&l, "%s %s", part[i].name, percent(a, part[i].J / r->energy_J));
  end_line(&l);
}

/* The column of names: as wide as the longest needs, within reason. */
static size_t name_width(const report *r, const group g[CLASSES]) {
  size_t width = LABEL;
  for (size_t i = 0; i < r->n_resources; i++) {
    int class = class_of(r, i);
    size_t n = columns(r->resources[i].name) + 2;
    if (g[class].n <= (class == PORTS ? 1 : MANY) && n > width) width = n;
  }
  for (size_t i = 0; i < r->n_memory; i++)
    if (columns(r->memory[i].name) + 2 > width) width = columns(r->memory[i].name) + 2;
  return width;
}

void report_print_summary(const report *r, out *o) {
  group g[CLASSES];
  group_resources(r, g);
  size_t width = name_width(r, g);
  print_workload(&r->dag->workload, o);
  print_platform(r, o);
  out_char(o, '\n');
  print_latency(r, o);
  print_bound(r, g, o);
  print_causes(r, o);
  print_energy(r, o);
  out_char(o, '\n');
  print_resources(r, g, width, o);
  out_char(o, '\n');
  print_ops(r, width, o);
}
