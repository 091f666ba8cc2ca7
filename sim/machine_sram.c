#include <assert.h>

#include "sim/machine_state.h"

/* The frontier, as the ledger of this SRAM counts. */
static size_t frontier_in(machine *m, m_space *s) {
  const order_profile *p = s->plan;
  if (p->place == NULL) return m->frontier;
  while (s->at + 1 < p->n && p->place[s->at + 1] <= m->frontier) s->at++;
  return s->at;
}

static void tell_buffer(const machine *m, uint32_t tensor, bool taken) {
  const order_buffer *b = &m->buffer[tensor].plan;
  if (m->obs.buffer != NULL)
    m->obs.buffer(m->obs.self, m->now, tensor, b->sram, b->bytes, m->space[b->sram].used_B, taken);
}

/* The buffer that a view lies in. */
static m_buffer *buffer_of(machine *m, const dag_view *v) {
  return &m->buffer[m->buffer[v->tensor].plan.room];
}

/* Takes what the task writes and what is not there yet, all of it or nothing. */
static bool take_buffers(machine *m, uint32_t t) {
  const dag_task *task = &m->dag->tasks[t];
  const dag_view *w = dag_writes(m->dag, task);
  uint32_t i = 0;
  for (; i < task->n_writes; i++) {
    m_buffer *b = buffer_of(m, &w[i]);
    if (b->plan.bytes == 0 || b->taken) continue;
    m_space *s = &m->space[b->plan.sram];
    if (!sram_take(s->ledger, frontier_in(m, s), b->plan.first, b->plan.bytes)) break;
    b->taken = true;
    b->by = t;
  }
  if (i == task->n_writes) {
    for (i = 0; i < task->n_writes; i++) {
      m_buffer *b = buffer_of(m, &w[i]);
      if (b->by != t) continue;
      b->by = OBS_NONE;
      m->space[b->plan.sram].used_B += b->plan.bytes;
      assert((double)m->space[b->plan.sram].used_B <= m->plat->srams[b->plan.sram].capacity_B);
      tell_buffer(m, b->plan.room, true);
    }
    return true;
  }
  while (i-- > 0) {
    m_buffer *b = buffer_of(m, &w[i]);
    if (b->by != t) continue;
    m_space *s = &m->space[b->plan.sram];
    sram_untake(s->ledger, frontier_in(m, s), b->plan.first, b->plan.bytes);
    b->taken = false;
    b->by = OBS_NONE;
  }
  return false;
}

bool machine_give(machine *m, uint32_t t) {
  const dag_task *task = &m->dag->tasks[t];
  const dag_view *v = dag_reads(m->dag, task);
  bool any = false;
  for (uint32_t i = 0; i < (uint32_t)task->n_reads + task->n_writes; i++) {
    m_buffer *b = buffer_of(m, &v[i]);
    if (b->plan.bytes == 0 || --b->plan.users > 0 || !b->taken) continue;
    m_space *s = &m->space[b->plan.sram];
    sram_give(s->ledger, frontier_in(m, s), b->plan.last, b->plan.bytes);
    s->used_B -= b->plan.bytes;
    any = true;
    tell_buffer(m, b->plan.room, false);
  }
  return any;
}

/* Bytes that the task is going to take in an SRAM. */
static uint64_t untaken_B(machine *m, uint32_t t, uint32_t s) {
  const dag_task *task = &m->dag->tasks[t];
  const dag_view *w = dag_writes(m->dag, task);
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < task->n_writes; i++) {
    const m_buffer *b = buffer_of(m, &w[i]);
    if (!b->taken && b->plan.sram == s) bytes += b->plan.bytes;
  }
  return bytes;
}

/* Bytes of an SRAM that the end of what the resource runs gives back. */
static uint64_t freed_B(machine *m, const m_resource *res, uint32_t s) {
  if (!res->running) return 0;
  const dag_task *task = &m->dag->tasks[res->job.task];
  const dag_view *v = dag_reads(m->dag, task);
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < (uint32_t)task->n_reads + task->n_writes; i++) {
    const m_buffer *b = buffer_of(m, &v[i]);
    if (b->plan.sram == s && b->taken && b->plan.users == 1) bytes += b->plan.bytes;
  }
  return bytes;
}

/* True where a load or move that is ahead of its place would take the room that an engine's next
 * task, which stands before it in the order, will need for what it writes, beyond what the task
 * gives back that the engine runs until then. */
static bool takes_reserved(machine *m, uint32_t t) {
  uint32_t place = m->order.pos[t];
  if (m->task[t].kind == OP_COMPUTE || m->task[t].to == DAG_DRAM || place <= m->frontier)
    return false;
  uint32_t s = m->task[t].to - (uint32_t)DAG_SRAM;
  double room = m->plat->srams[s].capacity_B - (double)m->space[s].used_B;
  room -= (double)untaken_B(m, t, s);
  for (uint32_t e = 0; e < m->plat->n_engines; e++) {
    const m_resource *res = &m->resource[e];
    if (res->head == res->n_queue) continue;
    uint32_t next = res->queue[res->head];
    if (m->task[next].wait > 0 || m->order.pos[next] >= place) continue;
    uint64_t need_B = untaken_B(m, next, s);
    uint64_t back_B = need_B == 0 ? 0 : freed_B(m, res, s);
    if (need_B > back_B) room -= (double)(need_B - back_B);
    if (room < 0) return true;
  }
  return false;
}

bool machine_admit(machine *m, uint32_t t) {
  m_task *x = &m->task[t];
  if (!takes_reserved(m, t) && take_buffers(m, t)) {
    if (x->state == M_BLOCKED) x->why.room_s = m->now, x->why.room_by = m->ending;
    return true;
  }
  x->state = M_BLOCKED;
  return false;
}
