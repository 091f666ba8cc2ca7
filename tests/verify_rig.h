/* verify_rig.h - what the suites of verify share: golden models with their seeded weights, a chip,
 * and runs. Every function fails the test at hand on an error. */
#ifndef LS_TESTS_VERIFY_RIG_H
#define LS_TESTS_VERIFY_RIG_H

#include "kernels/verify.h"
#include "sim/exec.h"
#include "sim/exec_numeric.h"
#include "sim/platform.h"

enum { VR_PROMPT = 12, VR_T = 20 };
enum { VR_MHA, VR_PLAIN, VR_L32, VR_MODELS };

extern arena mem;
extern err fault;
extern model m;       /* as vr_load has it */
extern golden acts;   /* its points, in f64, and ids */
extern platform chip; /* npu4 */

void vr_setup(void);
void vr_teardown(void);
void vr_ok(int status);
void vr_load(int i);

/* All layers in f32, the prompt and then `steps`, not fused. */
wl_options vr_options(const char *phase, uint64_t steps);
dag *vr_compile(const wl_options *o);
source *vr_seeded(int i, const wl_options *o);
/* The golden prompt, ready to be executed. */
void vr_begin(verify *v, dag *d, const wl_options *o, source *weights);
exec_numeric vr_simulate(const verify *v, const char *policy_name, uint32_t prefetch);
/* Compiles, simulates and executes; nothing may be refused. */
void vr_run(verify *v, int i, const wl_options *o);
/* With the reference and golden data. */
void vr_compare(verify *v, verify_table *ref, verify_table *gold);

const verify_line *vr_line(const verify_table *t, const char *name);
/* All lines within the golden data's tolerance, whatever they were given; returns how many points
 * are absent. */
size_t vr_all_near(const verify_table *t, const char *what);

#endif
