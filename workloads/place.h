/* place.h - a pass over a compiled DAG for chips with scratchpads: which weights live in which.
 *
 * The compiler keeps everything in the shared SRAM ("sram"). This pass gives every group that reads
 * weights a scratchpad, for good: in turn, in the order in which the groups begin, so that the parts
 * of a linear layer, which begin one after the other, lie in different ones. With its tiles of
 * weights (and their scales) the group is bound to the engine whose scratchpad it is.
 *
 * Tiles go straight from DRAM to the scratchpad where there is a route for that, else by way of the
 * shared SRAM: a load and a move. A load whose tiles find no room in the scratchpad beside those in
 * use at that point of program order stays in the shared SRAM, and so does one whose tiles several
 * scratchpads want.
 *
 * Activations stay in the shared SRAM where the engine reaches both. Where it does not, what a task
 * reads is moved into the scratchpad before it, and what it writes is moved out after it; where no
 * engine reaches the shared SRAM, the tasks without weights are dealt out to the scratchpads as the
 * groups are.
 *
 * What is computed and what moves between DRAM and chip is the same as before; what a fitting
 * program order needs of the shared SRAM is no more than before. */
#ifndef LS_PLACE_H
#define LS_PLACE_H

#include "workloads/dag.h"

typedef struct wl_pad {
  dag_space space;
  uint64_t capacity_B;
  bool from_dram;     /* loads may go there; else moves from the shared SRAM do */
  bool beside_shared; /* its engine reaches the shared SRAM, too */
} wl_pad;

typedef struct wl_pads {
  const wl_pad *pad;
  uint32_t n;
  bool shared; /* some engine reaches the shared SRAM */
} wl_pads;

/* The DAG with weights in scratchpads, in `a`; `in` itself where there are none (n = 0). */
dag *wl_place(dag *in, const wl_pads *pads, arena *a);

#endif
