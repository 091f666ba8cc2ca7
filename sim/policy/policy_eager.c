/* eager: first come, first served (StarPU's name). An idle engine takes the task that became ready
 * first; it knows no times. It finishes the op that it has begun before it takes another. */
#include "sim/policy.h"

static int plan_eager(const pol_input *in, pol_plan *plan, arena *a, err *e) {
  (void)in, (void)plan, (void)a, (void)e; /* program order, engines at run time */
  return ERR_OK;
}

static void *start_eager(const pol_input *in, const pol_plan *plan, arena *a) {
  (void)plan;
  return pol_pool_new(in, a);
}

static void ready_eager(void *state, uint32_t task) {
  pol_pool_add(state, task, 0); /* one key for all: first in, first out */
}

static uint32_t pick_eager(void *state, uint32_t engine) {
  return pol_pool_pick(state, engine);
}

static void taken_eager(void *state, uint32_t task, uint32_t engine) {
  pol_pool_taken(state, task, engine);
}

const policy policy_eager = {
    .name = "eager",
    .text = "an idle engine takes the task that became ready first (FIFO); knows no times",
    .plan = plan_eager,
    .start = start_eager,
    .ready = ready_eager,
    .pick = pick_eager,
    .taken = taken_eager};
