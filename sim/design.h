/* design.h - for how much SRAM a step is compiled, and so how large its tiles are.
 *
 * The compiler cuts tiles, chunks and token blocks by rules from a capacity (block.h, chunks.c). The
 * rules aim at the least traffic and at no stalls, but what tiles, loads and stores do to each other
 * in tight SRAM no rule foresees: 1 byte less can cost a fifth, and less SRAM can be faster. So the
 * capacity that the rules are given is chosen by simulation.
 *
 * Candidates are eight even steps an octave (a power of two times 1, 1.125, 1.25, ...), for up to 4
 * rows four, whatever the platform's capacity; each is compiled, and needs that much SRAM, or what
 * its tasks need one by one where that is more. One layer of it is simulated in what it needs, and in
 * up to twice that, as far as there is so much, by the closed-form executor under heft
 * with prefetch 2; the fastest is taken, the larger candidate where two are equal. The run itself
 * uses no more SRAM than where it was fastest (`sram_plan_B`, in the DAG and in the report). So more
 * SRAM only adds candidates.
 *
 * They are tried from the platform's capacity down, and not to the last:
 *
 *   - one that moves nothing twice and takes at most 1 % longer than its tasks together take of the
 *     busiest resource (a link, the engines, the channels) is taken at once: smaller tiles take
 *     no less of it;
 *   - an octave below the best so far the search ends, of small DAGs later: when 4096 tasks have been
 *     tried since; candidates that are cut alike are simulated once, the largest;
 *   - it ends, too, where a candidate's traffic alone takes longer than the best, or where one runs
 *     nowhere, because not even one task's operands fit; the last step above it is tried in four
 *     finer ones;
 *   - no further one is tried when half a million tasks have been compiled or simulated;
 *   - a step of few rows (decode) begins at what holds full pieces four times for every engine and
 *     its keys and values four times: larger tiles change nothing; that is simulated in all SRAM
 *     there is first; from there half an octave, or 2048 tasks, are tried, each in what it needs.
 *
 * At last the best and the first, if they are not the same, run once more under heft as runs have it,
 * which simulates what it plans.
 *
 * So a run of one layer takes no more than 1 % longer than in any smaller SRAM, if candidates more
 * than an octave apart do not change places; tests/test_memory.c holds it to that.
 *
 * With --tile-bytes nothing is simulated: the candidate that moves the fewest bytes between DRAM and
 * SRAM is taken, of all there are (four an octave), the larger one where two move the same; a run uses
 * all SRAM. So traffic never rises with capacity. The compiled DAG does not depend on
 * scheduler or prefetch. The rules' own choice for the whole SRAM stands where tiles stay between
 * steps (--resident), or the platform has scratchpads; and where no candidate can run, so that the
 * refusal names the real capacity. */
#ifndef LS_DESIGN_H
#define LS_DESIGN_H

#include "sim/policy.h"
#include "workloads/block.h"

/* Compiles for the platform; scratchpads are left to wl_place. Errors are wl_compile's. */
ERR_CHECK int design_compile(const model *m, const wl_options *o, const wl_target *t,
                             const platform *p, dag **d, arena *a, err *e);

/* The same in two steps, for who has one step on many platforms that differ in nothing the compiler
 * sees (sweeps): the first candidate, which depends on the target alone; and what becomes of it on
 * one platform: *d is NULL where it is taken. `first` may be NULL: it is not there. `known`, where it
 * is not NULL, gets the simulation of `first` under heft, if there was one. */
typedef struct design_start {
  dag *dag; /* NULL: it cannot be compiled */
  uint64_t peak_B, traffic_B; /* wl_peak_B; DRAM reads and writes */
  bool wasteless;             /* nothing is moved twice */
} design_start;
ERR_CHECK int design_first(const model *m, const wl_options *o, const wl_target *t,
                           design_start *first, arena *a, err *e);
ERR_CHECK int design_settle(const model *m, const wl_options *o, const wl_target *t,
                            const platform *p, const design_start *first, dag **d, pol_known *known,
                            arena *a, err *e);

#endif
