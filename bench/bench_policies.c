/* bench_policies - what each policy's decisions cost, without the simulation: planning, and for
 * dynamic policies every ready and pick besides, on a machine on which tasks end the moment they
 * begin.
 *
 * Usage: bench_policies [MODEL LAYERS [ENGINES]]     (llama-3.1-70b 16 4: 100k tasks)
 * Prints `tasks N`, then `policy NAME MICROSECONDS_A_TASK` lines for scripts/bench.sh, but for
 * those that simulate or enumerate (search, exact). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sim/platform_xml.h"
#include "sim/policy.h"
#include "workloads/block.h"

static double wall(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct play {
  const pol_input *in;
  const policy *p;
  void *state;
  uint32_t *left, *stack; /* by task: inputs that are not there */
  size_t left_to_run;
} play;

/* The task has ended; transfers behind it end at once, compute tasks become ready. */
static void end(play *x, uint32_t task) {
  size_t depth = 0;
  x->stack[depth++] = task;
  while (depth > 0) {
    uint32_t t = x->stack[--depth];
    for (uint64_t i = x->in->succ.first[t]; i < x->in->succ.first[t + 1]; i++) {
      uint32_t s = x->in->succ.succ[i];
      if (--x->left[s] > 0) continue;
      if (op_kind_of((op)x->in->dag->tasks[s].op) == OP_COMPUTE)
        x->p->ready(x->state, s);
      else
        x->stack[depth++] = s;
    }
  }
}

/* False where the policy leaves tasks. The walk over the DAG is counted as the policy's, too. */
static bool run(play *x, const pol_plan *plan, arena *a) {
  const dag *d = x->in->dag;
  x->left = ARENA_NEW(a, uint32_t, d->n_tasks);
  x->stack = ARENA_NEW(a, uint32_t, d->n_tasks + 1);
  x->left_to_run = plan->n_order;
  for (uint32_t t = 0; t < d->n_tasks; t++) x->left[t] = d->tasks[t].n_deps;
  for (uint32_t t = 0; t < d->n_tasks; t++)
    if (d->tasks[t].n_deps == 0) {
      if (op_kind_of((op)d->tasks[t].op) == OP_COMPUTE)
        x->p->ready(x->state, t);
      else
        end(x, t);
    }
  while (x->left_to_run > 0) {
    bool any = false;
    for (uint32_t e = 0; e < x->in->plat->n_engines; e++) {
      uint32_t t = x->p->pick(x->state, e);
      if (t == POL_NONE) continue;
      any = true;
      x->left_to_run--;
      end(x, t);
    }
    if (!any) return false;
  }
  return true;
}

static int measure(const policy *p, const pol_input *in, err *e) {
  double best = 1e300;
  for (int round = 0; round < 3; round++) {
    arena a = {0};
    pol_plan plan;
    double t0 = wall();
    if (pol_make_plan(p, in, &plan, &a, e)) return e->status;
    if (p->pick != NULL) {
      play x = {.in = in, .p = p, .state = p->start(in, &plan, &a)};
      if (!run(&x, &plan, &a)) return err_set(e, ERR_INTERNAL, "policy '%s' leaves tasks", p->name);
    }
    double t = wall() - t0;
    if (t < best) best = t;
    arena_free(&a);
  }
  printf("policy %s %.3f\n", p->name, best / (double)in->dag->n_tasks * 1e6);
  return ERR_OK;
}

static int bench(int argc, char **argv, arena *a, err *e) {
  model m;
  platform p;
  dag *d;
  wl_options o = wl_defaults();
  if (model_load(argc > 1 ? argv[1] : "llama-3.1-70b", &m, a, e) || plat_load("npu4", &p, a, e))
    return e->status;
  o.layers = argc > 2 ? strtoull(argv[2], NULL, 10) : 16;
  if (argc > 3 && plat_set(&p, arena_printf(a, "engines=%s", argv[3]), a, e)) return e->status;
  wl_target target = {.engines = (uint32_t)p.n_engines,
                      .sram_B = (uint64_t)p.srams[0].capacity_B};
  if (wl_compile(&m, &o, &target, &d, a, e)) return e->status;
  reach within;
  if (reach_make(&within, &p, d, a, e)) return e->status;
  pol_input in = {
      .dag = d, .plat = &p, .succ = dag_successors(d, a), .reach = &within, .prefetch = 2};
  printf("tasks %zu\n", d->n_tasks);
  for (size_t i = 0; i < pol_count(); i++) {
    const char *name = pol_at(i)->name;
    if (strcmp(name, "search") == 0 || strcmp(name, "exact") == 0) continue;
    if (measure(pol_at(i), &in, e)) return e->status;
  }
  return ERR_OK;
}

int main(int argc, char **argv) {
  arena a = {0};
  err e = {0};
  int status = bench(argc, argv, &a, &e);
  if (status != ERR_OK) fprintf(stderr, "bench_policies: %s\n", e.msg);
  arena_free(&a);
  return status;
}
