#include "sim/design.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "sim/estimate.h"
#include "sim/exec.h"
#include "workloads/cost.h"
#include "workloads/spill.h"

enum {
  STEPS = 8,
  FEW_STEPS = 4,
  FINE_STEPS = 32,
  FIRST_PATIENCE = 2,
  CHEAP_TASKS = 4096,
  FEW_ROWS = 4
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
  uint64_t all_B;   /* what there is */
  uint64_t steps;   /* candidates an octave */
  uint64_t first_B; /* the first candidate */
  const dag *first; /* compiled, where that is done; or NULL */
} trial;

typedef enum fate { RUNS, TOO_LARGE, HOPELESS, RUNS_NOWHERE } fate;

typedef struct result {
  fate fate;
  double end_s;
  double traffic_s; /* what its bytes take on the DRAM's route */
  uint64_t traffic_B;
  uint64_t plan_B; /* what it needs */
  size_t tasks;
  bool near; /* no other can be much faster */
} result;

static void at_end(void *self, double t, uint32_t task, uint32_t resource) {
  (void)task, (void)resource;
  *(double *)self = t;
}

/* Nothing is moved twice: no spills, and no more loaded of a tensor than there is. */
static bool wasteless(const dag *d, arena *a) {
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

static bool would_run(const trial *x, const dag *d, double *end_s, arena *a) {
  err ignored = {0};
  observer obs = {.self = end_s, .end = at_end};
  machine_options opt = {.prefetch = 2};
  machine *m;
  if (x->o.tile_B > 0)
    return machine_new(&m, d, &x->p, pol_find("serial"), &opt, NULL, a, &ignored) == ERR_OK;
  return exec_fluid(d, &x->p, pol_find("heft"), &opt, &obs, a, &ignored) == ERR_OK;
}

/* One layer, compiled for that much and simulated in what it needs, or in `room_B` if that is more;
 * unless it is more than there is, or its traffic alone takes `most_s`. */
static result try_out(trial *x, uint64_t sram_B, uint64_t room_B, double most_s) {
  arena scratch = {0};
  err ignored = {0};
  dag *own = NULL;
  const dag *d = sram_B == x->first_B ? x->first : NULL;
  result r = {.fate = RUNS_NOWHERE};
  x->t.sram_B = sram_B;
  if (d == NULL && wl_compile(x->m, &x->o, &x->t, &own, &scratch, &ignored) == ERR_OK) d = own;
  if (d != NULL) {
    uint64_t needs = wl_peak_B(d);
    cost_totals c = cost_sum(d);
    r.tasks = d->n_tasks;
    r.traffic_B = c.dram_read + c.dram_write;
    r.end_s = r.traffic_s = dram_s(&x->p, r.traffic_B);
    r.plan_B = needs > sram_B ? needs : sram_B;
    if (r.plan_B < room_B) r.plan_B = room_B;
    x->sram[0].capacity_B = (double)r.plan_B;
    if (r.plan_B > x->all_B) {
      r.fate = TOO_LARGE;
    } else if (r.traffic_s >= most_s) {
      r.fate = HOPELESS;
    } else if (would_run(x, d, &r.end_s, &scratch)) {
      r.fate = RUNS;
      r.near = wasteless(d, &scratch) &&
               (r.end_s <= NEAR * r.traffic_s || r.end_s <= NEAR * areas_s(x, d, &scratch));
    }
  }
  arena_free(&scratch);
  return r;
}

/* Given tiles are to move the fewest bytes; chosen ones, to be the fastest. */
static double measure(const trial *x, const result *r) {
  return x->o.tile_B > 0 ? (double)r->traffic_B : r->end_s;
}

typedef struct search {
  uint64_t best; /* 0: none yet */
  result least;
} search;

/* Tries one more; says whether that was worth it. */
static bool look(trial *x, uint64_t c, search *s, result *r) {
  bool given = x->o.tile_B > 0, gain = false;
  *r = try_out(x, c, 0, s->best > 0 && !given ? s->least.end_s : INFINITY);
  if (r->fate == RUNS && (s->best == 0 || measure(x, r) < measure(x, &s->least))) {
    gain = s->best == 0 || measure(x, r) < GAIN * measure(x, &s->least);
    s->best = c;
    s->least = *r;
  }
  return gain;
}

/* What runs at all, or runs fast, begins between two candidates: the finer steps there. */
static void look_closer(trial *x, uint64_t from, uint64_t down_to, search *s) {
  result r = {.fate = RUNS};
  for (uint64_t c = from; r.fate != RUNS_NOWHERE && c > 1;) {
    c = step_down(c - 1, FINE_STEPS);
    if (c <= down_to) break;
    look(x, c, s, &r);
  }
}

/* The candidate to compile for; best 0: none runs. */
static search choose(trial *x) {
  search s = {0};
  uint64_t before = x->all_B + 1;
  int tries = FIRST_PATIENCE;
  size_t tasks = CHEAP_TASKS; /* that will have been tried since the best */
  bool given = x->o.tile_B > 0;
  for (uint64_t c = x->first_B; (tries >= 0 || tasks < CHEAP_TASKS) && c > 0;
       tries--, c = step_down(c - 1, x->steps)) {
    result r;
    bool gain = look(x, c, &s, &r);
    tasks = gain ? 0 : tasks + r.tasks;
    if (gain) tries = given ? INT_MAX : (int)x->steps;
    if (r.near) break;
    if (r.fate == HOPELESS || r.fate == RUNS_NOWHERE) {
      look_closer(x, before, c, &s);
      break;
    }
    before = c;
  }
  if (s.best > 0 && !given && !s.least.near && s.least.plan_B < x->all_B) {
    result r = try_out(x, s.best, x->all_B, INFINITY);
    if (r.fate == RUNS && r.end_s < s.least.end_s) s.least = r;
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
static wl_target within(const wl_target *t, uint64_t candidate) {
  wl_target x = *t;
  x.sram_B = candidate;
  x.most_B = t->sram_B;
  if (x.sram_name == NULL) x.sram_name = "sram";
  return x;
}

/* Compiles all of it for a candidate that needs `plan_B` for a layer; the step as a whole may need
 * more. */
static int compile_for(const model *m, const wl_options *o, const wl_target *t, uint64_t candidate,
                       uint64_t plan_B, dag **d, arena *a, err *e) {
  wl_target planned = within(t, candidate);
  if (wl_compile(m, o, &planned, d, a, e)) return e->status;
  uint64_t needs = wl_peak_B(*d);
  (*d)->workload.sram_plan_B = needs > plan_B ? needs : plan_B;
  return ERR_OK;
}

int design_first(const model *m, const wl_options *o, const wl_target *t, dag **d, arena *a,
                 err *e) {
  if (!chooses(o, t)) return wl_compile(m, o, t, d, a, e);
  uint64_t c = first_candidate(m, o, t);
  if (compile_for(m, o, t, c, c, d, a, e)) return e->status;
  if (o->tile_B > 0 && (*d)->workload.sram_plan_B <= t->sram_B) (*d)->workload.sram_plan_B = 0;
  return ERR_OK;
}

static bool one_layer(const wl_options *o) {
  return o->layers == 1 && !o->all && o->steps == 1;
}

int design_settle(const model *m, const wl_options *o, const wl_target *t, const platform *p,
                  const dag *first, dag **d, arena *a, err *e) {
  *d = NULL;
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
  x.first = one_layer(o) ? first : NULL;
  search s = choose(&x);
  arena_free(&scratch);
  bool taken = first != NULL && s.best == x.first_B &&
               (o->tile_B > 0 || first->workload.sram_plan_B >= s.least.plan_B);
  if (taken && first->workload.sram_plan_B <= t->sram_B) return ERR_OK;
  if (s.best > 0 && !taken) {
    if (compile_for(m, o, t, s.best, s.least.plan_B, d, a, e)) return e->status;
    bool fits = (*d)->workload.sram_plan_B <= t->sram_B;
    if (o->tile_B > 0) (*d)->workload.sram_plan_B = 0;
    if (fits) return ERR_OK;
  }
  wl_target all = within(t, t->sram_B);
  return wl_compile(m, o, &all, d, a, e);
}

int design_compile(const model *m, const wl_options *o, const wl_target *t, const platform *p,
                   dag **d, arena *a, err *e) {
  dag *first = NULL;
  if (!chooses(o, t) || wl_check(m, o, t, e)) return wl_compile(m, o, t, d, a, e);
  err ignored = {0};
  if (one_layer(o) && design_first(m, o, t, &first, a, &ignored)) first = NULL;
  if (design_settle(m, o, t, p, first, d, a, e)) return e->status;
  if (*d == NULL) *d = first;
  return ERR_OK;
}
