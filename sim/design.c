#include "sim/design.h"

#include <math.h>
#include <string.h>

#include "sim/estimate.h"
#include "sim/exec.h"
#include "workloads/spill.h"

enum { STEPS = 8, WINDOW = 8, WINDOW_GIVEN = 20, DEEPER = 3, FEW_ROWS = 4 };
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

typedef struct result {
  double end_s; /* INFINITY where it cannot run; 0 with given tiles, which are only planned */
  uint64_t traffic_B;
  bool wasteless, near;
} result;

static bool would_run(const trial *x, const dag *d, double *end_s, arena *a) {
  err ignored = {0};
  observer obs = {.self = end_s, .end = at_end};
  machine_options opt = {.prefetch = 2};
  machine *m;
  if (x->o.tile_B > 0)
    return machine_new(&m, d, &x->p, pol_find("serial"), &opt, NULL, a, &ignored) == ERR_OK;
  return exec_fluid(d, &x->p, pol_find("heft"), &opt, &obs, a, &ignored) == ERR_OK;
}

/* One layer, compiled for and simulated in an SRAM of that size. */
static result try_out(trial *x, uint64_t sram_B) {
  arena scratch = {0};
  err ignored = {0};
  dag *d;
  result r = {0};
  x->t.sram_B = sram_B;
  x->sram[0].capacity_B = (double)sram_B;
  bool runs = wl_compile(x->m, &x->o, &x->t, &d, &scratch, &ignored) == ERR_OK &&
              would_run(x, d, &r.end_s, &scratch);
  if (runs) {
    cost_totals c = cost_sum(d);
    r.traffic_B = c.dram_read + c.dram_write;
    r.wasteless = wasteless(x, d);
    r.near = r.wasteless && r.end_s <= NEAR_BOUND * est_bounds(&x->p, d, &scratch).lower_s;
  } else {
    r.end_s = INFINITY;
  }
  arena_free(&scratch);
  return r;
}

/* Given tiles are to move the fewest bytes; chosen ones, to be the fastest. */
static bool no_worse(const trial *x, const result *a, const result *b) {
  return x->o.tile_B > 0 ? a->traffic_B < b->traffic_B : a->end_s <= b->end_s;
}

/* From here on larger tiles change nothing for a step of few rows. */
static uint64_t enough_for_few(const wl_options *o, const wl_target *t) {
  uint64_t streams = o->split == WL_NONE ? 1 : t->engines;
  return design_step(4 * streams * WL_FEW_ROWS_PIECE_B);
}

/* The candidate to compile for, or 0: none runs. */
static uint64_t choose(trial *x, uint64_t sram_B) {
  uint64_t first = design_step(sram_B), enough = enough_for_few(&x->o, &x->t), best = 0;
  bool few = x->o.batch * x->o.tokens <= FEW_ROWS, given = x->o.tile_B > 0;
  if (few && !given && first > enough && try_out(x, enough).near) return enough;
  result least = {.end_s = INFINITY, .traffic_B = UINT64_MAX};
  uint64_t c = first;
  for (int left = given ? WINDOW_GIVEN : WINDOW; left > 0 && c > 0; left--, c = design_before(c)) {
    result r = try_out(x, c);
    if (c == first && (given ? r.wasteless : r.near)) return c;
    if (r.end_s < INFINITY && no_worse(x, &r, &least)) {
      best = c, least = r;
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
  bool plain = o->resident != WL_RESIDENT_NONE || p->n_srams > 1;
  uint64_t plan_B = 0;
  if (!plain) {
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
