#include "sim/evaluate.h"

#include <math.h>
#include <string.h>

static void on_end(void *self, double t, uint32_t task, uint32_t resource) {
  (void)task, (void)resource;
  double *makespan_s = self;
  if (t > *makespan_s) *makespan_s = t;
}

static double simulate(const pol_input *in, const policy *p, const machine_options *opt, arena *a) {
  double makespan_s = 0;
  err *e = ARENA_NEW(a, err, 1);
  observer watch = {.self = &makespan_s, .end = on_end};
  return exec_fluid(in->dag, in->plat, p, opt, &watch, a, e) == ERR_OK ? makespan_s : INFINITY;
}

double evaluate_plan(void *self, const pol_input *in, const pol_plan *plan) {
  (void)self;
  arena scratch = {0};
  pol_schedule s = {.order = plan->order,
                    .n_order = plan->n_order,
                    .engine = plan->engine,
                    .serial = plan->serial};
  machine_options opt = {.prefetch = in->prefetch, .seed = in->seed, .given = &s};
  double makespan_s = simulate(in, pol_replay_of(&s), &opt, &scratch);
  arena_free(&scratch);
  return makespan_s;
}

double evaluate_record(void *self, const pol_input *in, const policy *p, pol_plan *plan) {
  (void)self;
  arena scratch = {0};
  pol_schedule s = {0};
  pol_recorder r = {.p = p, .out = &s, .mem = &scratch};
  machine_options opt = {.prefetch = in->prefetch, .seed = in->seed, .recorder = &r};
  double makespan_s = simulate(in, pol_recording_of(p), &opt, &scratch);
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
