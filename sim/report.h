/* report.h - the figures of one run, gathered once, and the forms in which they are shown: summary
 * for people, JSON, CSV, timeline table, Perfetto trace. Adding a form is one file, report_*.c, and
 * one line here.
 *
 *   gap         makespan / lower bound - 1
 *   energy      engines: energy.<dtype> (the dtype whose rate applies) a matrix FLOP, energy.vector
 *               a vector FLOP; idle: power.idle of every engine over the whole makespan; sram: its
 *               energy a byte for operand bytes and for bytes moved in and out (a move between two
 *               srams: in each); dram: its energy a byte for bytes moved
 *   throughput  prefill: ttft_s = makespan, tokens_per_s = tokens * batch / makespan; decode: tpot_s =
 *               makespan, tokens_per_s alike; hybrid: ttft_s = end of the prefill, tpot_s = the
 *               rest / steps, tokens_per_s = batch * steps / the rest. What does not apply is 0 */
#ifndef LS_REPORT_H
#define LS_REPORT_H

#include "sim/attribution.h"
#include "sim/estimate.h"
#include "sim/timeline.h"
#include "workloads/cost.h"

/* Of a link, busy_s is bytes / bandwidth, so that utilization 1 means bandwidth * makespan moved;
 * of a FATPIPE link, which caps each flow and is not shared, it is active_s. Bytes are operands of
 * an engine, transfers of a channel, and of a link what occupied it, DRAM efficiency included. */
typedef struct report_resource {
  const char *name, *role; /* "engine", "dma" (a channel), "link" */
  double busy_s;
  double active_s;    /* link: time with at least one flow; else busy_s */
  double utilization; /* busy_s / makespan */
  uint64_t tasks;     /* link: flows */
  uint64_t bytes;
} report_resource;

typedef struct report_memory {
  const char *name;
  double capacity_B;     /* 0: unlimited */
  uint64_t high_water_B; /* dram: all its tensors */
} report_memory;

typedef struct report {
  const timeline *tl;
  const dag *dag;
  const platform *plat;
  cost_totals totals;
  bounds bound;
  double gap;
  attribution attr;
  report_resource *resources; /* engines, DMA channels, links, in the platform's order */
  report_memory *memory;      /* srams, then the dram */
  size_t n_resources, n_memory;
  double op_s[OP_COUNT]; /* time of all tasks of an op, and how many there are */
  uint64_t op_tasks[OP_COUNT];
  double dma_lead_s; /* setup and latency of all transfers */
  double energy_engine_J, energy_idle_J, energy_sram_J, energy_dram_J, energy_J;
  double tokens_per_s, ttft_s, tpot_s;
} report;

/* Reads `tl` and `b` where they are: they must outlive the report. */
report report_make(const timeline *tl, const bounds *b, arena *a);

/* The class of resources that is used most, and how much: "engines", "ports", "DMA setup and latency" or a link's name. A
 * channel is also busy while its data flows, which is the links' doing, so that only its setup and latency count. */
const char *report_bound_by(const report *r, double *share);

void report_write_json(const report *r, out *o);
void report_print_summary(const report *r, out *o);

/* The flattened report: inputs first. What the report lists is summed up by role
 * ("resources.engine.utilization" is the mean, with ".utilization_max" beside it), but links that
 * are nobody's port, and memories other than scratchpads ("memory.scratchpads": the capacity of
 * all, the high water of the fullest) stand by name, so that the columns do not depend on the
 * number of engines, ports and channels, only on which keys were overridden and on the names of the
 * shared links and memories. The last column is "error": empty, but where a run of a sweep failed.
 */
void report_write_csv_header(const report *r, out *o);
void report_write_csv_row(const report *r, out *o);
/* Of a run that failed, `r` has the inputs alone: cells of results are empty, and `why` is the
 * error. */
void report_write_csv_failure(const report *r, const char *why, out *o);

/* The schedule as a table: CSV with a header, a row a task in id order, times in seconds; class,
 * wait_cause, wait_s, flops and bytes are those of the trace. `flow` is the time in which the
 * task's data moved (both ends = start_s without any). A task that never ran has empty cells from
 * `resource` to `wait_s`. */
void report_write_timeline(const report *r, out *o);

/* Perfetto (Chrome JSON), as in the contract, one process a report, streamed. `n` >= 1 reports,
 * labelled A, B, ... Needs timelines with a log. */
void report_write_trace(const report *const *r, size_t n, out *o);

#endif
