/* evaluate.h - what a searching policy asks for (pol_host in policy.h): the makespan of a plan, by
 * the fluid executor, which agrees with SimGrid to 1e-9. A policy is below the executor, so whoever
 * runs it hands this in. */
#ifndef LS_EVALUATE_H
#define LS_EVALUATE_H

#include "sim/exec.h"

/* Simulates the policy, which nobody simulates for. True where it ran: then `known` says how, in
 * `a`. */
bool evaluate_policy(const dag *d, const platform *p, const policy *pol, uint32_t prefetch,
                     pol_known *known, arena *a);

/* A host's: of what in->host knows nothing is simulated again. */
double evaluate_plan(void *self, const pol_input *in, const pol_plan *plan, pol_event *events);
double evaluate_record(void *self, const pol_input *in, const policy *p, pol_plan *plan);

/* A host with both; its caller adds progress and say, and what is known already. */
pol_host evaluate_host(uint64_t budget);

#endif
