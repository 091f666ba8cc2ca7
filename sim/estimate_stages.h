/* estimate_stages.h - stages: what must follow one after another in every schedule. For the bounds
 * of estimate.h alone.
 *
 * A cut parts the compute tasks (but for those that no compute task follows) by their ids: every
 * one behind it depends on every one before it. So no task of a stage starts before the stage
 * before it has ended, and what a stage takes at least adds up. A transformer block has a cut
 * before and after its norms, as a norm needs all columns, and a linear layer all rows.
 *
 * A task is fixed where it lies between its stage's two cuts in every schedule. What only loads are
 * before is not: it may be loaded ahead, as far as SRAM has room; its stage is that of the first
 * task that needs it. What no compute task follows is fixed in the last stage where it depends on
 * that, and has no stage otherwise. */
#ifndef LS_ESTIMATE_STAGES_H
#define LS_ESTIMATE_STAGES_H

#include "sim/estimate_around.h"

struct held; /* estimate_held.h */

#define STAGE_NONE UINT32_MAX

typedef struct stages {
  uint32_t n;
  uint32_t *of;               /* by task */
  bool *fixed;                /* by task */
  double *before_s, *after_s; /* fixed tasks, and after_s what they wait for: the longest chain
                                 before and after the task within its stage */
} stages;

/* Cost: tasks and deps, a few times each. */
stages stages_find(const dag *d, const double *best_s, arena *a);

/* What SRAM's capacity means for stages; for platforms with one SRAM. */
typedef struct stage_room {
  double *least_s;  /* by stage: it takes at least that long */
  uint64_t *held_B; /* by stage: what SRAM holds when it ends, without loads of later stages */
} stage_room;

/* A room (buffer) is held from the start of its first writer to the end of its last user. So of a
 * stage that takes D seconds, with capacity C left beside the rooms held from before to after it:
 *   sum over rooms of bytes * seconds <= C * D
 * with the least time that each is held in the stage. Loads may begin before the stage, side by
 * side, which takes no more than the longest of them off D. Instead of bytes / C, any function f of
 * it holds that is at most 1 in sum wherever the bytes fit: f_k(x) = floor((k + 1) x) / k, or x
 * where (k + 1) x is whole (Fekete, Schepers 2001): what fits twice but not three times counts a
 * half. */
stage_room stages_room(const stages *s, const platform *p, const dag *d, const double *best_s,
                       const uint32_t *root, arena *a);

/* f_k of bytes / capacity, k < ROOM_SHARES; k = 0: that itself. f_k multiplies bytes by k + 1: an
 * SRAM of ROOM_MOST_B bounds nothing. */
enum { ROOM_SHARES = 9 };
#define ROOM_MOST_B 0x1p59
double room_share(uint64_t bytes, uint64_t capacity, uint64_t k);

/* When stages begin, counted from the start, and what follows when they have ended, at least. A
 * stage takes the largest of its chains; each resource's around_end over its fixed tasks; what SRAM
 * makes it take; k + 1 groups in sequence, the smallest such of the k * engines + 1 largest, for
 * any k: one engine has them. And between any two cuts all that is used of a link there takes its
 * time, without what may have been loaded before the first of them: what SRAM has room for beside
 * what it holds then.
 *
 * `h`: as held_find finds it; NULL where held_bounds is false.
 *
 * Fills, by task, the least time before its start and after its end (heads and tails); returns the
 * least time of all. */
double stages_times(const stages *s, const platform *p, const dag *d, const double *best_s,
                    const uint32_t *root, const struct held *h, const use *uses, size_t n_uses,
                    double *head_s, double *tail_s);

#endif
