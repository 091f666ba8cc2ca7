#include "sim/machine_state.h"

static void open_gate(machine *m, uint32_t load) {
  m_task *x = &m->task[load];
  x->gate_open = true;
  x->why.gate_s = m->now;
  x->why.gate_by = m->ending;
  if (x->wait == 0) machine_make_eligible(m, load);
}

/* Calls `f` for each load that t needs, directly or through other transfers, and that prefetch has
 * not let go yet. */
static void each_closed_load(machine *m, uint32_t t, void (*f)(machine *, uint32_t load, void *),
                             void *arg) {
  size_t depth = 0;
  m->visit++;
  for (uint32_t u = t;;) {
    const uint32_t *deps = dag_deps(m->dag, &m->dag->tasks[u]);
    for (uint32_t i = 0; i < m->dag->tasks[u].n_deps; i++) {
      m_task *x = &m->task[deps[i]];
      if (x->kind == OP_COMPUTE || x->gate_open || x->visit == m->visit) continue;
      x->visit = m->visit;
      m->stack[depth++] = deps[i];
    }
    if (depth == 0) return;
    u = m->stack[--depth];
    if (m->task[u].kind == OP_LOAD) f(m, u, arg);
  }
}

static void add_bytes(machine *m, uint32_t load, void *sum) {
  *(uint64_t *)sum += m->task[load].load_B;
}

static uint64_t closed_bytes(machine *m, uint32_t t) {
  uint64_t bytes = 0;
  each_closed_load(m, t, add_bytes, &bytes);
  return bytes;
}

static void let_go(machine *m, uint32_t load, void *sum) {
  add_bytes(m, load, sum);
  open_gate(m, load);
}

void machine_open_loads(machine *m, uint32_t e, uint32_t t) {
  uint64_t bytes = 0;
  each_closed_load(m, t, let_go, &bytes);
  m->task[t].ahead_B += bytes;
  m->resource[e].ahead_B += bytes;
}

/* Does the engine's next task to load for come before those of all others? */
static bool is_next(const machine *m, uint32_t e) {
  const m_resource *res = &m->resource[e];
  if (res->scan >= res->n_queue) return false;
  for (uint32_t o = 0; o < m->plat->n_engines; o++) {
    const m_resource *x = &m->resource[o];
    if (x->scan >= x->n_queue) continue;
    if (m->order.pos[m_queue_at(x, x->scan)] < m->order.pos[m_queue_at(res, res->scan)])
      return false;
  }
  return true;
}

/* What may be loaded ahead on an engine, in bytes: its buffers, and its part of those lent. */
static uint64_t window_B(const machine *m, uint32_t e) {
  if (m->policy->pick != NULL || m->plat->n_srams > 1) return m->prefetch_B;
  uint64_t n = m->plat->n_engines, loading = 0;
  for (uint32_t o = 0; o < n; o++) loading += m->resource[o].scan < m->resource[o].n_queue;
  if (loading == 0 || m->prefetch_B > UINT64_MAX / 2 / n) return m->prefetch_B;
  uint64_t all_B = m->prefetch_B * n, half_B = (uint64_t)(m->plat->srams[0].capacity_B / 2);
  uint64_t part_B = (all_B < half_B ? all_B : half_B) / loading;
  return part_B > m->prefetch_B && is_next(m, e) ? part_B : m->prefetch_B;
}

void machine_open_window(machine *m, uint32_t e) {
  m_resource *res = &m->resource[e];
  if (res->scan < res->head) res->scan = res->head;
  uint64_t current = 0; /* what the task that is next on an idle engine waits for is not ahead */
  if (!res->running && res->head < res->n_queue) {
    uint32_t next = m_queue_at(res, res->head);
    if (res->scan == res->head) machine_open_loads(m, e, next), res->scan++;
    current = m->task[next].ahead_B;
  }
  uint64_t ahead_B = res->ahead_B - current;
  if (m->prefetch == 0 || (ahead_B > 0 && ahead_B >= window_B(m, e))) return; /* no load may go */
  for (; res->scan < res->n_queue; res->scan++) {
    uint32_t t = m_queue_at(res, res->scan);
    uint64_t bytes = closed_bytes(m, t);
    if (bytes == 0) continue;
    ahead_B = res->ahead_B - current;
    if (ahead_B > 0 && ahead_B + bytes > window_B(m, e)) return;
    machine_open_loads(m, e, t);
  }
}
