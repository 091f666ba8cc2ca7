#include "sim/design.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "sim/estimate.h"
#include "sim/evaluate.h"
#include "sim/exec.h"
#include "workloads/cost.h"
#include "workloads/dag_room.h"
#include "workloads/spill.h"

enum {
  STEPS = 8,
  FEW_STEPS = 4,
  FINE_STEPS = 32,
  FIRST_PATIENCE = 2,
  CHEAP_TASKS = 4096,
  MOST_TASKS = 1 << 19,
  FEW_ROWS = 4,
  PREFETCH = 2
};
static const double NEAR = 1.01, GAIN = 0.999;

static uint64_t step_down(uint64_t bytes, uint64_t steps) {
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
  uint64_t all_B; /* what there is */
  bool enough; /* of few rows: the first candidate is one from which on larger tiles change nothing
                */
  uint64_t steps;            /* candidates an octave */
  uint64_t first_B;          /* the first candidate */
  const design_start *first; /* compiled, where that is done; or NULL */
  pol_known *known;          /* what comes of that as it stands; NULL: nobody asks */
  arena *mem;                /* of what is known */
} trial;

typedef enum fate { RUNS, SAME, TOO_LARGE, HOPELESS, RUNS_NOWHERE } fate;

/* A candidate. */
typedef struct candidate {
  uint64_t size_B, needs_B;
  uint64_t peak_B, traffic_B;
  double traffic_s; /* what its bytes take on the DRAM's route */
  size_t tasks;
  bool wasteless;
  fate fate;
  bool gain; /* it was worth it */
} candidate;

/* What has been found so far. */
typedef struct search {
  uint64_t best; /* 0: none yet */
  uint64_t plan_B;
  double measure; /* given tiles are to move the fewest bytes; chosen ones, to be the fastest */
  bool near;      /* no other can be much faster */
  size_t effort;  /* tasks compiled and simulated */
  candidate last; /* the latest that ran */
} search;

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

/* What the search asks of a candidate, whatever the platform. Keeps what simulations ask. */
static design_start describe(dag *d) {
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

/* What all tasks together take of the engines, of the DMA channels or of a link. */
static double areas_s(const trial *x, const dag *d, arena *a) {
  bounds b = est_bounds(&x->p, d, a);
  double most = fmax(b.engine_s, b.dma_s);
  for (size_t l = 0; l < x->p.n_links; l++) most = fmax(most, b.link_s[l]);
  return most;
}

static bool would_run(const trial *x, const dag *d, const pol_host *host, double *end_s, arena *a) {
  err ignored = {0};
  observer obs = {.self = end_s, .end = at_end};
  machine_options opt = {.prefetch = PREFETCH, .host = host};
  return exec_fluid(d, &x->p, pol_find("heft"), &opt, &obs, a, &ignored) == ERR_OK;
}

/* The same, planned and not simulated. */
static bool would_be_let_in(const trial *x, const dag *d, arena *a) {
  err ignored = {0};
  machine_options opt = {.prefetch = PREFETCH};
  machine *m;
  return machine_new(&m, d, &x->p, pol_find("serial"), &opt, NULL, a, &ignored) == ERR_OK;
}

static void note(search *s, const candidate *c, uint64_t plan_B, double measure, bool *gain) {
  if (s->best > 0 && measure >= s->measure) return;
  *gain = *gain || s->best == 0 || measure < GAIN * s->measure;
  s->best = c->size_B;
  s->plan_B = plan_B;
  s->measure = measure;
}

/* In how much SRAM it is simulated next: what it needs, and more; where that is enough, all there
 * is, and what it needs. 0: no more. */
static uint64_t room_of(const trial *x, const candidate *c, size_t i) {
  static const double MORE[] = {1, 1.125, 1.25, 1.5, 2};
  bool first = x->enough && c->size_B == x->first_B;
  if (first && i == 0) return x->all_B;
  if (i >= (first ? 2 : x->enough ? 1 : sizeof MORE / sizeof MORE[0])) return 0;
  return first ? c->needs_B : (uint64_t)(MORE[i] * (double)c->needs_B);
}

static void simulate(const trial *x, const dag *d, candidate *c, search *s) {
  uint64_t room;
  for (size_t i = 0;
       !s->near && (i == 0 || s->effort < MOST_TASKS) && (room = room_of(x, c, i)) > 0; i++) {
    arena scratch = {0};
    double end_s = INFINITY;
    x->sram[0].capacity_B = (double)room;
    bool runs = room <= x->all_B;
    if (runs && i == 0 && x->known != NULL && x->first != NULL && d == x->first->dag) {
      runs = evaluate_policy(d, &x->p, pol_find("heft"), PREFETCH, x->known, x->mem);
      end_s = x->known->makespan_s;
    } else if (runs) {
      runs = would_run(x, d, NULL, &end_s, &scratch);
    }
    if (i == 0) c->fate = runs ? RUNS : RUNS_NOWHERE;
    s->effort += d->n_tasks;
    if (runs) {
      note(s, c, room, end_s, &c->gain);
      s->near =
          c->wasteless && (end_s <= NEAR * c->traffic_s || end_s <= NEAR * areas_s(x, d, &scratch));
    }
    arena_free(&scratch);
    if (!runs) break;
  }
}

/* Cut alike: then less SRAM only has it wait. */
static bool same_step(const candidate *a, const candidate *b) {
  return a->tasks == b->tasks && a->peak_B == b->peak_B && a->traffic_B == b->traffic_B;
}

/* Tries one more: one layer, compiled for that much, and simulated unless it needs more than there
 * is or its traffic alone takes longer than the best so far. */
static candidate look(trial *x, uint64_t size_B, search *s) {
  arena scratch = {0};
  err ignored = {0};
  candidate c = {.size_B = size_B, .fate = RUNS_NOWHERE};
  bool given = x->o.tile_B > 0;
  x->t.sram_B = size_B;
  design_start now = {0};
  if (size_B == x->first_B && x->first != NULL) {
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
    } else if (!given) {
      simulate(x, d, &c, s);
    }
  }
  if (c.fate == RUNS) s->last = c;
  arena_free(&scratch);
  return c;
}

/* What runs at all, or runs fast, begins between two candidates: the finer steps there. */
static void look_closer(trial *x, uint64_t from, uint64_t down_to, search *s) {
  for (uint64_t size = from; size > 1;) {
    size = step_down(size - 1, FINE_STEPS);
    if (size <= down_to || (s->best > 0 && s->effort >= MOST_TASKS)) break;
    if (look(x, size, s).fate == RUNS_NOWHERE) break;
  }
}

/* How long a candidate takes under heft as a run has it, which simulates what it plans. */
static double looked_at_s(trial *x, uint64_t size_B, uint64_t room_B) {
  arena scratch = {0};
  err ignored = {0};
  dag *d;
  double end_s = INFINITY;
  pol_host host = evaluate_host(0);
  x->t.sram_B = size_B;
  x->sram[0].capacity_B = (double)room_B;
  if (wl_compile(x->m, &x->o, &x->t, &d, &scratch, &ignored) ||
      !would_run(x, d, &host, &end_s, &scratch))
    end_s = INFINITY;
  arena_free(&scratch);
  return end_s;
}

/* The candidate to compile for; best 0: none runs. */
static search choose(trial *x) {
  search s = {0};
  uint64_t before = x->all_B + 1, first_B = 0;
  int tries = FIRST_PATIENCE, patience = (int)(x->enough ? x->steps / 2 : x->steps);
  size_t cheap = x->enough ? CHEAP_TASKS / 2 : CHEAP_TASKS;
  size_t tasks = cheap; /* that will have been tried since the best */
  for (uint64_t size = x->first_B;
       (tries >= 0 || tasks < cheap) && size > 0 && (s.best == 0 || s.effort < MOST_TASKS);
       tries--, size = step_down(size - 1, x->steps)) {
    candidate c = look(x, size, &s);
    if (size == x->first_B && s.best == size) first_B = s.plan_B;
    if (c.fate == SAME) {
      before = size;
      tries++;
      continue;
    }
    tasks = c.gain ? 0 : tasks + c.tasks;
    if (c.gain) tries = x->o.tile_B > 0 ? INT_MAX : patience;
    if (s.near) break;
    if (c.fate == HOPELESS || c.fate == RUNS_NOWHERE) {
      look_closer(x, before, size, &s);
      break;
    }
    before = size;
  }
  /* what heft makes of the first, the largest, when it looks */
  if (s.best > 0 && s.best != x->first_B && first_B > 0 && s.effort < MOST_TASKS &&
      x->o.tile_B == 0 && looked_at_s(x, x->first_B, first_B) <= looked_at_s(x, s.best, s.plan_B)) {
    s.best = x->first_B;
    s.plan_B = first_B;
  }
  return s;
}

/* From here on larger tiles change nothing for a step of few rows. */
static uint64_t enough_for_few(const model *m, const wl_options *o, const wl_target *t) {
  uint64_t streams = o->split == WL_NONE ? 1 : t->engines, rows = o->past + o->tokens;
  uint64_t kv_row = dtype_bytes(o->kv_dtype, 2 * m->num_key_value_heads * m->head_dim);
  return 4 * (streams * WL_FEW_ROWS_PIECE_B + o->batch * rows * kv_row);
}

static bool few_rows(const wl_options *o) {
  return o->batch * o->tokens <= FEW_ROWS && o->tile_B == 0;
}

static uint64_t steps_of(const wl_options *o) {
  return few_rows(o) || o->tile_B > 0 ? FEW_STEPS : STEPS;
}

static uint64_t first_candidate(const model *m, const wl_options *o, const wl_target *t) {
  uint64_t enough = few_rows(o) ? enough_for_few(m, o, t) : UINT64_MAX;
  return step_down(enough < t->sram_B ? enough : t->sram_B, steps_of(o));
}

static bool chooses(const wl_options *o, const wl_target *t) {
  return o->resident == WL_RESIDENT_NONE && t->pad_B == 0 && !t->pads_only;
}

/* The target, planned for less, and refused what it has no room for. */
static wl_target within(const wl_target *t, uint64_t size_B) {
  wl_target x = *t;
  x.sram_B = size_B;
  x.most_B = t->sram_B;
  if (x.sram_name == NULL) x.sram_name = "sram";
  return x;
}

/* Compiles all of it for a candidate that needs `plan_B` for a layer; the step as a whole may need
 * more. */
static int compile_for(const model *m, const wl_options *o, const wl_target *t, uint64_t size_B,
                       uint64_t plan_B, dag **d, arena *a, err *e) {
  wl_target planned = within(t, size_B);
  if (wl_compile(m, o, &planned, d, a, e)) return e->status;
  uint64_t needs = wl_peak_B(*d);
  (*d)->workload.sram_plan_B = needs > plan_B ? needs : plan_B;
  return ERR_OK;
}

int design_first(const model *m, const wl_options *o, const wl_target *t, design_start *first,
                 arena *a, err *e) {
  dag *d;
  *first = (design_start){0};
  if (!chooses(o, t)) return wl_compile(m, o, t, &first->dag, a, e);
  uint64_t c = first_candidate(m, o, t);
  bool all = few_rows(o) && enough_for_few(m, o, t) <= t->sram_B;
  if (compile_for(m, o, t, c, all ? t->sram_B : c, &d, a, e)) return e->status;
  if (o->tile_B > 0 && d->workload.sram_plan_B <= t->sram_B) d->workload.sram_plan_B = 0;
  *first = describe(d);
  return ERR_OK;
}

static bool one_layer(const wl_options *o) {
  return o->layers == 1 && !o->all && o->steps == 1;
}

int design_settle(const model *m, const wl_options *o, const wl_target *t, const platform *p,
                  const design_start *first, dag **d, pol_known *known, arena *a, err *e) {
  *d = NULL;
  if (first != NULL && first->dag == NULL) first = NULL;
  if (!chooses(o, t)) return first != NULL ? ERR_OK : wl_compile(m, o, t, d, a, e);
  arena scratch = {0};
  trial x = {.m = m, .o = *o, .t = within(t, t->sram_B), .p = *p, .all_B = t->sram_B};
  x.sram = ARENA_NEW(&scratch, plat_memory, p->n_srams);
  memcpy(x.sram, p->srams, p->n_srams * sizeof *x.sram);
  x.p.srams = x.sram;
  x.o.all = false;
  x.o.layers = 1;
  x.o.steps = 1;
  x.o.forced = 0;
  x.steps = steps_of(&x.o);
  x.first_B = first_candidate(m, &x.o, t);
  x.enough = few_rows(&x.o) && enough_for_few(m, &x.o, t) <= t->sram_B;
  x.first = one_layer(o) ? first : NULL;
  x.known = known;
  x.mem = a;
  search s = choose(&x);
  arena_free(&scratch);
  bool taken = first != NULL && s.best == x.first_B;
  if (taken && o->tile_B == 0) /* and in the room that it was found to be fastest in */
    taken = x.enough ? s.plan_B == t->sram_B : s.plan_B <= first->dag->workload.sram_plan_B;
  if (taken && first->dag->workload.sram_plan_B <= t->sram_B) return ERR_OK;
  if (s.best > 0 && !taken) {
    if (compile_for(m, o, t, s.best, s.plan_B, d, a, e)) return e->status;
    bool fits = (*d)->workload.sram_plan_B <= t->sram_B;
    if (o->tile_B > 0) (*d)->workload.sram_plan_B = 0;
    if (fits) return ERR_OK;
  }
  wl_target all = within(t, t->sram_B);
  return wl_compile(m, o, &all, d, a, e);
}

int design_compile(const model *m, const wl_options *o, const wl_target *t, const platform *p,
                   dag **d, arena *a, err *e) {
  design_start first = {0};
  if (!chooses(o, t) || wl_check(m, o, t, e)) return wl_compile(m, o, t, d, a, e);
  err ignored = {0};
  if (one_layer(o) && design_first(m, o, t, &first, a, &ignored)) first.dag = NULL;
  if (design_settle(m, o, t, p, &first, d, NULL, a, e)) return e->status;
  if (*d == NULL) *d = first.dag;
  return ERR_OK;
}
