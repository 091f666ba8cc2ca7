/* dag_room.h - which SRAM tensors share one buffer: an op that works element by element writes over
 * an operand that nobody needs any more, as accelerators do: partial sums, residuals, softmax,
 * SiLU(gate) * up. Elements are still written once as far as the DAG is concerned; only the room is
 * used twice.
 *
 * Tensor B takes over the room of A where A and B are alike in shape, dtype and space, and for
 * every task w that writes B: its op may work in place on an operand (op_in_place) that is the very
 * box of A that w writes of B; w touches A and B nowhere else; and every other task that touches
 * that box of A is one that w depends on, directly or (as far as a bounded search finds out)
 * through others, so that it is over when w starts, whatever the schedule. */
#ifndef LS_DAG_ROOM_H
#define LS_DAG_ROOM_H

#include "workloads/dag.h"

/* By tensor: the tensor whose room it takes over, or DAG_NO_ROOM. No two take over the same, and
 * chains have no cycles. */
#define DAG_NO_ROOM UINT32_MAX
uint32_t *dag_rooms(const dag *d, arena *a);

/* For a DAG that is complete: finds them now, so that dag_rooms only copies them. */
void dag_keep_rooms(dag *d);

/* By tensor: the first of those that share its room; itself where it shares none. */
uint32_t *dag_room_roots(const dag *d, arena *a);

#endif
