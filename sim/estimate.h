/* estimate.h - the time of one task alone on the machine, and lower bounds on any schedule of a DAG. Closed forms only.
 *
 *   compute   overhead + max( matrix_flops / (rate(dtype) * utilisation * efficiency) + vector_flops / vector_rate,
 *                             stream )
 *   stream    operands in one SRAM: latency + operand_bytes / min bandwidth on the sram->engine route
 *             in two (the shared one and the engine's own, as a rule): one flow an SRAM, both beginning with the task and
 *             flowing at the same time: the larger of the two; and where the routes share a link, no less than the smaller
 *             latency + all their bytes / that link's bandwidth
 *   transfer  setup + latency + bytes / (efficiency * min bandwidth on the dram<->sram route)
 *   move      setup + latency + bytes / min bandwidth on the sram->sram route
 *
 * The DAG must be one that reach_make (reach.h) accepted on this platform.
 *
 * Two flows of a task that share a link divide it as any others do (max-min): the task may then take longer than this,
 * as it may beside other tasks' flows.
 *
 * utilisation: the filled share of the problem (m, n, k) padded to the engine's native tile. The DRAM's efficiency makes a
 * transfer occupy its route with bytes/efficiency, rounded up to a whole byte (SimGrid moves whole bytes); the executor
 * sends exactly est_flow_bytes. A task of an op that the platform has for nothing (op_free) takes no time. Operand streams and transfers of 0 bytes take no latency and cross no link. */
#ifndef LS_ESTIMATE_H
#define LS_ESTIMATE_H

#include "sim/platform.h"
#include "workloads/cost.h"
#include "workloads/dag.h"

/* One task's timing on one resource, in the parts that the executor plays one after the other. */
typedef struct est_parts {
  double lead_s;             /* overhead (compute) or setup (transfer): no data flows */
  double matrix_s, vector_s; /* compute only: arithmetic, beside the flow */
  double latency_s;          /* before the flow */
  const plat_route *route;   /* NULL: no flow */
  uint64_t flow_B;           /* bytes that occupy the route */
  uint32_t sram;             /* that the flow comes from; a load: that it goes to */
  uint32_t sram2;            /* of the second stream; a move: that it goes to */
  double latency2_s;         /* compute with operands in two SRAMs: their second stream, beside the first */
  const plat_route *route2;  /* NULL: there is none */
  uint64_t flow2_B;
  double alone_s;            /* the whole task, uncontended; INFINITY where the engine cannot reach an operand */
} est_parts;

est_parts est_compute(const platform *p, const dag *d, uint32_t task, const cost *c, uint32_t engine);
est_parts est_transfer(const platform *p, const dag *d, uint32_t task, const cost *c, uint32_t dma);

/* True where engines differ in nothing that a task's time depends on: then one estimate serves all. */
bool est_engines_alike(const platform *p);

/* The fastest any resource of its kind does it; `alike` is est_engines_alike, asked once by the caller. */
double est_best_s(const platform *p, const dag *d, uint32_t task, const cost *c, bool alike);

/* Every bound holds for any schedule, any placement and any way of sharing the links.
 *
 *   area     what all tasks together take of a resource, over its capacity: engine_s, dma_s, link_s
 *   around   the same with what must come before and after it: for a set S of tasks that use a resource,
 *                min over S of head + area of S + min over S of tail
 *            head, tail: the least time before and after a task's use of it, by stages and by the longest chains of
 *            uncontended best times (a transfer's setup and latency, a stream's overhead and latency belong to the head).
 *            The best S of all is what Jackson's
 *            preemptive schedule gives, in n log n. Never less than the area, nor more than the best schedule's makespan:
 *            what S takes lies between the first head and the last tail.
 *   group    the same of the one engine that a group of tasks runs on, for that group's tasks; and of the engine that
 *            k + 1 groups share, of any k * engines + 1, with what comes before and after them
 *   room     what SRAM has no room for at the same time follows one after another (estimate_held.h, estimate_apart.h)
 *   stages   what must follow one after another, each with what it takes at least (estimate_stages.h). Heads and tails
 *            have stages in them, too; and where several tasks of a group come before or after a task, the sum of
 *            these, as one engine runs them all (estimate_groups.h). */
typedef struct bounds {
  double critical_path_s; /* longest chain of uncontended best times */
  double engine_s;        /* sum of best compute times / engines */
  double dma_s;           /* sum of best transfer times / channels */
  double *link_s;         /* per link: bytes that every schedule must move over it / bandwidth; FATPIPE: 0 */
  double engine_around_s, dma_around_s, *link_around_s;
  double group_s;         /* the largest of any group; 0 where there is none */
  double stages_s;        /* the longest chain with stages in it */
  double room_s;          /* what SRAM's size makes it take; 0 where there is more than one SRAM */
  double lower_s;         /* the largest */
  const char *binding;    /* which: "critical_path", "engine", "dma", a link's name, "group", "stages" or "room"; of equal ones, the first */
} bounds;

bounds est_bounds(const platform *p, const dag *d, arena *a);

#endif
