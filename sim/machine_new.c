#include <assert.h>
#include <string.h>

#include "sim/base/units.h"
#include "sim/machine_state.h"

static bool fits(const uint64_t *planned, size_t n, double capacity_B) {
  for (size_t k = 0; k < n; k++)
    if ((double)planned[k] > capacity_B) return false;
  return true;
}

static uint64_t *lay_out(machine *m, order_buffer **b, arena *a) {
  m->order = order_make(m->dag, &m->succ, m->compute, m->n_compute, a);
  *b = order_buffers(m->dag, &m->order, a);
  return order_planned(m->dag, *b, a);
}

/* The plan's order; where that does not fit SRAM, the program order; where that does not either, an
 * explanation. */
static int make_order(machine *m, const pol_plan *plan, arena *a, err *e) {
  arena scratch = {0};
  order_buffer *b;
  m->compute = plan->order;
  m->n_compute = plan->n_order;
  uint64_t *planned = lay_out(m, &b, a);
  double capacity_B = m->plat->srams[0].capacity_B;
  if (!fits(planned, m->dag->n_tasks, capacity_B)) {
    size_t n = 0;
    for (uint32_t t = 0; t < m->dag->n_tasks; t++)
      if (op_kind_of((op)m->dag->tasks[t].op) == OP_COMPUTE) m->compute[n++] = t;
    planned = lay_out(m, &b, a);
    if (!fits(planned, m->dag->n_tasks, capacity_B)) {
      order_refuse(m->dag, m->plat, &m->order, b, planned, e);
      arena_free(&scratch);
      return e->status;
    }
  }
  m->sram = sram_new((uint64_t)capacity_B, planned, m->dag->n_tasks, a);
  m->buffer = ARENA_NEW(a, m_buffer, m->dag->n_tensors);
  for (size_t i = 0; i < m->dag->n_tensors; i++) {
    if (b[i].first > b[i].last) b[i].bytes = 0;
    m->buffer[i] = (m_buffer){.plan = b[i], .by = OBS_NONE};
  }
  arena_free(&scratch);
  return ERR_OK;
}

static void make_resources(machine *m, arena *a) {
  const platform *p = m->plat;
  m->n_resources = (uint32_t)p->n_engines;
  for (size_t i = 0; i < p->n_dmas; i++) m->n_resources += p->dmas[i].channels;
  m->resource = ARENA_NEW(a, m_resource, m->n_resources);
  m->wake = ARENA_NEW(a, uint32_t, m->n_resources);
  uint32_t r = 0;
  for (; r < p->n_engines; r++) m->resource[r].free_by = OBS_NONE;
  for (uint32_t i = 0; i < p->n_dmas; i++)
    for (uint32_t c = 0; c < p->dmas[i].channels; c++, r++) {
      m->resource[r].free_by = OBS_NONE;
      m->resource[r].dma = i;
    }
}

uint64_t machine_load_bytes(const dag *d, uint32_t load) {
  const dag_task *t = &d->tasks[load];
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < t->n_writes; i++) bytes += dag_view_bytes(d, &dag_writes(d, t)[i]);
  return bytes;
}

void machine_grow_stack(machine *m) {
  size_t cap = m->n_stack;
  m->stack = arena_grow(m->mem, m->stack, m->n_stack, &cap, sizeof *m->stack);
  m->n_stack = cap;
}

/* What one compute task has loaded at most: the unit that prefetch counts in. */
static uint64_t largest_need(const machine *m) {
  const dag *d = m->dag;
  uint64_t most = 0;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    if (m->task[t].kind != OP_COMPUTE) continue;
    const uint32_t *deps = dag_deps(d, &d->tasks[t]);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < d->tasks[t].n_deps; i++)
      if (m->task[deps[i]].kind == OP_LOAD) bytes += machine_load_bytes(d, deps[i]);
    if (bytes > most) most = bytes;
  }
  return most;
}

static void make_tasks(machine *m, const pol_plan *plan, arena *a) {
  const dag *d = m->dag;
  m->task = ARENA_NEW(a, m_task, d->n_tasks);
  size_t loads = 0, stores = 0;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    m_task *x = &m->task[t];
    x->kind = (uint8_t)op_kind_of((op)d->tasks[t].op);
    x->engine = POL_ANY;
    x->wait = d->tasks[t].n_deps;
    const uint32_t *deps = dag_deps(d, &d->tasks[t]);
    for (uint32_t i = 0; i < x->wait; i++)
      x->held += m->task[deps[i]].kind == OP_COMPUTE || m->task[deps[i]].held > 0;
    x->why.ready_by = x->why.gate_by = x->why.room_by = x->why.free_by = OBS_NONE;
    loads += x->kind == OP_LOAD;
    stores += x->kind == OP_STORE;
  }
  /* prefetch follows the compute tasks that need a load, also through other transfers; one that
   * none needs is free to go */
  for (uint32_t t = (uint32_t)d->n_tasks; t-- > 0;) {
    m_task *x = &m->task[t];
    if (x->kind == OP_COMPUTE) continue;
    x->gate_open = true;
    for (uint64_t s = m->succ.first[t]; s < m->succ.first[t + 1] && x->gate_open; s++) {
      const m_task *y = &m->task[m->succ.succ[s]];
      x->gate_open = y->kind != OP_COMPUTE && y->gate_open;
    }
  }
  m->n_stack = d->n_tasks + 1;
  m->stack = ARENA_NEW(a, uint32_t, m->n_stack);
  uint64_t unit = largest_need(m);
  m->prefetch_B =
      unit > 0 && m->prefetch > UINT64_MAX / 2 / unit ? UINT64_MAX / 2 : unit * m->prefetch;
  m->loads.pos = ARENA_NEW(a, uint32_t, loads + 1);
  m->stores.pos = ARENA_NEW(a, uint32_t, stores + 1);
  m->group_engine = ARENA_NEW(a, uint32_t, d->n_groups + 1);
  for (uint32_t g = 0; g < d->n_groups; g++) m->group_engine[g] = POL_ANY;
  if (m->policy->pick != NULL) return;
  for (size_t i = 0; i < m->n_compute; i++) {
    uint32_t t = m->compute[i], e = plan->engine[t];
    m_resource *res = &m->resource[e];
    m->task[t].engine = e;
    ARENA_PUSH(a, res->queue, res->n_queue, res->cap_queue, t);
  }
}

/* All tensors that live in DRAM are there at the same time. */
static int check_dram(const dag *d, const platform *p, err *e) {
  uint64_t need = 0, by_role[DAG_ROLE_COUNT] = {0};
  for (size_t i = 0; i < d->n_tensors; i++) {
    if (d->tensors[i].space != DAG_DRAM) continue;
    uint64_t bytes = dag_tensor_bytes(&d->tensors[i]);
    need += bytes;
    by_role[d->tensors[i].role] += bytes;
  }
  if (p->dram.capacity_B == 0 || (double)need <= p->dram.capacity_B) return ERR_OK;
  char n[UNITS_TEXT], w[UNITS_TEXT], k[UNITS_TEXT], have[UNITS_TEXT], lack[UNITS_TEXT];
  return err_set(e, ERR_NO,
                 "infeasible: the tensors need %s in '%s' (weights %s, KV cache %s), capacity %s, "
                 "short %s; enlarge "
                 "dram.capacity, or use a smaller dtype or fewer layers",
                 units_size(n, (double)need), p->dram.name,
                 units_size(w, (double)by_role[DAG_WEIGHT]), units_size(k, (double)by_role[DAG_KV]),
                 units_size(have, p->dram.capacity_B),
                 units_size(lack, (double)need - p->dram.capacity_B));
}

/* Data lives in the first SRAM, so every engine must reach it. */
static int check_reach(const platform *p, err *e) {
  for (size_t i = 0; i < p->n_engines; i++)
    if (plat_find_route(p, plat_host_sram(p, 0), plat_host_engine(p, i)) == NULL)
      return err_set(e, ERR_BAD,
                     "%s: no route from '%s' to '%s'; this version keeps all data in the first "
                     "sram, which must reach "
                     "every engine: add the route",
                     p->where, p->srams[0].name, p->engines[i].name);
  return ERR_OK;
}

int machine_new(machine **out_m, const dag *d, const platform *p, const policy *pol,
                const machine_options *opt, const observer *obs, arena *a, err *e) {
  machine *m = ARENA_NEW(a, machine, 1);
  m->dag = d;
  m->plat = p;
  m->policy = pol;
  m->mem = a;
  m->prefetch = opt->prefetch;
  if (obs != NULL) m->obs = *obs;
  m->self = m->ending = m->unblocked_by = OBS_NONE;
  if (check_reach(p, e)) return e->status;
  m->succ = dag_successors(d, a);
  pol_input in = {
      .dag = d, .plat = p, .succ = m->succ, .prefetch = opt->prefetch, .seed = opt->seed};
  pol_plan plan;
  if (pol_make_plan(pol, &in, &plan, a, e)) return e->status;
  m->serial = plan.serial;
  if (make_order(m, &plan, a, e)) return e->status;
  if (check_dram(d, p, e)) return e->status;
  make_resources(m, a);
  make_tasks(m, &plan, a);
  if (pol->pick != NULL) m->pol_state = pol->start(&in, &plan, a);
  *out_m = m;
  return ERR_OK;
}
