/* What a plan would be if no engine waited for its next task while another one is ready (policy.h).
 */
#include <string.h>

#include "sim/policy.h"

typedef struct heap {
  uint32_t *place;
  size_t n;
} heap;

typedef struct placed {
  const pol_schedule *s;
  uint32_t *place; /* by task: in the given order */
  /* by task: the given one, or its group's where the machine has put that elsewhere */
  uint32_t *engine;
  bool *gone;
  heap *ready; /* by engine */
  const dag *in;
} placed;

static int plan_placed(const pol_input *in, pol_plan *plan, arena *a, err *e) {
  (void)a, (void)e;
  memcpy(plan->order, in->given->order, plan->n_order * sizeof *plan->order);
  return ERR_OK;
}

static void *start_placed(const pol_input *in, const pol_plan *plan, arena *a) {
  size_t n = plan->n_order;
  placed *x = ARENA_NEW(a, placed, 1);
  *x = (placed){.s = in->given};
  x->place = ARENA_NEW(a, uint32_t, in->dag->n_tasks);
  x->gone = ARENA_NEW(a, bool, in->dag->n_tasks);
  x->ready = ARENA_NEW(a, heap, in->plat->n_engines);
  for (size_t e = 0; e < in->plat->n_engines; e++)
    x->ready[e].place = ARENA_NEW(a, uint32_t, n + 1);
  x->in = in->dag;
  x->engine = ARENA_NEW(a, uint32_t, in->dag->n_tasks);
  memcpy(x->engine, x->s->engine, in->dag->n_tasks * sizeof *x->engine);
  for (size_t i = 0; i < n; i++) x->place[x->s->order[i]] = (uint32_t)i;
  return x;
}

static void ready_placed(void *state, uint32_t task) {
  placed *x = state;
  heap *h = &x->ready[x->engine[task]];
  size_t i = h->n++;
  uint32_t p = x->place[task];
  for (; i > 0 && h->place[(i - 1) / 2] > p; i = (i - 1) / 2) h->place[i] = h->place[(i - 1) / 2];
  h->place[i] = p;
}

static void taken_placed(void *state, uint32_t task, uint32_t engine) {
  placed *x = state;
  uint32_t g = x->in->tasks[task].group;
  x->gone[task] = true;
  if (engine == x->engine[task] || g == DAG_NO_GROUP) return;
  for (uint32_t t = 0; t < x->in->n_tasks; t++)
    if (x->in->tasks[t].group == g) x->engine[t] = engine;
}

static uint32_t pop(heap *h) {
  uint32_t least = h->place[0], last = h->place[--h->n];
  size_t i = 0;
  for (size_t c; (c = 2 * i + 1) < h->n; i = c) {
    if (c + 1 < h->n && h->place[c + 1] < h->place[c]) c++;
    if (h->place[c] >= last) break;
    h->place[i] = h->place[c];
  }
  h->place[i] = last;
  return least;
}

static uint32_t pick_placed(void *state, uint32_t engine) {
  placed *x = state;
  heap *h = &x->ready[engine];
  while (h->n > 0) {
    uint32_t t = x->s->order[pop(h)];
    if (x->gone[t]) continue;
    if (x->engine[t] != engine) {
      ready_placed(x, t);
      continue;
    }
    x->gone[t] = true;
    return t;
  }
  return POL_NONE;
}

const policy policy_placed = {.name = "placed",
                              .text =
                                  "given engines; each takes its ready tasks, first in order first",
                              .plan = plan_placed,
                              .start = start_placed,
                              .ready = ready_placed,
                              .pick = pick_placed,
                              .taken = taken_placed};
