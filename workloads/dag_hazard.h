/* dag_hazard.h - who writes what: the writes of a set of tasks, indexed by tensor, so that overlaps
 * are found without comparing everything with everything.
 *
 * The writes of a tensor are sorted by where they begin along the dimension that tells them apart
 * best; beside each stands the farthest end so far (`reach`). A query walks back from the last
 * write that begins before the view ends, and stops where nothing reaches the view any more.
 * Compilers cut along one dimension, so that a walk is about as long as its answer; a file made to
 * defeat this runs out of `steps` and is refused. Time is bounded whatever comes in.
 *
 * Owner: the arena given to haz_new. The views must outlive the index. */
#ifndef LS_DAG_HAZARD_H
#define LS_DAG_HAZARD_H

#include "workloads/dag.h"

typedef struct haz_write {
  const dag_view *view;
  uint32_t task;
  uint32_t order; /* place in the array given to haz_new: the last tie-break */
  uint64_t key, reach;
} haz_write;

typedef struct hazards {
  haz_write *writes; /* of tensor t: [first[t] .. first[t+1]-1] */
  size_t *first;
  uint8_t *dim; /* of tensor t: the dimension that its writes are sorted by */
  size_t n_tensors, n_writes;
  uint64_t steps; /* left, over all calls */
} hazards;

/* A write that overlaps a view, and the number of elements in both. */
typedef struct haz_hit {
  uint32_t task;
  uint64_t elements;
} haz_hit;

typedef struct haz_hits {
  haz_hit *items; /* malloced: free it */
  size_t n, cap;
} haz_hits;

typedef enum haz_verdict { HAZ_NONE, HAZ_FOUND, HAZ_TANGLED } haz_verdict;

/* `view` and `task` of each write are given; the rest is filled here. */
hazards haz_new(const haz_write *writes, size_t n, size_t n_tensors, arena *a);

/* All writes that overlap `v`, each once, in the index's order. False: out of steps. */
bool haz_query(hazards *h, const dag_view *v, haz_hits *hits);

/* Two writes that overlap, the smaller task first; or none; or HAZ_TANGLED: out of steps. Boxes are
 * separated by cuts that go through none of them, dimension by dimension; only what no cut
 * separates is compared pairwise. */
haz_verdict haz_find_double(hazards *h, haz_write pair[2]);

#endif
