/* verify of several sequences at once: each is compared by itself, in every way to compile. */
#include <check.h>
#include <string.h>

#include "sim/platform_xml.h"
#include "tests/suite.h"
#include "tests/verify_rig.h"

enum { BATCH = 3 };

/* The golden prompt, the same backwards, and the golden prompt again. */
static const uint32_t *batch_ids(void) {
  uint32_t *ids = ARENA_NEW(&mem, uint32_t, BATCH * VR_PROMPT);
  for (int s = 0; s < BATCH; s++)
    for (int i = 0; i < VR_PROMPT; i++)
      ids[s * VR_PROMPT + i] = acts.ids[s == 1 ? VR_PROMPT - 1 - i : i];
  return ids;
}

static void begin(verify *v, dag *d, const wl_options *o) {
  verify_input in = {.m = &m, .d = d, .o = o, .ids = batch_ids(), .n = VR_PROMPT};
  in.weights = vr_seeded(VR_PLAIN, o);
  verify_init(v, &in, verify_tolerance(o), &mem);
  vr_ok(verify_begin(v, &fault));
}

static wl_options options(const char *phase, uint64_t steps) {
  wl_options o = vr_options(phase, steps);
  o.batch = BATCH;
  return o;
}

/* All rows are there, and golden ids and points are those of a run alone. */
START_TEST(verify__batch__every_sequence_by_every_way) {
  static const char *const PHASE[] = {"hybrid", "decode", "prefill"};
  static const char *const SRAM[] = {"sram.capacity=8MiB", "sram.capacity=96KiB"};
  vr_load(VR_PLAIN);
  wl_options o = options(PHASE[_i], 2);
  if (_i == 2) o.steps = 1;
  for (int way = 0; way < WL_SPLIT_COUNT * 2 * WL_KV_UPDATE_COUNT * 2; way++) {
    int w = way;
    o.split = (wl_split)(w % WL_SPLIT_COUNT), w /= WL_SPLIT_COUNT;
    o.flash = w % 2, w /= 2;
    o.kv_update = (wl_kv_update)(w % WL_KV_UPDATE_COUNT), w /= WL_KV_UPDATE_COUNT;
    vr_ok(plat_set(&chip, SRAM[w], &mem, &fault));
    const char *name = arena_printf(&mem, "%s, way %d", o.phase, way);
    verify v;
    verify_table t;
    begin(&v, vr_compile(&o), &o);
    exec_numeric n = vr_simulate(&v, "heft", 2);
    ck_assert_msg(n.fault.status == ERR_OK, "%s: %s", name, n.fault.msg);
    for (uint64_t s = 0; s < BATCH; s++) {
      verify_pick(&v, s);
      vr_ok(verify_reference(&v, &t, &fault));
      ck_assert_uint_eq(vr_all_near(&t, name), o.flash ? 5 * m.num_hidden_layers : 0);
      ck_assert_uint_eq(vr_line(&t, "L1.q_rope")->rows, v.points->T);
      ck_assert_uint_eq(vr_line(&t, "L1.attn_out")->rows, v.points->T);
      ck_assert_uint_eq(t.tokens, _i == 1 ? v.points->T : v.points->T - VR_PROMPT + 1);
      ck_assert_int_eq(verify_has_golden(&v, &acts), s != 1);
      if (s == 1) continue;
      vr_ok(verify_golden(&v, &acts, NULL, &t, &fault));
      vr_all_near(&t, name);
      for (uint64_t p = VR_PROMPT; p < v.points->T; p++) ck_assert_uint_eq(v.ids[p], acts.ids[p]);
    }
    verify_free(&v);
  }
}
END_TEST

/* Cached rows, and layers alone: each sequence has its own. */
START_TEST(verify__batch_of_layers_with_a_past__within_tolerance) {
  vr_load(VR_PLAIN);
  for (int way = 0; way < 4; way++) {
    wl_options o = options(way & 1 ? "hybrid" : "decode", 3);
    o.all = false, o.forced = 0, o.layers = 1, o.first_layer = 1, o.steps = 3;
    o.kv_update = way & 2 ? WL_SHIFT_POINTER : WL_SMART_MASK;
    if (!(way & 1)) o.past = VR_PROMPT - 2, o.tokens = 2;
    verify v;
    verify_table t;
    begin(&v, vr_compile(&o), &o);
    exec_numeric n = vr_simulate(&v, "heft", 2);
    ck_assert_msg(n.fault.status == ERR_OK, "%s", n.fault.msg);
    for (uint64_t s = 0; s < BATCH; s++) {
      verify_pick(&v, s);
      vr_ok(verify_reference(&v, &t, &fault));
      vr_all_near(&t, o.phase);
      ck_assert_uint_eq(vr_line(&t, "L1.resid2")->rows, v.points->T - o.past);
    }
    verify_free(&v);
  }
}
END_TEST

/* The prompt's keys of one sequence are stored where another's belong: what follows is seen to
 * differ, in these two alone. */
START_TEST(mutation__sequences_swap_their_cache__both_fail) {
  vr_load(VR_PLAIN);
  wl_options o = options("hybrid", 2);
  dag *d = vr_compile(&o);
  for (uint32_t i = 0; i < d->n_tasks; i++) {
    dag_task *t = &d->tasks[i];
    if (t->op != OP_STORE_KV || t->step != 0) continue;
    dag_view *to = (dag_view *)dag_writes(d, t);
    const char *name = d->tensors[to->tensor].name;
    if (strncmp(name, "L0.k_cache.b", 12) != 0 || name[12] == '2') continue;
    const char *other = name[12] == '0' ? "L0.k_cache.b1" : "L0.k_cache.b0";
    for (uint32_t k = 0; k < d->n_tensors; k++)
      if (strcmp(d->tensors[k].name, other) == 0) to->tensor = k;
  }
  verify v;
  verify_table t;
  begin(&v, d, &o);
  exec_numeric n = vr_simulate(&v, "serial", 2);
  ck_assert_msg(n.fault.status == ERR_OK, "%s", n.fault.msg);
  for (uint64_t s = 0; s < BATCH; s++) {
    verify_pick(&v, s);
    vr_ok(verify_reference(&v, &t, &fault));
    ck_assert_int_eq(verify_passed(&t), s == 2);
    if (s < 2) ck_assert_ptr_nonnull(strstr(verify_fault(&t, &mem), "'L0.scores' is the first"));
  }
  verify_free(&v);
}
END_TEST

int main(void) {
  Suite *s = suite_create("verify_batch");
  TCase *t = tcase_create("batch");
  tcase_set_timeout(t, 60);
  tcase_add_checked_fixture(t, vr_setup, vr_teardown);
  tcase_add_loop_test(t, verify__batch__every_sequence_by_every_way, 0, 3);
  tcase_add_test(t, verify__batch_of_layers_with_a_past__within_tolerance);
  tcase_add_test(t, mutation__sequences_swap_their_cache__both_fail);
  suite_add_tcase(s, t);
  return suite_run(s);
}
