/* dag_room.h - which SRAM tensors share one buffer: an op that works element by element writes over
 * an operand that nobody needs any more, as accelerators do: partial sums, residuals, softmax,
 * SiLU(gate) * up. Elements are still written once as far as the DAG is concerned; only the room is
 * used twice.
 *
 * Tensor B takes over the room of A where one task t is B's only writer and A's last user; t's op
 * may work in place on that operand (op_in_place); t reads all of A and writes all of B; A and B are
 * alike in shape, dtype and space; and every other task that touches A is among t's deps, so that
 * it is over when t starts, whatever the schedule. */
#ifndef LS_DAG_ROOM_H
#define LS_DAG_ROOM_H

#include "workloads/dag.h"

/* By tensor: the tensor whose room it takes over, or DAG_NO_ROOM. No two take over the same. */
#define DAG_NO_ROOM UINT32_MAX
uint32_t *dag_rooms(const dag *d, arena *a);

#endif
