#include "sim/estimate_joins.h"

#include <math.h>

/* Tasks before the group's first that are looked at: the first steps of a pipeline; and deps and
 * tasks looked at in all, one of the DAG. */
enum { BEFORE = 64, BUDGET = 8 };

struct joins {
  const dag *d;
  const double *best_s;
  uint32_t *first, *last, *size; /* by group; last and first are ids */
  double *end_s;                 /* by group; less than 0: not known yet */
  double *after_s;               /* by task: the longest chain to the present group's; else < 0 */
  uint64_t *at;                  /* by group */
  uint32_t *touched;             /* groups */
  stretch *stretch;
  around_space space;
  uint64_t left;
};

joins *joins_new(const dag *d, const double *best_s, arena *a) {
  joins *j = ARENA_NEW(a, joins, 1);
  *j = (joins){.d = d, .best_s = best_s, .left = BUDGET * (d->n_tasks + d->n_deps)};
  if (d->n_groups == 0) return j;
  j->first = ARENA_NEW(a, uint32_t, d->n_groups);
  j->last = ARENA_NEW(a, uint32_t, d->n_groups);
  j->size = ARENA_NEW(a, uint32_t, d->n_groups);
  j->end_s = ARENA_NEW(a, double, d->n_groups);
  j->at = ARENA_NEW(a, uint64_t, d->n_groups);
  j->touched = ARENA_NEW(a, uint32_t, d->n_groups);
  j->after_s = ARENA_NEW(a, double, d->n_tasks);
  j->stretch = ARENA_NEW(a, stretch, d->n_tasks);
  j->space = around_space_new(d->n_tasks, a);
  for (uint32_t g = 0; g < d->n_groups; g++) j->end_s[g] = -1;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    uint32_t g = d->tasks[t].group;
    j->after_s[t] = -1;
    if (g == DAG_NO_GROUP) continue;
    if (j->size[g]++ == 0) j->first[g] = t;
    j->last[g] = t;
  }
  return j;
}

/* Marks what the group's tasks depend on, from lo on, and themselves. */
static void find_after(joins *j, uint32_t group, uint32_t lo) {
  const dag *d = j->d;
  for (uint32_t t = j->last[group] + 1; t-- > lo;) {
    if (d->tasks[t].group == group) j->after_s[t] = fmax(j->after_s[t], 0);
    if (j->after_s[t] < 0) continue;
    const uint32_t *deps = dag_deps(d, &d->tasks[t]);
    for (uint32_t i = 0; i < d->tasks[t].n_deps; i++)
      if (deps[i] >= lo)
        j->after_s[deps[i]] = fmax(j->after_s[deps[i]], j->best_s[t] + j->after_s[t]);
  }
}

/* Sorts the marked tasks by group, and returns the most that a group takes. Clears the marks. */
static double longest_s(joins *j, uint32_t lo, uint32_t hi, const double *head_s) {
  const dag *d = j->d;
  size_t n_touched = 0, n = 0;
  double most = 0;
  for (uint32_t t = lo; t <= hi; t++) {
    uint32_t g = d->tasks[t].group;
    if (j->after_s[t] >= 0 && g != DAG_NO_GROUP && j->at[g]++ == 0) j->touched[n_touched++] = g;
  }
  for (size_t i = 0; i < n_touched; i++) {
    uint64_t size = j->at[j->touched[i]];
    j->at[j->touched[i]] = n;
    n += size;
  }
  for (uint32_t t = lo; t <= hi; t++) {
    uint32_t g = d->tasks[t].group;
    if (j->after_s[t] >= 0 && g != DAG_NO_GROUP)
      j->stretch[j->at[g]++] = (stretch){.r = head_s[t], .p = j->best_s[t], .q = j->after_s[t]};
    j->after_s[t] = -1;
  }
  n = 0;
  for (size_t i = 0; i < n_touched; i++) {
    uint64_t to = j->at[j->touched[i]];
    most = fmax(most, around_end(j->stretch + n, to - n, &j->space));
    n = to;
    j->at[j->touched[i]] = 0;
  }
  return most;
}

static double end_of(joins *j, uint32_t group, const double *head_s) {
  if (j->end_s[group] >= 0) return j->end_s[group];
  const dag_task *tasks = j->d->tasks;
  uint32_t first = j->first[group], hi = j->last[group], lo = first > BEFORE ? first - BEFORE : 0;
  uint64_t looks = 2 * (hi - lo + 1) + tasks[hi].dep0 + tasks[hi].n_deps - tasks[lo].dep0;
  j->end_s[group] = 0;
  if (looks > j->left) return 0;
  j->left -= looks;
  find_after(j, group, lo);
  return j->end_s[group] = longest_s(j, lo, hi, head_s);
}

double joins_end(joins *j, uint32_t task, const double *head_s) {
  const dag_task *tasks = j->d->tasks;
  const uint32_t *deps = dag_deps(j->d, &tasks[task]);
  double most = 0;
  for (uint32_t i = 0; i < tasks[task].n_deps; i++) {
    uint32_t g = tasks[deps[i]].group, n = 0;
    if (g == DAG_NO_GROUP || j->last[g] != deps[i] || j->size[g] > tasks[task].n_deps) continue;
    for (uint32_t k = 0; k < tasks[task].n_deps; k++) n += tasks[deps[k]].group == g;
    if (n == j->size[g]) most = fmax(most, end_of(j, g, head_s));
  }
  return most;
}
