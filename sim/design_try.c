#include "sim/design_try.h"

#include <math.h>

#include "sim/estimate.h"
#include "sim/evaluate.h"
#include "sim/exec.h"
#include "workloads/cost.h"
#include "workloads/dag_room.h"
#include "workloads/spill.h"

enum { PREFETCH = 2 };

static void at_end(void *self, double t, uint32_t task, uint32_t resource) {
  (void)task, (void)resource;
  *(double *)self = t;
}

/* Nothing is moved twice: no spills, and no more loaded of a tensor than there is. */
static bool is_wasteless(const dag *d, arena *a) {
  uint64_t *loaded = ARENA_NEW(a, uint64_t, d->n_tensors + 1);
  for (uint32_t i = 0; i < d->n_tasks; i++) {
    const dag_task *t = &d->tasks[i];
    if (t->op == OP_SPILL || t->op == OP_FILL) return false;
    if (op_kind_of((op)t->op) != OP_LOAD || t->op == OP_LOAD_EMBED) continue;
    for (uint32_t k = 0; k < t->n_reads; k++) {
      const dag_view *v = &dag_reads(d, t)[k];
      loaded[v->tensor] += dag_view_bytes(d, v);
      if (loaded[v->tensor] > dag_tensor_bytes(&d->tensors[v->tensor])) return false;
    }
  }
  return true;
}

design_start describe(dag *d) {
  arena scratch = {0};
  dag_keep_rooms(d);
  cost_keep(d);
  cost_totals sum = cost_sum(d);
  design_start x = {.dag = d,
                    .peak_B = wl_peak_B(d),
                    .traffic_B = sum.dram_read + sum.dram_write,
                    .wasteless = is_wasteless(d, &scratch)};
  arena_free(&scratch);
  return x;
}

/* What the bytes take on the DRAM's route at least. */
static double dram_s(const platform *p, uint64_t bytes) {
  const plat_route *r = plat_find_route(p, plat_host_dram(p), plat_host_sram(p, 0));
  return r == NULL ? 0 : (double)bytes / (p->dram.efficiency * r->bandwidth_Bps);
}

double areas_s(const trial *x, const dag *d, arena *a) {
  bounds b = est_bounds(&x->p, d, a);
  double most = fmax(b.engine_s, b.dma_s);
  for (size_t l = 0; l < x->p.n_links; l++) most = fmax(most, b.link_s[l]);
  return most;
}

/* No schedule takes less, in all the SRAM there is. */
static double least_s(const trial *x, const dag *d, arena *a) {
  x->sram[0].capacity_B = (double)x->all_B;
  return est_bounds(&x->p, d, a).lower_s;
}

static bool would_run(const trial *x, const dag *d, const char *name, const pol_host *host,
                      double *end_s, arena *a) {
  err ignored = {0};
  observer obs = {.self = end_s, .end = at_end};
  machine_options opt = {.prefetch = PREFETCH, .host = host};
  return exec_fluid(d, &x->p, pol_find(name), &opt, &obs, a, &ignored) == ERR_OK;
}

/* The same, planned and not simulated. */
static bool would_be_let_in(const trial *x, const dag *d, arena *a) {
  err ignored = {0};
  machine_options opt = {.prefetch = PREFETCH};
  machine *m;
  return machine_new(&m, d, &x->p, pol_find("serial"), &opt, NULL, a, &ignored) == ERR_OK;
}

/* Among the best, one of each plan. */
static void keep(search *s, const candidate *c, uint64_t room_B, double measure) {
  found x = {c->p, c->size_B, room_B, measure};
  size_t i = 0;
  while (i + 1 < FINALISTS && s->top[i].size_B > 0 && !same_plan(s->top[i].p, c->p)) i++;
  if (s->top[i].size_B > 0 && s->top[i].measure <= measure) return;
  for (; i > 0 && s->top[i - 1].measure > measure; i--) s->top[i] = s->top[i - 1];
  s->top[i] = x;
}

static void note(search *s, const candidate *c, uint64_t plan_B, double measure, bool *gain) {
  if (s->best > 0 && measure >= s->measure) return;
  *gain = *gain || s->best == 0 || measure < GAIN * s->measure;
  s->best = c->size_B;
  s->p = c->p;
  s->plan_B = plan_B;
  s->measure = measure;
}

/* The same of the platform's own plan, under heft's plan by rank. */
static void note_whole(search *s, candidate *c, uint64_t room_B, double end_s) {
  if (s->by_rank.size_B > 0 && end_s >= s->by_rank.measure) return;
  c->gain = c->gain || s->by_rank.size_B == 0 || end_s < GAIN * s->by_rank.measure;
  s->by_rank = (found){c->p, c->size_B, room_B, end_s};
}

/* In how much SRAM it is simulated next: what it needs, and more; of other plans than the
 * platform's own, the most of that first, and what it needs; where that is enough, all there is,
 * and what it needs. 0: no more. */
static uint64_t room_of(const trial *x, const candidate *c, size_t i) {
  static const double MORE[] = {1, 1.125, 1.25, 1.5, 2};
  size_t n = sizeof MORE / sizeof MORE[0];
  bool first = x->enough && c->size_B == x->first_B;
  if (first && i == 0) return x->all_B;
  if (first) return i == 1 ? c->needs_B : 0;
  if (x->enough) return i == 0 ? c->needs_B : 0;
  if (!same_plan(c->p, x->whole)) {
    size_t most = n - 1;
    while (most > 0 && MORE[most] * (double)c->needs_B > (double)x->all_B) most--;
    if (i > (most > 0)) return 0;
    n = most + 1;
    i = most - i * most;
  }
  return i < n ? (uint64_t)(MORE[i] * (double)c->needs_B) : 0;
}

static void simulate(const trial *x, const dag *d, candidate *c, search *s) {
  uint64_t room;
  for (size_t i = 0; !c->near && (i == 0 || s->effort < x->most) && (room = room_of(x, c, i)) > 0;
       i++) {
    arena scratch = {0};
    double end_s = INFINITY;
    x->sram[0].capacity_B = (double)room;
    if (room > x->all_B) break;
    bool runs;
    if (i == 0 && x->known != NULL && x->first != NULL && d == x->first->dag) {
      runs = evaluate_policy(d, &x->p, pol_find("heft"), PREFETCH, x->known, x->mem);
      if (runs) end_s = x->known->makespan_s;
    } else {
      runs = would_run(x, d, "heft", NULL, &end_s, &scratch);
    }
    if (runs && same_plan(c->p, x->whole)) note_whole(s, c, room, end_s);
    double fit_s = INFINITY;
    bool fit = x->o.split == WL_OP && !few_rows(&x->o);
    if (fit && would_run(x, d, "fit", NULL, &fit_s, &scratch)) runs = true;
    if (fit_s < end_s) end_s = fit_s;
    if (i == 0) c->fate = runs ? RUNS : RUNS_NOWHERE;
    s->effort += d->n_tasks;
    if (runs) {
      keep(s, c, room, end_s);
      note(s, c, room, end_s, &c->gain);
      s->near = c->wasteless && end_s <= NEAR * c->traffic_s;
      c->near = s->near || (c->wasteless && end_s <= NEAR * areas_s(x, d, &scratch));
      s->near |= c->near && end_s <= NEAR * x->floor_s;
      if (s->measure == end_s) s->tight = c->near;
    }
    arena_free(&scratch);
    if (!runs) break;
  }
}

/* Cut alike: then less SRAM only has it wait. */
static bool same_step(const candidate *a, const candidate *b) {
  return a->tasks == b->tasks && a->peak_B == b->peak_B && a->traffic_B == b->traffic_B;
}

plan plan_of(const trial *x) {
  return (plan){x->t.engines, x->t.tiles};
}

candidate look(trial *x, uint64_t size_B, search *s) {
  arena scratch = {0};
  err ignored = {0};
  bool first = size_B == x->first_B && same_plan(plan_of(x), x->whole);
  candidate c = {.p = plan_of(x), .size_B = size_B, .fate = RUNS_NOWHERE};
  bool given = x->o.tile_B > 0;
  x->t.sram_B = size_B;
  design_start now = {0};
  if (first && x->first != NULL) {
    now = *x->first;
  } else if (wl_compile(x->m, &x->o, &x->t, &now.dag, &scratch, &ignored) == ERR_OK) {
    now = describe(now.dag);
  }
  if (now.dag != NULL) {
    const dag *d = now.dag;
    c.peak_B = now.peak_B;
    c.traffic_B = now.traffic_B;
    c.tasks = d->n_tasks;
    c.wasteless = now.wasteless;
    s->effort += d->n_tasks;
    c.needs_B = c.peak_B > size_B ? c.peak_B : size_B;
    c.traffic_s = dram_s(&x->p, c.traffic_B);
    x->sram[0].capacity_B = (double)c.needs_B;
    if (c.needs_B > x->all_B) {
      c.fate = TOO_LARGE;
    } else if (same_step(&c, &s->last)) {
      c.fate = SAME;
    } else if (given && would_be_let_in(x, d, &scratch)) {
      c.fate = RUNS;
      note(s, &c, c.needs_B, (double)c.traffic_B, &c.gain);
      s->near = c.wasteless;
    } else if (!given && s->best > 0 && c.traffic_s >= s->measure) {
      c.fate = HOPELESS;
    } else if (!given && s->best > 0 && least_s(x, d, &scratch) >= s->measure) {
      c.fate = SLOW;
    } else if (!given) {
      simulate(x, d, &c, s);
    }
  }
  if (c.fate == RUNS) s->last = c;
  arena_free(&scratch);
  return c;
}

double looked_at_s(trial *x, uint64_t room_B, double best_s) {
  arena scratch = {0};
  err ignored = {0};
  dag *d;
  double end_s = INFINITY;
  pol_host host = evaluate_host(0);
  host.in_short = true;
  x->sram[0].capacity_B = (double)room_B;
  if (wl_compile(x->m, &x->o, &x->t, &d, &scratch, &ignored) ||
      est_bounds(&x->p, d, &scratch).lower_s > best_s ||
      !would_run(x, d, "heft", &host, &end_s, &scratch))
    end_s = INFINITY;
  arena_free(&scratch);
  return end_s;
}

double by_rank_s(trial *x, uint64_t room_B) {
  arena scratch = {0};
  err ignored = {0};
  dag *d;
  pol_known k = {.makespan_s = INFINITY};
  x->sram[0].capacity_B = (double)room_B;
  if (wl_compile(x->m, &x->o, &x->t, &d, &scratch, &ignored) == ERR_OK)
    evaluate_policy(d, &x->p, pol_find("heft"), PREFETCH, &k, &scratch);
  arena_free(&scratch);
  return k.makespan_s;
}
