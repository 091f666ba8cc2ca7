/* estimate_around.h - an area with heads and tails: the bound that one resource gives by itself.
 * For the bounds of estimate.h alone. */
#ifndef LS_ESTIMATE_AROUND_H
#define LS_ESTIMATE_AROUND_H

#include "sim/estimate.h"

/* A stretch of a resource's time that a task takes: not before r, for p of the whole resource, and
 * q goes on after it. */
typedef struct stretch {
  double r, p, q;
} stretch;

/* A heap of stretches, the largest q on top: ties do not matter to the result. */
typedef struct waiting {
  double q;
  stretch *of;
} waiting;

typedef struct around_space {
  stretch *spare;
  waiting *heap;
} around_space;
around_space around_space_new(size_t n, arena *a); /* for n stretches at most */

/* max over sets S of (min r + sum p + min q): the end of Jackson's preemptive schedule, which
 * always serves the largest q (Carlier 1982). Sorts and uses up the stretches. Cost: n log n. */
double around_end(stretch *s, size_t n, around_space *space);

/* All engines are one resource, all channels another, then each shared link, then for each group
 * the one engine that it runs on. */
enum { ENGINES, CHANNELS, LINKS };

typedef struct use {
  uint32_t resource, task;
  double lead_s; /* from the task's start to where it may begin to use the resource */
  double p_s;    /* of the whole resource */
} use;

#endif
