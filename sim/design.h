/* design.h - for how much SRAM and how many engines a step is compiled, and so how large its tiles are.
 *
 * The compiler cuts tiles, chunks and token blocks by rules from a capacity (block.h, chunks.c). The
 * rules aim at the least traffic and at no stalls, but what tiles, loads and stores do to each other
 * in tight SRAM no rule foresees: 1 byte less can cost a fifth, and less SRAM can be faster. So the
 * capacity that the rules are given is chosen by simulation.
 *
 * Candidates are eight even steps an octave (a power of two times 1, 1.125, 1.25, ...), for up to 4
 * rows four, whatever the platform's capacity; each is compiled, and needs that much SRAM, or what
 * its tasks need one by one where that is more. One layer of it is simulated in what it needs, and in
 * up to twice that (long steps under op: four times), as far as there is so much, by the closed-form executor under heft
 * with prefetch 2; the fastest is taken, the larger candidate where two are equal. The run itself
 * uses no more SRAM than where it was fastest (`sram_plan_B`, in the DAG and in the report). So more
 * SRAM only adds candidates.
 *
 * They are tried from the platform's capacity down, and not to the last:
 *
 *   - one that moves nothing twice and takes at most 1 % longer than its traffic takes of the DRAM's
 *     route is taken at once; one that takes at most 1 % longer than its tasks together take of the
 *     busiest resource (a link, the engines, the channels) ends the search for smaller tiles, which
 *     take no less of it, and is taken at once where a single engine's tiles take as much;
 *   - an octave below the best so far the search ends, of small DAGs later: when 4096 tasks have been
 *     tried since; candidates that are cut alike are simulated once, the largest;
 *   - what has a lower bound (estimate.h) above the best is not simulated;
 *   - it ends, too, where a candidate's traffic alone takes longer than the best, or where one runs
 *     nowhere, because not even one task's operands fit; the last step above it is tried in four
 *     finer ones;
 *   - no further one is tried when half a million tasks have been compiled or simulated (and as many
 *     in all for the other plans below);
 *   - a step of few rows (decode) begins at what holds full pieces four times for every engine and
 *     its keys and values four times: larger tiles change nothing; that is simulated in all SRAM
 *     there is first; from there half an octave, or 2048 tasks, are tried, each in what it needs.
 *
 * That is a plan for the platform as it is. Where its first candidate is not taken at once, other
 * plans compete, and their candidates come first: four an octave, each in what it needs and in the
 * most of the above that there is, and the size that is best so far.
 *
 *   fewer engines  1, 2, 4, ... of them, then half as many more than the best, and a quarter fewer.
 *                  A piece of weights is a share of SRAM for every engine, so many engines make small
 *                  pieces, which cost a DMA setup and a stream of the activations each. Under op the
 *                  engines of the plan are no parts: only pieces and attention's rows follow from
 *                  them. `engines_plan` says how many, in the DAG and in the report, where they are fewer
 *                  than there are; a run uses all of them.
 *   room for more  beside a long step's chunks (chunks.c): two, three and four times the tiles, then one
 *                  and two tiles more than the rules leave room for; of the best plan, of one for half
 *                  its engines (op: one), and of the platform's own.
 *   op, inner      weights cut in their inner dimension as well, as under tile: engines stream less
 *                  of the activations; what follows is cut like that where it is 5 % faster.
 *   op, chunks     two and four chunks of the MLP in work instead of three, and the
 *                  other of inner, at the sizes of the best of six plans.
 *   op, blocks     then, where the step is cut in blocks of tokens, a quarter more of them, again and
 *                  again as long as that helps: less is kept, so tiles may be larger, but weights are
 *                  loaded more often.
 *   finer          of the best two within 5 % of the best: query rows that attention works on together
 *                  two thirds, half and two fifths of the rules', then tiles of weights, then blocks of
 *                  tokens, one and two quarters more, in turn as long as one of them helps. What waits
 *                  for the last of a coarse piece begins sooner, and less is held; but every piece
 *                  streams its operands again. Under head and tile blocks first, and only where the
 *                  best is over 5 % above its bound.
 *   op, heads      the same with a few KV heads at a time (all from Q to O by them), halved up to three
 *                  times.
 *
 * Of long steps under op a candidate counts for what the program's order makes of it on all engines
 * and on few (fit): whole ops wait for room, which heft's rank does not know of; small DAGs are
 * tried by rank as well. It is simulated in the most SRAM of the above, and in less where it comes
 * within 5 % of the best that way (of other plans only small DAGs); nothing cut alike is simulated twice.
 *
 * At last, unless the first is the best, the best of up to six plans within 15 % of it, what heft by rank made
 * the best of the platform's own, the first, and the best before finer ones run once more under heft
 * as runs have it, which simulates what it plans; a finer one must be 1 % faster. Where that takes over
 * 5 % longer than the arithmetic or the DRAM's traffic (not under none),
 *
 *   - under op heft looks at a few heads at a time, if they are not yet;
 *   - heft looks at plans like the best, one thing changed: heads, blocks of tokens and those in work
 *     at a time, rows, tiles' size and number; what is 1 % faster is taken, and so on, up to a million
 *     simulated tasks;
 *   - of the two fastest, if they are within 3 %, that one is taken which is faster when heft looks as
 *     long as in a run.
 *
 * And as room is tried in eighths of what a cut needs, which may leave out what there is, the next even
 * step above what was found is tried, too, and taken if it saves 2 %.
 *
 * So a run of one layer takes no more than 1 % longer than in any smaller SRAM, if candidates more
 * than an octave apart do not change places; tests/test_memory.c holds it to that. Nor does it take
 * longer on twice the engines, but for what a policy makes of the same cut on more of them, which may be some
 * per cent worse (Graham 1969); tests/test_engines.c holds it to 3 %.
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
