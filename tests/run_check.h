/* run_check.h - what every run must satisfy, whatever was run (the simulation model's properties),
 * as read off its timeline. */
#ifndef LS_TESTS_RUN_CHECK_H
#define LS_TESTS_RUN_CHECK_H

#include "sim/timeline.h"

/* Fails the test where, on this timeline:
 * - a task did not run, started before its inputs were there, before a condition that it waited for
 *   was met, or took less time than alone on the machine
 * - two tasks of a resource overlap, a group is on two engines, a resource or link is busier than
 * the run is long, a link moved more than its bandwidth allows, an SRAM held more than it has
 * - what crossed the links is not what the tasks sent
 * - the lower bound is above the makespan, or less than one of its terms, or a term with heads and tails less than
 *   the plain one
 * - a share of the attribution is negative, or one of its divisions (by cause, op, both, resource, task) does not sum
 *   to the makespan (1e-9) */
void run_check(const timeline *tl, arena *a);

#endif
