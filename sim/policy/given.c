/* Schedules that were given: replayed; and what happens in a run: recorded (policy.h). */
#include <string.h>

#include "sim/policy.h"

/* ---- replaying ------------------------------------------------------------------------------ */

static int plan_given(const pol_input *in, pol_plan *plan, arena *a, err *e) {
  (void)a;
  const pol_schedule *s = in->given;
  if (s->n_order != plan->n_order)
    return err_set(e, ERR_INTERNAL, "a schedule of %zu tasks for %zu", s->n_order, plan->n_order);
  memcpy(plan->order, s->dynamic ? s->planned : s->order, s->n_order * sizeof *plan->order);
  plan->serial = s->serial;
  for (size_t i = 0; !s->dynamic && i < s->n_order; i++)
    plan->engine[s->order[i]] = s->engine[s->order[i]];
  return ERR_OK;
}

typedef struct replay {
  const pol_schedule *s;
  bool *ready, *gone; /* by task */
  uint32_t **queue;   /* by engine: its tasks in the given order */
  size_t *n, *head;   /* by engine */
} replay;

static void *start_replay(const pol_input *in, const pol_plan *plan, arena *a) {
  (void)plan;
  const pol_schedule *s = in->given;
  size_t engines = in->plat->n_engines;
  replay *r = ARENA_NEW(a, replay, 1);
  *r = (replay){.s = s};
  r->ready = ARENA_NEW(a, bool, in->dag->n_tasks);
  r->gone = ARENA_NEW(a, bool, in->dag->n_tasks);
  r->queue = ARENA_NEW(a, uint32_t *, engines);
  r->n = ARENA_NEW(a, size_t, engines);
  r->head = ARENA_NEW(a, size_t, engines);
  for (size_t i = 0; i < s->n_order; i++) r->n[s->engine[s->order[i]]]++;
  for (size_t q = 0; q < engines; q++)
    r->queue[q] = ARENA_NEW(a, uint32_t, r->n[q] + 1), r->n[q] = 0;
  for (size_t i = 0; i < s->n_order; i++) {
    uint32_t q = s->engine[s->order[i]];
    r->queue[q][r->n[q]++] = s->order[i];
  }
  return r;
}

static void ready_replay(void *state, uint32_t task) {
  ((replay *)state)->ready[task] = true;
}

static void taken_replay(void *state, uint32_t task, uint32_t engine) {
  (void)engine;
  ((replay *)state)->gone[task] = true;
}

/* The engine's next task, as soon as it is ready. One that the machine took itself is left for it
 * to take again, and run here only where nothing else of the engine's is ready. */
static uint32_t pick_replay(void *state, uint32_t engine) {
  replay *r = state;
  uint32_t *q = r->queue[engine], left = POL_NONE;
  while (r->head[engine] < r->n[engine] && r->gone[q[r->head[engine]]]) r->head[engine]++;
  for (size_t i = r->head[engine]; i < r->n[engine]; i++) {
    uint32_t t = q[i];
    if (r->gone[t]) continue;
    if (r->s->forced[t]) {
      if (left == POL_NONE && r->ready[t]) left = t;
      if (!r->ready[t]) break;
      continue;
    }
    if (r->ready[t]) left = t;
    break;
  }
  if (left != POL_NONE) r->gone[left] = true;
  return left;
}

static const policy GIVEN = {
    .name = "given", .text = "a given schedule: order and engines", .plan = plan_given};
static const policy REPLAYED = {.name = "replayed",
                                .text = "a given schedule: each engine's order",
                                .plan = plan_given,
                                .start = start_replay,
                                .ready = ready_replay,
                                .pick = pick_replay,
                                .taken = taken_replay};

const policy *pol_replay_of(const pol_schedule *s) {
  return s->dynamic ? &REPLAYED : &GIVEN;
}

/* ---- recording ------------------------------------------------------------------------------ */

static int plan_recording(const pol_input *in, pol_plan *plan, arena *a, err *e) {
  pol_recorder *r = in->recorder;
  if (r->p->plan(in, plan, a, e)) return e->status;
  pol_schedule *s = r->out;
  s->scheduler = r->name != NULL ? r->name : r->p->name;
  s->dynamic = r->p->pick != NULL;
  s->serial = plan->serial;
  s->planned = ARENA_NEW(r->mem, uint32_t, plan->n_order + 1);
  s->order = ARENA_NEW(r->mem, uint32_t, plan->n_order + 1);
  s->engine = ARENA_NEW(r->mem, uint32_t, in->dag->n_tasks);
  s->forced = ARENA_NEW(r->mem, bool, in->dag->n_tasks);
  memcpy(s->planned, plan->order, plan->n_order * sizeof *s->planned);
  memcpy(s->engine, plan->engine, in->dag->n_tasks * sizeof *s->engine);
  if (!s->dynamic) memcpy(s->order, plan->order, plan->n_order * sizeof *s->order);
  s->n_order = s->dynamic ? 0 : plan->n_order;
  return ERR_OK;
}

typedef struct recording {
  pol_recorder *r;
  void *state; /* of the recorded policy */
} recording;

static void *start_recording(const pol_input *in, const pol_plan *plan, arena *a) {
  recording *x = ARENA_NEW(a, recording, 1);
  *x = (recording){in->recorder, in->recorder->p->start(in, plan, a)};
  return x;
}

static void ready_recording(void *state, uint32_t task) {
  recording *x = state;
  x->r->p->ready(x->state, task);
}

static void write_down(recording *x, uint32_t task, uint32_t engine, bool forced) {
  pol_schedule *s = x->r->out;
  s->order[s->n_order++] = task;
  s->engine[task] = engine;
  s->forced[task] = forced;
}

static uint32_t pick_recording(void *state, uint32_t engine) {
  recording *x = state;
  uint32_t t = x->r->p->pick(x->state, engine);
  if (t != POL_NONE) write_down(x, t, engine, false);
  return t;
}

static void taken_recording(void *state, uint32_t task, uint32_t engine) {
  recording *x = state;
  x->r->p->taken(x->state, task, engine);
  write_down(x, task, engine, true);
}

static const policy RECORDING_STATIC = {
    .name = "recording", .text = "writes down a plan", .plan = plan_recording};
static const policy RECORDING_DYNAMIC = {.name = "recording",
                                         .text = "writes down what happens",
                                         .plan = plan_recording,
                                         .start = start_recording,
                                         .ready = ready_recording,
                                         .pick = pick_recording,
                                         .taken = taken_recording};

const policy *pol_recording_of(const policy *p) {
  return p->pick != NULL ? &RECORDING_DYNAMIC : &RECORDING_STATIC;
}

const policy *pol_instead(const pol_input *in, const policy *p) {
  if (in->recorder == NULL) return p;
  if (in->recorder->name == NULL) in->recorder->name = in->recorder->p->name;
  in->recorder->p = p;
  return pol_recording_of(p);
}
