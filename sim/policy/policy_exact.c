/* exact: branch and bound, for small DAGs. It finds the best schedule of a relaxed machine, on
 * which every task takes what it takes alone, links are nobody's bottleneck, transfers need no
 * channel and SRAM has no size. So what it proves is a lower bound for every schedule on the real
 * machine, and where the real machine does no worse on its plan, that plan is optimal there, too.
 * It says what it proved, and, where the search was cut off, between which times the relaxed
 * optimum lies.
 *
 * Branching: the ready tasks by every engine that may run them, each appended to its engine, in
 * order of starting time, by which every schedule that starts tasks as early as its order allows is
 * met once. Of engines that are alike and free at the same time only the first is tried. Bound: the
 * longest way to the end from each task that is left, and all work that is left, spread evenly over
 * the engines from when they are free. The first way down, and the plan where nothing better is
 * found, is heft's. Work is limited by steps, not by time: the same result everywhere. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/policy/list_dag.h"

extern const policy policy_heft;

enum { MOST_TASKS = 512 }; /* compute tasks; above it only the bound at the root is taken */
static const uint64_t MOST_STEPS = 20000000;

typedef struct frame { /* one level: what was placed there */
  uint32_t task, engine;
} frame;

typedef struct branch {
  double bound, start;
  uint32_t task, engine;
} branch;

typedef struct exact {
  const pol_input *in;
  list_dag l;
  bool alike;
  size_t n;         /* compute tasks */
  double *tail;     /* by task: best time of it and all on the longest way behind it */
  double *least;    /* by task: best time */
  double *finish;   /* by task, of those placed and of the transfers before them */
  uint32_t *engine; /* by task */
  bool *placed;     /* by task */
  uint32_t *left;   /* by compute task: compute tasks before it that are not placed, directly or
                       through transfers */
  uint32_t *group_engine, *group_users; /* group_users: tasks of the group that are placed */
  uint32_t *bindings;                   /* by engine: groups that are bound to it */
  double *free_s;                       /* by engine */
  uint32_t *compute;                    /* ids */
  frame *stack, *best;
  branch **branches; /* by level */
  double best_s, open_s, left_work_s;
  uint64_t steps;
  bool cut;
} exact;

/* When the inputs of t are there; transfers before it take their own time after theirs. They stand
 * in id order behind what they need, so that a transfer is timed anew whenever it is asked for. */
static double inputs_there(exact *x, uint32_t t) {
  const list_graph *g = &x->l.g;
  double there = 0;
  for (uint64_t i = g->first_pred[t]; i < g->first_pred[t + 1]; i++) {
    uint32_t u = g->pred[i];
    x->steps++;
    there = fmax(there, list_dag_is_compute(x->in, u) ? x->finish[u]
                                                      : inputs_there(x, u) + list_cost(g, u, 0));
  }
  return there;
}

static bool is_ready(const exact *x, uint32_t t) {
  const list_graph *g = &x->l.g;
  for (uint64_t i = g->first_pred[t]; i < g->first_pred[t + 1]; i++) {
    uint32_t u = g->pred[i];
    if (list_dag_is_compute(x->in, u) ? !x->placed[u] : !is_ready(x, u)) return false;
  }
  return true;
}

/* A lower bound of what is yet to come behind placing t on engine q from `start` on. */
static double bound_of(exact *x, uint32_t t, uint32_t q, double start) {
  double end = start + list_cost(&x->l.g, t, q), bound = end + x->tail[t] - x->least[t];
  double area = x->left_work_s - x->least[t];
  for (uint32_t e = 0; e < x->l.g.n_procs; e++) {
    /* tasks come in order of starting time: no engine starts one before `start` any more */
    area += fmax(e == q ? end : x->free_s[e], start);
  }
  return fmax(bound, area / x->l.g.n_procs);
}

static bool worth(const exact *x, double bound) {
  return bound < x->best_s * (1 - 1e-12);
}

/* An engine just like q, before it and free at the same time. */
static bool has_twin(const exact *x, uint32_t q) {
  for (uint32_t e = 0; x->alike && x->bindings[q] == 0 && e < q; e++)
    if (x->free_s[e] == x->free_s[q] && x->bindings[e] == 0) return true;
  return false;
}

static size_t gather(exact *x, branch *list, double last_start, uint32_t last_task) {
  size_t n = 0;
  for (size_t i = 0; i < x->n; i++) {
    uint32_t t = x->compute[i], g = x->in->dag->tasks[t].group;
    x->steps++;
    if (x->placed[t] || !is_ready(x, t)) continue;
    double from = inputs_there(x, t);
    bool bound_group = g != DAG_NO_GROUP && x->group_users[g] > 0;
    for (uint32_t q = 0; q < x->l.g.n_procs; q++) {
      x->steps++;
      if (bound_group ? q != x->group_engine[g] : has_twin(x, q)) continue;
      if (!(list_cost(&x->l.g, t, q) < INFINITY)) continue;
      double start = fmax(from, x->free_s[q]);
      if (start < last_start || (start == last_start && t < last_task)) {
        /* of two that start together the larger id may only come first where the smaller needs it
         */
        if (start < last_start || from < last_start) continue;
      }
      double bound = bound_of(x, t, q, start);
      if (worth(x, bound)) list[n++] = (branch){bound, start, t, q};
    }
  }
  return n;
}

static bool comes_first(const branch *a, const branch *b) {
  if (a->bound != b->bound) return a->bound < b->bound;
  if (a->start != b->start) return a->start < b->start;
  return a->task != b->task ? a->task < b->task : a->engine < b->engine;
}

static void sort_branches(branch *b, size_t n) {
  for (size_t i = 1; i < n; i++) {
    branch v = b[i];
    size_t k = i;
    for (; k > 0 && comes_first(&v, &b[k - 1]); k--) b[k] = b[k - 1];
    b[k] = v;
  }
}

static void descend(exact *x, size_t level, double last_start, uint32_t last_task, double end_s) {
  if (level == x->n) {
    if (end_s < x->best_s) {
      x->best_s = end_s;
      memcpy(x->best, x->stack, x->n * sizeof *x->best);
    }
    return;
  }
  branch *b = x->branches[level];
  size_t n = gather(x, b, last_start, last_task);
  sort_branches(b, n);
  for (size_t i = 0; i < n; i++) {
    if (!worth(x, b[i].bound)) return; /* nor are those behind it */
    if (x->steps > MOST_STEPS) {
      x->cut = true;
      x->open_s = fmin(x->open_s, fmax(b[i].bound, end_s));
      return;
    }
    uint32_t t = b[i].task, q = b[i].engine, g = x->in->dag->tasks[t].group;
    double free_s = x->free_s[q], work_s = x->left_work_s;
    x->placed[t] = true;
    x->finish[t] = x->free_s[q] = b[i].start + list_cost(&x->l.g, t, q);
    x->left_work_s -= x->least[t];
    if (g != DAG_NO_GROUP) {
      x->group_engine[g] = q;
      x->bindings[q] += x->group_users[g]++ == 0;
    }
    x->stack[level] = (frame){t, q};
    descend(x, level + 1, b[i].start, t, fmax(end_s, x->finish[t] + x->tail[t] - x->least[t]));
    if (g != DAG_NO_GROUP) x->bindings[q] -= --x->group_users[g] == 0;
    x->left_work_s = work_s;
    x->free_s[q] = free_s;
    x->placed[t] = false;
  }
}

/* The relaxed machine's makespan of a plan that another policy made. */
static double relaxed_s(exact *x, const pol_plan *plan) {
  double end_s = 0;
  for (size_t i = 0; i < x->n; i++) {
    uint32_t t = plan->order[i], q = plan->engine[t];
    x->finish[t] = fmax(inputs_there(x, t), x->free_s[q]) + list_cost(&x->l.g, t, q);
    x->free_s[q] = x->finish[t];
    x->best[i] = (frame){t, q};
    end_s = fmax(end_s, x->finish[t] + x->tail[t] - x->least[t]);
  }
  memset(x->free_s, 0, x->l.g.n_procs * sizeof *x->free_s);
  return end_s;
}

static exact prepare(const pol_input *in, const pol_plan *plan, arena *a) {
  const dag *d = in->dag;
  exact x = {.in = in, .alike = est_engines_alike(in->plat), .n = plan->n_order};
  x.l = list_dag_new(in, a);
  x.tail = ARENA_NEW(a, double, d->n_tasks);
  x.least = ARENA_NEW(a, double, d->n_tasks);
  x.finish = ARENA_NEW(a, double, d->n_tasks);
  x.placed = ARENA_NEW(a, bool, d->n_tasks);
  x.group_engine = ARENA_NEW(a, uint32_t, d->n_groups + 1);
  x.group_users = ARENA_NEW(a, uint32_t, d->n_groups + 1);
  x.free_s = ARENA_NEW(a, double, x.l.g.n_procs);
  x.bindings = ARENA_NEW(a, uint32_t, x.l.g.n_procs);
  x.compute = ARENA_NEW(a, uint32_t, x.n + 1);
  x.stack = ARENA_NEW(a, frame, x.n + 1);
  x.best = ARENA_NEW(a, frame, x.n + 1);
  x.branches = ARENA_NEW(a, branch *, x.n + 1);
  memcpy(x.compute, plan->order, x.n * sizeof *x.compute);
  for (size_t i = 0; x.n <= MOST_TASKS && i < x.n; i++)
    x.branches[i] = ARENA_NEW(a, branch, (x.n - i) * x.l.g.n_procs + 1);
  for (uint32_t t = (uint32_t)d->n_tasks; t-- > 0;) {
    double tail = 0, least = INFINITY;
    for (uint64_t i = x.l.g.first_succ[t]; i < x.l.g.first_succ[t + 1]; i++)
      tail = fmax(tail, x.tail[x.l.g.succ[i]]);
    for (uint32_t p = 0; p < x.l.g.n_columns; p++)
      least = fmin(least, x.l.g.cost[(size_t)t * x.l.g.n_columns + p]);
    x.least[t] = least;
    x.tail[t] = tail + least;
    if (list_dag_is_compute(in, t)) x.left_work_s += least;
  }
  return x;
}

/* What holds before anything is placed. */
static double root_bound(const exact *x) {
  double most = x->left_work_s / x->l.g.n_procs;
  for (size_t i = 0; i < x->n; i++) most = fmax(most, x->tail[x->compute[i]]);
  return most;
}

static void say(const exact *x) {
  char text[300];
  double proved = x->cut ? fmin(x->open_s, x->best_s) : x->best_s;
  if (x->in->host == NULL || x->in->host->say == NULL) return;
  if (!x->cut)
    snprintf(text, sizeof text,
             "exact: optimal without contention: %.9g s; no schedule on this platform is shorter",
             x->best_s);
  else
    snprintf(
        text, sizeof text,
        "exact: cut off; without contention the optimum lies between %.9g and %.9g s, a gap of "
        "%.2f%%; no schedule on this platform is shorter than the first",
        proved, x->best_s, 100 * (x->best_s / proved - 1));
  x->in->host->say(x->in->host->self, text);
}

static int plan_exact(const pol_input *in, pol_plan *plan, arena *a, err *e) {
  arena scratch = {0};
  exact x = prepare(in, plan, &scratch);
  if (policy_heft.plan(in, plan, a, e) == ERR_OK) {
    x.best_s = relaxed_s(&x, plan);
    x.open_s = INFINITY;
    if (x.n <= MOST_TASKS)
      descend(&x, 0, 0, 0, 0);
    else
      x.cut = true, x.open_s = root_bound(&x);
    for (size_t i = 0; i < x.n; i++) {
      plan->order[i] = x.best[i].task;
      plan->engine[x.best[i].task] = x.best[i].engine;
    }
    say(&x);
  }
  arena_free(&scratch);
  return e->status;
}

const policy policy_exact = {
    .name = "exact",
    .text = "branch and bound, for small DAGs: optimal where nothing contends, "
            "or the gap that it proved; knows task and transfer times",
    .plan = plan_exact};
