#include "sim/design.h"

#include <math.h>
#include <string.h>

#include "sim/estimate.h"
#include "sim/exec.h"
#include "workloads/spill.h"

enum { STEPS = 4, FINE_STEPS = 32, FEW_ROWS = 4 };
static const double NEAR_DRAM = 1.005, HOPELESS = 1.5;

uint64_t design_step(uint64_t bytes, uint64_t steps) {
  uint64_t unit = 1;
  while (bytes / unit >= 2 * steps) unit *= 2;
  return bytes / unit * unit;
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

/* What the bytes take on the DRAM's route at least. */
static double dram_s(const platform *p, uint64_t bytes) {
  const plat_route *r = plat_find_route(p, plat_host_dram(p), plat_host_sram(p, 0));
  return r == NULL ? 0 : (double)bytes / (p->dram.efficiency * r->bandwidth_Bps);
}

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
    r.near = r.wasteless && r.end_s <= NEAR_DRAM * dram_s(&x->p, r.traffic_B);
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
  return design_step(4 * streams * WL_FEW_ROWS_PIECE_B, STEPS);
}

typedef struct search {
  result least, last; /* the best, and the latest, of those that run */
  uint64_t best, smallest;
  bool edge; /* a smaller one does not run */
} search;

/* Tries out one more; false where it does not run. */
static bool look(trial *x, uint64_t c, search *s) {
  result r = try_out(x, c);
  s->edge = r.end_s == INFINITY;
  if (s->edge) return false;
  s->smallest = c;
  s->last = r;
  if (s->best == 0 || no_worse(x, &r, &s->least)) s->best = c, s->least = r;
  return true;
}

/* Still smaller ones would only be worse. */
static bool hopeless(const trial *x, const search *s) {
  if (x->o.tile_B > 0) return (double)s->last.traffic_B > HOPELESS * (double)s->least.traffic_B;
  return s->last.end_s > HOPELESS * s->least.end_s;
}

/* The candidate to compile for, or 0: none runs. */
static uint64_t choose(trial *x, uint64_t sram_B) {
  uint64_t enough = enough_for_few(&x->o, &x->t), first = design_step(sram_B, STEPS), c = first;
  bool few = x->o.batch * x->o.tokens <= FEW_ROWS, given = x->o.tile_B > 0;
  if (few && !given && sram_B > enough && try_out(x, enough).near) return enough;
  search s = {0};
  for (; c > 0; c = design_step(c - 1, STEPS)) {
    if (!look(x, c, &s) && s.best > 0) break;
    if (c == first && s.best == c && (given ? s.least.wasteless : s.least.near)) return c;
    if (s.best > 0 && hopeless(x, &s)) break;
  }
  if (!s.edge) return s.best; /* hopeless before it would not run */
  /* the least that runs lies between two steps */
  c = design_step(s.best > 0 ? s.smallest - 1 : sram_B, FINE_STEPS);
  for (int left = FINE_STEPS / STEPS; left > 0 && c > 0; left--, c = design_step(c - 1, FINE_STEPS))
    if (!look(x, c, &s)) break;
  return s.best;
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
