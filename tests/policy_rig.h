/* policy_rig.h - what tests of policies share: a policy's input made of a DAG and a platform, its
 * plan, a host that counts what it is asked, a chip with little SRAM, all of them held against the
 * lower bound, and a policy that does nothing. */
#ifndef LS_TESTS_POLICY_RIG_H
#define LS_TESTS_POLICY_RIG_H

#include "sim/policy.h"
#include "tests/fixture.h"

/* Prefetch 2. `host` may be NULL. Fails the test where the DAG does not reach. */
pol_input rig_input(const dag *d, const platform *p, const pol_host *host, arena *a);

/* The plan of the policy of that name; fails the test where there is none. */
pol_plan rig_plan(const char *name, const pol_input *in, arena *a);

/* evaluate_host, and a count of its simulations. */
extern uint64_t rig_simulations;
pol_host rig_counting_host(uint64_t budget);

/* The chip in which the program's order just runs, one task at a time, to so many parts of c.sram_B
 * (the least that is tried); and then `more` times that SRAM. */
platform rig_tight_chip(fx_chip c, const dag *d, uint64_t parts, double more, arena *a);

/* Fails the test where a policy, with some prefetch to `most`, ends before the lower bound. */
void rig_none_below_bound(const dag *d, const platform *p, uint32_t most, fx_random *r, arena *a);

/* Never gives an engine anything to do: a defect, which must not look like success. */
extern const policy rig_idle;

#endif
