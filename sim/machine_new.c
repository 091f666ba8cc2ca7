#include <assert.h>
#include <string.h>

#include "sim/base/units.h"
#include "sim/machine_state.h"

static order_profile *lay_out(machine *m, order_buffer **b, arena *a) {
  m->order = order_make(m->dag, &m->succ, m->compute, m->n_compute, a);
  *b = order_buffers(m->dag, &m->order, a);
  return order_planned(m->dag, *b, m->plat->n_srams, a);
}

static void make_ledgers(machine *m, order_buffer *b, const order_profile *planned, arena *a) {
  size_t n = m->plat->n_srams;
  m->space = ARENA_NEW(a, m_space, n);
  for (size_t s = 0; s < n; s++) {
    m->space[s].plan = &planned[s];
    m->space[s].ledger =
        sram_new((uint64_t)m->plat->srams[s].capacity_B, planned[s].held_B, planned[s].n, a);
  }
  m->buffer = ARENA_NEW(a, m_buffer, m->dag->n_tensors);
  for (size_t i = 0; i < m->dag->n_tensors; i++) {
    if (b[i].first > b[i].last) b[i].bytes = 0;
    m->buffer[i] = (m_buffer){.plan = b[i], .by = OBS_NONE};
    if (n == 1 || b[i].bytes == 0) continue;
    /* the ledger counts in pieces */
    m->buffer[i].plan.first = (uint32_t)order_piece(&planned[b[i].sram], b[i].first);
    m->buffer[i].plan.last = (uint32_t)order_piece(&planned[b[i].sram], b[i].last);
  }
}

/* The plan's order; where that does not fit SRAM, the same with tasks put off; where that gets
 * stuck, the program order; where that does not fit either, an explanation. */
static int make_order(machine *m, const pol_plan *plan, arena *a, err *e) {
  order_buffer *b;
  m->compute = plan->order;
  m->n_compute = plan->n_order;
  order_profile *planned = lay_out(m, &b, a);
  if (order_short(m->plat, planned) < m->plat->n_srams &&
      order_fit(m->dag, &m->succ, m->plat, m->compute, m->n_compute))
    planned = lay_out(m, &b, a);
  if (order_short(m->plat, planned) < m->plat->n_srams) {
    size_t n = 0;
    for (uint32_t t = 0; t < m->dag->n_tasks; t++)
      if (op_kind_of((op)m->dag->tasks[t].op) == OP_COMPUTE) m->compute[n++] = t;
    planned = lay_out(m, &b, a);
    if (order_short(m->plat, planned) < m->plat->n_srams)
      return order_refuse(m->dag, m->plat, &m->order, b, planned, e);
  }
  make_ledgers(m, b, planned, a);
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

/* Bytes that a load brings into SRAM. */
static uint64_t load_bytes(const dag *d, uint32_t load) {
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

/* A tile: what one load brings, and what the task's scales come to. */
typedef struct tile {
  uint64_t load_B, scales_B;
} tile;

static void add_load(const machine *m, uint32_t load, tile *x) {
  const dag *d = m->dag;
  uint64_t bytes = m->task[load].load_B;
  if (d->tensors[dag_writes(d, &d->tasks[load])->tensor].role == DAG_SCALE)
    x->scales_B += bytes;
  else if (bytes > x->load_B)
    x->load_B = bytes;
}

/* The largest tile that a compute task has loaded, directly or by way of a move: the unit that
 * prefetch counts in. A task with many loads (rows of the input, say) counts with one of them: with
 * all of them for a unit, engines would fill SRAM with tiles that are not needed for long. */
static uint64_t largest_tile(const machine *m) {
  const dag *d = m->dag;
  uint64_t most = 0;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    if (m->task[t].kind != OP_COMPUTE) continue;
    const uint32_t *deps = dag_deps(d, &d->tasks[t]);
    tile x = {0};
    for (uint32_t i = 0; i < d->tasks[t].n_deps; i++) {
      uint8_t kind = m->task[deps[i]].kind;
      if (kind == OP_LOAD) add_load(m, deps[i], &x);
      const dag_task *move = &d->tasks[deps[i]];
      for (uint32_t k = 0; kind == OP_MOVE && k < move->n_deps; k++)
        if (m->task[dag_deps(d, move)[k]].kind == OP_LOAD) add_load(m, dag_deps(d, move)[k], &x);
    }
    if (x.load_B + x.scales_B > most) most = x.load_B + x.scales_B;
  }
  return most;
}

/* Prefetch follows the compute tasks that need a load, also through other transfers; one that none
 * needs is free to go. */
static void close_gates(machine *m) {
  for (uint32_t t = (uint32_t)m->dag->n_tasks; t-- > 0;) {
    m_task *x = &m->task[t];
    x->gate_open = true;
    if (x->kind == OP_COMPUTE) continue;
    for (uint64_t s = m->succ.first[t]; s < m->succ.first[t + 1] && x->gate_open; s++) {
      const m_task *y = &m->task[m->succ.succ[s]];
      x->gate_open = y->kind != OP_COMPUTE && y->gate_open;
    }
  }
}

static void make_tasks(machine *m, arena *a) {
  const dag *d = m->dag;
  m->task = ARENA_NEW(a, m_task, d->n_tasks);
  m->n_spaces = (uint32_t)m->plat->n_srams + 1;
  size_t *transfers = ARENA_NEW(a, size_t, m->n_spaces);
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    m_task *x = &m->task[t];
    x->kind = op_kind_of((op)d->tasks[t].op) & 0xf;
    x->engine = POL_ANY;
    x->wait = d->tasks[t].n_deps;
    const uint32_t *deps = dag_deps(d, &d->tasks[t]);
    for (uint32_t i = 0; i < x->wait; i++)
      x->held += m->task[deps[i]].kind == OP_COMPUTE || m->task[deps[i]].held > 0;
    x->why.ready_by = x->why.gate_by = x->why.room_by = x->why.free_by = OBS_NONE;
    if (x->kind == OP_COMPUTE) continue;
    if (x->kind == OP_LOAD) x->load_B = load_bytes(d, t);
    x->to = d->tensors[dag_writes(d, &d->tasks[t])->tensor].space;
    transfers[x->to]++;
  }
  close_gates(m);
  m->n_stack = d->n_tasks + 1;
  m->stack = ARENA_NEW(a, uint32_t, m->n_stack);
  uint64_t unit = largest_tile(m);
  m->prefetch_B =
      unit > 0 && m->prefetch > UINT64_MAX / 2 / unit ? UINT64_MAX / 2 : unit * m->prefetch;
  m->to = ARENA_NEW(a, m_queue, m->n_spaces);
  for (uint32_t s = 0; s < m->n_spaces; s++) {
    m->to[s].places.pos = ARENA_NEW(a, uint32_t, transfers[s] + 1);
    m->to[s].unblocked_by = OBS_NONE;
  }
}

static void assign_engines(machine *m, const pol_plan *plan, arena *a) {
  m->group_engine = ARENA_NEW(a, uint32_t, m->dag->n_groups + 1);
  for (uint32_t g = 0; g < m->dag->n_groups; g++) m->group_engine[g] = POL_ANY;
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

/* The platform, with no more of its first SRAM than the DAG was compiled for. */
static const platform *as_planned(const dag *d, const platform *p, arena *a) {
  uint64_t plan_B = d->workload.sram_plan_B;
  if (plan_B == 0 || (double)plan_B >= p->srams[0].capacity_B) return p;
  platform *less = ARENA_NEW(a, platform, 1);
  plat_memory *all = ARENA_NEW(a, plat_memory, p->n_srams);
  *less = *p;
  memcpy(all, p->srams, p->n_srams * sizeof *all);
  all[0].capacity_B = (double)plan_B;
  less->srams = all;
  return less;
}

int machine_new(machine **out_m, const dag *d, const platform *p, const policy *pol,
                const machine_options *opt, const observer *obs, arena *a, err *e) {
  machine *m = ARENA_NEW(a, machine, 1);
  p = as_planned(d, p, a);
  m->dag = d;
  m->plat = p;
  m->policy = pol;
  m->mem = a;
  m->prefetch = opt->prefetch;
  if (obs != NULL) m->obs = *obs;
  m->self = m->ending = OBS_NONE;
  m->succ = dag_successors(d, a);
  if (reach_make(&m->reach, p, d, a, e)) return e->status;
  pol_input in = {.dag = d,
                  .plat = p,
                  .succ = m->succ,
                  .reach = &m->reach,
                  .prefetch = opt->prefetch,
                  .seed = opt->seed,
                  .given = opt->given,
                  .host = opt->host,
                  .recorder = opt->recorder};
  pol_plan plan;
  if (pol_make_plan(pol, &in, &plan, a, e)) return e->status;
  if (plan.instead != NULL) {
    pol = m->policy = pol_instead(&in, plan.instead);
    if (pol_make_plan(pol, &in, &plan, a, e)) return e->status;
  }
  m->serial = plan.serial;
  if (make_order(m, &plan, a, e)) return e->status;
  if (check_dram(d, p, e)) return e->status;
  make_resources(m, a);
  make_tasks(m, a);
  assign_engines(m, &plan, a);
  if (pol->pick != NULL) m->pol_state = pol->start(&in, &plan, a);
  *out_m = m;
  return ERR_OK;
}
