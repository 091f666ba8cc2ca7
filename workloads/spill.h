/* spill.h - what does not fit SRAM goes to DRAM and comes back: a pass over a compiled DAG.
 *
 * It plays the tasks one after the other in program order and keeps the bytes held within a budget.
 * Where they would not fit, the buffer whose next use is farthest away makes room (Belady 1966): a
 * buffer that a load brought is simply dropped and loaded again before its next use; any other is
 * stored (Spill) and brought back (Fill). Buffers that are not complete yet stay. The next use
 * reads a new tensor, so every element is still written once.
 *
 * The budget leaves `reserve_B` of SRAM free, so that engines have room to work side by side, but is
 * no less than the lean budget: the least (in sixteenths of what the DAG would hold if nothing were
 * spilled) that spills no more than a sixteenth of what the DAG loads anyway. SRAM smaller than that
 * is used to the last byte. So for a given DAG and reserve the budget never falls as SRAM grows,
 * and traffic never rises. A DAG that fits the budget is returned as it is.
 * Where one task's own operands do not fit, nothing can help: the pass leaves the task alone, and
 * admission refuses it with the numbers. */
#ifndef LS_SPILL_H
#define LS_SPILL_H

#include "workloads/dag.h"

/* The most bytes in SRAM at a time when the tasks run one by one. */
uint64_t wl_peak_B(const dag *d);

dag *wl_spill(dag *in, uint64_t sram_B, uint64_t reserve_B, arena *a);

#endif
