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
  PLAN_PATIENCE = 2,
  FINALISTS = 3,
  MOST_ABREAST = 4,
  FEW_ROWS = 4,
  PREFETCH = 2
};
static const double NEAR = 1.01, GAIN = 0.999, FAR = 1.03;

static bool few_rows(const wl_options *o) {
  return o->batch * o->tokens <= FEW_ROWS && o->tile_B == 0;
}

static uint64_t step_down(uint64_t bytes, uint64_t steps) {
  uint64_t unit = 1;
  while (bytes / unit >= 2 * steps) unit *= 2;
  return bytes / unit * unit;
}

/* For how many engines, and with room for how many streams of tiles, it is cut. */
typedef struct plan {
  uint32_t engines, abreast;
} plan;

static bool same_plan(plan a, plan b) {
  return a.engines == b.engines && a.abreast == b.abreast;
}

/* What is tried out. */
typedef struct trial {
  const model *m;
  wl_options o;
  wl_target t;
  plan whole; /* as the platform is */
  platform p;
  plat_memory *sram;
  uint64_t all_B; /* what there is */
  bool enough; /* of few rows: the first candidate is one from which on larger tiles change nothing
                */
  uint64_t steps;            /* candidates an octave */
  uint64_t first_B;          /* the first candidate */
  const design_start *first; /* compiled for the whole platform, where that is done; or NULL */
  pol_known *known;          /* what comes of that as it stands; NULL: nobody asks */
  arena *mem;                /* of what is known */
  size_t most;               /* effort at which the search ends */
  double floor_s;            /* what the busiest resource takes of the largest tiles */
} trial;

typedef enum fate { RUNS, SAME, SLOW, TOO_LARGE, HOPELESS, RUNS_NOWHERE } fate;

/* A candidate. */
typedef struct candidate {
  plan p;
  uint64_t size_B, needs_B;
  uint64_t peak_B, traffic_B;
  double traffic_s; /* what its bytes take on the DRAM's route */
  size_t tasks;
  bool wasteless;
  fate fate;
  bool gain; /* it was worth it */
  bool near; /* smaller tiles would not be */
} candidate;

/* A cut, and the room that it runs in. */
typedef struct found {
  plan p;
  uint64_t size_B; /* 0: none */
  uint64_t room_B;
  double measure;
} found;

static bool same_found(const found *a, const found *b) {
  return a->size_B == b->size_B && a->room_B == b->room_B && same_plan(a->p, b->p);
}

/* What has been found so far. */
typedef struct search {
  uint64_t best; /* 0: none yet */
  plan p;
  uint64_t plan_B;
  uint64_t first_room_B; /* where the platform's own first candidate is fastest */
  found top[FINALISTS];  /* the best of each plan, fastest first */
  found by_rank;         /* the platform's own plan's best, under heft's plan by rank */
  double measure; /* given tiles are to move the fewest bytes; chosen ones, to be the fastest */
  bool near;      /* no other can be much faster */
  bool tight;     /* nor one of the best's plan */
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

static plan plan_of(const trial *x) {
  return (plan){x->t.engines, x->t.abreast};
}

/* Tries one more: one layer, compiled for that much, and simulated unless it needs more than there
 * is or its traffic alone takes longer than the best so far. */
static candidate look(trial *x, uint64_t size_B, search *s) {
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

/* What runs at all, or runs fast, begins between two candidates: the finer steps there. */
static void look_closer(trial *x, uint64_t from, uint64_t down_to, search *s) {
  for (uint64_t size = from; size > 1;) {
    size = step_down(size - 1, FINE_STEPS);
    if (size <= down_to || (s->best > 0 && s->effort >= x->most)) break;
    if (look(x, size, s).fate == RUNS_NOWHERE) break;
  }
}

/* From here on larger tiles change nothing for a step of few rows. */
static uint64_t enough_for_few(const model *m, const wl_options *o, const wl_target *t) {
  uint64_t streams = o->split == WL_NONE ? 1 : t->engines, rows = o->past + o->tokens;
  uint64_t kv_row = dtype_bytes(o->kv_dtype, 2 * m->num_key_value_heads * m->head_dim);
  return 4 * (streams * WL_FEW_ROWS_PIECE_B + o->batch * rows * kv_row);
}

static uint64_t steps_of(const wl_options *o) {
  return few_rows(o) || o->tile_B > 0 ? FEW_STEPS : STEPS;
}

static uint64_t first_candidate(const model *m, const wl_options *o, const wl_target *t) {
  uint64_t enough = few_rows(o) ? enough_for_few(m, o, t) : UINT64_MAX;
  return step_down(enough < t->sram_B ? enough : t->sram_B, steps_of(o));
}

/* What is tried next is cut by this plan. */
static void take_plan(trial *x, plan p) {
  x->t.engines = p.engines;
  x->t.abreast = p.abreast;
  x->t.sram_B = x->all_B;
  x->first_B = first_candidate(x->m, &x->o, &x->t);
  x->enough = few_rows(&x->o) && enough_for_few(x->m, &x->o, &x->t) <= x->all_B;
}

/* How long a candidate takes under heft as a run has it, which simulates what it plans; INFINITY
 * where it must take longer than `best_s`. */
static double looked_at_s(trial *x, plan p, uint64_t size_B, uint64_t room_B, double best_s) {
  arena scratch = {0};
  err ignored = {0};
  dag *d;
  double end_s = INFINITY;
  pol_host host = evaluate_host(0);
  take_plan(x, p);
  x->t.sram_B = size_B;
  x->sram[0].capacity_B = (double)room_B;
  if (wl_compile(x->m, &x->o, &x->t, &d, &scratch, &ignored) ||
      est_bounds(&x->p, d, &scratch).lower_s > best_s ||
      !would_run(x, d, "heft", &host, &end_s, &scratch))
    end_s = INFINITY;
  arena_free(&scratch);
  return end_s;
}

/* Candidates of one plan, from the first down, which may have been looked at. */
static void choose_size(trial *x, const candidate *first, search *s) {
  uint64_t before = x->all_B + 1;
  bool whole = same_plan(plan_of(x), x->whole);
  uint64_t steps = whole ? x->steps : FEW_STEPS;
  int patience = (int)(x->enough ? steps / 2 : steps), tries = whole ? FIRST_PATIENCE : patience;
  size_t cheap = x->enough ? CHEAP_TASKS / 2 : CHEAP_TASKS;
  size_t tasks = whole ? cheap : cheap / 4 * 3; /* that will have been tried since the best */
  for (uint64_t size = x->first_B;
       (tries >= 0 || tasks < cheap) && size > 0 && (s->best == 0 || s->effort < x->most);
       tries--, size = step_down(size - 1, steps)) {
    candidate c = first != NULL && size == first->size_B ? *first : look(x, size, s);
    if (c.fate == SAME) {
      before = size;
      tries++;
      continue;
    }
    tasks = c.gain ? 0 : tasks + c.tasks;
    if (c.gain) tries = x->o.tile_B > 0 ? INT_MAX : patience;
    if (c.fate == SLOW && c.tasks > MOST_TASKS / 16) break;
    if (c.fate == SLOW && c.tasks > cheap && tries > 1) tries = 1; /* smaller tiles take longer */
    if (s->near || c.near) break;
    if (c.fate == HOPELESS || c.fate == RUNS_NOWHERE) {
      look_closer(x, before, size, s);
      break;
    }
    before = size;
  }
}

/* Whether a plan is better than the best so far. */
static bool try_plan(trial *x, plan p, search *s) {
  uint64_t size = s->best;
  double before = s->measure;
  if (s->near || s->effort >= x->most || same_plan(p, s->p)) return false;
  take_plan(x, p);
  if (size > 0) look(x, size, s);
  if (!s->near) choose_size(x, NULL, s);
  return same_plan(p, s->p) && (size == 0 || s->measure < GAIN * before);
}

/* Fewer engines, those first whose tiles are large and few; then half as many more than the best,
 * or a quarter less. */
static void choose_engines(trial *x, search *s) {
  uint32_t abreast = x->whole.abreast;
  x->most = s->effort + MOST_TASKS / 2;
  for (uint32_t n = 1; n < x->whole.engines; n *= 2) try_plan(x, (plan){n, abreast}, s);
  uint32_t best = s->p.engines;
  if (best + best / 2 < x->whole.engines) try_plan(x, (plan){best + best / 2, abreast}, s);
  if (best > 2) try_plan(x, (plan){best - best / 4, abreast}, s);
}

/* Room for more tiles beside a chunk: of the best plan, of one for fewer engines, as larger tiles
 * need more of it, and of the platform's own. */
static void choose_abreast(trial *x, search *s) {
  bool head = x->o.split >= WL_HEAD;
  uint32_t best = s->p.engines, of[] = {best, head ? best / 2 : 1, x->whole.engines};
  if (few_rows(&x->o)) return;
  x->most = s->effort + MOST_TASKS / 4;
  for (size_t k = 0; k < sizeof of / sizeof *of; k++) {
    int tries = of[k] == 0 || (k > 0 && of[k] == best) ? 0 : PLAN_PATIENCE;
    for (uint32_t n = 2; n <= MOST_ABREAST && tries > 0; n++)
      tries = try_plan(x, (plan){of[k], n * (head ? of[k] : 1)}, s) ? PLAN_PATIENCE : tries - 1;
  }
}

/* What heft makes of the best when it looks, of the best by rank, and of the first, the largest. */
static void choose_last(trial *x, search *s) {
  found one[FINALISTS + 2];
  memcpy(one, s->top, sizeof s->top);
  one[FINALISTS] = s->by_rank;
  one[FINALISTS + 1] = (found){x->whole, x->first_B, s->first_room_B, s->measure};
  found best = {.size_B = 0};
  double best_s = INFINITY;
  for (size_t i = 0; i < FINALISTS + 2; i++) {
    bool skip = one[i].room_B == 0 || (i < FINALISTS && one[i].measure > FAR * s->measure);
    for (size_t k = 0; k < i && !skip; k++)
      skip = same_found(&one[k], &one[i]) || (i < FINALISTS && one[k].measure == one[i].measure);
    if (skip) continue;
    double end_s = looked_at_s(x, one[i].p, one[i].size_B, one[i].room_B, best_s);
    bool first = same_plan(one[i].p, x->whole) && one[i].size_B == x->first_B;
    if (best.size_B > 0 && (first ? end_s > best_s : end_s >= best_s)) continue;
    best = one[i];
    best_s = end_s;
  }
  s->p = best.p;
  s->best = best.size_B;
  s->plan_B = best.room_B;
}

/* What the busiest resource takes of the tiles of a single engine: others may be tried where more
 * can be gained by fewer and larger ones. */
static double floor_s(trial *x, search *s) {
  arena scratch = {0};
  err ignored = {0};
  dag *d;
  double least_s = 0;
  take_plan(x, (plan){1, x->whole.abreast});
  x->t.sram_B = x->first_B;
  if (wl_compile(x->m, &x->o, &x->t, &d, &scratch, &ignored) == ERR_OK) {
    least_s = areas_s(x, d, &scratch);
    s->effort += d->n_tasks;
  }
  arena_free(&scratch);
  take_plan(x, x->whole);
  return least_s;
}

/* The candidate to compile for; best 0: none runs. */
static search choose(trial *x) {
  search s = {0};
  bool given = x->o.tile_B > 0, plans = x->o.split != WL_NONE && x->whole.engines > 1;
  x->floor_s = plans ? 0 : INFINITY;
  candidate first = look(x, x->first_B, &s);
  s.first_room_B = s.plan_B;
  if (first.near && !s.near) {
    x->floor_s = floor_s(x, &s);
    s.near = s.measure <= NEAR * x->floor_s;
  }
  if (!s.near && !given && plans) choose_engines(x, &s);
  take_plan(x, x->whole);
  x->most = s.effort + MOST_TASKS;
  if (!s.near && s.best > 0 && s.best != x->first_B) look(x, s.best, &s);
  if (!s.near) choose_size(x, &first, &s);
  if (!s.near && !s.tight && !given) choose_abreast(x, &s);
  take_plan(x, x->whole);
  bool other = s.best != x->first_B || !same_plan(s.p, x->whole);
  if (s.best > 0 && other && !s.near && !given) choose_last(x, &s);
  return s;
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
static int compile_for(const model *m, const wl_options *o, const wl_target *t, plan p,
                       uint64_t size_B, uint64_t plan_B, dag **d, arena *a, err *e) {
  wl_target planned = within(t, size_B);
  planned.engines = p.engines;
  planned.abreast = p.abreast;
  if (wl_compile(m, o, &planned, d, a, e)) return e->status;
  uint64_t needs = wl_peak_B(*d);
  (*d)->workload.sram_plan_B = needs > plan_B ? needs : plan_B;
  if (p.engines < t->engines) (*d)->workload.engines_plan = p.engines;
  return ERR_OK;
}

int design_first(const model *m, const wl_options *o, const wl_target *t, design_start *first,
                 arena *a, err *e) {
  dag *d;
  *first = (design_start){0};
  if (!chooses(o, t)) return wl_compile(m, o, t, &first->dag, a, e);
  uint64_t c = first_candidate(m, o, t);
  bool all = few_rows(o) && enough_for_few(m, o, t) <= t->sram_B;
  if (compile_for(m, o, t, (plan){t->engines, t->abreast}, c, all ? t->sram_B : c, &d, a, e))
    return e->status;
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
  x.whole = plan_of(&x);
  x.most = MOST_TASKS;
  take_plan(&x, x.whole);
  x.first = one_layer(o) ? first : NULL;
  x.known = known;
  x.mem = a;
  search s = choose(&x);
  arena_free(&scratch);
  bool taken = first != NULL && s.best == x.first_B && same_plan(s.p, x.whole);
  if (taken && o->tile_B == 0) /* and in the room that it was found to be fastest in */
    taken = x.enough ? s.plan_B == t->sram_B : s.plan_B <= first->dag->workload.sram_plan_B;
  if (taken && first->dag->workload.sram_plan_B <= t->sram_B) return ERR_OK;
  if (s.best > 0 && !taken) {
    if (compile_for(m, o, t, s.p, s.best, s.plan_B, d, a, e)) return e->status;
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
