/* design.h - for how much SRAM a step is compiled, and so how large its tiles are.
 *
 * The compiler cuts tiles, chunks and token blocks by rules from a capacity (block.h, chunks.c). The
 * rules aim at the least traffic and at no stalls, but what tiles, loads and stores do to each other
 * in tight SRAM no rule foresees: 1 byte less can cost a fifth, and less SRAM can be faster. So the
 * capacity that the rules are given is chosen by simulation. Candidates are the platform's capacity
 * rounded down to eight steps an octave (1, 1.125, .. 1.875 times a power of two), and the steps
 * below it. Each is compiled and simulated (closed-form executor, heft, prefetch 2) in an SRAM of
 * that size, one layer of it; the fastest is taken, the smaller one where two are equal. The run
 * itself is given no more SRAM than the step was compiled for (`sram_plan_B`, in the DAG and in the
 * report). More SRAM therefore only adds candidates, and never makes a run of one layer slower, as
 * long as the best is among those looked at: an octave, and further down while the best is among
 * the last three. Two things cut this short:
 *
 *   - Up to 4 rows (decode) in SRAM that holds full pieces four times for every engine: larger tiles
 *     change nothing, so that size is the first candidate.
 *   - A first candidate within 0.3 % of its lower bound, with nothing spilled or loaded twice, is
 *     taken at once: candidates so close count as equal.
 *   - With --tile-bytes nothing is simulated: the candidate of two octaves and a half that moves the
 *     fewest bytes between DRAM and SRAM is taken, the larger one where two move the same.
 *
 * The compiled DAG does not depend on scheduler or prefetch. The rules' own choice for the whole
 * SRAM stands, and nothing is simulated, where tiles stay between steps (--resident), or the platform
 * has scratchpads; and where no candidate can run, so that the refusal names the real capacity. */
#ifndef LS_DESIGN_H
#define LS_DESIGN_H

#include "sim/platform.h"
#include "workloads/block.h"

/* Compiles for the platform; scratchpads are left to wl_place. Errors are wl_compile's. */
ERR_CHECK int design_compile(const model *m, const wl_options *o, const wl_target *t,
                             const platform *p, dag **d, arena *a, err *e);

/* The largest step that is no more than `bytes` (0 below 1), and the one before a step. */
uint64_t design_step(uint64_t bytes);
uint64_t design_before(uint64_t step);

#endif
