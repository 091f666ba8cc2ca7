#include "sim/estimate_stages.h"

#include <math.h>
#include <string.h>

/* Transfers looked through for the compute tasks behind them, a task. Where it ends, a cut may be
 * missed: none is invented. */
enum { LOOK = 256 };

typedef struct finder {
  const dag *d;
  bool *leads;     /* by task: a compute task follows it */
  uint32_t *first; /* by task: the first task of the poset that needs it; STAGE_NONE */
  uint32_t *seen;  /* by task: last asked for by, + 1 */
  uint32_t *stack, n_stack;
  uint32_t *need; /* compute tasks that the present one depends on, directly or through transfers */
  size_t n_need, cap_need;
  arena *mem;
} finder;

static bool is_compute(const dag *d, uint32_t t) {
  return op_kind_of((op)d->tasks[t].op) == OP_COMPUTE;
}

/* A member of the poset that cuts part. */
static bool is_member(const finder *f, uint32_t t) {
  return f->leads[t] && is_compute(f->d, t);
}

static void find_leads(finder *f) {
  for (uint32_t t = (uint32_t)f->d->n_tasks; t-- > 0;) {
    if (!f->leads[t] && !is_compute(f->d, t)) continue;
    const uint32_t *deps = dag_deps(f->d, &f->d->tasks[t]);
    for (uint32_t i = 0; i < f->d->tasks[t].n_deps; i++) f->leads[deps[i]] = true;
  }
}

/* Fills `need`; false where the look was cut off. */
static bool find_need(finder *f, uint32_t task) {
  f->n_need = f->n_stack = 0;
  uint32_t looked = 0;
  for (uint32_t t = task;; t = f->stack[--f->n_stack]) {
    const uint32_t *deps = dag_deps(f->d, &f->d->tasks[t]);
    for (uint32_t i = 0; i < f->d->tasks[t].n_deps; i++) {
      uint32_t u = deps[i];
      if (f->seen[u] == task + 1) continue;
      f->seen[u] = task + 1;
      if (is_compute(f->d, u))
        ARENA_PUSH(f->mem, f->need, f->n_need, f->cap_need, u);
      else if (f->d->tasks[u].n_deps > 0 && looked++ < LOOK)
        f->stack[f->n_stack++] = u;
    }
    if (f->n_stack == 0) return looked <= LOOK;
  }
}

/* The cut behind member c holds where no later member misses any of the open ones: those at or
 * before c that nothing up to c needs. A later member that needs something behind c is behind one
 * that does not; of those, the last that it needs must be c itself, and all that is open among what
 * it needs. Marks by task, true: a cut behind it. */
static bool *find_cuts(finder *f) {
  size_t n = f->d->n_tasks;
  bool *cut = ARENA_NEW(f->mem, bool, n), *asked = ARENA_NEW(f->mem, bool, n);
  int64_t *missed = ARENA_NEW(f->mem, int64_t, n + 1), *open = ARENA_NEW(f->mem, int64_t, n + 1);
  uint32_t *last = ARENA_NEW(f->mem, uint32_t, n), *found = ARENA_NEW(f->mem, uint32_t, n);
  for (uint32_t t = 0; t < n; t++) {
    if (!is_member(f, t)) continue;
    bool whole = find_need(f, t);
    uint32_t k = STAGE_NONE; /* the last needed */
    for (size_t i = 0; i < f->n_need; i++)
      if (k == STAGE_NONE || f->need[i] > k) k = f->need[i];
    for (size_t i = 0; i < f->n_need; i++) {
      uint32_t u = f->need[i];
      found[t] += f->first[u] == STAGE_NONE || f->first[u] > k;
      if (f->first[u] == STAGE_NONE) f->first[u] = t, open[t]--;
    }
    open[t]++; /* from here to where it is needed first */
    last[t] = k;
    /* cuts behind k + 1 .. t - 1 miss t; and the one behind k, where not all is known */
    size_t from = k == STAGE_NONE ? 0 : whole ? (size_t)k + 1 : k;
    missed[from]++;
    missed[t]--;
    if (k != STAGE_NONE) cut[k] = true;
  }
  int64_t misses = 0, is_open = 0;
  for (uint32_t t = 0; t < n; t++) {
    misses += missed[t];
    is_open += open[t];
    missed[t] = misses;
    open[t] = is_open;
  }
  for (uint32_t t = 0; t < n; t++) {
    if (!is_member(f, t) || last[t] == STAGE_NONE) continue;
    uint32_t k = last[t];
    if (missed[k] > 0 || found[t] != open[k]) asked[k] = true;
  }
  for (uint32_t t = 0; t < n; t++) cut[t] = cut[t] && !asked[t];
  return cut;
}

/* The stage of every task, from that of the members. */
static void spread(finder *f, stages *s) {
  const dag *d = f->d;
  uint32_t *from = ARENA_NEW(f->mem, uint32_t, d->n_tasks); /* last stage that it depends on, + 1 */
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    const uint32_t *deps = dag_deps(d, &d->tasks[t]);
    for (uint32_t i = 0; i < d->tasks[t].n_deps; i++)
      if (from[deps[i]] > from[t]) from[t] = from[deps[i]];
    if (is_member(f, t)) {
      s->fixed[t] = true;
      from[t] = s->of[t] + 1;
    } else if (!f->leads[t] && (from[t] == s->n || s->n == 1)) {
      s->fixed[t] = true;
      s->of[t] = s->n - 1;
    }
  }
  for (uint32_t t = (uint32_t)d->n_tasks; t-- > 0;) {
    if (f->leads[t] && !is_compute(d, t) && s->of[t] != STAGE_NONE)
      s->fixed[t] = s->of[t] == 0 || from[t] == s->of[t] + 1;
    const uint32_t *deps = dag_deps(d, &d->tasks[t]);
    for (uint32_t i = 0; i < d->tasks[t].n_deps; i++) {
      uint32_t u = deps[i];
      if (!is_compute(d, u) && f->leads[u] && s->of[t] < s->of[u]) s->of[u] = s->of[t];
    }
  }
}

static void find_local_chains(const dag *d, const double *best_s, stages *s) {
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    const uint32_t *deps = dag_deps(d, &d->tasks[t]);
    for (uint32_t i = 0; s->fixed[t] && i < d->tasks[t].n_deps; i++) {
      uint32_t u = deps[i];
      if (s->fixed[u] && s->of[u] == s->of[t])
        s->before_s[t] = fmax(s->before_s[t], s->before_s[u] + best_s[u]);
    }
  }
  for (uint32_t t = (uint32_t)d->n_tasks; t-- > 0;) {
    if (s->of[t] == STAGE_NONE) continue;
    const uint32_t *deps = dag_deps(d, &d->tasks[t]);
    for (uint32_t i = 0; i < d->tasks[t].n_deps; i++) {
      uint32_t u = deps[i];
      if (s->of[u] == s->of[t]) s->after_s[u] = fmax(s->after_s[u], best_s[t] + s->after_s[t]);
    }
  }
}

stages stages_find(const dag *d, const double *best_s, arena *a) {
  size_t n = d->n_tasks;
  arena scratch = {0};
  finder f = {.d = d, .mem = &scratch};
  f.leads = ARENA_NEW(&scratch, bool, n);
  f.first = ARENA_NEW(&scratch, uint32_t, n);
  f.seen = ARENA_NEW(&scratch, uint32_t, n);
  f.stack = ARENA_NEW(&scratch, uint32_t, LOOK + 1);
  stages s = {.of = ARENA_NEW(a, uint32_t, n),
              .fixed = ARENA_NEW(a, bool, n),
              .before_s = ARENA_NEW(a, double, n),
              .after_s = ARENA_NEW(a, double, n)};
  memset(f.first, 0xff, n * sizeof *f.first);
  memset(s.of, 0xff, n * sizeof *s.of);
  find_leads(&f);
  bool *cut = find_cuts(&f);
  for (uint32_t t = 0; t < n; t++) {
    if (is_member(&f, t)) s.of[t] = s.n;
    s.n += cut[t];
  }
  s.n++;
  spread(&f, &s);
  find_local_chains(d, best_s, &s);
  arena_free(&scratch);
  return s;
}
