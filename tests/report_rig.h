/* report_rig.h - a timeline by hand, for tests of what reads timelines: a small platform, a DAG,
 * and runs told to the observer as an executor would tell them, in order of time.
 *
 * Platform "rig": engines e0, e1, .. of 1 Tflop/s (bf16; 2 for int8), 1 Gflop/s vector, 1 us
 * overhead, 1 W idle, 1 pJ a bf16 FLOP, 4 pJ a vector FLOP; "sram" of 1 MiB, 2 pJ a byte; "dram",
 * 10 pJ a byte; "dma0" with 2 us of setup; links dram_bus 1 GB/s with 1 us latency, sram_bus 4 GB/s
 * and port0, port1, .. 2 GB/s without. */
#ifndef LS_REPORT_RIG_H
#define LS_REPORT_RIG_H

#include "sim/report.h"

enum { RIG_MAX_PLAYS = 4096 };

/* One task's run. Without a flow, flow_start_s = flow_end_s = 0. */
typedef struct rig_play {
  uint32_t task, resource;
  double start_s, flow_start_s, flow_end_s, end_s;
  obs_why why;
} rig_play;

typedef struct rig {
  arena mem;
  platform *plat;
  dag *dag;
  timeline *tl;
  report report;
  size_t n_plays;
  rig_play plays[RIG_MAX_PLAYS];
} rig;

/* A platform as above and an empty DAG of a "decode" of one token. */
rig *rig_new(uint32_t engines, uint32_t channels);
void rig_free(rig *g);

/* A compute task that adds `n` bf16 elements (vector work only: n flop, 6n operand bytes), after
 * `deps`. */
uint32_t rig_add(rig *g, uint64_t n, const uint32_t *deps, size_t n_deps);
/* A load or store of n bf16 elements (2n bytes). */
uint32_t rig_load(rig *g, uint64_t n);
uint32_t rig_store(rig *g, uint64_t n, const uint32_t *deps, size_t n_deps);
/* y (1, rows) = x (1, cols) * w (rows, cols): 2*rows*cols matrix flop. */
uint32_t rig_matmul(rig *g, uint64_t rows, uint64_t cols);

/* Conditions all met at 0 by nobody. */
obs_why rig_why(void);
/* Plans a run; `flow_start_s` < `flow_end_s` where it has one. Returns it, to set its `why`. */
rig_play *rig_play_task(rig *g, uint32_t task, uint32_t resource, double start_s,
                        double flow_start_s, double flow_end_s, double end_s);

/* Tells the observer all that was planned, buffers included (taken when their writer starts, given
 * back when the last that reads or writes them ends), and makes the report. */
void rig_run(rig *g, bool log);

/* Random runs of random tasks, consistent as an executor's are: for properties. */
void rig_random(rig *g, uint32_t seed, uint32_t n_tasks);

#endif
