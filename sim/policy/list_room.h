/* list_room.h - SRAM's size in a list schedule: when there is room for what a task needs, and when
 * its loads flow.
 *
 * Tasks are placed in an order that fits SRAM one at a time, such as the program's. A room is held
 * from the start of the first task that touches it to the end of the last, and without end while
 * that has still to be placed. A task and the loads before it take all their rooms at once, at the
 * earliest time from which on there is room for them without end: there always is one, and the
 * plan's order by start times fits SRAM one at a time again, but for what slices of time round off.
 *
 * Loads need not follow one another in the order of placement, as those of tasks far apart in the
 * program may flow at the same time. The link's time is kept in slices, and a load takes what is
 * left of the first that it finds. */
#ifndef LS_LIST_ROOM_H
#define LS_LIST_ROOM_H

#include "sim/policy.h"

typedef struct list_room list_room;

/* `load_s`: what all loads take of the link; `all_s`: what all tasks take one after the other. */
list_room *list_room_new(const pol_input *in, double load_s, double all_s, arena *a);

/* Adds what the task takes to what is asked for. */
void list_room_ask(list_room *r, uint32_t task);

/* When there is room for all that was asked for since the last call. */
double list_room_from_s(list_room *r);

/* When a load that may begin at `from` begins and has flowed. */
double list_room_load(list_room *r, double from_s, double flow_s, double *flowed_s);

/* The task, whose inputs were put before, runs from `start_s` to `end_s`. */
void list_room_put(list_room *r, uint32_t task, double start_s, double end_s);

#endif
