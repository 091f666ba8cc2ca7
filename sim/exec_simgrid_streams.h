/* exec_simgrid_streams.h - which operand streams can meet others, told from a platform's routes:
 * what need not be a flow in SimGrid is none (exec_simgrid.c). */
#ifndef LS_EXEC_SIMGRID_STREAMS_H
#define LS_EXEC_SIMGRID_STREAMS_H

#include <stdbool.h>

#include "sim/platform.h"

/* By route: does it lead to an engine over links that no other route crosses? An engine runs one
 * task at a time, and a task has one stream from an SRAM: so its streams have these links for
 * themselves. */
bool *exec_streams_apart(const platform *p, arena *a);

/* May the engine have two streams at a time that are not apart? */
bool exec_streams_meet(const platform *p, const bool *apart, size_t engine);

/* How many streams fit on every shared link at the same time, each at its route's rate, beside all
 * that transfers can bring; those apart do not count. Where an engine may have two streams that are
 * not apart, none. */
size_t exec_streams_quiet(const platform *p, const bool *apart);

#endif
