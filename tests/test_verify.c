/* verify, on the library's level: golden data by every way to compile, checkpoints of several
 * formats, schedules, and what else must be seen. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/platform_xml.h"
#include "sim/policy.h"
#include "tests/numeric.h"
#include "tests/suite.h"
#include "tests/verify_rig.h"

static bool ends(const char *s, const char *with) {
  size_t n = strlen(s), k = strlen(with);
  return n >= k && strcmp(s + n - k, with) == 0;
}

/* ---- golden data ------------------------------------------------------------------------------
 */

START_TEST(verify__seeded_golden_models__every_point_and_token) {
  int i = _i % VR_MODELS;
  bool decode = _i / VR_MODELS;
  vr_load(i);
  wl_options o = vr_options(decode ? "decode" : "hybrid", VR_T - VR_PROMPT);
  verify v;
  verify_table t[2];
  vr_run(&v, i, &o);
  vr_compare(&v, &t[0], &t[1]);
  for (int k = 0; k < 2; k++) {
    ck_assert_uint_eq(vr_all_near(&t[k], t[k].with), 0);
    ck_assert_uint_eq(t[k].n, 20 * m.num_hidden_layers + 3);
    ck_assert_uint_eq(t[k].tokens, decode ? VR_T : VR_T - VR_PROMPT + 1);
    for (size_t p = 0; p < t[k].n; p++) {
      const verify_line *l = &t[k].line[p];
      bool head = !decode && (ends(l->name, "final_norm") || ends(l->name, "logits"));
      ck_assert_msg(l->rows == (head ? VR_T - VR_PROMPT + 1 : l->of), "%s: %u rows", l->name,
                    (unsigned)l->rows);
    }
  }
  for (int p = VR_PROMPT; p < VR_T; p++) ck_assert_uint_eq(v.ids[p], acts.ids[p]);
  verify_free(&v);
}
END_TEST

START_TEST(verify__every_way_to_compile__within_tolerance) {
  static const char *const PHASE[] = {"hybrid", "decode", "prefill"};
  static const char *const SRAM[] = {"sram.capacity=8MiB", "sram.capacity=64KiB"};
  vr_load(VR_PLAIN);
  wl_options o = vr_options(PHASE[_i], 1);
  if (_i == 2) o.steps = 1;
  for (int way = 0; way < WL_SPLIT_COUNT * 2 * WL_KV_UPDATE_COUNT * 2; way++) {
    int w = way;
    o.split = (wl_split)(w % WL_SPLIT_COUNT), w /= WL_SPLIT_COUNT;
    o.flash = w % 2, w /= 2;
    o.kv_update = (wl_kv_update)(w % WL_KV_UPDATE_COUNT), w /= WL_KV_UPDATE_COUNT;
    vr_ok(plat_set(&chip, SRAM[w], &mem, &fault));
    verify v;
    verify_table t[2];
    vr_run(&v, VR_PLAIN, &o);
    vr_compare(&v, &t[0], &t[1]);
    const char *name =
        arena_printf(&mem, "%s split %s%s %s %s", o.phase, wl_split_name(o.split),
                     o.flash ? " flash" : "", wl_kv_update_name(o.kv_update), SRAM[w]);
    for (int k = 0; k < 2; k++) {
      size_t absent = vr_all_near(&t[k], name);
      ck_assert_msg(absent == (o.flash ? 5 * m.num_hidden_layers : 0), "%s: %zu absent", name,
                    absent);
    }
    verify_free(&v);
  }
}
END_TEST

START_TEST(verify__fused__lacks_what_is_inside_tasks) {
  vr_load(VR_PLAIN);
  wl_options o = vr_options("prefill", 1);
  o.fuse = WL_FUSE_ALL;
  static const char *const INSIDE[] = {"o_proj", "up", "down"};
  verify v;
  verify_table t;
  vr_run(&v, VR_PLAIN, &o);
  vr_ok(verify_reference(&v, &t, &fault));
  vr_all_near(&t, "fused");
  for (int i = 0; i < 3; i++) {
    const char *name = arena_printf(&mem, "L1.%s", INSIDE[i]);
    ck_assert_int_eq(vr_line(&t, name)->verdict, VERIFY_ABSENT);
  }
  out *text = out_memory();
  verify_print(&t, text);
  size_t len;
  ck_assert_ptr_nonnull(strstr(out_text(text, &len), "not computed by this DAG"));
  out_abort(text);
  ck_assert_int_eq(vr_line(&t, "L1.silu_mul")->verdict, VERIFY_PASS);
  ck_assert_int_eq(vr_line(&t, "L1.resid2")->verdict, VERIFY_PASS);
  verify_free(&v);
}
END_TEST

/* Cached rows come from the reference, in either layout; layers alone take embeddings. */
START_TEST(verify__cached_past_and_single_layers__within_tolerance) {
  vr_load(VR_L32);
  for (int way = 0; way < 8; way++) {
    wl_options o = vr_options("decode", 2);
    o.kv_update = way % 2 ? WL_SHIFT_POINTER : WL_SMART_MASK;
    o.past = way & 4 ? VR_PROMPT - 2 : VR_PROMPT - 1;
    if (way & 2) {
      o.all = false, o.forced = 0, o.layers = 2, o.first_layer = 1;
      o.tokens = VR_PROMPT - o.past, o.steps = 2;
    } else {
      o.forced = VR_PROMPT - o.past, o.steps = o.forced + 2;
    }
    verify v;
    verify_table t;
    vr_run(&v, VR_L32, &o);
    vr_ok(verify_reference(&v, &t, &fault));
    vr_all_near(&t, way & 2 ? "layers" : "all");
    ck_assert_uint_eq(vr_line(&t, "L2.resid2")->rows, v.points->T - o.past);
    verify_free(&v);
  }
}
END_TEST

/* ---- checkpoints ------------------------------------------------------------------------------
 */

static const struct {
  const char *path, *variant;
  dtype stored;
} FILES[] = {{"tiny-gqa-plain-bf16", "hf-bf16", DT_BF16},
             {"pth", "hf-f16", DT_F16},
             {"tiny-gqa-plain.q8_0.gguf", "gguf-q8_0", DT_F32},
             {"tiny-gqa-plain.q4_0.gguf", "gguf-q4_0", DT_F32},
             {"tiny-gqa-plain.v2q80.bin", "l2c-q80", DT_F32}};
enum { N_FILES = sizeof FILES / sizeof FILES[0] };

/* The weights as stored (of quantised ones, the values that they stand for), activations in f32:
 * logits over the golden ids, given one by one, are those of f64 on the same values. */
START_TEST(verify__checkpoint__logits_of_its_variant) {
  vr_load(VR_PLAIN);
  golden variants = num_load("tiny-gqa-plain/logits_variants", &mem);
  ckpt ck;
  const char *path = arena_printf(&mem, "%s/fixtures/%s", TESTS_DIR, FILES[_i].path);
  if (strcmp(FILES[_i].path, "pth") == 0)
    path = arena_printf(&mem, "%s/tiny-gqa-plain-f16.pth", path);
  vr_ok(ckpt_open(path, &ck, &fault));
  wl_options o = vr_options("decode", 1);
  o.forced = VR_T, o.steps = VR_T;
  o.weight_dtype = source_dtype(&ck.model, &ck);
  ck_assert_int_eq(o.weight_dtype, FILES[_i].stored);
  verify v;
  verify_table t[2];
  verify_input in = {.m = &ck.model, .o = &o, .ids = acts.ids, .n = VR_T};
  m = ck.model;
  in.d = vr_compile(&o);
  in.weights = source_new(&ck.model, &ck, 0, o.weight_dtype, o.act_dtype, &mem);
  verify_init(&v, &in, 5e-6, &mem);
  vr_ok(verify_begin(&v, &fault));
  ck_assert_int_eq(vr_simulate(&v, "heft", 2).fault.status, ERR_OK);
  vr_ok(verify_reference(&v, &t[0], &fault));
  vr_ok(verify_golden(&v, &variants, FILES[_i].variant, &t[1], &fault));
  vr_all_near(&t[0], path), vr_all_near(&t[1], path);
  ck_assert_uint_eq(t[1].n, 1);
  ck_assert_uint_eq(t[1].line[0].rows, VR_T);
  ck_assert_uint_eq(t[1].tokens, VR_T);
  verify_free(&v);
  ckpt_close(&ck);
}
END_TEST

/* head_dim that is not hidden / heads, eps 1e-6, llama3 scaling by 8, Q4_0, rope_freqs. */
START_TEST(verify__gguf_with_odd_heads__within_tolerance) {
  vr_load(VR_PLAIN);
  ckpt ck;
  vr_ok(ckpt_open(arena_printf(&mem, "%s/fixtures/tiny-hd32.q4_0.gguf", TESTS_DIR), &ck, &fault));
  m = ck.model;
  wl_options o = vr_options("hybrid", 3);
  verify v;
  verify_table t;
  vr_begin(&v, vr_compile(&o), &o, source_new(&m, &ck, 0, DT_F32, DT_F32, &mem));
  ck_assert_int_eq(vr_simulate(&v, "heft", 2).fault.status, ERR_OK);
  vr_ok(verify_reference(&v, &t, &fault));
  ck_assert_uint_eq(vr_all_near(&t, "tiny-hd32"), 0);
  verify_free(&v);
  ckpt_close(&ck);
}
END_TEST

/* Coarser dtypes within theirs, and not by chance: a hundredth of it is too little. */
START_TEST(verify__dtypes__within_their_tolerance_and_not_far_below) {
  static const char *const DTYPE[] = {"f16", "bf16", "int8", "w8a16", "w4a16"};
  vr_load(VR_L32);
  wl_options o = vr_options("hybrid", 1);
  vr_ok(wl_dtype_parse(DTYPE[_i], &o.weight_dtype, &o.act_dtype, &o.kv_dtype, &fault));
  verify v;
  verify_table t;
  vr_run(&v, VR_L32, &o);
  vr_ok(verify_reference(&v, &t, &fault));
  ck_assert_msg(verify_passed(&t), "%s: %s", DTYPE[_i], verify_fault(&t, &mem));
  double worst = 0;
  for (size_t i = 0; i < t.n; i++) worst = fmax(worst, t.line[i].max_d / t.line[i].max_ref);
  ck_assert_double_gt(worst, verify_tolerance(&o) / 100);
  verify_free(&v);
}
END_TEST

/* ---- the order does not matter ----------------------------------------------------------------
 */

static void same_bits(const verify *a, const verify *b, const char *what) {
  ck_assert_uint_eq(a->points->n, b->points->n);
  for (size_t i = 0; i < a->points->n; i++) {
    const points_array *x = &a->points->at[i], *y = &b->points->at[i];
    ck_assert_ptr_nonnull(x->x);
    ck_assert_msg(memcmp(x->x, y->x, x->rows * x->width * sizeof *x->x) == 0, "%s: %s differs",
                  what, x->name);
  }
}

START_TEST(verify__any_schedule__same_bits) {
  static const char *const SET[] = {
      "engines=1",      "engines=3",       "sram.capacity=192KiB", "dram.bandwidth=1GBps",
      "dma.channels=5", "engine.speed=1Gf"};
  vr_load(VR_PLAIN);
  wl_options o = vr_options("hybrid", 2);
  o.split = WL_OP;
  verify first;
  vr_run(&first, VR_PLAIN, &o);
  for (size_t set = 0; set < sizeof SET / sizeof SET[0]; set++) {
    vr_ok(plat_load("npu4", &chip, &mem, &fault));
    vr_ok(plat_set(&chip, SET[set], &mem, &fault));
    for (size_t p = 0; p < pol_count(); p++) {
      verify v;
      vr_begin(&v, vr_compile(&o), &o, vr_seeded(VR_PLAIN, &o));
      exec_numeric n = vr_simulate(&v, pol_at(p)->name, (uint32_t)(p + set) % 4 * 3);
      ck_assert_msg(n.fault.status == ERR_OK, "%s", n.fault.msg);
      same_bits(&first, &v, arena_printf(&mem, "%s, %s", SET[set], pol_at(p)->name));
      verify_free(&v);
    }
  }
  verify_free(&first);
}
END_TEST

#ifdef TESTS_WITH_SIMGRID
START_TEST(verify__in_simgrid__within_tolerance) {
  vr_load(VR_MHA);
  wl_options o = vr_options("hybrid", VR_T - VR_PROMPT);
  verify v;
  verify_table t[2];
  vr_begin(&v, vr_compile(&o), &o, vr_seeded(VR_MHA, &o));
  exec_numeric n = {.x = v.x};
  observer obs = exec_numeric_observer(&n);
  machine_options opt = {.prefetch = 2};
  vr_ok(exec_simgrid(v.in.d, &chip, pol_find("eager"), &opt, &obs, &mem, &fault));
  ck_assert_int_eq(n.fault.status, ERR_OK);
  vr_compare(&v, &t[0], &t[1]);
  ck_assert_uint_eq(vr_all_near(&t[0], "reference") + vr_all_near(&t[1], "golden"), 0);
  verify_free(&v);
}
END_TEST
#endif

/* ---- what else must be seen -------------------------------------------------------------------
 */

/* A single value that is off, or no number, in what was collected. */
START_TEST(verify__a_wrong_value__fails_where_it_is) {
  vr_load(VR_PLAIN);
  wl_options o = vr_options("hybrid", 1);
  verify v;
  verify_table t;
  vr_run(&v, VR_PLAIN, &o);
  points_array *x = (points_array *)points_find(v.points, "L1.softmax_prob");
  float *one = x->x + (3 * v.points->T + 7) * v.points->T + 5; /* head 3, row 7, key 5 */
  *one = _i ? NAN : *one + 0.001f;
  vr_ok(verify_reference(&v, &t, &fault));
  const char *text = verify_fault(&t, &mem);
  ck_assert_msg(strstr(text, "'L1.softmax_prob' is the first") != NULL, "%s", text);
  ck_assert_msg(strstr(text, "at [3,7,5] got") != NULL, "%s", text);
  ck_assert_int_eq(vr_line(&t, "L1.attn_out")->verdict, VERIFY_PASS);
  verify_free(&v);
}
END_TEST

/* Logits that are right, of which another one was chosen. */
START_TEST(verify__a_wrong_token__fails_with_its_position) {
  vr_load(VR_PLAIN);
  wl_options o = vr_options("prefill", 1);
  verify v;
  verify_table t;
  vr_run(&v, VR_PLAIN, &o);
  vr_ok(verify_reference(&v, &t, &fault));
  ck_assert_uint_eq(v.ids[VR_PROMPT], acts.ids[VR_PROMPT]);
  v.ids[VR_PROMPT] = 7;
  vr_ok(verify_golden(&v, &acts, NULL, &t, &fault));
  ck_assert(!verify_passed(&t));
  ck_assert_int_eq(vr_line(&t, "logits")->verdict, VERIFY_PASS);
  const char *want = arena_printf(&mem,
                                  "the greedy token at position 12 differs from %s: got 7, "
                                  "want %u",
                                  acts.stem, acts.ids[VR_PROMPT]);
  ck_assert_str_eq(verify_fault(&t, &mem), want);
  verify_free(&v);
}
END_TEST

START_TEST(verify_golden__other_ids_shapes_or_names__refused) {
  vr_load(VR_PLAIN);
  wl_options o = vr_options("prefill", 1);
  verify v;
  verify_table t;
  vr_run(&v, VR_PLAIN, &o);
  vr_ok(verify_reference(&v, &t, &fault));
  golden other = num_load("tiny-mha/acts", &mem);
  ck_assert_int_eq(verify_golden(&v, &other, NULL, &t, &fault), ERR_BAD);
  ck_assert_ptr_nonnull(strstr(fault.msg, "has not the shape of that point"));
  fault = (err){0};
  golden units = num_load("units", &mem);
  ck_assert_int_eq(verify_golden(&v, &units, NULL, &t, &fault), ERR_BAD);
  ck_assert_ptr_nonnull(strstr(fault.msg, "no array there is a point of this run"));
  fault = (err){0};
  acts.ids = memcpy(ARENA_NEW(&mem, uint32_t, VR_T), acts.ids, VR_T * sizeof *acts.ids);
  acts.ids[0]++;
  ck_assert_int_eq(verify_golden(&v, &acts, NULL, &t, &fault), ERR_BAD);
  ck_assert_ptr_nonnull(strstr(fault.msg, "is of other token ids"));
  fault = (err){0};
  /* from the fifth id on other ones: the rows before it count */
  acts.ids[0]--, acts.ids[5]++;
  vr_ok(verify_golden(&v, &acts, NULL, &t, &fault));
  ck_assert_uint_eq(vr_line(&t, "L0.q")->rows, 5);
  ck_assert_uint_eq(vr_line(&t, "logits")->rows, 0);
  verify_free(&v);
}
END_TEST

START_TEST(verify_begin__id_beyond_the_vocabulary__refused) {
  vr_load(VR_PLAIN);
  wl_options o = vr_options("prefill", 1);
  verify v;
  acts.ids[3] = 320;
  verify_input in = {.m = &m, .d = vr_compile(&o), .o = &o, .ids = acts.ids, .n = VR_PROMPT};
  in.weights = vr_seeded(VR_PLAIN, &o);
  verify_init(&v, &in, 5e-6, &mem);
  ck_assert_int_eq(verify_begin(&v, &fault), ERR_BAD);
  ck_assert_str_eq(fault.msg,
                   "token 3: id is 320; the vocabulary of 'tiny-gqa-plain' has ids 0 to 319");
  verify_free(&v);
}
END_TEST

/* What is dumped reads back as golden data that the run equals to the bit; "@lastN" arrays are the
 * last rows. */
START_TEST(verify_dump__read_back__equal) {
  char stem[] = "/tmp/llamasim-verify-XXXXXX";
  ck_assert_int_ge(mkstemp(stem), 0);
  vr_load(VR_PLAIN);
  wl_options o = vr_options("decode", 1);
  verify v;
  verify_table t;
  golden g;
  vr_run(&v, VR_PLAIN, &o);
  vr_ok(verify_reference(&v, &t, &fault));
  vr_ok(verify_dump(&v, stem, &fault));
  vr_ok(golden_read(stem, &g, &mem, &fault));
  ck_assert_uint_eq(g.n, v.points->n);
  vr_ok(verify_golden(&v, &g, NULL, &t, &fault));
  for (size_t i = 0; i < t.n; i++) ck_assert_double_eq(t.line[i].max_d, 0);
  golden_array *q = (golden_array *)golden_find(&g, "L1.q");
  q->name = "L1.q@last6";
  q->data += (q->dim[0] - 6) * q->dim[1] * sizeof(float);
  q->count = 6 * q->dim[1], q->dim[0] = 6;
  vr_ok(verify_golden(&v, &g, NULL, &t, &fault));
  ck_assert_double_eq(vr_line(&t, "L1.q")->max_d, 0);
  ck_assert_uint_eq(vr_line(&t, "L1.q")->rows, 6);
  remove(stem);
  remove(arena_printf(&mem, "%s.json", stem));
  remove(arena_printf(&mem, "%s.bin", stem));
  verify_free(&v);
}
END_TEST

static Suite *suite(void) {
  Suite *s = suite_create("verify");
  TCase *t = tcase_create("golden");
  tcase_add_checked_fixture(t, vr_setup, vr_teardown);
  tcase_set_timeout(t, 180);
  tcase_add_loop_test(t, verify__seeded_golden_models__every_point_and_token, 0, 2 * VR_MODELS);
  tcase_add_loop_test(t, verify__every_way_to_compile__within_tolerance, 0, 3);
  tcase_add_test(t, verify__fused__lacks_what_is_inside_tasks);
  tcase_add_test(t, verify__cached_past_and_single_layers__within_tolerance);
  tcase_add_loop_test(t, verify__checkpoint__logits_of_its_variant, 0, N_FILES);
  tcase_add_test(t, verify__gguf_with_odd_heads__within_tolerance);
  tcase_add_loop_test(t, verify__dtypes__within_their_tolerance_and_not_far_below, 0, 5);
  tcase_add_test(t, verify__any_schedule__same_bits);
#ifdef TESTS_WITH_SIMGRID
  tcase_add_test(t, verify__in_simgrid__within_tolerance);
#endif
  tcase_add_loop_test(t, verify__a_wrong_value__fails_where_it_is, 0, 2);
  tcase_add_test(t, verify__a_wrong_token__fails_with_its_position);
  tcase_add_test(t, verify_golden__other_ids_shapes_or_names__refused);
  tcase_add_test(t, verify_begin__id_beyond_the_vocabulary__refused);
  tcase_add_test(t, verify_dump__read_back__equal);
  suite_add_tcase(s, t);
  return s;
}

int main(void) {
  return suite_run(suite());
}
