#include "sim/estimate_joins.h"

#include <math.h>

/* Tasks beside the group that are looked at: the first steps of a pipeline, or the last; and deps
 * and tasks looked at in all, one of the DAG. */
enum { BESIDE = 64, BUDGET = 8 };

/* Backwards, "before" reads "after", "first" "last", and an end is a start. */
struct joins {
  const dag *d;
  const dag_succ *succ; /* NULL: forwards */
  const double *best_s;
  bool *is_end;                   /* by task: no other of its group depends on it */
  uint32_t *first, *last, *n_end; /* by group; first and last are ids, first the smaller */
  double *time_s;                 /* by group; less than 0: not known yet */
  double *chain_s;                /* by task: the longest chain to the present group's; else < 0 */
  uint64_t *at;                   /* by group */
  uint32_t *touched;              /* groups */
  stretch *stretch;
  around_space space;
  uint64_t left;
};

typedef struct near {
  const uint32_t *task;
  size_t n;
} near;

/* What the task depends on directly; backwards, what depends on it. */
static near near_of(const joins *j, uint32_t t) {
  if (j->succ == NULL) return (near){dag_deps(j->d, &j->d->tasks[t]), j->d->tasks[t].n_deps};
  return (near){j->succ->succ + j->succ->first[t], j->succ->first[t + 1] - j->succ->first[t]};
}

static void find_groups(joins *j) {
  const dag *d = j->d;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    uint32_t g = d->tasks[t].group;
    if (g == DAG_NO_GROUP) continue;
    if (j->first[g] == UINT32_MAX) j->first[g] = t;
    j->last[g] = t;
    j->is_end[t] = true;
  }
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    if (d->tasks[t].group == DAG_NO_GROUP) continue;
    const uint32_t *deps = dag_deps(d, &d->tasks[t]);
    for (uint32_t i = 0; i < d->tasks[t].n_deps; i++)
      if (d->tasks[deps[i]].group == d->tasks[t].group)
        j->is_end[j->succ == NULL ? deps[i] : t] = false;
  }
  for (uint32_t t = 0; t < d->n_tasks; t++)
    if (j->is_end[t]) j->n_end[d->tasks[t].group]++;
}

joins *joins_new(const dag *d, const dag_succ *succ, const double *best_s, arena *a) {
  joins *j = ARENA_NEW(a, joins, 1);
  *j = (joins){.d = d, .succ = succ, .best_s = best_s, .left = BUDGET * (d->n_tasks + d->n_deps)};
  if (d->n_groups == 0) return j;
  j->first = ARENA_NEW(a, uint32_t, d->n_groups);
  j->last = ARENA_NEW(a, uint32_t, d->n_groups);
  j->n_end = ARENA_NEW(a, uint32_t, d->n_groups);
  j->time_s = ARENA_NEW(a, double, d->n_groups);
  j->at = ARENA_NEW(a, uint64_t, d->n_groups);
  j->touched = ARENA_NEW(a, uint32_t, d->n_groups);
  j->is_end = ARENA_NEW(a, bool, d->n_tasks);
  j->chain_s = ARENA_NEW(a, double, d->n_tasks);
  j->stretch = ARENA_NEW(a, stretch, d->n_tasks);
  j->space = around_space_new(d->n_tasks, a);
  for (uint32_t g = 0; g < d->n_groups; g++) j->time_s[g] = -1, j->first[g] = UINT32_MAX;
  for (uint32_t t = 0; t < d->n_tasks; t++) j->chain_s[t] = -1;
  find_groups(j);
  return j;
}

/* Marks what the group's tasks depend on, from lo to hi, and themselves. */
static void find_chains(joins *j, uint32_t group, uint32_t lo, uint32_t hi) {
  for (uint32_t i = 0; i <= hi - lo; i++) {
    uint32_t t = j->succ == NULL ? hi - i : lo + i;
    if (j->d->tasks[t].group == group) j->chain_s[t] = fmax(j->chain_s[t], 0);
    if (j->chain_s[t] < 0) continue;
    near x = near_of(j, t);
    for (size_t k = 0; k < x.n; k++)
      if (x.task[k] >= lo && x.task[k] <= hi)
        j->chain_s[x.task[k]] = fmax(j->chain_s[x.task[k]], j->best_s[t] + j->chain_s[t]);
  }
}

/* Sorts the marked tasks by group, and returns the most that a group takes. Clears the marks. */
static double longest_s(joins *j, uint32_t lo, uint32_t hi, const double *head_s) {
  const dag *d = j->d;
  size_t n_touched = 0, n = 0;
  double most = 0;
  for (uint32_t t = lo; t <= hi; t++) {
    uint32_t g = d->tasks[t].group;
    if (j->chain_s[t] >= 0 && g != DAG_NO_GROUP && j->at[g]++ == 0) j->touched[n_touched++] = g;
  }
  for (size_t i = 0; i < n_touched; i++) {
    uint64_t size = j->at[j->touched[i]];
    j->at[j->touched[i]] = n;
    n += size;
  }
  for (uint32_t t = lo; t <= hi; t++) {
    uint32_t g = d->tasks[t].group;
    if (j->chain_s[t] >= 0 && g != DAG_NO_GROUP)
      j->stretch[j->at[g]++] = (stretch){.r = head_s[t], .p = j->best_s[t], .q = j->chain_s[t]};
    j->chain_s[t] = -1;
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

static double time_of(joins *j, uint32_t group, const double *head_s) {
  if (j->time_s[group] >= 0) return j->time_s[group];
  const dag_task *tasks = j->d->tasks;
  uint32_t lo = j->first[group], hi = j->last[group], end = (uint32_t)j->d->n_tasks - 1;
  if (j->succ == NULL)
    lo = lo > BESIDE ? lo - BESIDE : 0;
  else
    hi = end - hi > BESIDE ? hi + BESIDE : end;
  uint64_t looks = 2 * (hi - lo + 1);
  looks += j->succ == NULL ? tasks[hi].dep0 + tasks[hi].n_deps - tasks[lo].dep0
                           : j->succ->first[hi + 1] - j->succ->first[lo];
  j->time_s[group] = 0;
  if (looks > j->left) return 0;
  j->left -= looks;
  find_chains(j, group, lo, hi);
  return j->time_s[group] = longest_s(j, lo, hi, head_s);
}

double joins_s(joins *j, uint32_t task, const double *head_s) {
  const dag_task *tasks = j->d->tasks;
  near x = near_of(j, task);
  double most = 0;
  for (size_t i = 0; i < x.n; i++) {
    uint32_t g = tasks[x.task[i]].group, n = 0;
    if (g == DAG_NO_GROUP || (j->succ == NULL ? j->last[g] : j->first[g]) != x.task[i] ||
        j->n_end[g] > x.n)
      continue;
    for (size_t k = 0; k < x.n; k++) n += tasks[x.task[k]].group == g && j->is_end[x.task[k]];
    if (n == j->n_end[g]) most = fmax(most, time_of(j, g, head_s));
  }
  return most;
}
