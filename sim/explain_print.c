#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/explain.h"

enum { NAME = 40, LABEL = 14, WIDTH = 100, ITEM = 160 };

/* Changes of the makespan below this are not worth a line of their own. */
static const double VISIBLE = 0.0005;

static size_t columns(const char *s) {
  size_t n = 0;
  for (; *s != '\0'; s++) n += ((unsigned char)*s & 0xC0) != 0x80;
  return n;
}

/* ---- attribution ---- */

typedef struct ranked {
  int id;
  double s;
} ranked;

/* Largest first, ties by id. */
static int by_size(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->s != y->s) return x->s > y->s ? -1 : 1;
  return (x->id > y->id) - (x->id < y->id);
}

static const char *share_text(char buf[UNITS_TEXT], double share) {
  if (share > 0 && share < 0.0005)
    snprintf(buf, UNITS_TEXT, "<0.1%%");
  else
    snprintf(buf, UNITS_TEXT, "%.1f%%", 100 * share);
  return buf;
}

/* 4 digits: "2.381 ms" */
static const char *time_text(char buf[UNITS_TEXT], double s) {
  static const char *const UNIT[] = {"ns", "us", "ms", "s"};
  double v = s < 5e-13 ? 0 : s * 1e9;
  int i = 0;
  for (; v >= 999.95 && i < 3; i++) v /= 1000;
  snprintf(buf, UNITS_TEXT, "%.4g %s", v, UNIT[i]);
  return buf;
}

static void put_row(out *o, const char *name, const char *tasks, double s, double all_s,
                    const char *more) {
  char share[UNITS_TEXT], time[UNITS_TEXT];
  out_printf(o, "  %-*s %7s %7s %12s%s%s\n", NAME, name, tasks, share_text(share, s / all_s),
             time_text(time, s), *more != '\0' ? "   " : "", more);
}

static void print_causes(const report *r, out *o) {
  ranked cause[ATTR_COUNT];
  for (int i = 0; i < ATTR_COUNT; i++) cause[i] = (ranked){i, r->attr.cause_s[i]};
  qsort(cause, ATTR_COUNT, sizeof *cause, by_size);
  out_printf(o, "%-*s %7s %7s %12s\n", NAME + 2, "where the makespan goes", "", "share", "time");
  for (int i = 0; i < ATTR_COUNT && cause[i].s > 0; i++)
    put_row(o, attr_text((attr_cause)cause[i].id), "", cause[i].s, r->tl->makespan_s, "");
  put_row(o, "sum", "", r->tl->makespan_s, r->tl->makespan_s, "");
}

static const char *main_cause(const report *r, int o) {
  int most = 0;
  for (int c = 1; c < ATTR_COUNT; c++)
    if (r->attr.op_cause_s[o][c] > r->attr.op_cause_s[o][most]) most = c;
  return attr_text((attr_cause)most);
}

static void print_path(const report *r, out *o) {
  ranked op_s[OP_COUNT];
  size_t tasks[OP_COUNT] = {0}, n = 0;
  for (uint32_t t = 0; t < r->dag->n_tasks; t++)
    if (r->attr.critical[t]) tasks[r->dag->tasks[t].op]++, n++;
  for (int i = 0; i < OP_COUNT; i++) op_s[i] = (ranked){i, r->attr.op_s[i]};
  qsort(op_s, OP_COUNT, sizeof *op_s, by_size);
  out_printf(o, "\n%-*s %7s %7s %12s   %s\n", NAME + 2, "the critical path, by op", "tasks",
             "share", "time", "mostly");
  for (int i = 0; i < OP_COUNT; i++) {
    char count[UNITS_TEXT];
    int id = op_s[i].id;
    if (tasks[id] == 0) continue;
    snprintf(count, sizeof count, "%zu", tasks[id]);
    put_row(o, op_name((op)id), count, op_s[i].s, r->tl->makespan_s,
            op_s[i].s > 0 ? main_cause(r, id) : "");
  }
  char count[UNITS_TEXT];
  snprintf(count, sizeof count, "%zu", n);
  put_row(o, "sum", count, r->tl->makespan_s, r->tl->makespan_s, "");
}

/* ---- lists that wrap ---- */

typedef struct line {
  out *o;
  size_t at;
  bool any;
} line;

static line begin_line(out *o, const char *label) {
  out_printf(o, "%-*s", LABEL, label);
  return (line){.o = o, .at = LABEL};
}

__attribute__((format(printf, 2, 3))) static void add_item(line *l, const char *fmt, ...) {
  char text[ITEM];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  if (l->any && l->at + 2 + columns(text) >= WIDTH) {
    out_printf(l->o, ",\n%-*s%s", LABEL, "", text);
    l->at = LABEL + columns(text);
  } else {
    out_printf(l->o, "%s%s", l->any ? ", " : "", text);
    l->at += columns(text) + (l->any ? 2 : 0);
  }
  l->any = true;
}

static void end_line(line *l) {
  out_str(l->o, l->any ? "\n" : "none\n");
}

static void print_resources(const report *r, out *o) {
  line l = begin_line(o, "by resource");
  ranked *x = mem_alloc(r->tl->n_resources + 1, sizeof *x);
  for (size_t i = 0; i < r->tl->n_resources; i++) x[i] = (ranked){(int)i, r->attr.resource_s[i]};
  qsort(x, r->tl->n_resources, sizeof *x, by_size);
  for (size_t i = 0; i < r->tl->n_resources && x[i].s > 0; i++) {
    char share[UNITS_TEXT];
    if (i == 8) {
      add_item(&l, "...");
      break;
    }
    add_item(&l, "%s %s", r->tl->resources[x[i].id].name,
             share_text(share, x[i].s / r->tl->makespan_s));
  }
  free(x);
  end_line(&l);
}

/* ---- what if ---- */

/* To a thousandth of a percent, so that rounding is no effect. */
static double effect(const explain *x, const explain_point *pt) {
  return round((pt->makespan_s / x->base.makespan_s - 1) * 1e5) / 1e5;
}

/* "-9.8%", or that it does not run. */
static const char *effect_text(char buf[UNITS_TEXT], const explain *x, const explain_point *pt) {
  if (pt->set == NULL && pt->free_ops == NULL)
    snprintf(buf, UNITS_TEXT, "there is none");
  else if (pt->status != ERR_OK)
    snprintf(buf, UNITS_TEXT, "does not run");
  else
    snprintf(buf, UNITS_TEXT, fabs(effect(x, pt)) < VISIBLE ? "%.1f%%" : "%+.1f%%",
             fabs(effect(x, pt)) < VISIBLE ? 0 : 100 * effect(x, pt));
  return buf;
}

static bool visible(const explain *x, const explain_point *pt) {
  if (pt->set == NULL && pt->free_ops == NULL) return false;
  return pt->status != ERR_OK || fabs(effect(x, pt)) >= VISIBLE;
}

/* How much it matters, for the order; what does not run matters most. */
static double weight(const explain *x, const explain_point *pt) {
  if (pt->set == NULL && pt->free_ops == NULL) return 0;
  return pt->status != ERR_OK ? INFINITY : fabs(effect(x, pt));
}

/* Graham's: better made the run longer, or worse shorter. Less is better of times, more of all
 * else. */
static bool is_anomaly(const explain *x, size_t i) {
  bool less_is_better = x->knobs[i].kind == UNITS_TIME;
  const explain_point *better = less_is_better ? &x->less[i] : &x->more[i];
  const explain_point *worse = less_is_better ? &x->more[i] : &x->less[i];
  return (better->status == ERR_OK && effect(x, better) >= VISIBLE) ||
         (worse->status == ERR_OK && effect(x, worse) <= -VISIBLE);
}

static void put_set(out *o, const explain_point *pt) {
  for (size_t i = 0; pt->set != NULL && pt->set[i] != NULL; i++) {
    if (i == 2) {
      out_str(o, " ...");
      break;
    }
    out_printf(o, " --set %s", pt->set[i]);
  }
}

static void print_knob(const explain *x, size_t i, out *o) {
  char more[UNITS_TEXT], less[UNITS_TEXT];
  const explain_knob *k = &x->knobs[i];
  const explain_point *up = &x->more[i], *down = &x->less[i];
  effect_text(more, x, up);
  effect_text(less, x, down);
  char text[ITEM];
  int n = k->step ? snprintf(text, sizeof text, "%s +1: %s, -1: %s", k->label, more, less)
                  : snprintf(text, sizeof text, "%s +10%%: %s, -10%%: %s", k->label, more, less);
  if (!k->step && up->status == ERR_OK && down->status == ERR_OK && n > 0 && n < ITEM)
    snprintf(text + n, sizeof text - (size_t)n, ", elasticity %+.2f",
             log(up->makespan_s / down->makespan_s) / log(1.1 / 0.9) + 0.0);
  out_printf(o, "%s %-64s", is_anomaly(x, i) ? "!" : " ", text);
  put_set(o, up->status == ERR_OK ? up : down);
  out_char(o, '\n');
}

static void print_sensitivity(const explain *x, out *o) {
  ranked *k = mem_alloc(x->n_knobs + 1, sizeof *k);
  for (size_t i = 0; i < x->n_knobs; i++)
    k[i] = (ranked){(int)i, fmax(weight(x, &x->more[i]), weight(x, &x->less[i]))};
  qsort(k, x->n_knobs, sizeof *k, by_size);
  out_printf(o, "\nwhat would change it (re-simulated; by hand: run again with --set)\n");
  size_t shown = 0;
  for (; shown < x->n_knobs; shown++) {
    size_t i = (size_t)k[shown].id;
    if (!visible(x, &x->more[i]) && !visible(x, &x->less[i])) break;
    print_knob(x, i, o);
  }
  for (size_t i = 0; i < x->n_knobs; i++)
    if (is_anomaly(x, i)) {
      out_str(
          o,
          "! an anomaly: with more to work with the scheduler does worse, or better with less\n");
      break;
    }
  line l = begin_line(o, "hardly any");
  for (; shown < x->n_knobs; shown++)
    add_item(&l, x->knobs[k[shown].id].step ? "%s +-1" : "%s +-10%%", x->knobs[k[shown].id].label);
  end_line(&l);
  free(k);
}

static void print_free_ops(const explain *x, out *o) {
  ranked k[OP_COUNT];
  for (size_t i = 0; i < x->n_free; i++) k[i] = (ranked){(int)i, weight(x, &x->free_op[i])};
  qsort(k, x->n_free, sizeof *k, by_size);
  line l = begin_line(o, "free ops");
  size_t shown = 0;
  for (; shown < x->n_free && visible(x, &x->free_op[k[shown].id]); shown++) {
    char text[UNITS_TEXT];
    const explain_point *pt = &x->free_op[k[shown].id];
    add_item(&l, "%s free: %s", pt->free_ops, effect_text(text, x, pt));
  }
  end_line(&l);
  if (shown == x->n_free) return;
  l = begin_line(o, "hardly any");
  for (; shown < x->n_free; shown++) add_item(&l, "%s", x->free_op[k[shown].id].free_ops);
  end_line(&l);
}

/* The value of a knob, where it is one. */
static const char *value_at(char buf[UNITS_TEXT], const explain_knob *k, double factor) {
  for (size_t i = 1; i < k->n; i++)
    if (k->value[i] != k->value[0]) {
      snprintf(buf, UNITS_TEXT, "%.4g times as much", factor);
      return buf;
    }
  double v = k->value[0] * factor;
  return k->kind == UNITS_SPEED ? units_speed(buf, v) : units_bandwidth(buf, v);
}

static void print_knees(const explain *x, out *o) {
  out_printf(o, "\nwhere the bottleneck changes hands (now %s, %.1f%% used)\n", x->base.bound_by,
             100 * x->base.share);
  for (size_t i = 0; i < x->n_knees; i++) {
    const explain_knee *k = &x->knees[i];
    char now[UNITS_TEXT], then[UNITS_TEXT], time[UNITS_TEXT];
    value_at(now, k->knob, 1);
    const char *way = k->up ? "raised" : "lowered";
    if (k->found)
      out_printf(o, "  %-20s %15s %-7s to %15s (x%.3g): then %s, %s\n", k->knob->label, now, way,
                 value_at(then, k->knob, k->factor), k->factor, k->at.bound_by,
                 time_text(time, k->at.makespan_s));
    else
      out_printf(o, "  %-20s %15s %-7s by a factor of 1024: still %s\n", k->knob->label, now, way,
                 x->base.bound_by);
  }
}

void explain_print(const report *r, const explain *x, out *o) {
  if (!(r->tl->makespan_s > 0)) {
    out_str(o, "\nnothing ran, so there is nothing to explain\n");
    return;
  }
  out_char(o, '\n');
  print_causes(r, o);
  print_path(r, o);
  print_resources(r, o);
  print_sensitivity(x, o);
  print_free_ops(x, o);
  print_knees(x, o);
  out_printf(o, "%-*s%zu simulations\n", LABEL, "re-simulated", x->n_points);
}
