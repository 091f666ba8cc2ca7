#include "sim/design_try.h"

#include <math.h>

#include "sim/estimate.h"
#include "sim/evaluate.h"
#include "sim/exec.h"
#include "sim/policy/list_dag.h"
#include "workloads/cost.h"
#include "workloads/dag_room.h"
#include "workloads/spill.h"

enum { PREFETCH = 2, RANKED = 1 << 13, ROOMED = 1 << 10 };

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

extern const policy policy_fit, policy_fit_few, policy_heft;

static bool would_run(const trial *x, const dag *d, const policy *pol, const pol_host *host,
                      double *end_s, arena *a) {
  err ignored = {0};
  observer obs = {.self = end_s, .end = at_end};
  machine_options opt = {.prefetch = PREFETCH, .host = host};
  return exec_fluid(d, &x->p, pol, &opt, &obs, a, &ignored) == ERR_OK;
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
 * platform's own, the most of that first, and what it needs; of long steps under op the most, and
 * less where that is close to the best, of other plans if the DAG is small; where what it needs is
 * enough, all there is, and what it needs. 0: no more. */
static uint64_t room_of(const trial *x, const candidate *c, size_t i, const search *s) {
  static const double MORE[] = {1, 1.125, 1.25, 1.5, 2, 3, 4};
  size_t most = sizeof MORE / sizeof MORE[0] - (long_ops(&x->o) ? 1 : 3);
  bool first = x->enough && c->size_B == x->first_B;
  if (first && i == 0) return x->all_B;
  if (first) return i == 1 ? c->needs_B : 0;
  if (x->enough) return i == 0 ? c->needs_B : 0;
  while (most > 0 && MORE[most] * (double)c->needs_B > (double)x->all_B) most--;
  if (i > most) return 0;
  if (long_ops(&x->o)) {
    bool cheap = same_plan(c->p, x->whole) || c->tasks <= ROOMED;
    if (i > 0 && (!cheap || c->least_s > CLOSE * s->measure)) return 0;
    i = most - i;
  } else if (!same_plan(c->p, x->whole)) {
    if (i > 1) return 0;
    i = most - i * most;
  }
  return (uint64_t)(MORE[i] * (double)c->needs_B);
}

static double run_s(const trial *x, const dag *d, const policy *p, arena *a) {
  double end_s = INFINITY;
  return would_run(x, d, p, NULL, &end_s, a) ? end_s : INFINITY;
}

/* Under heft's plan by rank; of long steps under op under fit on all engines and on few, and by
 * rank only where the DAG is small and that is not far from the best. INFINITY: it does not run. */
static double end_s(const trial *x, const dag *d, candidate *c, search *s, uint64_t room,
                    bool known, arena *a) {
  double by_rank_s = INFINITY, fit_s = INFINITY;
  if (long_ops(&x->o)) fit_s = run_s(x, d, &policy_fit, a);
  if (long_ops(&x->o) && x->p.n_engines > LIST_FEW)
    fit_s = fmin(fit_s, run_s(x, d, &policy_fit_few, a));
  if (known && evaluate_policy(d, &x->p, &policy_heft, PREFETCH, x->known, x->mem))
    by_rank_s = x->known->makespan_s;
  else if (!known &&
           (!long_ops(&x->o) || (c->tasks <= RANKED && !(s->best > 0 && fit_s > FAR * s->measure))))
    by_rank_s = run_s(x, d, &policy_heft, a);
  if (by_rank_s < INFINITY && same_plan(c->p, x->whole)) note_whole(s, c, room, by_rank_s);
  return fmin(by_rank_s, fit_s);
}

static void simulate(const trial *x, const dag *d, candidate *c, search *s) {
  uint64_t room;
  c->least_s = INFINITY;
  for (size_t i = 0;
       !c->near && (i == 0 || s->effort < x->most) && (room = room_of(x, c, i, s)) > 0; i++) {
    arena scratch = {0};
    if (room > x->all_B) break;
    x->sram[0].capacity_B = (double)room;
    bool known = i == 0 && x->known != NULL && x->first != NULL && d == x->first->dag;
    double now_s = end_s(x, d, c, s, room, known, &scratch);
    bool runs = now_s < INFINITY;
    c->least_s = fmin(c->least_s, now_s);
    if (i == 0) c->fate = runs ? RUNS : RUNS_NOWHERE;
    s->effort += d->n_tasks;
    if (runs) {
      keep(s, c, room, now_s);
      note(s, c, room, now_s, &c->gain);
      s->near = c->wasteless && now_s <= NEAR * c->traffic_s;
      c->near = s->near || (c->wasteless && now_s <= NEAR * areas_s(x, d, &scratch));
      s->near |= c->near && now_s <= NEAR * x->floor_s;
      if (s->measure == now_s) s->tight = c->near;
    }
    arena_free(&scratch);
    if (!runs) break;
  }
}

/* Cut alike: then less SRAM only has it wait. */
static bool same_step(const candidate *a, const candidate *b) {
  return a->tasks == b->tasks && a->peak_B == b->peak_B && a->traffic_B == b->traffic_B;
}

/* Of long steps under op: whether that has been simulated, perhaps under another plan. */
static bool again(const trial *x, const candidate *c, search *s) {
  if (!long_ops(&x->o)) return false;
  for (size_t i = 0; i < s->n_cuts && i < CUTS; i++) {
    const cut_id *k = &s->cuts[i];
    if (k->tasks == c->tasks && k->deps == c->deps && k->traffic_B == c->traffic_B &&
        k->needs_B == c->needs_B)
      return true;
  }
  s->cuts[s->n_cuts++ % CUTS] = (cut_id){c->tasks, c->deps, c->traffic_B, c->needs_B};
  return false;
}

candidate look(trial *x, uint64_t size_B, search *s) {
  arena scratch = {0};
  err ignored = {0};
  bool first = size_B == x->first_B && same_plan(target_plan(&x->t), x->whole);
  candidate c = {.p = target_plan(&x->t), .size_B = size_B, .fate = RUNS_NOWHERE};
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
    c.deps = d->n_deps;
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
    } else if (!given && again(x, &c, s)) {
      c.fate = RUNS;
    } else if (!given) {
      simulate(x, d, &c, s);
    }
  }
  if (c.fate == RUNS) s->last = c;
  arena_free(&scratch);
  return c;
}

static double heft_s(trial *x, uint64_t room_B, double best_s, bool in_short) {
  arena scratch = {0};
  err ignored = {0};
  dag *d;
  double end_s = INFINITY;
  pol_host host = evaluate_host(0);
  host.in_short = in_short;
  x->sram[0].capacity_B = (double)room_B;
  if (wl_compile(x->m, &x->o, &x->t, &d, &scratch, &ignored) ||
      est_bounds(&x->p, d, &scratch).lower_s > best_s ||
      !would_run(x, d, &policy_heft, &host, &end_s, &scratch))
    end_s = INFINITY;
  arena_free(&scratch);
  return end_s;
}

double looked_at_s(trial *x, uint64_t room_B, double best_s) {
  return heft_s(x, room_B, best_s, true);
}

double looked_longer_s(trial *x, uint64_t room_B) {
  return heft_s(x, room_B, INFINITY, false);
}

double bound_s(trial *x, uint64_t room_B) {
  arena scratch = {0};
  err ignored = {0};
  dag *d;
  double least_s = 0;
  x->sram[0].capacity_B = (double)room_B;
  if (wl_compile(x->m, &x->o, &x->t, &d, &scratch, &ignored) == ERR_OK)
    least_s = est_bounds(&x->p, d, &scratch).lower_s;
  arena_free(&scratch);
  return least_s;
}

uint64_t look_tasks(trial *x) {
  arena scratch = {0};
  err ignored = {0};
  dag *d;
  uint64_t n = 0;
  if (wl_compile(x->m, &x->o, &x->t, &d, &scratch, &ignored) == ERR_OK) n = d->n_tasks;
  arena_free(&scratch);
  return n + (12 * n < 1 << 18 ? 12 * n : 1 << 18) + 8192;
}

double needs_s(trial *x, uint64_t room_B) {
  arena scratch = {0};
  err ignored = {0};
  dag *d;
  double least_s = 0;
  x->sram[0].capacity_B = (double)room_B;
  if (wl_compile(x->m, &x->o, &x->t, &d, &scratch, &ignored) == ERR_OK) {
    bounds b = est_bounds(&x->p, d, &scratch);
    least_s = fmax(b.engine_s, dram_s(&x->p, describe(d).traffic_B));
  }
  arena_free(&scratch);
  return least_s;
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
