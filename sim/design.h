/* design.h - for how much SRAM a step is compiled, and so how large its tiles are.
 *
 * The compiler cuts tiles, chunks and token blocks by rules from a capacity (block.h, chunks.c). The
 * rules aim at the least traffic and at no stalls, but what tiles, loads and stores do to each other
 * in tight SRAM no rule foresees: 1 byte less can cost a fifth, and less SRAM can be faster. So the
 * capacity that the rules are given is chosen by simulation. Candidates are four steps an octave (1,
 * 1.25, 1.5 and 1.75 times a power of two) from the platform's capacity down, until one is half as
 * slow again as the best, or cannot run; right above that one, eight times finer steps. Each is compiled and simulated (closed-form executor, heft, prefetch 2) in
 * an SRAM of that size, one layer of it; the fastest is taken, the smaller one where two are equal.
 * The run itself is given no more SRAM than the step was compiled for (`sram_plan_B`, in the DAG and
 * in the report). Candidates do not depend on the capacity, so more SRAM only adds some, and never
 * makes a run of one layer slower. Two things cut this short:
 *
 *   - Up to 4 rows (decode) in SRAM that holds full pieces four times for every engine: larger tiles
 *     change nothing, so that size is the first candidate.
 *   - A first candidate within 0.5 % of the time that DRAM takes for its bytes, with nothing spilled
 *     or loaded twice, is taken at once: candidates so close count as equal.
 *
 * With --tile-bytes nothing is simulated: the candidate that moves the fewest bytes between DRAM and
 * SRAM is taken, the larger one where two move the same. The compiled DAG does not depend on
 * scheduler or prefetch. The rules' own choice for the whole SRAM stands where tiles stay between
 * steps (--resident), or the platform has scratchpads; and where no candidate can run, so that the
 * refusal names the real capacity. */
#ifndef LS_DESIGN_H
#define LS_DESIGN_H

#include "sim/platform.h"
#include "workloads/block.h"

/* Compiles for the platform; scratchpads are left to wl_place. Errors are wl_compile's. */
ERR_CHECK int design_compile(const model *m, const wl_options *o, const wl_target *t,
                             const platform *p, dag **d, arena *a, err *e);

/* The largest of `steps` even steps an octave that is no more than `bytes`; below 2 * steps: bytes.
 */
uint64_t design_step(uint64_t bytes, uint64_t steps);

#endif
