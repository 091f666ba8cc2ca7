/* exec.h - runs a DAG on a platform under a policy, in simulated time, and tells an observer.
 *
 * exec_simgrid: in SimGrid, the real thing. One actor per engine and per DMA channel. SimGrid shares the links among
 * the flows (CM02, max-min fair, no TCP artefacts); the platform it loads is the checked table with all latencies zero
 * (exec_simgrid_load.h), and actors sleep the latency before they send (model.md). An engine runs one task at a time,
 * so its arithmetic needs no sharing: it sleeps what remains of it after the operand stream has ended. A process has
 * one SimGrid and one platform in it: a second call is a programmer fault but where exec_simgrid_again says that it is
 * none (tests and sweeps fork).
 *
 * exec_fluid: the same machine with a small max-min fluid model of our own instead of SimGrid: an independent check
 * of SimGrid's times in the tests, and usable under sanitizers. */
#ifndef LS_EXEC_H
#define LS_EXEC_H

#include "sim/machine.h"

ERR_CHECK int exec_simgrid(const dag *d, const platform *p, const policy *pol, const machine_options *opt,
                           const observer *obs, arena *a, err *e);

ERR_CHECK int exec_fluid(const dag *d, const platform *p, const policy *pol, const machine_options *opt,
                         const observer *obs, arena *a, err *e);

/* What a simulation begins with: starts SimGrid, loads the platform and creates the actors. exec_simgrid does it by
 * itself; a process that forks one child a simulation saves them that by doing it once before. `p` must live on, and
 * simulations are on platforms that are alike: they differ in no host, DMA channel, route, or name, and in no link
 * but for its bandwidth and latency. NULL: starts SimGrid and no more; then they are on any. */
ERR_CHECK int exec_simgrid_prepare(const platform *p, err *e);
bool exec_simgrid_alike(const platform *a, const platform *b);

/* May this process, which may have simulated before, simulate on `p` now? Yes where it has not; and where what it has
 * there is alike and at rest, and SimGrid's clock can be set back to 0, so that what comes is to the bit what a fresh
 * process would get. After a failed simulation: no. */
bool exec_simgrid_again(const platform *p);

#endif
