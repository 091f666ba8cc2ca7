/* exec_simgrid_load.h - starts SimGrid and brings a platform table into it.
 *
 * SimGrid reads platforms from XML files only, and what it reads here is bare: hosts, links,
 * routes. Latencies and what hosts can do are the machine's business (model.md). A process has one
 * platform for good; bandwidths may change before the simulation begins.
 *
 * Links carry EXEC_SCALE times their bandwidth, as flows are sent in units of 1/EXEC_SCALE byte:
 * SimGrid truncates a flow to whole units. */
#ifndef LS_EXEC_SIMGRID_LOAD_H
#define LS_EXEC_SIMGRID_LOAD_H

#include <stdbool.h>

#include "sim/platform.h"

enum { EXEC_SCALE = 1 << 20 };

/* Without a platform. Once is enough, twice does no harm. */
void exec_start(void);

/* Starts SimGrid, too. Once a process. ERR_BAD: no temporary file can be written. */
ERR_CHECK int exec_load(const platform *p, err *e);

/* Gives the links of the loaded platform the bandwidths of one of the same shape. */
void exec_load_bandwidths(const platform *p);

/* Sets SimGrid's clock, which nothing may be waiting for, to 0; or only says whether that can be
 * done. SimGrid has no function for it, but a variable, which its library exports and which has
 * the same name in 3.32 and 4.x; where it is not found, the answer is no. */
bool exec_can_rewind(void);
void exec_rewind(void);

#endif
