/* estimate_apart.h - tasks and transfers that SRAM has no room for at the same time. For the bounds
 * of estimate.h alone.
 *
 * Let X be compute tasks and L transfers such that none of X runs while any of L is under way. Then
 * what at least one of X takes and what L takes of a link, or of all channels, adds up, wherever
 * they lie: attention of one block of tokens, say, and the weights of the feed-forward network of
 * another.
 *
 * A task and a transfer are apart where the rooms that are held while they run (estimate_held.h)
 * are more than the SRAM, all together: own rooms, which are theirs alone (or one depends on the
 * other), and the union of the larger of those beside.
 *
 * While a load into a room of few users runs, all is held that is held beside the first of these,
 * U, once the last of U is taken. Loads that start before that are at work with less. But their
 * users need all of U: so all of these loads have their rooms then, beside U, and in sum bring no
 * more than fits. That comes off what L takes, for all loads with the same U. And as their users'
 * start is what matters, such loads may as well be those before any task that all users come after:
 * the others are apart from that, whatever it holds.
 *
 * Tasks of the same rooms and of about the same size are one class: X and L are made of classes, in
 * the order of what they hold, and the best of these counts. */
#ifndef LS_ESTIMATE_APART_H
#define LS_ESTIMATE_APART_H

#include "sim/estimate_held.h"

/* For platforms of held_bounds. Cost: tasks and uses once, and pairs of classes: no more than a few
 * times the tasks, or it gives 0. */
double apart_s(const held *h, const platform *p, const dag *d, const uint32_t *root,
               const double *best_s, const use *uses, size_t n_uses);

#endif
