#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/estimate_groups.h"
#include "sim/estimate_joins.h"
#include "sim/estimate_phases.h"

/* When stages begin and end. */

/* A link, or all channels: what the stages walked so far use of it, and the most that a cut adds to
 * that. */
typedef struct sums {
  double all_s, fixed_s; /* all uses; those of fixed tasks */
  double all_from_s,
      fixed_from_s; /* max over cuts of what lies behind the cut, less the sum there */
  double all_edge_s, fixed_edge_s; /* the present stage: least time between a use and the cut that
                                      the walk comes to */
} sums;

/* A resource's stretches in one stage; around_end is no more than most_s. */
typedef struct span {
  size_t from, to;
  double sum_s, most_s;
} span;

static const double ROUNDING = 1e-9;

typedef struct walk {
  const stages *s;
  const platform *p;
  const dag *d;
  const double *best_s;
  const use *uses;
  uint64_t *first; /* by stage: its uses are by_stage[first[j] .. first[j + 1] - 1] */
  uint32_t *by_stage;
  size_t n_resources, n_shared; /* the first n_shared are not groups */
  double *least_s;              /* by stage */
  stage_room room;
  sums *sum;       /* by shared resource */
  double *ahead_s; /* by shared resource: loads ahead, a byte of SRAM; INFINITY: no bound */
  /* one stage's */
  uint64_t *at;      /* by resource */
  uint32_t *touched; /* resources */
  span *span;        /* theirs */
  stretch *stretch;
  around_space space;
  double *group_s;
  dag_succ succ;
  groups_item *items;
  arena *mem;
} walk;

static void sort_uses(walk *w, size_t n_uses) {
  const stages *s = w->s;
  w->first = ARENA_NEW(w->mem, uint64_t, s->n + 2);
  w->by_stage = ARENA_NEW(w->mem, uint32_t, n_uses + 1);
  for (size_t i = 0; i < n_uses; i++) {
    uint32_t j = s->of[w->uses[i].task];
    if (j != STAGE_NONE) w->first[j + 2]++;
  }
  for (size_t j = 2; j < s->n + 2; j++) w->first[j] += w->first[j - 1];
  for (size_t i = 0; i < n_uses; i++) {
    uint32_t j = s->of[w->uses[i].task];
    if (j != STAGE_NONE) w->by_stage[w->first[j + 1]++] = (uint32_t)i;
  }
}

static span span_of(const stretch *s, size_t from, size_t to) {
  span x = {.from = from, .to = to};
  double last_r = 0, longest_q = 0;
  for (size_t i = from; i < to; i++) {
    x.sum_s += s[i].p;
    if (s[i].r > last_r) last_r = s[i].r;
    if (s[i].q > longest_q) longest_q = s[i].q;
  }
  x.most_s = (last_r + x.sum_s + longest_q) * (1 + ROUNDING);
  return x;
}

/* around_end of the span, which is then empty. */
static double end_of(walk *w, span *x) {
  size_t n = x->to - x->from;
  x->most_s = 0;
  return around_end(w->stretch + x->from, n, &w->space);
}

/* Each resource of the stage by itself, from the stage's start to its end. Those that cannot be the
 * one that takes longest are passed over: most of them. */
static double resources_s(walk *w, uint32_t stage) {
  size_t n_touched = 0, n_groups = 0, n = 0;
  double most = 0;
  for (uint64_t i = w->first[stage]; i < w->first[stage + 1]; i++) {
    const use *u = &w->uses[w->by_stage[i]];
    if (!w->s->fixed[u->task]) continue;
    if (w->at[u->resource]++ == 0) w->touched[n_touched++] = u->resource;
  }
  for (size_t i = 0; i < n_touched; i++) {
    uint64_t size = w->at[w->touched[i]];
    w->at[w->touched[i]] = n;
    n += size;
  }
  for (uint64_t i = w->first[stage]; i < w->first[stage + 1]; i++) {
    const use *u = &w->uses[w->by_stage[i]];
    if (!w->s->fixed[u->task]) continue;
    w->stretch[w->at[u->resource]++] = (stretch){
        .r = w->s->before_s[u->task] + u->lead_s, .p = u->p_s, .q = w->s->after_s[u->task]};
    most = fmax(most, w->s->before_s[u->task] + w->best_s[u->task] + w->s->after_s[u->task]);
  }
  n = 0;
  span *widest = NULL;
  for (size_t i = 0; i < n_touched; i++) {
    uint32_t r = w->touched[i];
    span *x = &w->span[i];
    *x = span_of(w->stretch, n, w->at[r]);
    if (r >= w->n_shared) w->group_s[n_groups++] = x->sum_s;
    if (widest == NULL || x->most_s > widest->most_s) widest = x;
    n = w->at[r];
    w->at[r] = 0;
  }
  if (widest != NULL) most = fmax(most, end_of(w, widest));
  for (size_t i = 0; i < n_touched; i++)
    if (w->span[i].most_s > most) most = fmax(most, end_of(w, &w->span[i]));
  return fmax(most, groups_shared_s(w->group_s, n_groups, w->p->n_engines));
}

static void find_least(walk *w, size_t n_uses) {
  w->at = ARENA_NEW(w->mem, uint64_t, w->n_resources);
  w->touched = ARENA_NEW(w->mem, uint32_t, w->n_resources);
  w->span = ARENA_NEW(w->mem, span, w->n_resources);
  w->group_s = ARENA_NEW(w->mem, double, w->n_resources);
  w->stretch = ARENA_NEW(w->mem, stretch, n_uses + 1);
  w->space = around_space_new(n_uses, w->mem);
  w->least_s = w->room.least_s;
  for (uint32_t j = 0; j < w->s->n; j++) w->least_s[j] = fmax(w->least_s[j], resources_s(w, j));
}

/* What a byte of free SRAM lets loads take of a link before a cut. A channel's time has no measure
 * in bytes. */
static void find_ahead(walk *w, size_t n_uses) {
  w->ahead_s = ARENA_NEW(w->mem, double, w->n_shared);
  w->ahead_s[CHANNELS] = INFINITY;
  for (size_t i = 0; i < n_uses; i++) {
    uint32_t r = w->uses[i].resource, t = w->uses[i].task;
    if (r < LINKS || r >= w->n_shared || w->s->of[t] == STAGE_NONE || w->s->fixed[t]) continue;
    w->ahead_s[r] = 1 / (w->p->links[r - LINKS].bandwidth_Bps * w->p->dram.efficiency);
  }
}

/* Loads of later stages before the cut behind the stage: no more than SRAM has room for. A transfer
 * occupies a link in whole bytes: one more a load. */
static double ahead_s(const walk *w, size_t resource, uint32_t stage) {
  if (w->ahead_s[resource] == 0) return 0;
  if (w->p->n_srams != 1) return INFINITY;
  double free_B = w->p->srams[0].capacity_B - (double)w->room.held_B[stage];
  return w->ahead_s[resource] * (fmax(0, free_B) + (double)w->d->n_tasks);
}

static void add_stage(walk *w, uint32_t stage, bool back) {
  const stages *s = w->s;
  for (size_t r = CHANNELS; r < w->n_shared; r++)
    w->sum[r].all_edge_s = w->sum[r].fixed_edge_s = w->least_s[stage];
  for (uint64_t i = w->first[stage]; i < w->first[stage + 1]; i++) {
    const use *u = &w->uses[w->by_stage[i]];
    if (u->resource == ENGINES || u->resource >= w->n_shared) continue;
    sums *x = &w->sum[u->resource];
    bool fixed = s->fixed[u->task];
    double edge_s = back ? s->before_s[u->task] + u->lead_s : s->after_s[u->task];
    x->all_s += u->p_s;
    x->all_edge_s = fmin(x->all_edge_s, back ? 0 : edge_s); /* back: loads may begin at the cut */
    if (!fixed) continue;
    x->fixed_s += u->p_s;
    x->fixed_edge_s = fmin(x->fixed_edge_s, edge_s);
  }
}

/* From the start: a cut lies at begin_s of the stage behind it. */
static double forward(walk *w, uint32_t stage, double begin_s) {
  double end_s = begin_s + w->least_s[stage];
  for (size_t r = CHANNELS; r < w->n_shared; r++) {
    sums *x = &w->sum[r];
    x->fixed_from_s = fmax(x->fixed_from_s, begin_s - x->fixed_s);
    if (stage > 0)
      x->all_from_s = fmax(x->all_from_s, begin_s - x->all_s - ahead_s(w, r, stage - 1));
  }
  add_stage(w, stage, false);
  for (size_t r = CHANNELS; r < w->n_shared; r++) {
    const sums *x = &w->sum[r];
    end_s = fmax(end_s, x->all_from_s + x->all_s + x->all_edge_s);
    end_s = fmax(end_s, x->fixed_from_s + x->fixed_s + x->fixed_edge_s);
  }
  return end_s;
}

/* From the end: rest_s follows the stage; returns what follows the one before it. */
static double backward(walk *w, uint32_t stage, double rest_s) {
  double more_s = rest_s + w->least_s[stage];
  for (size_t r = CHANNELS; r < w->n_shared; r++) {
    sums *x = &w->sum[r];
    x->fixed_from_s = fmax(x->fixed_from_s, rest_s - x->fixed_s);
    x->all_from_s = fmax(x->all_from_s, rest_s - x->all_s);
  }
  add_stage(w, stage, true);
  for (size_t r = CHANNELS; r < w->n_shared && stage > 0; r++) {
    const sums *x = &w->sum[r];
    more_s = fmax(more_s, x->all_from_s + x->all_s - ahead_s(w, r, stage - 1));
    more_s = fmax(more_s, x->fixed_from_s + x->fixed_s + x->fixed_edge_s);
  }
  return more_s;
}

/* Heads, stage by stage: no fixed task starts before its stage. Returns the end of the last. */
static double find_heads(walk *w, double *head_s) {
  const dag *d = w->d;
  const stages *s = w->s;
  double begin_s = 0, end_s = 0; /* of the stage; of its chains so far */
  uint32_t stage = 0;
  memset(w->sum, 0, w->n_shared * sizeof *w->sum);
  joins *j = joins_new(d, NULL, w->best_s, w->mem);
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    for (; s->fixed[t] && stage < s->of[t]; stage++)
      begin_s = end_s = fmax(end_s, forward(w, stage, begin_s));
    head_s[t] = s->fixed[t] ? begin_s : 0;
    const uint32_t *deps = dag_deps(d, &d->tasks[t]);
    for (uint32_t i = 0; i < d->tasks[t].n_deps; i++)
      head_s[t] = fmax(head_s[t], head_s[deps[i]] + w->best_s[deps[i]]);
    if (d->tasks[t].n_deps > 1)
      head_s[t] = fmax(fmax(head_s[t], joins_s(j, t, head_s)),
                       groups_end(d, deps, d->tasks[t].n_deps, head_s, w->best_s, w->items));
    if (s->fixed[t]) end_s = fmax(end_s, head_s[t] + w->best_s[t]);
  }
  for (; stage < s->n; stage++) begin_s = end_s = fmax(end_s, forward(w, stage, begin_s));
  return end_s;
}

static void find_tails(walk *w, double *tail_s) {
  const dag *d = w->d;
  const stages *s = w->s;
  double rest_s = 0, more_s = 0; /* after the stage; before it, by its chains so far */
  uint32_t stage = s->n - 1;
  memset(w->sum, 0, w->n_shared * sizeof *w->sum);
  memset(tail_s, 0, d->n_tasks * sizeof *tail_s);
  joins *j = joins_new(d, &w->succ, w->best_s, w->mem);
  for (uint32_t t = (uint32_t)d->n_tasks; t-- > 0;) {
    for (; s->fixed[t] && stage > s->of[t]; stage--)
      rest_s = more_s = fmax(more_s, backward(w, stage, rest_s));
    uint64_t n_succ = w->succ.first[t + 1] - w->succ.first[t];
    if (n_succ > 1)
      tail_s[t] =
          fmax(fmax(tail_s[t], joins_s(j, t, tail_s)),
               groups_end(d, w->succ.succ + w->succ.first[t], n_succ, tail_s, w->best_s, w->items));
    if (s->fixed[t]) {
      tail_s[t] = fmax(tail_s[t], rest_s);
      more_s = fmax(more_s, s->before_s[t] + w->best_s[t] + tail_s[t]);
    }
    const uint32_t *deps = dag_deps(d, &d->tasks[t]);
    for (uint32_t i = 0; i < d->tasks[t].n_deps; i++)
      tail_s[deps[i]] = fmax(tail_s[deps[i]], tail_s[t] + w->best_s[t]);
  }
}

double stages_times(const stages *s, const platform *p, const dag *d, const double *best_s,
                    const uint32_t *root, const held *h, const use *uses, size_t n_uses,
                    double *head_s, double *tail_s) {
  arena scratch = {0};
  walk w = {.s = s, .p = p, .d = d, .best_s = best_s, .uses = uses, .mem = &scratch};
  w.n_shared = LINKS + p->n_links;
  w.n_resources = w.n_shared + d->n_groups;
  w.sum = ARENA_NEW(&scratch, sums, w.n_shared);
  w.room = stages_room(s, p, d, best_s, root, &scratch);
  if (h != NULL) phases_raise(h, s, p, d, best_s, root, &w.room);
  w.succ = dag_successors(d, &scratch);
  w.items = ARENA_NEW(&scratch, groups_item, d->n_tasks + 1);
  sort_uses(&w, n_uses);
  find_least(&w, n_uses);
  find_ahead(&w, n_uses);
  double end_s = find_heads(&w, head_s);
  find_tails(&w, tail_s);
  for (uint32_t t = 0; t < d->n_tasks; t++) end_s = fmax(end_s, head_s[t] + best_s[t] + tail_s[t]);
  arena_free(&scratch);
  return end_s;
}
