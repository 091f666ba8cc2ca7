/* estimate_held.h - what SRAM's capacity makes a whole DAG take. For the bounds of estimate.h
 * alone.
 *
 * While a task runs, some rooms (buffers) are held in every schedule: those that it touches, and
 * those that a task before it in every schedule has touched and a task after it will. Rooms whose
 * users follow one another directly, few of them, are own rooms: their users' alone, of whom one
 * runs at a time. Of a task with `own` bytes of these and `beside` bytes of the others, that are
 * held while it runs, in capacity C, let
 *   x = own / (C - beside)
 * Then of tasks that run at the same time the x sum to no more than 1: all their own rooms, which
 * are apart, and the union of what is held beside them, U >= beside of each, lie in C, so
 *   sum of x <= sum of own / (C - U) <= 1
 * So sum over tasks of x * seconds is a lower bound, and so it is with f(x) instead of x for every
 * f that is at most 1 in sum wherever the x are (room_share in estimate_stages.h): tasks of which
 * no two fit at once follow one another.
 *
 * And loads follow tasks: while a task runs with less than some size left beside its own rooms and
 * what is held, no load of that size or more into an own room of others is under way. So what such
 * tasks take by the above and what such loads take of a link, or of all channels, adds up. */
#ifndef LS_ESTIMATE_HELD_H
#define LS_ESTIMATE_HELD_H

#include "sim/estimate_around.h"

typedef enum held_kind { HELD_NONE, HELD_OWN, HELD_FED, HELD_BESIDE } held_kind;

enum { HELD_BESIDES = 6 }; /* told apart by task */

typedef struct held {
  uint64_t *own_B, *beside_B; /* by task */
  uint64_t *fed_B;            /* by task: of beside_B, what is fed rooms */
  uint32_t *besides; /* by task, HELD_BESIDES each: the largest rooms held beside it, but for fed
                        ones, the largest first; UINT32_MAX: no more */
  uint64_t *bytes;   /* by room, as the next two */
  uint8_t *kind;     /* held_kind */
  uint64_t *first;   /* its users are user[first[r] .. first[r + 1] - 1], in id order */
  uint32_t *user;
} held;

/* `root`: by tensor, the first of those that share its room (dag_room_roots). Cost: tasks and deps
 * a few times, and a budget of as many again for rooms with users far apart: those beyond it count
 * only for the tasks that touch them. */
held held_find(const dag *d, const uint32_t *root, uint64_t capacity_B, arena *a);

/* These bounds are for platforms with one SRAM. */
bool held_bounds(const platform *p);

/* The largest of these bounds, the first with the least times before and after the tasks around it;
 * 0 where held_bounds is false. */
double held_s(const held *h, const platform *p, const dag *d, const double *best_s,
              const double *head_s, const double *tail_s, const use *uses, size_t n_uses);

#endif
