/* lws: locality work stealing (StarPU's name). A task that becomes ready joins the queue of the
 * engine that ran the last of its inputs, where that may run it; engines without such an input take
 * turns. An engine runs the oldest task of its queue; where it has none, it steals the newest of
 * the nearest engine that has some (numbers up, then round). It knows no times. */
#include "sim/policy/queues.h"

typedef struct lws {
  const pol_input *in;
  queues *q;
  uint32_t *engine; /* by task: who took it */
  uint32_t turn;
} lws;

static int plan_lws(const pol_input *in, pol_plan *plan, arena *a, err *e) {
  (void)in, (void)plan, (void)a, (void)e; /* program order, engines at run time */
  return ERR_OK;
}

static void *start_lws(const pol_input *in, const pol_plan *plan, arena *a) {
  (void)plan;
  lws *s = ARENA_NEW(a, lws, 1);
  pol_input *copy = ARENA_NEW(a, pol_input, 1);
  *copy = *in;
  s->in = copy;
  s->q = queues_new(in, a);
  s->engine = ARENA_NEW(a, uint32_t, in->dag->n_tasks);
  for (size_t t = 0; t < in->dag->n_tasks; t++) s->engine[t] = POL_ANY;
  return s;
}

/* The engine of the latest compute task among its inputs; those of its loads do not count. */
static uint32_t home_of(lws *s, uint32_t task) {
  const dag *d = s->in->dag;
  const uint32_t *deps = dag_deps(d, &d->tasks[task]);
  uint32_t n = (uint32_t)s->in->plat->n_engines;
  for (uint32_t i = d->tasks[task].n_deps; i-- > 0;) {
    uint32_t e = s->engine[deps[i]];
    if (e != POL_ANY && pol_may_run(s->in, task, e)) return e;
  }
  for (uint32_t i = 0; i < n; i++) {
    uint32_t e = s->turn++ % n;
    if (pol_may_run(s->in, task, e)) return e;
  }
  return reach_first(s->in->reach, task);
}

static void ready_lws(void *state, uint32_t task) {
  lws *s = state;
  uint32_t bound = queues_bound(s->q, task);
  queues_add(s->q, task, bound != POL_ANY ? bound : home_of(s, task));
}

static void taken_lws(void *state, uint32_t task, uint32_t engine) {
  lws *s = state;
  queues_take(s->q, task, engine);
  s->engine[task] = engine;
}

static uint32_t pick_lws(void *state, uint32_t engine) {
  lws *s = state;
  uint32_t n = (uint32_t)s->in->plat->n_engines, t = queues_oldest(s->q, engine);
  for (uint32_t i = 1; t == POL_NONE && i < n; i++)
    t = queues_newest_free(s->q, (engine + i) % n, engine);
  if (t != POL_NONE) taken_lws(s, t, engine);
  return t;
}

const policy policy_lws = {
    .name = "lws",
    .text = "locality work stealing: a task waits where its input was made, an idle engine steals "
            "from its neighbours; knows no times",
    .plan = plan_lws,
    .start = start_lws,
    .ready = ready_lws,
    .pick = pick_lws,
    .taken = taken_lws};
