/* machine.h - the accelerator's control: which task may start when, on which engine or DMA channel.
 * It knows the DAG, the plan, SRAM and the prefetch rule, but not how time passes: a backend
 * (SimGrid; a closed-form fluid model for tests) plays the tasks and tells when they end.
 *
 * Order. The plan orders the compute tasks. The full order puts each transfer where it is needed: a
 * load or move right before the first compute task that needs it, a store (or a move out of a
 * scratchpad) right after the last task it needs. `pos` is a task's place in it, and the frontier
 * is the first place whose task has not ended.
 *
 * Engines. Each has a queue of compute tasks, in the plan's order (static) or as picked (dynamic:
 * as many as prefetch lets it look ahead), and runs the head of its queue once its inputs are there
 * and its outputs have room.
 *
 * SRAMs. A platform may have several; a task runs on an engine that all SRAMs of its operands reach
 * (reach.h), and a move copies from one SRAM to another, as a transfer like loads and stores.
 *
 * Prefetch. The loads of the task that is next on an idle engine may start. Besides, on every
 * engine, loads of the tasks behind its current one may start as long as they bring no more than N
 * tiles' worth of bytes, N = --prefetch and a tile being the DAG's largest load of a task, with the
 * task's scales: N staging buffers an engine, which small loads (KV rows, norms) share. The first
 * task that has loads may have all of them, if they are more. A load counts until its task starts.
 * In a static plan, with one SRAM, engines that have nothing more to load lend their buffers to the
 * others, in equal parts, as long as all buffers together take no more than half of the SRAM: under
 * op most engines stand by while few work through long chains of tiles. An engine may use them only
 * while what it would load next comes before that of all others in the order, so that nothing is
 * held up by what is needed later.
 * N = 0: no load overlaps the engine's work. Moves are not held back: what they copy
 * was, unless it was computed.
 *
 * DMA. One queue of eligible transfers by place in the order; a free channel takes the first; where
 * that waits for room in an SRAM, the first that does not go to that SRAM. With several channels, a
 * load or store goes before a move while none uses the DRAM: else channels that loaded side by side
 * would move side by side, and the DRAM stand still meanwhile.
 *
 * Turns. A transfer sets up for B, latency included, and flows for F if it is alone. When a channel
 * has begun one, the others of its DMA begin nothing for min(B, F): else transfers of one length,
 * begun together, would end together and be set up together, again and again, and the link stand
 * still meanwhile. So the next one's flow begins when this one's could have ended, or, where flows
 * are longer than setups, it is set up while this one flows.
 *
 * SRAM. A buffer is taken when its first writer starts and given back when the last task that reads
 * or writes it has ended; tensors that ops write over one another are one buffer (dag_room.h).
 * Admission is the banker's rule on the full order, for each SRAM by itself: let P[k] be the bytes
 * that would be held in it while the task at place k runs if, from now on, everything ran one at a
 * time in the order: the buffers whose planned life covers k, plus those taken early. A task may
 * take s bytes now, ahead of their planned place p, only if P[k] + s stays within capacity for
 * every k from the frontier to p - 1; taking adds s to those P[k]; giving back early subtracts from
 * the rest of the planned life. Never over capacity: what is held now is part of P[frontier], and P
 * <= capacity is kept. A task that writes to several SRAMs takes its buffers in all of them or in
 * none. Cannot deadlock: the task at the frontier takes its buffers at its planned place, which
 * needs no check in any SRAM, as in each of them the order itself is promised to fit; its inputs
 * were made by tasks before it, all ended; its engine runs only tasks that hold all they need, so
 * it comes free; and then it is next there: in a static plan every queue follows the order, so the
 * frontier task is the head of its queue; in a dynamic one, an engine whose head waits for room, or
 * for a load that waits for room, runs the first unfinished compute task of the order instead; a
 * transfer at the frontier is the first of the queue, and where nothing else runs, prefetch does
 * not hold it back. So the frontier always advances. Feasible: P <= capacity in every SRAM before
 * the start. Where a plan's own order does not fit, the program order (ids) is taken with the
 * plan's engines; where that does not fit either, the run is refused with the SRAM, the place, the
 * buffers and the bytes that are short (ERR_NO). With
 * --scheduler serial only the frontier may start.
 *
 * Nothing here is random, and ties go to the smaller id. */
#ifndef LS_MACHINE_H
#define LS_MACHINE_H

#include "sim/observer.h"
#include "sim/policy.h"

typedef struct machine machine;

typedef struct machine_options {
  uint32_t prefetch;
  uint64_t seed;
  const pol_schedule *given; /* handed on to the policy, as policy.h has them */
  const pol_host *host;
  pol_recorder *recorder;
} machine_options;

/* What a resource plays, step by step: sleep lead + latency (lead alone where route is NULL), send
 * flow_B over the route, and end no earlier than start + lead + matrix + vector. A second stream
 * (route2 not NULL) is played at the same time: sleep lead + latency2, send flow2_B from src2. */
typedef struct machine_job {
  uint32_t task;
  est_parts parts;
  double turn_s; /* after it the backend calls machine_turn, if that is before the flow begins */
  uint32_t src, src2, dst; /* host ids of the flows */
} machine_job;

/* Plans, checks feasibility, and prepares a run. The machine lives in `a`. `obs` may be NULL. */
ERR_CHECK int machine_new(machine **m, const dag *d, const platform *p, const policy *pol,
                          const machine_options *opt, const observer *obs, arena *a, err *e);

size_t machine_resources(const machine *m); /* engines, then DMA channels */

/* Starts what can start at time 0. Afterwards, and after every machine_end, the backend serves
 * machine_wake. */
void machine_begin(machine *m);

/* The next resource that got a job while it was idle, or OBS_NONE. */
uint32_t machine_wake(machine *m);

/* The resource's present job, or NULL where it is idle. */
const machine_job *machine_job_of(const machine *m, uint32_t resource);

/* The channel's turn is over; so it is when the flow begins. Afterwards the backend serves
 * machine_wake. */
void machine_turn(machine *m, uint32_t channel, double now);

/* After machine_flow the backend serves machine_wake too.
 * The flow of the resource's job (which = 0) or its second one (1) begins or ends; its job ends
 * (all that this allows is started at `now`, also on this resource: ask machine_job_of again). */
void machine_flow(machine *m, uint32_t resource, int which, double now, bool begins);
void machine_end(machine *m, uint32_t resource, double now);

/* All tasks ended; or nothing runs and nothing can start (a defect of ours). In both cases the
 * backend stops. */
bool machine_finished(const machine *m);
bool machine_stuck(const machine *m);

/* ERR_OK where all tasks ended; else ERR_INTERNAL with a report of who waits for what. */
ERR_CHECK int machine_verdict(const machine *m, err *e);

#endif
