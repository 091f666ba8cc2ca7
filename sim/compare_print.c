#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/compare.h"

enum { KEY = 44, COLUMN = 16, TEXT = 64, TOP_TASKS = 5 };

/* ---- pieces ---- */

static void put_cell(out *o, const char *text) {
  out_printf(o, " %*s", COLUMN, text);
}

/* Whole numbers in full, others with 6 digits. */
static const char *value_text(char buf[TEXT], const json *v) {
  if (v == NULL) return "-";
  if (json_is_string(v)) return json_str(v);
  if (json_is_bool(v)) return json_true(v) ? "true" : "false";
  double x = json_num(v);
  snprintf(buf, TEXT, x == floor(x) && fabs(x) < 9e15 ? "%.0f" : "%.6g", x);
  return buf;
}

bool compare_same(const json *x, const json *y) {
  if (x == NULL || y == NULL) return x == y;
  if (json_is_number(x) && json_is_number(y)) return json_num(x) == json_num(y);
  if (json_is_string(x) && json_is_string(y)) return strcmp(json_str(x), json_str(y)) == 0;
  return json_is_bool(x) && json_is_bool(y) && json_true(x) == json_true(y);
}

/* "2.381 ms", with a sign where it is a difference. */
static const char *time_text(char buf[TEXT], double s, bool sign) {
  static const char *const UNIT[] = {"ns", "us", "ms", "s"};
  double v = s * 1e9;
  int i = 0;
  for (; fabs(v) >= 999.95 && i < 3; i++) v /= 1000;
  if (fabs(v) < 5e-4) return "0";
  snprintf(buf, TEXT, sign ? "%+.4g %s" : "%.4g %s", v, UNIT[i]);
  return buf;
}

static void put_heading(const char *what, size_t n, bool change, out *o) {
  char label[COMPARE_LABEL];
  out_printf(o, "\n%-*s", KEY, what);
  for (size_t i = 0; i < n; i++) put_cell(o, compare_label(label, i));
  for (size_t i = 1; change && i < n; i++) {
    char text[TEXT];
    snprintf(text, sizeof text, n > 2 ? "%s against A" : "change", compare_label(label, i));
    put_cell(o, text);
  }
  out_char(o, '\n');
}

/* ---- fields ---- */

static bool is_input(const char *key) {
  static const char *const INPUT[] = {"workload.", "platform.", "scheduler", "prefetch", "seed"};
  for (size_t i = 0; i < sizeof INPUT / sizeof *INPUT; i++)
    if (strncmp(key, INPUT[i], strlen(INPUT[i])) == 0) return true;
  return false;
}

static void print_field(const compare_run *r, size_t n, const char *key, out *o) {
  char text[TEXT];
  const json *a = compare_field_of(&r[0], key);
  out_printf(o, "%-*s", KEY, key);
  for (size_t i = 0; i < n; i++) put_cell(o, value_text(text, compare_field_of(&r[i], key)));
  for (size_t i = 1; i < n && a != NULL && json_is_number(a); i++) {
    const json *v = compare_field_of(&r[i], key);
    snprintf(text, sizeof text, "%s", "");
    double change = v != NULL && json_is_number(v) ? 100 * (json_num(v) / json_num(a) - 1) : NAN;
    if (isfinite(change) && !is_input(key)) snprintf(text, sizeof text, "%+.2f%%", change);
    if (*text != '\0' || i + 1 < n) put_cell(o, text);
  }
  out_char(o, '\n');
}

static const char MOVED[] = "attribution_by_op.";

typedef struct counts {
  size_t equal, differ;
} counts;

/* Fields of run k that no earlier run has, those of inputs or the others. */
static void print_fields_of(const compare_run *r, size_t n, size_t k, bool inputs, counts *c,
                            out *o) {
  for (size_t f = 0; f < r[k].n_fields; f++) {
    const char *key = r[k].fields[f].key;
    bool seen = is_input(key) != inputs, differs = false;
    for (size_t i = 0; i < k; i++) seen = seen || compare_field_of(&r[i], key) != NULL;
    if (seen) continue;
    for (size_t i = 0; i < n; i++)
      differs = differs || !compare_same(compare_field_of(&r[i], key), r[k].fields[f].value);
    *(differs ? &c->differ : &c->equal) += 1;
    /* what makes up the makespan has a table of its own */
    if (differs && strncmp(key, MOVED, sizeof MOVED - 1) != 0) print_field(r, n, key, o);
  }
}

/* Returns how many differ. */
static size_t print_fields(const compare_run *r, size_t n, bool inputs, counts *c, out *o) {
  size_t before = c->differ, len;
  out *rows = out_memory();
  for (size_t k = 0; k < n; k++) print_fields_of(r, n, k, inputs, c, rows);
  if (c->differ > before) {
    put_heading(inputs ? "inputs that differ" : "results that differ", n, !inputs, o);
    const char *text = out_text(rows, &len);
    out_write(o, text, len);
  }
  out_abort(rows);
  return c->differ - before;
}

/* ---- where the makespan moved ---- */

static double op_s(const compare_run *r, const char *op, arena *a) {
  const json *v = compare_field_of(r, arena_printf(a, "attribution_by_op.%s", op));
  return v != NULL && json_is_number(v) ? json_num(v) : 0;
}

/* Of one op, or of all: the change of tasks that both have, and what those of one alone make up. */
typedef struct moved {
  const char *op;
  double change_s, matched_s, only_a_s, only_b_s;
} moved;

typedef struct op_list {
  moved *items;
  size_t n, cap;
} op_list;

static moved *op_at(op_list *l, const char *op, arena *a) {
  for (size_t i = 0; i < l->n; i++)
    if (strcmp(l->items[i].op, op) == 0) return &l->items[i];
  moved m = {.op = op};
  ARENA_PUSH(a, l->items, l->n, l->cap, m);
  return &l->items[l->n - 1];
}

/* Ops that some run's makespan consists of, in the order of the reports. */
static op_list list_ops(const compare_run *r, size_t n, arena *a) {
  op_list l = {0};
  for (size_t i = 0; i < n; i++)
    for (size_t f = 0; f < r[i].n_fields; f++)
      if (strncmp(r[i].fields[f].key, MOVED, sizeof MOVED - 1) == 0)
        (void)op_at(&l, r[i].fields[f].key + sizeof MOVED - 1, a);
  return l;
}

static int by_change(const void *a, const void *b) {
  const moved *x = a, *y = b;
  if (fabs(x->change_s) != fabs(y->change_s)) return fabs(x->change_s) > fabs(y->change_s) ? -1 : 1;
  return strcmp(x->op, y->op);
}

/* The largest change first. */
static void sort_ops(const compare_run *r, size_t n, op_list *l, arena *a) {
  for (size_t k = 0; k < l->n; k++)
    for (size_t i = 1; i < n; i++) {
      double d = op_s(&r[i], l->items[k].op, a) - op_s(&r[0], l->items[k].op, a);
      if (fabs(d) > fabs(l->items[k].change_s)) l->items[k].change_s = d;
    }
  if (l->n > 0) qsort(l->items, l->n, sizeof *l->items, by_change);
}

static void print_moved(const compare_run *r, size_t n, out *o, arena *a) {
  char text[TEXT];
  op_list l = list_ops(r, n, a);
  sort_ops(r, n, &l, a);
  put_heading("where the makespan moved, by op", n, true, o);
  for (size_t k = 0; k <= l.n; k++) {
    const char *op = k < l.n ? l.items[k].op : NULL; /* NULL: the sum */
    double first = op != NULL ? op_s(&r[0], op, a) : r[0].makespan_s;
    out_printf(o, "%-*s", KEY, op != NULL ? op : "makespan");
    for (int change = 0; change < 2; change++)
      for (size_t i = change ? 1 : 0; i < n; i++) {
        double s = op != NULL ? op_s(&r[i], op, a) : r[i].makespan_s;
        put_cell(o, time_text(text, change ? s - first : s, change));
      }
    out_char(o, '\n');
  }
}

/* ---- tasks ---- */

typedef struct pair {
  const compare_task *a, *b;
  double change_s;
} pair;

static int by_pair_change(const void *x, const void *y) {
  const pair *p = x, *q = y;
  if (fabs(p->change_s) != fabs(q->change_s)) return fabs(p->change_s) > fabs(q->change_s) ? -1 : 1;
  return (p->a->id > q->a->id) - (p->a->id < q->a->id);
}

typedef struct matching {
  pair *pairs;
  size_t n_pairs, only_a, only_b, moved; /* moved: another start or duration */
  op_list ops;
} matching;

static void add_only(matching *m, const compare_task *t, bool in_a, arena *mem) {
  moved *x = op_at(&m->ops, t->op, mem);
  *(in_a ? &m->only_a : &m->only_b) += 1;
  *(in_a ? &x->only_a_s : &x->only_b_s) += t->critical_s;
  x->change_s += in_a ? -t->critical_s : t->critical_s;
}

static matching match(const compare_run *a, const compare_run *b, arena *mem) {
  matching m = {.pairs = ARENA_NEW(mem, pair, a->n_tasks)};
  size_t i = 0, k = 0;
  while (i < a->n_tasks || k < b->n_tasks) {
    const compare_task *x = i < a->n_tasks ? &a->tasks[i] : NULL;
    const compare_task *y = k < b->n_tasks ? &b->tasks[k] : NULL;
    bool both = x != NULL && y != NULL && x->id == y->id;
    if (both && strcmp(x->name, y->name) == 0) {
      double change = y->critical_s - x->critical_s;
      m.pairs[m.n_pairs++] = (pair){x, y, change};
      m.moved += x->start_s != y->start_s || x->dur_s != y->dur_s;
      op_at(&m.ops, x->op, mem)->matched_s += change;
      op_at(&m.ops, x->op, mem)->change_s += change;
      i++, k++;
      continue;
    }
    bool first = x != NULL && (y == NULL || x->id <= y->id);
    bool second = y != NULL && (x == NULL || y->id <= x->id);
    if (first) add_only(&m, x, true, mem), i++;
    if (second) add_only(&m, y, false, mem), k++;
  }
  qsort(m.pairs, m.n_pairs, sizeof *m.pairs, by_pair_change);
  if (m.ops.n > 0) qsort(m.ops.items, m.ops.n, sizeof *m.ops.items, by_change);
  return m;
}

static void print_task_ops(const matching *m, const char *label, out *o) {
  char text[TEXT], only[TEXT];
  moved all = {.op = "makespan"};
  snprintf(only, sizeof only, "only in %s", label);
  out_printf(o, "%-*s %*s %*s %*s %*s\n", KEY, "  by op", COLUMN, "matching tasks", COLUMN,
             "only in A", COLUMN, only, COLUMN, "together");
  for (size_t i = 0; i <= m->ops.n; i++) {
    const moved *x = i < m->ops.n ? &m->ops.items[i] : &all;
    if (i < m->ops.n) {
      all.change_s += x->change_s;
      all.matched_s += x->matched_s;
      all.only_a_s += x->only_a_s;
      all.only_b_s += x->only_b_s;
      if (x->matched_s == 0 && x->only_a_s == 0 && x->only_b_s == 0) continue;
    }
    out_printf(o, "  %-*s", KEY - 2, x->op);
    put_cell(o, time_text(text, x->matched_s, true));
    put_cell(o, time_text(text, -x->only_a_s, true));
    put_cell(o, time_text(text, x->only_b_s, true));
    put_cell(o, time_text(text, x->change_s, true));
    out_char(o, '\n');
  }
}

static size_t print_tasks(const compare_run *r, size_t i, out *o, arena *a) {
  char buf[COMPARE_LABEL], text[TEXT];
  const char *label = compare_label(buf, i);
  matching m = match(&r[0], &r[i], a);
  out_printf(
      o,
      "\ntasks of A and %s: %zu match by id and name, %zu of them at other times; %zu only in A, "
      "%zu only in %s\n",
      label, m.n_pairs, m.moved, m.only_a, m.only_b, label);
  if (m.n_pairs == 0) out_str(o, "  no task matches, so that only sums by op can be compared\n");
  size_t differ = m.moved + m.only_a + m.only_b;
  if (differ == 0) return 0;
  print_task_ops(&m, label, o);
  for (size_t k = 0; k < TOP_TASKS && k < m.n_pairs && m.pairs[k].change_s != 0; k++)
    out_printf(o, "  task %llu '%s': %s of the makespan\n", (unsigned long long)m.pairs[k].a->id,
               m.pairs[k].a->name, time_text(text, m.pairs[k].change_s, true));
  return differ;
}

/* ---- all of it ---- */

static const char *text_of(const compare_run *r, const char *key) {
  const json *v = compare_field_of(r, key);
  return v != NULL && json_is_string(v) ? json_str(v) : "";
}

static void print_runs(const compare_run *r, size_t n, out *o) {
  char label[COMPARE_LABEL];
  for (size_t i = 0; i < n; i++) {
    const char *model = text_of(&r[i], "workload.model");
    out_printf(o, "%-3s %s: %s%s%s on %s, %s\n", compare_label(label, i), r[i].path,
               *model != '\0' ? model : "task DAG", *model != '\0' ? " " : "",
               text_of(&r[i], "workload.phase"), text_of(&r[i], "platform.name"),
               text_of(&r[i], "scheduler"));
  }
}

static bool same_workload(const compare_run *a, const compare_run *b) {
  for (size_t k = 0; k < 2; k++) {
    const compare_run *x = k == 0 ? a : b, *y = k == 0 ? b : a;
    for (size_t f = 0; f < x->n_fields; f++)
      if (strncmp(x->fields[f].key, "workload.", 9) == 0 &&
          !compare_same(x->fields[f].value, compare_field_of(y, x->fields[f].key)))
        return false;
  }
  return true;
}

size_t compare_print(const compare_run *r, size_t n, out *o, arena *a) {
  counts c = {0};
  bool same = true, traces = true;
  print_runs(r, n, o);
  for (size_t i = 1; i < n; i++) same = same && same_workload(&r[0], &r[i]);
  for (size_t i = 0; i < n; i++) traces = traces && r[i].text != NULL;
  if (!same) out_str(o, "Workloads differ: what follows compares them as far as they match.\n");
  size_t inputs = print_fields(r, n, true, &c, o), results = print_fields(r, n, false, &c, o);
  out_printf(o, "%s%zu field%s equal\n", inputs + results > 0 ? "" : "\n", c.equal,
             c.equal == 1 ? " is" : "s are");
  size_t tasks = 0;
  if (results > 0) print_moved(r, n, o, a);
  for (size_t i = 1; traces && i < n; i++) tasks += print_tasks(r, i, o, a);
  return inputs + results + tasks;
}
