#include <math.h>
#include "sim/machine.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sim/machine_state.h"

/* ---- small helpers -------------------------------------------------------------------------- */

static op_kind kind_of(const machine *m, uint32_t t) {
  return (op_kind)m->task[t].kind;
}

static void heap_push(heap *h, uint32_t pos) {
  size_t i = h->n++;
  for (; i > 0 && h->pos[(i - 1) / 2] > pos; i = (i - 1) / 2) h->pos[i] = h->pos[(i - 1) / 2];
  h->pos[i] = pos;
}

void machine_make_eligible(machine *m, uint32_t t) {
  heap_push(&m->to[m->task[t].to].places, m->order.pos[t]);
  m->queued++;
}

static uint32_t heap_pop(heap *h) {
  uint32_t least = h->pos[0], last = h->pos[--h->n];
  size_t i = 0;
  for (;;) {
    size_t c = 2 * i + 1;
    if (c >= h->n) break;
    if (c + 1 < h->n && h->pos[c + 1] < h->pos[c]) c++;
    if (h->pos[c] >= last) break;
    h->pos[i] = h->pos[c];
    i = c;
  }
  h->pos[i] = last;
  return least;
}

/* ---- starting ------------------------------------------------------------------------------- */

/* A turn is a bit shorter than the flow, so that the next flow's begin and this one's end are not
 * at one instant, which each backend would take in its own order. */
static const double TURN = 1 - 1.0 / 1024;

/* How long the other channels begin nothing (machine.h). */
static double turn_of(const machine *m, uint32_t r, const est_parts *x) {
  if (r < m->plat->n_engines || m->serial || x->route == NULL) return 0;
  double before_s = x->lead_s + x->latency_s, flow_s = x->alone_s - before_s;
  return flow_s < before_s ? flow_s * TURN : before_s;
}

static void start(machine *m, uint32_t t, uint32_t r) {
  m_resource *res = &m->resource[r];
  m_task *x = &m->task[t];
  x->state = M_RUNNING;
  x->why.free_s = res->free_s;
  x->why.free_by = res->free_by;
  res->running = true;
  m->n_running++;
  cost c = cost_of(m->dag, t);
  machine_job *j = &res->job;
  j->task = t;
  uint32_t dram = plat_host_dram(m->plat);
  if (r < m->plat->n_engines) {
    j->parts = est_compute(m->plat, m->dag, t, &c, r);
    j->src = plat_host_sram(m->plat, j->parts.sram);
    j->src2 = plat_host_sram(m->plat, j->parts.sram2);
    j->dst = plat_host_engine(m->plat, r);
  } else {
    j->parts = est_transfer(m->plat, m->dag, t, &c, res->dma);
    uint32_t here = plat_host_sram(m->plat, j->parts.sram);
    j->src = kind_of(m, t) == OP_LOAD ? dram : here;
    j->dst = kind_of(m, t) == OP_LOAD    ? here
             : kind_of(m, t) == OP_STORE ? dram
                                         : plat_host_sram(m->plat, j->parts.sram2);
  }
  j->turn_s = turn_of(m, r, &j->parts);
  res->has_turn = j->turn_s > 0;
  if (m->obs.start != NULL) m->obs.start(m->obs.self, m->now, t, r, &x->why);
  if (r != m->self) m->wake[m->n_wake++] = r;
}

/* ---- engines -------------------------------------------------------------------------------- */

static void enqueue(machine *m, uint32_t e, uint32_t t) {
  m_resource *res = &m->resource[e];
  uint32_t g = m->dag->tasks[t].group;
  m->task[t].engine = e;
  if (g != DAG_NO_GROUP) m->group_engine[g] = e;
  ARENA_PUSH(m->mem, res->queue, res->n_queue, res->cap_queue, t);
}

/* A dynamic policy is asked until the engine has `want` tasks ahead of it. */
static void refill(machine *m, uint32_t e, size_t want) {
  m_resource *res = &m->resource[e];
  while (res->n_queue - res->head < want) {
    uint32_t t = m->policy->pick(m->pol_state, e);
    if (t == POL_NONE) return;
    assert(m->task[t].engine == POL_ANY);
    enqueue(m, e, t);
  }
}

/* True where the task waits for room in SRAM, or for a transfer while some wait for room. */
static bool held_by_room(const machine *m, uint32_t t) {
  if (m->task[t].state == M_BLOCKED) return true;
  const dag_task *task = &m->dag->tasks[t];
  const uint32_t *deps = dag_deps(m->dag, task);
  for (uint32_t i = 0; m->task[t].wait > 0 && i < task->n_deps; i++) {
    const m_task *l = &m->task[deps[i]];
    if (l->kind != OP_COMPUTE && l->state < M_RUNNING && m->any_blocked) return true;
  }
  return false;
}

/* Dynamic policies: the engine's head cannot go on for want of room, so the first unfinished
 * compute task of the order takes its place, if this engine may run it. True if it did. */
static bool escape(machine *m, uint32_t e) {
  m_resource *res = &m->resource[e];
  while (m->task[m->compute[m->next_compute]].state == M_DONE) m->next_compute++;
  uint32_t f = m->compute[m->next_compute];
  m_task *x = &m->task[f];
  if (f == m_queue_at(res, res->head) || x->state >= M_RUNNING || x->held > 0) return false;
  size_t at = res->n_queue;
  if (x->engine == POL_ANY) {
    uint32_t g = m->dag->tasks[f].group;
    if (g != DAG_NO_GROUP && m->group_engine[g] != POL_ANY && m->group_engine[g] != e) return false;
    if (!reach_may_run(&m->reach, f, e)) return false;
    m->policy->taken(m->pol_state, f, e);
    enqueue(m, e, f);
  } else if (x->engine == e) {
    for (at = res->head; m_queue_at(res, at) != f;) at++;
  } else {
    return false;
  }
  memmove(res->queue + res->head + 1, res->queue + res->head,
          (at - res->head) * sizeof *res->queue);
  res->queue[res->head] = f;
  if (res->scan > res->head && at >= res->scan)
    res->scan++; /* f has not been scanned: do it here */
  machine_open_loads(m, e, f);
  return true;
}

/* Starts what the engine can start now. */
static void try_engine(machine *m, uint32_t e) {
  m_resource *res = &m->resource[e];
  bool dynamic = m->policy->pick != NULL;
  for (int again = 0; again < 2; again++) {
    if (dynamic && !res->running) refill(m, e, 1);
    machine_open_window(m, e);
    if (res->running || res->head == res->n_queue) return;
    uint32_t t = m_queue_at(res, res->head);
    m_task *x = &m->task[t];
    if (m->serial && m->order.pos[t] != m->frontier) return;
    if (x->wait == 0 && machine_admit(m, t)) {
      res->head++;
      res->ahead_B -= x->ahead_B;
      if (m->serial) x->why.gate_s = m->now, x->why.gate_by = m->ending;
      start(m, t, e);
      machine_open_window(m, e);
      return;
    }
    if (!dynamic || !held_by_room(m, t) || !escape(m, e)) return;
  }
}

/* ---- DMA ------------------------------------------------------------------------------------ */

/* The queue whose first transfer stands first in the order, of those that do not wait for room; of
 * loads and stores only where the DRAM would stand still. */
static m_queue *first_queue(const machine *m) {
  m_queue *best = NULL, *dram = NULL;
  for (uint32_t s = 0; s < m->n_spaces; s++) {
    m_queue *q = &m->to[s];
    if (q->places.n == 0 || q->blocked) continue;
    if (best == NULL || q->places.pos[0] < best->places.pos[0]) best = q;
    if (m->n_spaces == 2 || kind_of(m, m->order.task[q->places.pos[0]]) == OP_MOVE) continue;
    if (dram == NULL || q->places.pos[0] < dram->places.pos[0]) dram = q;
  }
  bool idle = m->dram_users == 0 && m->n_resources - m->plat->n_engines > 1 && !m->serial;
  return idle && dram != NULL ? dram : best;
}

/* Room for the first transfer of the queue. */
static bool make_room(machine *m, m_queue *q, uint32_t t) {
  if (m->task[t].to == DAG_DRAM) return true;
  obs_why *w = &m->task[t].why;
  bool waited = m->task[t].state == M_BLOCKED;
  if (!machine_admit(m, t)) return false;
  if (waited) q->unblocked_s = m->now, q->unblocked_by = m->ending;
  /* what stood behind one without room waited for the same room */
  bool stood = q->unblocked_s > w->ready_s && q->unblocked_s > w->gate_s;
  if (stood && q->unblocked_s > w->room_s) w->room_s = q->unblocked_s, w->room_by = q->unblocked_by;
  return true;
}

/* Starts the first transfer that finds room on the channel. False: there is none. */
static bool start_transfer(machine *m, uint32_t channel) {
  for (;;) {
    m_queue *q = first_queue(m);
    if (q == NULL || (m->serial && q->places.pos[0] != m->frontier)) return false;
    uint32_t t = m->order.task[q->places.pos[0]];
    if (!make_room(m, q, t)) {
      q->blocked = m->any_blocked = true;
      continue;
    }
    heap_pop(&q->places);
    m->queued--;
    m->dram_users += kind_of(m, t) != OP_MOVE;
    if (m->serial) m->task[t].why.gate_s = m->now, m->task[t].why.gate_by = m->ending;
    start(m, t, channel);
    return true;
  }
}

/* True while a channel of that DMA has its turn. */
static bool has_turn(const machine *m, uint32_t dma) {
  for (uint32_t r = (uint32_t)m->plat->n_engines; r < m->n_resources; r++)
    if (m->resource[r].dma == dma && m->resource[r].running && m->resource[r].has_turn) return true;
  return false;
}

static void try_dma(machine *m) {
  for (uint32_t s = 0; m->any_blocked && s < m->n_spaces; s++) m->to[s].blocked = false;
  m->any_blocked = false;
  for (uint32_t r = (uint32_t)m->plat->n_engines; r < m->n_resources && m->queued > 0; r++) {
    m_resource *res = &m->resource[r];
    if (res->running || has_turn(m, res->dma)) continue;
    if (!start_transfer(m, r)) return;
  }
}

void machine_turn(machine *m, uint32_t channel, double now) {
  m_resource *res = &m->resource[channel];
  if (!res->has_turn) return;
  res->has_turn = false;
  if (m->queued == 0) return;
  m->now = now;
  m->self = channel;
  m->ending = res->job.task;
  for (uint32_t r = (uint32_t)m->plat->n_engines; r < m->n_resources; r++) {
    m_resource *other = &m->resource[r];
    if (other->running || other->dma != res->dma) continue;
    other->free_s = now;
    other->free_by = res->job.task;
  }
  try_dma(m);
}

/* ---- the machine's life --------------------------------------------------------------------- */

/* One input of t needs nothing any more but transfers. What then needs nothing else is ready for a
 * dynamic policy. */
static void release_input(machine *m, uint32_t t) {
  size_t depth = 0;
  m->stack[depth++] = t;
  while (depth > 0) {
    uint32_t u = m->stack[--depth];
    if (--m->task[u].held > 0) continue;
    if (m->task[u].kind == OP_COMPUTE) {
      if (m->policy->pick != NULL) m->policy->ready(m->pol_state, u), m->anyone = true;
      continue;
    }
    for (uint64_t s = m->succ.first[u + 1]; s-- > m->succ.first[u];) {
      /* a task of many inputs may stand on the stack once an input; a stack of one place a task is
       * not enough */
      if (depth == m->n_stack) machine_grow_stack(m);
      m->stack[depth++] = m->succ.succ[s];
    }
  }
}

/* One input of t is there. */
static void input_done(machine *m, uint32_t t, bool from_compute) {
  m_task *x = &m->task[t];
  x->wait--;
  if (from_compute) release_input(m, t);
  if (x->wait > 0) return;
  x->why.ready_s = m->now;
  x->why.ready_by = m->ending;
  if (m->obs.ready != NULL) m->obs.ready(m->obs.self, m->now, t);
  if (x->kind != OP_COMPUTE && (x->kind != OP_LOAD || x->gate_open)) machine_make_eligible(m, t);
  if (x->kind == OP_COMPUTE && x->engine != POL_ANY) m->resource[x->engine].look = true;
}

static void try_engines(machine *m) {
  bool dynamic = m->policy->pick != NULL, anyone = m->anyone;
  m->anyone = false;
  for (uint32_t e = 0; e < m->plat->n_engines; e++) {
    m_resource *res = &m->resource[e];
    if (!res->look && !(anyone && !res->running)) continue;
    res->look = false;
    try_engine(m, e);
  }
  /* only when every idle engine had its turn may engines look ahead, as far as prefetch goes */
  for (uint32_t e = 0; dynamic && m->prefetch > 0 && e < m->plat->n_engines; e++) {
    if (!m->resource[e].running) continue;
    refill(m, e, m->prefetch);
    machine_open_window(m, e);
  }
}

/* A transfer was refused room, or nothing runs at all: an idle engine that waits may have to make
 * way (escape). */
static bool make_way(machine *m) {
  bool any = false, stuck = m->n_running == 0 && m->n_done < m->dag->n_tasks;
  if (m->policy->pick == NULL || !(m->any_blocked || stuck)) return false;
  for (uint32_t e = 0; e < m->plat->n_engines; e++) {
    m_resource *res = &m->resource[e];
    if (res->running || res->head == res->n_queue) continue;
    if (!(stuck || held_by_room(m, m_queue_at(res, res->head))) || !escape(m, e)) continue;
    res->look = any = true;
  }
  return any;
}

static void dispatch(machine *m) {
  do {
    try_engines(m);
    try_dma(m);
  } while (make_way(m));
}

/* Room, or a frontier that moved, may let in what was refused before. */
static void look_again(machine *m) {
  bool dynamic = m->policy->pick != NULL;
  for (uint32_t e = 0; e < m->plat->n_engines; e++) {
    m_resource *res = &m->resource[e];
    if (res->running || res->head == res->n_queue) continue;
    if (m->serial || dynamic || m->task[m_queue_at(res, res->head)].state == M_BLOCKED)
      res->look = true;
  }
}

void machine_begin(machine *m) {
  m->self = OBS_NONE;
  m->ending = OBS_NONE;
  for (uint32_t t = 0; t < m->dag->n_tasks; t++) {
    m_task *x = &m->task[t];
    if (x->wait == 0) {
      if (m->obs.ready != NULL) m->obs.ready(m->obs.self, 0, t);
      if (x->kind == OP_STORE || x->kind == OP_MOVE || (x->kind == OP_LOAD && x->gate_open))
        machine_make_eligible(m, t);
    }
  }
  for (uint32_t t = 0; t < m->dag->n_tasks; t++)
    if (m->task[t].held == 0 && m->task[t].kind == OP_COMPUTE && m->policy->pick != NULL)
      m->policy->ready(m->pol_state, t);
  for (uint32_t e = 0; e < m->plat->n_engines; e++) m->resource[e].look = true;
  dispatch(m);
}

void machine_flow(machine *m, uint32_t resource, int which, double now, bool begins) {
  const machine_job *j = &m->resource[resource].job;
  const est_parts *x = &j->parts;
  if (m->obs.flow != NULL)
    m->obs.flow(m->obs.self, now, j->task, resource, which == 0 ? x->route : x->route2,
                which == 0 ? x->flow_B : x->flow2_B, begins);
  if (begins && which == 0 && resource >= m->plat->n_engines) machine_turn(m, resource, now);
}

void machine_end(machine *m, uint32_t resource, double now) {
  m_resource *res = &m->resource[resource];
  uint32_t t = res->job.task;
  m->now = now;
  m->self = resource;
  m->ending = t;
  m->task[t].state = M_DONE;
  m->n_done++;
  m->n_running--;
  res->running = false;
  res->free_s = now;
  res->free_by = t;
  res->look = true;
  if (kind_of(m, t) == OP_LOAD || kind_of(m, t) == OP_STORE) m->dram_users--;
  if (m->obs.end != NULL) m->obs.end(m->obs.self, now, t, resource);

  bool room = machine_give(m, t);
  uint32_t was = m->frontier;
  while (m->frontier < m->dag->n_tasks && m->task[m->order.task[m->frontier]].state == M_DONE)
    m->frontier++;
  if (room || m->frontier != was) look_again(m);
  bool compute = kind_of(m, t) == OP_COMPUTE;
  for (uint64_t s = m->succ.first[t]; s < m->succ.first[t + 1]; s++)
    input_done(m, m->succ.succ[s], compute);
  dispatch(m);
}

size_t machine_resources(const machine *m) {
  return m->n_resources;
}

uint32_t machine_wake(machine *m) {
  return m->n_wake > 0 ? m->wake[--m->n_wake] : OBS_NONE;
}

const machine_job *machine_job_of(const machine *m, uint32_t resource) {
  return m->resource[resource].running ? &m->resource[resource].job : NULL;
}

bool machine_finished(const machine *m) {
  return m->n_done == m->dag->n_tasks;
}

bool machine_stuck(const machine *m) {
  return m->n_running == 0 && !machine_finished(m);
}

/* What an unfinished task waits for, in words. */
static void describe_wait(const machine *m, uint32_t t, char *text, size_t size) {
  const m_task *x = &m->task[t];
  const dag_task *task = &m->dag->tasks[t];
  if (x->state == M_RUNNING) {
    snprintf(text, size, "was started and never ended");
  } else if (x->wait > 0) {
    const uint32_t *deps = dag_deps(m->dag, task);
    uint32_t i = 0;
    while (i + 1 < task->n_deps && m->task[deps[i]].state == M_DONE) i++;
    snprintf(text, size, "waits for %" PRIu32 " inputs, first task %" PRIu32, x->wait, deps[i]);
  } else if (x->state == M_BLOCKED) {
    uint32_t s = m->buffer[dag_writes(m->dag, task)->tensor].plan.sram;
    snprintf(text, size, "waits for room in SRAM ('%s': %" PRIu64 " B in use)",
             m->plat->srams[s].name, m->space[s].used_B);
  } else if (x->kind == OP_LOAD && !x->gate_open) {
    snprintf(text, size, "waits for prefetch to let it go");
  } else {
    snprintf(text, size, "waits for its turn on %s",
             x->kind == OP_COMPUTE ? "an engine" : "a DMA channel");
  }
}

int machine_verdict(const machine *m, err *e) {
  if (machine_finished(m)) return ERR_OK;
  char list[2048] = "", wait[128];
  size_t len = 0, named = 0;
  for (size_t k = m->frontier; k < m->dag->n_tasks && named < 8 && len < sizeof list; k++) {
    uint32_t t = m->order.task[k];
    if (m->task[t].state == M_DONE) continue;
    describe_wait(m, t, wait, sizeof wait);
    len += (size_t)snprintf(list + len, sizeof list - len, "\n  task %u '%s %.80s' %s", t,
                            op_name((op)m->dag->tasks[t].op), m->dag->tasks[t].name, wait);
    named++;
  }
  return err_set(e, ERR_INTERNAL,
                 "the simulation stopped at %.9g s with %zu of %zu tasks unfinished; this is a "
                 "defect of llamasim, please "
                 "report it with the command line. First unfinished tasks:%s",
                 m->now, m->dag->n_tasks - m->n_done, m->dag->n_tasks, list);
}
