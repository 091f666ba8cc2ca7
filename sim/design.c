#include "sim/design.h"

#include <math.h>
#include <string.h>

#include "sim/estimate.h"
#include "sim/exec.h"
#include "workloads/spill.h"

enum { STEPS = 8, DEEPER = 3, FEW_ROWS = 4 };
static const double NEAR_BOUND = 1.003;

uint64_t design_step(uint64_t bytes) {
  if (bytes < STEPS) return bytes;
  uint64_t unit = 1;
  while (bytes / unit >= 2 * STEPS) unit *= 2;
  return bytes / unit * unit;
}

uint64_t design_before(uint64_t step) {
  return step == 0 ? 0 : design_step(step - 1);
}

/* What is tried out. */
typedef struct trial {
  const model *m;
  wl_options o;
  wl_target t;
  platform p;
  plat_memory *sram;
} trial;

static void at_end(void *self, double t, uint32_t task, uint32_t resource) {
  (void)task, (void)resource;
  *(double *)self = t;
}

static bool wasteless(const trial *x, const dag *d) {
  for (uint32_t i = 0; i < d->n_tasks; i++)
    if (d->tasks[i].op == OP_SPILL || d->tasks[i].op == OP_FILL) return false;
  return wl_block_tokens(x->m, &x->o, &x->t, x->o.tokens) >= x->o.tokens;
}

/* Simulated seconds in an SRAM of that size, INFINITY where it cannot run. */
static double simulate(trial *x, uint64_t sram_B, bool *near) {
  arena scratch = {0};
  err ignored = {0};
  dag *d;
  double end_s = 0;
  *near = false;
  x->t.sram_B = sram_B;
  x->sram[0].capacity_B = (double)sram_B;
  observer obs = {.self = &end_s, .end = at_end};
  machine_options opt = {.prefetch = 2};
  bool runs = wl_compile(x->m, &x->o, &x->t, &d, &scratch, &ignored) == ERR_OK &&
              exec_fluid(d, &x->p, pol_find("heft"), &opt, &obs, &scratch, &ignored) == ERR_OK;
  if (runs && wasteless(x, d)) *near = end_s <= NEAR_BOUND * est_bounds(&x->p, d, &scratch).lower_s;
  arena_free(&scratch);
  return runs ? end_s : INFINITY;
}

/* From here on larger tiles change nothing for a step of few rows. */
static uint64_t enough_for_few(const wl_options *o, const wl_target *t) {
  uint64_t streams = o->split == WL_NONE ? 1 : t->engines;
  return design_step(4 * streams * WL_FEW_ROWS_PIECE_B);
}

/* The candidate to compile for, or 0: none runs. */
static uint64_t choose(trial *x, uint64_t sram_B) {
  uint64_t first = design_step(sram_B), best = 0;
  double best_s = INFINITY;
  bool near;
  if (x->o.batch * x->o.tokens <= FEW_ROWS && first > enough_for_few(&x->o, &x->t)) {
    uint64_t enough = enough_for_few(&x->o, &x->t);
    if (simulate(x, enough, &near) < INFINITY && near) return enough;
  }
  uint64_t c = first;
  for (int left = STEPS; left > 0 && c > 0; left--, c = design_before(c)) {
    double s = simulate(x, c, &near);
    if (c == first && near) return c;
    if (s < INFINITY && s <= best_s) {
      best = c, best_s = s;
      if (left <= DEEPER) left = DEEPER + 1;
    }
  }
  return best;
}

static bool fits(const dag *d, uint64_t sram_B) {
  return wl_peak_B(d) <= sram_B;
}

int design_compile(const model *m, const wl_options *o, const wl_target *t, const platform *p,
                   dag **d, arena *a, err *e) {
  bool given = o->tile_B > 0 || o->resident != WL_RESIDENT_NONE || p->n_srams > 1;
  uint64_t plan_B = 0;
  if (!given) {
    arena scratch = {0};
    trial x = {.m = m, .o = *o, .t = *t, .p = *p};
    x.sram = ARENA_NEW(&scratch, plat_memory, p->n_srams);
    memcpy(x.sram, p->srams, p->n_srams * sizeof *x.sram);
    x.p.srams = x.sram;
    x.o.all = false;
    x.o.layers = 1;
    x.o.steps = 1;
    plan_B = choose(&x, t->sram_B);
    arena_free(&scratch);
  }
  if (plan_B > 0 && plan_B < t->sram_B) {
    wl_target planned = *t;
    planned.sram_B = plan_B;
    err ignored = {0};
    if (wl_compile(m, o, &planned, d, a, &ignored) == ERR_OK && fits(*d, plan_B)) {
      (*d)->workload.sram_plan_B = plan_B;
      return ERR_OK;
    }
  }
  return wl_compile(m, o, t, d, a, e);
}
