#include "sim/attribution.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/estimate.h"

const char *attr_name(attr_cause c) {
  static const char *const NAME[ATTR_COUNT] = {
#define X(id, name, text) [ATTR_##id] = name,
      ATTR_CAUSES(X)
#undef X
  };
  return NAME[c];
}

const char *attr_text(attr_cause c) {
  static const char *const TEXT[ATTR_COUNT] = {
#define X(id, name, text) [ATTR_##id] = text,
      ATTR_CAUSES(X)
#undef X
  };
  return TEXT[c];
}

/* ---- sets of time ---- */

/* Disjoint intervals, ascending; before[i] is the length of all intervals before i. */
typedef struct cover {
  double *lo, *hi, *before;
  size_t n;
  bool made;
} cover;

typedef struct edge {
  double t;
  int step; /* +1 or -1 */
} edge;

/* Beginnings before ends, so that what touches is one interval. */
static int by_time(const void *a, const void *b) {
  const edge *x = a, *y = b;
  if (x->t != y->t) return x->t < y->t ? -1 : 1;
  return (y->step > x->step) - (y->step < x->step);
}

/* Where at least `depth` of the intervals overlap. Sorts the edges. */
static cover cover_new(edge *e, size_t n_edges, int depth, arena *a) {
  cover c = {.lo = ARENA_NEW(a, double, n_edges / 2 + 1),
             .hi = ARENA_NEW(a, double, n_edges / 2 + 1),
             .before = ARENA_NEW(a, double, n_edges / 2 + 1),
             .made = true};
  qsort(e, n_edges, sizeof *e, by_time);
  double length = 0;
  int level = 0;
  for (size_t i = 0; i < n_edges; i++) {
    if (e[i].step > 0 && ++level == depth) {
      c.lo[c.n] = e[i].t;
    } else if (e[i].step < 0 && level-- == depth) {
      c.hi[c.n] = e[i].t;
      c.before[c.n] = length;
      length += c.hi[c.n] - c.lo[c.n];
      c.n++;
    }
  }
  return c;
}

/* Covered length before t. */
static double cover_before(const cover *c, double t) {
  size_t lo = 0, hi = c->n; /* the intervals that begin before t are 0..lo-1 */
  while (lo < hi) {
    size_t mid = (lo + hi) / 2;
    if (c->lo[mid] < t)
      lo = mid + 1;
    else
      hi = mid;
  }
  if (lo == 0) return 0;
  return c->before[lo - 1] + fmin(t, c->hi[lo - 1]) - c->lo[lo - 1];
}

/* Covered length of [a, b], from 0 to b - a whatever rounding does. */
static double cover_length(const cover *c, double a, double b) {
  double s = cover_before(c, b) - cover_before(c, a);
  return fmin(fmax(s, 0), b - a);
}

/* ---- the walk ---- */

/* Neumaier's compensated sum: a walk of a million steps still sums to the makespan. */
typedef struct sum {
  double s, rest;
} sum;

static void sum_add(sum *x, double v) {
  double s = x->s + v;
  x->rest += fabs(x->s) >= fabs(v) ? (x->s - s) + v : (v - s) + x->s;
  x->s = s;
}

typedef struct walk {
  const timeline *tl;
  uint8_t *critical;
  double t; /* everything after it has its cause */
  double
      wait_from_s; /* the task stood on kept another one waiting since then; INFINITY: it did not */
  sum op_cause[OP_COUNT][ATTR_COUNT]; /* the sums over rows and columns are made of it */
  sum *resource;
  double *task_s;     /* a few terms each */
  cover engines_busy; /* all of them; made when first needed */
  cover dram_busy;    /* at least one transfer flows */
  arena scratch;
} walk;

static const cover *engines_busy(walk *w) {
  if (w->engines_busy.made) return &w->engines_busy;
  const timeline *tl = w->tl;
  edge *e = ARENA_NEW(&w->scratch, edge, 2 * tl->dag->n_tasks);
  size_t n = 0;
  for (size_t i = 0; i < tl->dag->n_tasks; i++) {
    const tl_record *r = &tl->records[i];
    if (!tl_is_engine(tl, r->resource)) continue;
    e[n++] = (edge){r->start_s, 1};
    e[n++] = (edge){r->end_s, -1};
  }
  w->engines_busy = cover_new(e, n, (int)tl->plat->n_engines, &w->scratch);
  return &w->engines_busy;
}

static bool is_move(const timeline *tl, uint32_t task) {
  return op_kind_of((op)tl->dag->tasks[task].op) == OP_MOVE;
}

static const cover *dram_busy(walk *w) {
  if (w->dram_busy.made) return &w->dram_busy;
  const timeline *tl = w->tl;
  edge *e = ARENA_NEW(&w->scratch, edge, 2 * tl->dag->n_tasks);
  size_t n = 0;
  for (size_t i = 0; i < tl->dag->n_tasks; i++) {
    const tl_record *r = &tl->records[i];
    if (r->resource == OBS_NONE || tl_is_engine(tl, r->resource) || r->route == NULL) continue;
    if (is_move(tl, (uint32_t)i)) continue;
    e[n++] = (edge){r->flow_start_s, 1};
    e[n++] = (edge){r->flow_end_s, -1};
  }
  w->dram_busy = cover_new(e, n, 1, &w->scratch);
  return &w->dram_busy;
}

static void charge(walk *w, uint32_t task, attr_cause c, double s) {
  sum_add(&w->op_cause[w->tl->dag->tasks[task].op][c], s);
  sum_add(&w->resource[w->tl->records[task].resource], s);
  w->task_s[task] += s;
}

/* One stretch of a task that has one cause, or two in a fixed proportion. */
typedef struct phase {
  double lo, hi;
  attr_cause cause, other;
  double other_share;
  bool may_wait; /* somebody who waits for the resource meanwhile may really be waiting */
} phase;

static void charge_own(walk *w, uint32_t task, const phase *p, double s) {
  double other = s * p->other_share;
  charge(w, task, p->cause, s - other);
  if (other > 0) charge(w, task, p->other, other);
}

/* The part of the phase that is kept a waiting task waiting. */
static void charge_waited(walk *w, uint32_t task, const phase *p, double lo, double hi) {
  bool engine = tl_is_engine(w->tl, w->tl->records[task].resource);
  double saturated = cover_length(engine ? engines_busy(w) : dram_busy(w), lo, hi);
  if (engine)
    charge_own(w, task, p, saturated);
  else
    charge(w, task, ATTR_DRAM, saturated);
  charge(w, task, engine ? ATTR_WAIT_ENGINE : ATTR_WAIT_DMA, (hi - lo) - saturated);
}

/* Moves the walk back to the beginning of the phase. */
static void cover_phase(walk *w, uint32_t task, const phase *p) {
  double lo = p->lo, hi = fmin(p->hi, w->t);
  if (!(lo < hi)) return;
  double from = p->may_wait ? fmin(fmax(w->wait_from_s, lo), hi) : hi;
  if (from < hi) charge_waited(w, task, p, from, hi);
  if (lo < from) charge_own(w, task, p, from - lo);
  w->t = lo;
}

static void cover_compute(walk *w, uint32_t task) {
  const timeline *tl = w->tl;
  const tl_record *r = &tl->records[task];
  cost c = cost_of(tl->dag, task);
  est_parts x = est_compute(tl->plat, tl->dag, task, &c, tl->resources[r->resource].host);
  double work_s = x.matrix_s + x.vector_s;
  double begin = fmin(r->start_s + x.lead_s, r->end_s);
  phase rest = {.lo = begin, .hi = r->end_s, .cause = ATTR_MATRIX, .may_wait = true};
  if (r->route != NULL && r->flow_end_s - begin > work_s)
    rest.cause = ATTR_SRAM;
  else if (work_s > 0)
    rest.other = ATTR_VECTOR, rest.other_share = x.vector_s / work_s;
  else
    rest.cause = ATTR_OVERHEAD;
  phase lead = {.lo = r->start_s, .hi = begin, .cause = ATTR_OVERHEAD, .may_wait = true};
  cover_phase(w, task, &rest);
  cover_phase(w, task, &lead);
}

static void cover_transfer(walk *w, uint32_t task) {
  const timeline *tl = w->tl;
  const tl_record *r = &tl->records[task];
  double setup_s = tl->plat->dmas[tl->resources[r->resource].host].setup_s;
  double flow = r->route != NULL ? r->flow_start_s : r->end_s;
  double latency = fmin(r->start_s + setup_s, flow);
  attr_cause own = is_move(tl, task) ? ATTR_SRAM : ATTR_DRAM;
  phase moving = {.lo = flow, .hi = r->end_s, .cause = own};
  phase waiting = {.lo = latency, .hi = flow, .cause = own, .may_wait = true};
  phase setup = {.lo = r->start_s, .hi = latency, .cause = ATTR_OVERHEAD, .may_wait = true};
  cover_phase(w, task, &moving);
  cover_phase(w, task, &waiting);
  cover_phase(w, task, &setup);
}

/* The conditions in the order in which they win a tie. */
enum { READY, GATE, ROOM, FREE, CONDITIONS };

static int latest(const double at[CONDITIONS], int but) {
  int best = READY;
  for (int i = GATE; i < CONDITIONS; i++)
    if (i != but && at[i] > at[best]) best = i;
  return best;
}

/* The task that let this one start; sets how long that one kept it waiting. */
static uint32_t hop(walk *w, uint32_t task) {
  const obs_why *y = &w->tl->records[task].why;
  const double at[CONDITIONS] = {y->ready_s, y->gate_s, y->room_s, y->free_s};
  const uint32_t by[CONDITIONS] = {y->ready_by, y->gate_by, y->room_by, y->free_by};
  int last = latest(at, -1);
  double others_s = fmax(y->ready_s, y->gate_s);
  if (last == ROOM) {
    last = latest(at, ROOM);
    double since = fmin(at[last], w->t);
    charge(w, task, ATTR_WAIT_SRAM_FULL, w->t - since);
    w->t = since;
  } else {
    others_s = fmax(others_s, y->room_s);
  }
  w->wait_from_s = last == FREE ? others_s : INFINITY;
  return by[last];
}

static uint32_t last_to_end(const timeline *tl) {
  uint32_t last = OBS_NONE;
  for (uint32_t i = 0; i < tl->dag->n_tasks; i++)
    if (tl->records[i].resource != OBS_NONE &&
        (last == OBS_NONE || tl->records[i].end_s > tl->records[last].end_s))
      last = i;
  return last;
}

static void sum_up(const walk *w, attribution *at) {
  sum cause[ATTR_COUNT] = {0};
  for (int i = 0; i < OP_COUNT; i++) {
    sum op_sum = {0};
    for (int c = 0; c < ATTR_COUNT; c++) {
      const sum *x = &w->op_cause[i][c];
      at->op_cause_s[i][c] = x->s + x->rest;
      sum_add(&op_sum, x->s), sum_add(&op_sum, x->rest);
      sum_add(&cause[c], x->s), sum_add(&cause[c], x->rest);
    }
    at->op_s[i] = op_sum.s + op_sum.rest;
  }
  for (int c = 0; c < ATTR_COUNT; c++) at->cause_s[c] = cause[c].s + cause[c].rest;
  for (size_t r = 0; r < w->tl->n_resources; r++)
    at->resource_s[r] = w->resource[r].s + w->resource[r].rest;
}

attribution attr_walk(const timeline *tl, arena *a) {
  attribution at = {.critical = ARENA_NEW(a, uint8_t, tl->dag->n_tasks),
                    .resource_s = ARENA_NEW(a, double, tl->n_resources),
                    .task_s = ARENA_NEW(a, double, tl->dag->n_tasks)};
  uint32_t task = last_to_end(tl);
  if (task == OBS_NONE) return at;
  walk w = {.tl = tl,
            .critical = at.critical,
            .t = tl->records[task].end_s,
            .wait_from_s = INFINITY,
            .task_s = at.task_s};
  w.resource = ARENA_NEW(&w.scratch, sum, tl->n_resources);
  uint32_t stood_on = task;
  while (task != OBS_NONE && !w.critical[task] && tl->records[task].resource != OBS_NONE) {
    const tl_record *r = &tl->records[task];
    w.critical[task] = 1;
    if (r->end_s < w.t) {
      charge(&w, task, ATTR_OVERHEAD, w.t - r->end_s);
      w.t = r->end_s;
    }
    if (tl_is_engine(tl, r->resource))
      cover_compute(&w, task);
    else
      cover_transfer(&w, task);
    stood_on = task;
    task = hop(&w, task);
  }
  charge(&w, stood_on, ATTR_OVERHEAD, w.t);
  sum_up(&w, &at);
  arena_free(&w.scratch);
  return at;
}

enum {
#define X(id, name) id,
  ATTR_WAITS(X)
#undef X
      WAITS
};

static const char *const WAIT_NAME[WAITS] = {
#define X(id, name) [id] = name,
    ATTR_WAITS(X)
#undef X
};

const char *attr_wait_cause(const timeline *tl, uint32_t task) {
  const tl_record *r = &tl->records[task];
  const obs_why *y = &r->why;
  double met_s = fmax(y->gate_s, fmax(y->room_s, y->free_s));
  if (r->resource == OBS_NONE || !(r->start_s > y->ready_s) || !(met_s > y->ready_s)) return NULL;
  if (y->gate_s == met_s) return WAIT_NAME[FOR_PREFETCH];
  if (y->room_s == met_s) return WAIT_NAME[FOR_ROOM];
  return WAIT_NAME[tl_is_engine(tl, r->resource) ? FOR_ENGINE : FOR_DMA];
}

const char *attr_idle_cause(const timeline *tl, uint32_t task) {
  const char *cause = attr_wait_cause(tl, task);
  return cause != NULL ? cause : WAIT_NAME[FOR_INPUTS];
}
