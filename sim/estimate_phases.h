/* estimate_phases.h - what rooms of their own make a stage take. For the bounds of estimate.h
 * alone.
 *
 * As in estimate_held.h, tasks that run at the same time have x = own / (C - beside) in sum no more
 * than 1, and any of the functions f of it (room_share). Here stage by stage, each with the f that
 * is best for it, and with a fed room (a load and few others that need it, such as a tile of
 * weights that several row tasks use) as a task of its own, as long as it must be in use at least:
 *
 *   a stage takes at least   sum of f(x) * seconds - ahead - behind + last
 *
 * over its tasks and its loads. Loads, which may begin before the stage, count with what is held
 * all through it; or with what is held beside any of these tasks, which is right while one runs,
 * and while none does as long as so many loads as there are channels count 1 at most.
 *
 * ahead: what loads may have done before. Each has its room at the cut already; all these lie in
 * what is free there, so it is no more than a fractional knapsack of that size takes.
 *
 * behind: of the rooms that are held from before the stage, the largest that not all of it needs, R
 * (the normed activations that gate and up read, and down does not), counts as held beside all
 * tasks, which is right until its last user ends. A task that ends later than that and uses a room
 * that was written before that has this room then. All these lie beside R, so what counts too much
 * is no more than a knapsack of that size takes: f(x) with R beside less f(x) without it. Or, where
 * all these tasks are of one group: they run one after another then, which is no less than f(x) of
 * them, and only their loads count too much, less what the tasks count too little.
 *
 * last: and what needs the last user of R comes then in every schedule: the least that counts too
 * little of any user's. */
#ifndef LS_ESTIMATE_PHASES_H
#define LS_ESTIMATE_PHASES_H

#include "sim/estimate_held.h"
#include "sim/estimate_stages.h"

/* Raises room->least_s where this is more. For platforms of held_bounds. Cost: tasks, deps and
 * users of rooms, a few times each. */
void phases_raise(const held *h, const stages *s, const platform *p, const dag *d,
                  const double *best_s, const uint32_t *root, stage_room *room);

#endif
