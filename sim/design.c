#include "sim/design_try.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "workloads/spill.h"

enum {
  STEPS = 8,
  FEW_STEPS = 4,
  FINE_STEPS = 32,
  FIRST_PATIENCE = 2,
  CHEAP_TASKS = 4096,
  PLAN_PATIENCE = 2,
  MOST_TIMES = 4
};
static const double ROOM_GAIN = 0.98;

static uint64_t step_down(uint64_t bytes, uint64_t steps) {
  uint64_t unit = 1;
  while (bytes / unit >= 2 * steps) unit *= 2;
  return bytes / unit * unit;
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
void take_plan(trial *x, plan p) {
  set_plan(&x->t, p);
  x->t.sram_B = x->all_B;
  x->first_B = first_candidate(x->m, &x->o, &x->t);
  x->enough = few_rows(&x->o) && enough_for_few(x->m, &x->o, &x->t) <= x->all_B;
}

bool in_blocks(trial *x, const found *f) {
  take_plan(x, f->p);
  x->t.sram_B = f->size_B;
  return wl_block_tokens(x->m, &x->o, &x->t, x->o.tokens) < x->o.tokens;
}

/* Candidates of one plan, from the first down, which may have been looked at. */
static void choose_size(trial *x, const candidate *first, search *s) {
  uint64_t before = x->all_B + 1;
  bool whole = same_plan(target_plan(&x->t), x->whole);
  uint64_t steps = whole && !long_ops(&x->o) ? x->steps : FEW_STEPS;
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

static plan with_engines(plan p, uint32_t n) {
  p.engines = n;
  return p;
}

/* Fewer engines, those first whose tiles are large and few; then half as many more than the best,
 * or a quarter less. */
static void choose_engines(trial *x, search *s) {
  plan p = x->whole;
  x->most = s->effort + MOST_TASKS / 2;
  for (uint32_t n = 1; n < x->whole.engines; n *= 2) try_plan(x, with_engines(p, n), s);
  uint32_t best = s->p.engines;
  if (best + best / 2 < x->whole.engines) try_plan(x, with_engines(p, best + best / 2), s);
  if (best > 2) try_plan(x, with_engines(p, best - best / 4), s);
}

/* Long steps under op: the best, and its like for all engines, with weights cut in their inner
 * dimension, too. What comes later is cut like that where it is clearly faster. */
static void choose_inner(trial *x, search *s) {
  if (!long_ops(&x->o)) return;
  x->most = s->effort + MOST_TASKS / 2;
  double before_s = s->measure;
  plan p = s->p;
  p.inner = true;
  try_plan(x, p, s);
  try_plan(x, with_engines(p, x->whole.engines), s);
  x->inner = s->p.inner && CLOSE * s->measure < before_s;
}

/* Room for more tiles beside a chunk: of the best plan, of one for fewer engines, as larger tiles
 * need more of it, and of the platform's own. First so many times what the rules leave, then one
 * and two more than that. */
static void choose_tiles(trial *x, search *s) {
  bool head = x->o.split >= WL_HEAD;
  if (few_rows(&x->o)) return;
  for (int few = 0; few < 2; few++) {
    uint32_t best = s->p.engines, of[] = {best, head ? best / 2 : 1, x->whole.engines};
    x->most = s->effort + MOST_TASKS / 4;
    for (size_t k = 0; k < sizeof of / sizeof *of; k++) {
      uint32_t parts = head ? of[k] : 1;
      int tries = of[k] == 0 || (k > 0 && of[k] == best) ? 0 : PLAN_PATIENCE;
      for (uint32_t n = few ? 0 : 2; n <= (few ? 1 : MOST_TIMES) && tries > 0; n++) {
        uint32_t tiles = few ? 2 * parts + n : 2 * n * parts - 1;
        plan p = with_engines(x->whole, of[k]);
        p.tiles = tiles;
        p.inner = x->inner;
        tries = try_plan(x, p, s) ? PLAN_PATIENCE : tries - 1;
      }
    }
  }
}

/* A size under another plan. */
static bool try_size(trial *x, plan p, uint64_t size_B, search *s) {
  if (s->near || s->effort >= x->most) return false;
  take_plan(x, p);
  return look(x, size_B, s).gain;
}

/* Long steps under op: the best of each plan with fewer and with more chunks in work, and in more
 * blocks of tokens; of the best then still more blocks, as long as that helps. */
static void choose_abreast(trial *x, search *s) {
  found top[FINALISTS];
  memcpy(top, s->top, sizeof top);
  if (!long_ops(&x->o)) return;
  x->most = s->effort + MOST_TASKS / 2;
  for (size_t i = 0; i < FINALISTS && top[i].size_B > 0; i++) {
    plan other = top[i].p;
    other.inner = !other.inner;
    try_size(x, other, top[i].size_B, s);
    for (uint32_t n = 2; n <= 4; n += 2) {
      plan p = top[i].p;
      p.chunks = n;
      try_size(x, p, top[i].size_B, s);
    }
  }
  for (size_t i = 0; i < FINALISTS && top[i].size_B > 0; i++) {
    plan p = top[i].p;
    p.blocks++;
    if (in_blocks(x, &top[i])) try_size(x, p, top[i].size_B, s);
  }
  for (bool gain = in_blocks(x, &(found){.p = s->p, .size_B = s->best}); gain;) {
    plan p = s->p;
    p.blocks++;
    gain = try_size(x, p, s->best, s);
  }
}

/* What the busiest resource takes of the tiles of a single engine: others may be tried where more
 * can be gained by fewer and larger ones. */
static double floor_s(trial *x, search *s) {
  arena scratch = {0};
  err ignored = {0};
  dag *d;
  double least_s = 0;
  take_plan(x, with_engines(x->whole, 1));
  x->t.sram_B = x->first_B;
  if (wl_compile(x->m, &x->o, &x->t, &d, &scratch, &ignored) == ERR_OK) {
    least_s = areas_s(x, d, &scratch);
    s->effort += d->n_tasks;
  }
  arena_free(&scratch);
  take_plan(x, x->whole);
  return least_s;
}

/* The next of eight even steps an octave, which may lie between two rooms that were tried. */
static void choose_room(trial *x, search *s) {
  uint64_t step_B = 1, room_B;
  while (step_B <= s->plan_B / 16) step_B *= 2;
  room_B = (s->plan_B / step_B + 1) * step_B;
  if (room_B > x->all_B) return;
  take_plan(x, s->p);
  x->t.sram_B = s->best;
  if (by_rank_s(x, room_B) < ROOM_GAIN * by_rank_s(x, s->plan_B)) s->plan_B = room_B;
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
  if (!s.near && !given && s.best > 0) choose_inner(x, &s);
  if (!s.near && !s.tight && !given) choose_tiles(x, &s);
  if (!s.near && !s.tight && !given && s.best > 0) choose_abreast(x, &s);
  if (!s.near && !s.tight && !given && s.best > 0) choose_finer(x, &s);
  take_plan(x, x->whole);
  bool other = s.best != x->first_B || !same_plan(s.p, x->whole);
  if (s.best > 0 && other && !s.near && !given) choose_last(x, &s);
  if (s.best > 0 && !s.near && !given && !few_rows(&x->o)) choose_room(x, &s);
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
  set_plan(&planned, p);
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
  if (compile_for(m, o, t, target_plan(t), c, all ? t->sram_B : c, &d, a, e)) return e->status;
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
  x.whole = target_plan(&x.t);
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
