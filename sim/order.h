/* order.h - the full order of a run: a place for every task, transfers included; and what SRAM
 * holds at each place. See machine.h for what it is for.
 *
 * Loads and moves stand right before the first compute task that needs them; stores, and moves out
 * of a scratchpad into the first SRAM, right after the last task they need. */
#ifndef LS_ORDER_H
#define LS_ORDER_H

#include "sim/policy.h"

typedef struct order {
  uint32_t *task; /* by place */
  uint32_t *pos;  /* by task */
} order;

/* What the run needs to know of an SRAM tensor. Tensors that share room (dag_room.h) are one buffer,
 * kept with the first of them; `room` of the others names it, and the rest of theirs is 0. */
typedef struct order_buffer {
  uint32_t room;
  uint64_t bytes;
  uint32_t sram;  /* that it lies in */
  uint32_t users; /* operand views of it, over all tasks */
  uint32_t first,
      last; /* places of its planned life; first > last: no task writes it, it takes no room */
} order_buffer;

/* What an sram holds over the places of the order: held_B[j] from place[j] to place[j + 1] - 1, or
 * to the end. With one sram, piece j is place j, and `place` is NULL. */
typedef struct order_profile {
  uint64_t *held_B;
  uint32_t *place;
  size_t n;
} order_profile;

/* What stands before a compute task stands right before the first that needs it, directly or
 * through other transfers; what no compute task needs comes last, in id order. `compute` must be
 * topological. */
order order_make(const dag *d, const dag_succ *succ, const uint32_t *compute, size_t n, arena *a);

/* Changes a topological order of the compute tasks, as little as a greedy pass can, so that what is
 * held in each SRAM fits its capacity: a task whose buffers find no room is put off until they do,
 * and those behind it go first. False (and the order unchanged) where that gets stuck. */
bool order_fit(const dag *d, const dag_succ *succ, const platform *p, uint32_t *compute, size_t n);

/* Planned lives by tensor id, and what they sum to, by sram. Every tensor is in one of them. */
order_buffer *order_buffers(const dag *d, const order *o, arena *a);
order_profile *order_planned(const dag *d, const order_buffer *b, size_t n_srams, arena *a);

/* The piece that a place is in. */
size_t order_piece(const order_profile *p, size_t place);

/* The first sram that is promised more than it has, or n_srams. */
size_t order_short(const platform *p, const order_profile *planned);

/* Refuses (ERR_NO) with the sram, the place of its peak, its largest buffers there, and the bytes
 * that are short. */
int order_refuse(const dag *d, const platform *p, const order *o, const order_buffer *b,
                 const order_profile *planned, err *e);

#endif
