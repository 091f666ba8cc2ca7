/* queues.h - for dynamic policies that keep a queue of ready tasks an engine. A group whose first
 * task an engine took is that engine's: its ready tasks move to it at once, and later ones are
 * added to it, whatever the caller says. Within an engine tasks leave in the order in which they
 * came. Everything costs the same however long queues are, but for q_steal where engines reach
 * different SRAMs. */
#ifndef LS_QUEUES_H
#define LS_QUEUES_H

#include "sim/policy.h"

typedef struct queues queues;

queues *queues_new(const pol_input *in, arena *a);

/* The engine that the task must go to, or POL_ANY. */
uint32_t queues_bound(const queues *q, uint32_t task);

/* Adds a ready task to the engine's queue, which must be able to run it (or to that of its group's
 * engine). */
void queues_add(queues *q, uint32_t task, uint32_t engine);

/* The engine's oldest task, or POL_NONE. */
uint32_t queues_oldest(const queues *q, uint32_t engine);

/* The newest task in `from`'s queue that `engine` may run and that is not bound, or POL_NONE. */
uint32_t queues_newest_free(const queues *q, uint32_t from, uint32_t engine);

/* The task, queued or not, is that engine's now: leaves its queue, and its group is bound. */
void queues_take(queues *q, uint32_t task, uint32_t engine);

#endif
