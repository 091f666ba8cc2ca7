#include "sim/evaluate.h"

#include <math.h>
#include <string.h>

typedef struct watch {
  double makespan_s;
  pol_event *events; /* or NULL */
} watch;

static void on_start(void *self, double t, uint32_t task, uint32_t resource, const obs_why *why) {
  (void)resource;
  const double when[] = {why->free_s, why->ready_s, why->room_s, why->gate_s};
  const uint32_t who[] = {why->free_by, why->ready_by, why->room_by, why->gate_by};
  size_t last = 0;
  for (size_t i = 1; i < sizeof when / sizeof *when; i++)
    if (when[i] > when[last]) last = i;
  ((watch *)self)->events[task] = (pol_event){.start_s = t, .by = who[last]};
}

static void on_end(void *self, double t, uint32_t task, uint32_t resource) {
  (void)resource;
  watch *w = self;
  if (t > w->makespan_s) w->makespan_s = t;
  if (w->events != NULL) w->events[task].end_s = t;
}

static double simulate(const pol_input *in, const policy *p, const machine_options *opt,
                       pol_event *events, arena *a) {
  watch w = {.events = events};
  err *e = ARENA_NEW(a, err, 1);
  observer obs = {.self = &w, .start = events == NULL ? NULL : on_start, .end = on_end};
  return exec_fluid(in->dag, in->plat, p, opt, &obs, a, e) == ERR_OK ? w.makespan_s : INFINITY;
}

bool evaluate_policy(const dag *d, const platform *p, const policy *pol, uint32_t prefetch,
                     pol_known *known, arena *a) {
  arena scratch = {0};
  pol_known k = {.dag = d, .sram_B = p->srams[0].capacity_B, .prefetch = prefetch};
  pol_recorder r = {.p = pol, .out = &k.plan, .mem = a};
  machine_options opt = {.prefetch = prefetch, .recorder = &r};
  pol_input in = {.dag = d, .plat = p};
  k.events = ARENA_NEW(a, pol_event, d->n_tasks);
  k.makespan_s = simulate(&in, pol_recording_of(pol), &opt, k.events, &scratch);
  arena_free(&scratch);
  if (k.makespan_s < INFINITY) *known = k;
  return k.makespan_s < INFINITY;
}

double evaluate_plan(void *self, const pol_input *in, const pol_plan *plan, pol_event *events) {
  (void)self;
  const pol_known *known = pol_knows(in, plan);
  if (known != NULL) {
    if (events != NULL) memcpy(events, known->events, in->dag->n_tasks * sizeof *events);
    return known->makespan_s;
  }
  arena scratch = {0};
  pol_schedule s = {.order = plan->order,
                    .n_order = plan->n_order,
                    .engine = plan->engine,
                    .serial = plan->serial};
  machine_options opt = {.prefetch = in->prefetch, .seed = in->seed, .given = &s};
  double makespan_s = simulate(in, pol_replay_of(&s), &opt, events, &scratch);
  arena_free(&scratch);
  return makespan_s;
}

double evaluate_record(void *self, const pol_input *in, const policy *p, pol_plan *plan) {
  (void)self;
  arena scratch = {0};
  pol_schedule s = {0};
  pol_recorder r = {.p = p, .out = &s, .mem = &scratch};
  machine_options opt = {
      .prefetch = in->prefetch, .seed = in->seed, .given = in->given, .recorder = &r};
  double makespan_s = simulate(in, pol_recording_of(p), &opt, NULL, &scratch);
  if (makespan_s < INFINITY) {
    memcpy(plan->order, s.order, s.n_order * sizeof *s.order);
    memcpy(plan->engine, s.engine, in->dag->n_tasks * sizeof *s.engine);
    plan->serial = s.serial;
  }
  arena_free(&scratch);
  return makespan_s;
}

pol_host evaluate_host(uint64_t budget) {
  return (pol_host){.makespan = evaluate_plan, .record = evaluate_record, .budget = budget};
}
