#include "tests/policy_rig.h"

#include <check.h>

#include "sim/estimate.h"
#include "sim/evaluate.h"

pol_input rig_input(const dag *d, const platform *p, const pol_host *host, arena *a) {
  err e = {0};
  reach *r = ARENA_NEW(a, reach, 1);
  ck_assert_msg(reach_make(r, p, d, a, &e) == ERR_OK, "%s", e.msg);
  return (pol_input){
      .dag = d, .plat = p, .succ = dag_successors(d, a), .reach = r, .prefetch = 2, .host = host};
}

pol_plan rig_plan(const char *name, const pol_input *in, arena *a) {
  err e = {0};
  pol_plan plan;
  ck_assert_msg(pol_make_plan(pol_find(name), in, &plan, a, &e) == ERR_OK, "%s", e.msg);
  return plan;
}

uint64_t rig_simulations;

static double count_plan(void *self, const pol_input *in, const pol_plan *plan, pol_event *events) {
  rig_simulations++;
  return evaluate_plan(self, in, plan, events);
}

static double count_record(void *self, const pol_input *in, const policy *p, pol_plan *plan) {
  rig_simulations++;
  return evaluate_record(self, in, p, plan);
}

pol_host rig_counting_host(uint64_t budget) {
  pol_host h = evaluate_host(budget);
  h.makespan = count_plan;
  h.record = count_record;
  rig_simulations = 0;
  return h;
}

platform rig_tight_chip(fx_chip c, const dag *d, uint64_t parts, double more, arena *a) {
  for (;; c.sram_B += c.sram_B / parts) {
    platform p = fx_platform(&c, a);
    timeline *tl;
    err e = {0};
    if (fx_try(FX_FLUID, d, &p, "serial", 0, false, &tl, a, &e) != ERR_OK) continue;
    tl_free(tl);
    c.sram_B = (uint64_t)((double)c.sram_B * more);
    return fx_platform(&c, a);
  }
}

void rig_none_below_bound(const dag *d, const platform *p, uint32_t most, fx_random *r, arena *a) {
  double lower_s = est_bounds(p, d, a).lower_s;
  for (size_t i = 0; i < pol_count(); i++) {
    const char *name = pol_at(i)->name;
    timeline *tl = fx_run(FX_FLUID, d, p, name, (uint32_t)fx_range(r, 0, most), false, a);
    if (lower_s > tl->makespan_s * (1 + 1e-12))
      ck_abort_msg("%.17g is above %.17g of %s", lower_s, tl->makespan_s, name);
    tl_free(tl);
  }
}

static int plan_nothing(const pol_input *in, pol_plan *plan, arena *a, err *e) {
  (void)in, (void)plan, (void)a, (void)e;
  return ERR_OK;
}

static void *start_nothing(const pol_input *in, const pol_plan *plan, arena *a) {
  (void)in, (void)plan, (void)a;
  return NULL;
}

static void ready_nothing(void *state, uint32_t task) {
  (void)state, (void)task;
}

static uint32_t pick_nothing(void *state, uint32_t engine) {
  (void)state, (void)engine;
  return POL_NONE;
}

static void taken_nothing(void *state, uint32_t task, uint32_t engine) {
  (void)state, (void)task, (void)engine;
}

const policy rig_idle = {"idle",        "",           plan_nothing, start_nothing,
                         ready_nothing, pick_nothing, taken_nothing};
