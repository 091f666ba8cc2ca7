/* Finer cuts of the best few plans (design_try.h says why). */
#include <string.h>

#include "sim/design_try.h"

enum { FINEST = 2 };

/* In the order in which they are tried: under op, where whole ops wait for room, and under others.
 */
static const knob OF_OP[] = {ROWS, PIECES, HEADS, BLOCKS, KNOBS};
static const knob OF_PARTS[] = {BLOCKS, PIECES, ROWS, KNOBS};

/* The plan with one knob turned, as far as it helps. True if it does. */
static bool turn(trial *x, knob k, plan *best, uint64_t size_B, double *best_s, search *s) {
  uint32_t now = *knob_of(best, k), from = k == BLOCKS ? now + 1 : 0;
  uint32_t to = k == BLOCKS ? now + 2 : FINE;
  bool gain = false;
  if (k == BLOCKS && !in_blocks(x, &(found){.p = *best, .size_B = size_B})) return false;
  for (uint32_t n = from; n <= to && !s->near && s->effort < x->most; n++) {
    plan p = *best;
    *knob_of(&p, k) = n;
    if (n == now) continue;
    take_plan(x, p);
    candidate c = look(x, size_B, s);
    if (c.fate != RUNS || !(c.least_s > 0 && c.least_s < GAIN * *best_s)) continue;
    *best = p;
    *best_s = c.least_s;
    gain = true;
  }
  return gain;
}

/* In turn, until none of them helps. */
static void finer(trial *x, plan best, uint64_t size_B, double best_s, search *s) {
  const knob *of = long_ops(&x->o) ? OF_OP : OF_PARTS;
  bool gain = true;
  while (gain) {
    gain = false;
    for (size_t k = 0; of[k] != KNOBS; k++) gain |= turn(x, of[k], &best, size_B, &best_s, s);
  }
}

void choose_finer(trial *x, search *s) {
  found top[FINALISTS];
  memcpy(top, s->top, sizeof top);
  if (few_rows(&x->o)) return;
  s->coarse = (found){s->p, s->best, s->plan_B, s->measure};
  take_plan(x, s->p);
  x->t.sram_B = s->best;
  if (!long_ops(&x->o) && s->measure <= CLOSE * bound_s(x, s->plan_B)) return;
  x->most = s->effort + MOST_TASKS / 2;
  double most_s = CLOSE * s->measure;
  for (size_t i = 0; i < FINEST && top[i].size_B > 0 && top[i].measure < most_s; i++) {
    plan p = top[i].p;
    finer(x, p, top[i].size_B, top[i].measure, s);
    if (!long_ops(&x->o)) continue;
    p.heads = FINE;
    take_plan(x, p);
    candidate c = look(x, top[i].size_B, s);
    if (c.fate == RUNS && c.least_s > 0) finer(x, p, top[i].size_B, c.least_s, s);
  }
}
