/* policy_rig.h - what tests of policies share: a policy's input made of a DAG and a platform, its
 * plan, a host that counts what it is asked, and a policy that does nothing. */
#ifndef LS_TESTS_POLICY_RIG_H
#define LS_TESTS_POLICY_RIG_H

#include "sim/policy.h"

/* Prefetch 2. `host` may be NULL. Fails the test where the DAG does not reach. */
pol_input rig_input(const dag *d, const platform *p, const pol_host *host, arena *a);

/* The plan of the policy of that name; fails the test where there is none. */
pol_plan rig_plan(const char *name, const pol_input *in, arena *a);

/* evaluate_host, and a count of its simulations. */
extern uint64_t rig_simulations;
pol_host rig_counting_host(uint64_t budget);

/* Never gives an engine anything to do: a defect, which must not look like success. */
extern const policy rig_idle;

#endif
