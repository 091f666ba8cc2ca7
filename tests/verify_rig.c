#include "tests/verify_rig.h"

#include <check.h>
#include <string.h>

#include "sim/platform_xml.h"
#include "sim/policy.h"
#include "tests/numeric.h"

/* Of the golden data, against what f64 yields. All points keep to it on these models and prompts
 * but e^(s - max) and its sum, where torch's own f32 is at 1.7e-5. */
static const double TOLERANCE = 5e-6, TOLERANCE_EXP = 2e-5;

static const struct {
  const char *name;
  uint64_t seed;
} MODELS[] = {{"tiny-mha", 1}, {"tiny-gqa-plain", 2}, {"tiny-gqa-l32", 3}};

arena mem;
err fault;
model m;
golden acts;
platform chip;

void vr_ok(int status) {
  ck_assert_msg(status == ERR_OK, "%s", fault.msg);
}

void vr_setup(void) {
  mem = (arena){0};
  fault = (err){0};
  vr_ok(plat_load("npu4", &chip, &mem, &fault));
}

void vr_teardown(void) {
  arena_free(&mem);
}

void vr_load(int i) {
  vr_ok(model_load(arena_printf(&mem, "%s/golden/%s/config.json", TESTS_DIR, MODELS[i].name), &m,
                   &mem, &fault));
  acts = num_load(arena_printf(&mem, "%s/acts", MODELS[i].name), &mem);
  ck_assert_uint_eq(acts.n_ids, VR_T);
}

/* ---- runs -------------------------------------------------------------------------------------
 */

wl_options vr_options(const char *phase, uint64_t steps) {
  wl_options o = wl_defaults();
  o.phase = phase;
  o.past = 0;
  o.tokens = VR_PROMPT;
  o.steps = steps;
  o.layers = m.num_hidden_layers;
  o.all = true;
  o.weight_dtype = o.act_dtype = o.kv_dtype = DT_F32;
  o.fuse = WL_FUSE_NONE;
  if (strcmp(phase, "decode") == 0) o.tokens = 1, o.forced = VR_PROMPT, o.steps = VR_PROMPT + steps;
  return o;
}

dag *vr_compile(const wl_options *o) {
  dag *d;
  wl_target t = {.engines = (uint32_t)chip.n_engines, .sram_B = (uint64_t)chip.srams[0].capacity_B};
  vr_ok(wl_compile(&m, o, &t, &d, &mem, &fault));
  vr_ok(dag_check(d, "compiled", &fault));
  return d;
}

void vr_begin(verify *v, dag *d, const wl_options *o, source *weights) {
  verify_input in = {.m = &m, .d = d, .o = o, .ids = acts.ids, .n = VR_PROMPT, .weights = weights};
  verify_init(v, &in, verify_tolerance(o), &mem);
  vr_ok(verify_begin(v, &fault));
}

source *vr_seeded(int i, const wl_options *o) {
  return source_new(&m, NULL, MODELS[i].seed, o->weight_dtype, o->act_dtype, &mem);
}

exec_numeric vr_simulate(const verify *v, const char *policy_name, uint32_t prefetch) {
  exec_numeric n = {.x = v->x};
  observer o = exec_numeric_observer(&n);
  machine_options opt = {.prefetch = prefetch};
  vr_ok(exec_fluid(v->in.d, &chip, pol_find(policy_name), &opt, &o, &mem, &fault));
  return n;
}

/* Compiles, simulates and executes; nothing may be refused. */
void vr_run(verify *v, int i, const wl_options *o) {
  vr_begin(v, vr_compile(o), o, vr_seeded(i, o));
  exec_numeric n = vr_simulate(v, "heft", 2);
  ck_assert_msg(n.fault.status == ERR_OK, "%s", n.fault.msg);
}

const verify_line *vr_line(const verify_table *t, const char *name) {
  for (size_t i = 0; i < t->n; i++)
    if (strcmp(t->line[i].name, name) == 0) return &t->line[i];
  ck_abort_msg("no line '%s'", name);
}

static bool ends(const char *s, const char *with) {
  size_t n = strlen(s), k = strlen(with);
  return n >= k && strcmp(s + n - k, with) == 0;
}

/* All lines within the golden data's tolerance, whatever they were given; returns how many points
 * are absent. */
size_t vr_all_near(const verify_table *t, const char *what) {
  size_t absent = 0;
  ck_assert_msg(verify_passed(t), "%s: %s", what, verify_fault(t, &mem));
  for (size_t i = 0; i < t->n; i++) {
    const verify_line *l = &t->line[i];
    bool exp = ends(l->name, "softmax_exp") || ends(l->name, "softmax_sum");
    absent += l->verdict == VERIFY_ABSENT;
    ck_assert_msg(l->max_d <= (exp ? TOLERANCE_EXP : TOLERANCE) * l->max_ref, "%s: %s: %g of %g",
                  what, l->name, l->max_d, l->max_ref);
  }
  return absent;
}

void vr_compare(verify *v, verify_table *ref, verify_table *gold) {
  vr_ok(verify_reference(v, ref, &fault));
  vr_ok(verify_golden(v, &acts, NULL, gold, &fault));
}
