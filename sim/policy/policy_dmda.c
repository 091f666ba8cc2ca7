/* dmda: deque model, data aware (StarPU's name): minimum completion time with transfers. When a
 * task becomes ready it joins the queue of the engine that is expected to end it first: after what
 * is queued there, after its inputs, and after its loads, which follow those of the tasks placed
 * before it on the DRAM link (list_dag.h). What is expected comes from the model alone; the run's
 * clock is not asked. No stealing. */
#include "sim/policy/list_dag.h"
#include "sim/policy/queues.h"

typedef struct dmda {
  list_dag l;
  queues *q;
} dmda;

static int plan_dmda(const pol_input *in, pol_plan *plan, arena *a, err *e) {
  (void)in, (void)plan, (void)a, (void)e; /* program order, engines at run time */
  return ERR_OK;
}

static void *start_dmda(const pol_input *in, const pol_plan *plan, arena *a) {
  (void)plan;
  dmda *s = ARENA_NEW(a, dmda, 1);
  pol_input *copy = ARENA_NEW(a, pol_input, 1);
  *copy = *in;
  s->l = list_dag_new(copy, a);
  s->l.plan = list_plan_new(&s->l.g, a);
  s->q = queues_new(in, a);
  return s;
}

static void ready_dmda(void *state, uint32_t task) {
  dmda *s = state;
  if (!s->l.timed[task]) list_dag_place(&s->l, task, NULL, LIST_NONE);
  queues_add(s->q, task, s->l.plan.proc[task]);
}

/* Where the machine decided for another engine, the rest of the group follows. */
static void taken_dmda(void *state, uint32_t task, uint32_t engine) {
  dmda *s = state;
  uint32_t g = s->l.in->dag->tasks[task].group;
  queues_take(s->q, task, engine);
  if (g != DAG_NO_GROUP) s->l.group_engine[g] = engine;
}

static uint32_t pick_dmda(void *state, uint32_t engine) {
  dmda *s = state;
  uint32_t t = queues_oldest(s->q, engine);
  if (t != POL_NONE) taken_dmda(s, t, engine);
  return t;
}

const policy policy_dmda = {
    .name = "dmda",
    .text = "a ready task goes where it is expected to end first, loads included; knows task and "
            "load times",
    .plan = plan_dmda,
    .start = start_dmda,
    .ready = ready_dmda,
    .pick = pick_dmda,
    .taken = taken_dmda};
