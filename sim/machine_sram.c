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

bool machine_admit(machine *m, uint32_t t) {
  m_task *x = &m->task[t];
  if (take_buffers(m, t)) {
    if (x->state == M_BLOCKED) x->why.room_s = m->now, x->why.room_by = m->ending;
    return true;
  }
  x->state = M_BLOCKED;
  return false;
}
