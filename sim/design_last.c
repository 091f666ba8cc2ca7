/* The last choice among cuts: heft, as a run has it, looks at them (design.h says in which order).
 */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "sim/design_try.h"

/* Times the best so far: worth another cut than the rules' own. */
static const double FINER_GAIN = 0.99, LIKE_GAIN = 0.99;
/* Tasks simulated for plans like the best. */
enum { LOOKS = 1 << 20 };

static bool same_found(const found *a, const found *b) {
  return a->size_B == b->size_B && a->room_B == b->room_B && same_plan(a->p, b->p);
}

/* Over 5 % longer than its arithmetic or the DRAM's traffic ask for. Under none ops follow one
 * another, so that says nothing. */
static bool is_far(trial *x, const found *f, double end_s) {
  take_plan(x, f->p);
  x->t.sram_B = f->size_B;
  return x->o.split != WL_NONE && end_s > CLOSE * needs_s(x, f->room_B);
}

/* Among the fastest that heft has looked at. */
static void note_looked(search *s, found x) {
  size_t i = LOOKED;
  for (size_t k = 0; k < LOOKED; k++)
    if (s->looked[k].measure == x.measure) return; /* cut alike */
  for (; i > 0 && x.measure < s->looked[i - 1].measure; i--)
    if (i < LOOKED) s->looked[i] = s->looked[i - 1];
  if (i < LOOKED) s->looked[i] = x;
}

/* Of those close to the best, what heft makes of them when it looks as long as a run has it. */
static void choose_longest(trial *x, search *s) {
  double best_s = INFINITY, least_s = s->looked[0].measure;
  for (size_t i = 0; i < LOOKED && s->looked[i].measure < NEXT * least_s; i++) {
    found f = s->looked[i];
    if (i == 0 && !is_far(x, &f, least_s)) return;
    take_plan(x, f.p);
    x->t.sram_B = f.size_B;
    double end_s = looked_longer_s(x, f.room_B);
    if (!(end_s < best_s)) continue;
    best_s = end_s;
    s->p = f.p;
    s->best = f.size_B;
    s->plan_B = f.room_B;
  }
}

/* Long steps under op, still far from what is possible, by no few heads at a time: that may be much
 * faster where neither the program's order nor heft's rank shows it, as both wait for room. So heft
 * looks at the best, and at the best for another number of engines, in that way. */
static double choose_heads(trial *x, double best_s, search *s) {
  static const struct { uint32_t heads, rows; } WAY[] = {{FINE, FINE}, {FINE, 1}, {FINE - 1, FINE}};
  if (!long_ops(&x->o) || s->p.heads > 0 || s->best == 0) return best_s;
  found of[2] = {{s->p, s->best, s->plan_B, best_s}, {.size_B = 0}};
  for (size_t i = 0; i < FINALISTS && of[1].size_B == 0; i++)
    if (s->top[i].size_B > 0 && s->top[i].p.engines != s->p.engines) of[1] = s->top[i];
  if (!is_far(x, &of[0], best_s)) return best_s;
  for (size_t i = 0; i < 2 && of[i].size_B > 0; i++)
    for (size_t k = 0; k < sizeof WAY / sizeof *WAY; k++) {
      plan p = of[i].p;
      p.heads = WAY[k].heads;
      p.rows = WAY[k].rows;
      take_plan(x, p);
      x->t.sram_B = of[i].size_B;
      double end_s = looked_at_s(x, of[i].room_B, best_s);
      note_looked(s, (found){p, of[i].size_B, of[i].room_B, end_s});
      if (!(end_s < GAIN * best_s)) continue;
      best_s = end_s;
      s->p = p;
      s->best = of[i].size_B;
      s->plan_B = of[i].room_B;
    }
  return best_s;
}

/* In the order in which they are tried, by how much. */
static const struct change {
  knob k;
  int by;
} CHANGES[] = {{HEADS, 1}, {ABREAST, 2}, {BLOCKS, 1},  {ROWS, 1},   {HEADS, -1},
               {ROWS, -1}, {PIECES, 1},  {PIECES, -1}, {BLOCKS, 2}, {BLOCKS, -1},
               {TILES, 1}, {TILES, -1},  {ABREAST, -2}};
enum { CHANGES_COUNT = sizeof CHANGES / sizeof *CHANGES };

static bool changed(const trial *x, plan *p, struct change c) {
  uint32_t *at = knob_of(p, c.k);
  if ((c.k == HEADS || c.k == ABREAST) && !long_ops(&x->o)) return false;
  if (c.by < 0 && *at < (uint32_t)-c.by) return false;
  *at += (uint32_t)c.by;
  return true;
}

/* Still far: one thing changed, as heft sees it when it looks, as long as that helps. */
static void choose_like(trial *x, double best_s, search *s) {
  uint64_t left = LOOKS;
  found best = {s->p, s->best, s->plan_B, best_s};
  if (s->best == 0 || few_rows(&x->o) || !is_far(x, &best, best_s)) return;
  for (size_t k = 0, since = 0; since < CHANGES_COUNT; k++, since++) {
    plan p = s->p;
    if (!changed(x, &p, CHANGES[k % CHANGES_COUNT])) continue;
    take_plan(x, p);
    x->t.sram_B = s->best;
    uint64_t tasks = look_tasks(x);
    if (tasks > left) break;
    left -= tasks;
    double end_s = looked_at_s(x, s->plan_B, best_s);
    note_looked(s, (found){p, s->best, s->plan_B, end_s});
    if (!(end_s < LIKE_GAIN * best_s)) continue;
    best_s = end_s;
    s->p = p;
    since = 0;
    k--;
  }
}

/* What heft makes of the best when it looks: those that were fastest, before finer ones too, by
 * rank, and the first, the largest. Then of a few heads at a time and of what is like the best; and
 * of the two fastest of all these what it makes when it looks as long as in a run. */
void choose_last(trial *x, search *s) {
  found one[FINALISTS + 3] = {s->coarse};
  memcpy(one + 1, s->top, sizeof s->top);
  one[FINALISTS + 1] = s->by_rank;
  one[FINALISTS + 2] = (found){x->whole, x->first_B, s->first_room_B, s->measure};
  found best = {.size_B = 0};
  double best_s = INFINITY;
  for (size_t i = 0; i < LOOKED; i++) s->looked[i].measure = INFINITY;
  for (size_t i = 0; i < FINALISTS + 3; i++) {
    bool top = i >= 1 && i <= FINALISTS;
    bool skip = one[i].room_B == 0 || (top && one[i].measure > FAR * s->measure);
    for (size_t k = 0; k < i && !skip; k++)
      skip = same_found(&one[k], &one[i]) || (top && one[k].measure == one[i].measure);
    if (skip) continue;
    take_plan(x, one[i].p);
    x->t.sram_B = one[i].size_B;
    double less = top && same_found(&best, &s->coarse) ? FINER_GAIN : 1;
    double end_s = looked_at_s(x, one[i].room_B, best_s);
    note_looked(s, (found){one[i].p, one[i].size_B, one[i].room_B, end_s});
    bool first = same_plan(one[i].p, x->whole) && one[i].size_B == x->first_B;
    if (best.size_B > 0 && (first ? end_s > best_s : end_s >= less * best_s)) continue;
    best = one[i];
    best_s = end_s;
  }
  s->p = best.p;
  s->best = best.size_B;
  s->plan_B = best.room_B;
  choose_like(x, choose_heads(x, best_s, s), s);
  choose_longest(x, s);
}
