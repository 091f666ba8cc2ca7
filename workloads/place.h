/* place.h - a pass over a compiled DAG for chips with scratchpads: which weights live in which.
 *
 * The compiler keeps everything in the shared SRAM ("sram"). This pass gives every group that reads
 * matrices of weights a scratchpad, for good: in turn, in the order in which the groups begin, so
 * that the parts of a linear layer, which begin one after the other, lie in different ones. With
 * its tiles of weights (and their scales) the group is bound to the engine whose scratchpad it is.
 *
 * The rule: a tile goes to a scratchpad if one load brings it, if it is a matrix (the norms' few
 * bytes stay in the shared SRAM, and the norms run anywhere), if only tasks bound to that
 * scratchpad read it, and if it has room there beside the tiles in use at that point of program
 * order. wl_pads_target tells the compiler to cut pieces that have, unless scratchpads are so small
 * that pieces would suffer (wl_piece_bytes). All else stays
 * in the shared SRAM: activations, KV rows, what several scratchpads want.
 *
 * Tiles go straight from DRAM to the scratchpad where there is a route for that, else by way of the
 * shared SRAM: a load and a move. So on a chip whose engines all reach the shared SRAM, the bytes
 * that are moved are those of the matrices, each once; or none, where DRAM feeds scratchpads.
 *
 * Where the scratchpad's engine does not reach the shared SRAM, what a task reads is moved into the
 * scratchpad before it, unless the scratchpad's latest task had it there, too, and what it writes
 * is moved out after it: all operands of one task must fit a scratchpad together. Where no engine
 * reaches the shared SRAM, the tasks without matrices are dealt out to the scratchpads as the
 * groups are.
 *
 * What is computed and what moves between DRAM and chip is the same as before; what a fitting
 * program order needs of the shared SRAM is no more than before. */
#ifndef LS_PLACE_H
#define LS_PLACE_H

#include "workloads/block.h"

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

/* Tells the compiler what it must know of them, so that what it cuts fits. */
void wl_pads_target(const wl_pads *pads, wl_target *t);

/* The DAG with weights in scratchpads, in `a`; `in` itself where there are none (n = 0). */
dag *wl_place(dag *in, const wl_pads *pads, arena *a);

#endif
