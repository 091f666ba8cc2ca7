/* order.h - the full order of a run: a place for every task, transfers included; and what SRAM
 * holds at each place. See machine.h for what it is for. */
#ifndef LS_ORDER_H
#define LS_ORDER_H

#include "sim/policy.h"

typedef struct order {
  uint32_t *task; /* by place */
  uint32_t *pos;  /* by task */
} order;

/* What the run needs to know of an SRAM tensor. */
typedef struct order_buffer {
  uint64_t bytes;
  uint32_t users; /* operand views of it, over all tasks */
  uint32_t first,
      last; /* places of its planned life; first > last: no task writes it, it takes no room */
} order_buffer;

/* A load stands right before the first compute task that needs it (directly or through other
 * transfers), a store right after the last task it needs; what no compute task needs comes last, in
 * id order. `compute` must be topological. */
order order_make(const dag *d, const dag_succ *succ, const uint32_t *compute, size_t n, arena *a);

/* Planned lives by tensor id, and the bytes held at each place (n_tasks entries). */
order_buffer *order_buffers(const dag *d, const order *o, arena *a);
uint64_t *order_planned(const dag *d, const order_buffer *b, arena *a);

/* Refuses (ERR_NO) with the place of the peak, its largest buffers and the bytes that are short. */
int order_refuse(const dag *d, const platform *p, const order *o, const order_buffer *b,
                 const uint64_t *planned, err *e);

#endif
