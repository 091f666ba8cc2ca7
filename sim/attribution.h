/* attribution.h - why it took that long: walks back from the last task to end, and gives every
 * instant of the makespan one cause.
 *
 * The walk stands on a task and covers its span, phase by phase:
 *   compute   overhead_s: the engine's task overhead. The rest is limited by the slower of
 *             arithmetic and operand stream: sram_s where the stream took longer, else matrix_s
 *             and vector_s in proportion to their share
 *   transfer  overhead_s: DMA setup; dram_s: latency and flow, of a move between SRAMs sram_s
 *
 * Then it goes to what let the task start at that time, the last condition to be met (observer.h),
 * in case of a tie the first named:
 *   inputs    the producer that ended last
 *   prefetch  the task whose end opened the gate
 *   room      in SRAM: the time since the task could otherwise have started is wait_sram_full_s;
 *             the walk goes on from there, with the last of the other conditions
 *   free      the task that held the engine or channel
 *
 * While it covers a task that only held the resource, then from the moment at which the waiting
 * task could otherwise have started, time counts as the holder's own cause if the resource class
 * was saturated, and else as waiting:
 *   wait_engine_s  a ready task waited for its engine while another engine stood idle (placement
 *                  or grouping)
 *   wait_dma_s     a transfer waited for a channel in setup or latency while the DRAM moved nothing
 *                  (more channels would help); where it did move something, that is dram_s
 *
 * A start later than all its conditions explain counts as overhead_s of the task before the gap.
 * Times telescope, so the causes sum to the makespan (compensated sums: to 1e-12 at any length).
 * Every hop goes to a task that was over when the other started, and none is stood on twice, so the
 * walk ends. */
#ifndef LS_ATTRIBUTION_H
#define LS_ATTRIBUTION_H

#include "sim/timeline.h"

#define ATTR_CAUSES(X)                                                                             \
  X(MATRIX, "matrix_s", "matrix arithmetic")                                                       \
  X(VECTOR, "vector_s", "vector arithmetic")                                                       \
  X(OVERHEAD, "overhead_s", "task overhead and DMA setup")                                         \
  X(DRAM, "dram_s", "DRAM transfer")                                                               \
  X(SRAM, "sram_s", "SRAM operand stream or move")                                                         \
  X(WAIT_SRAM_FULL, "wait_sram_full_s", "waiting for room in SRAM")                                \
  X(WAIT_DMA, "wait_dma_s", "waiting for a DMA channel")                                           \
  X(WAIT_ENGINE, "wait_engine_s", "waiting for an engine while others idle")

typedef enum attr_cause {
#define X(id, name, text) ATTR_##id,
  ATTR_CAUSES(X)
#undef X
      ATTR_COUNT
} attr_cause;

const char *attr_name(attr_cause c);
const char *attr_text(attr_cause c);

typedef struct attribution {
  double cause_s[ATTR_COUNT];
  uint8_t *critical;     /* a byte a task: 1 where the walk stood on it */
  /* The same instants, by what the walk stood on: the task's op; that and the cause; its resource
   * (observer.h); the task. Waiting for a resource is charged to the task that held it. */
  double op_s[OP_COUNT];
  double op_cause_s[OP_COUNT][ATTR_COUNT];
  double *resource_s; /* n_resources of the timeline */
  double *task_s;     /* n_tasks; 0 where it is not critical */
} attribution;

attribution attr_walk(const timeline *tl, arena *a);

/* What keeps a task from starting. */
#define ATTR_WAITS(X)                                                                              \
  X(FOR_INPUTS, "inputs")                                                                          \
  X(FOR_PREFETCH, "prefetch")                                                                      \
  X(FOR_ROOM, "sram_full")                                                                         \
  X(FOR_ENGINE, "engine_busy")                                                                     \
  X(FOR_DMA, "dma_busy")

/* What a task itself waited for after its inputs were there: the condition met last (for trace
 * arguments and tables), "prefetch", "sram_full", "engine_busy" or "dma_busy"; the wait is start -
 * ready. NULL where it did not wait. */
const char *attr_wait_cause(const timeline *tl, uint32_t task);

/* Why its resource, idle until then, did not start it earlier: the same, and "inputs" where it
 * waited for nothing else. */
const char *attr_idle_cause(const timeline *tl, uint32_t task);

#endif
