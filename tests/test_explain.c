/* What-if studies: each changed run is the run by hand; effects, free ops and knees in closed form.
 * On the fluid executor; the points are processes of their own. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/explain.h"
#include "sim/platform_xml.h"
#include "tests/fixture.h"
#include "tests/report_rig.h"
#include "tests/suite.h"
#include "workloads/block.h"
#include "workloads/model.h"

static arena mem;
static err fault;

static void setup(void) {
  mem = (arena){0};
  fault = (err){0};
}

static void teardown(void) {
  arena_free(&mem);
}

static int same_dag(void *ctx, const platform *p, const dag **d, arena *a, err *e) {
  (void)p, (void)a, (void)e;
  *d = ctx;
  return ERR_OK;
}

static explain study(const platform *p, dag *d, const char *policy_name) {
  explain x;
  explain_run run = {.plat = p,
                     .dag = d,
                     .pol = pol_find(policy_name),
                     .opt = {.prefetch = 2},
                     .exec = exec_fluid,
                     .compile = same_dag,
                     .ctx = d};
  ck_assert_msg(explain_study(&run, &x, &mem, &fault) == ERR_OK, "%s", fault.msg);
  return x;
}

static const explain_knob *knob(const explain *x, const char *key, size_t *at) {
  for (*at = 0; *at < x->n_knobs; ++*at)
    if (strcmp(x->knobs[*at].key, key) == 0) return &x->knobs[*at];
  return NULL;
}

/* ---- knobs ---- */

START_TEST(explain_knobs__what_is_zero_or_unused__is_none) {
  platform p = fx_platform(&(fx_chip){.engines = 2, .setup_s = 1e-7}, &mem);
  dag *d = dag_new(&mem);
  fx_store(d, fx_load(d, 1000));
  explain_knob *k;
  size_t n = explain_knobs(&p, d, &k, &mem);
  const char *const want[] = {"dram.bandwidth", "sram.bandwidth", "port.bandwidth", "sram.capacity",
                              "dma.setup",      "dma.channels",   "engines"};
  ck_assert_uint_eq(n, sizeof want / sizeof *want);
  for (size_t i = 0; i < n; i++) ck_assert_str_eq(k[i].key, want[i]);
  ck_assert_str_eq(k[0].label, p.links[0].role == PLAT_LINK_DRAM ? p.links[0].name : k[0].label);
}
END_TEST

START_TEST(explain_assign__one_value__one_assignment_of_the_role) {
  double v[2] = {4e12, 4e12};
  const char *names[2] = {"e0", "e1"};
  explain_knob k = {.key = "engine.speed", .kind = UNITS_SPEED, .names = names, .value = v, .n = 2};
  const char **set = explain_assign(&k, 1.1, &mem);
  ck_assert_str_eq(set[0], "engine.speed=4.4Tf");
  ck_assert_ptr_null(set[1]);
}
END_TEST

START_TEST(explain_assign__values_differ__each_its_own_and_the_roles_name_first) {
  double v[3] = {1000, 2000, 3000};
  const char *names[3] = {"pad0", "sram", "pad1"};
  explain_knob k = {.key = "sram.capacity", .kind = UNITS_SIZE, .names = names, .value = v, .n = 3};
  const char **set = explain_assign(&k, 0.9, &mem);
  ck_assert_str_eq(set[0], "sram.capacity=1800");
  ck_assert_str_eq(set[1], "pad0.capacity=900");
  ck_assert_str_eq(set[2], "pad1.capacity=2700");
  ck_assert_ptr_null(set[3]);
}
END_TEST

START_TEST(explain_assign__one_less_than_one__there_is_none) {
  double v[1] = {1};
  explain_knob k = {.key = "engines", .kind = UNITS_NUMBER, .step = true, .value = v, .n = 1};
  ck_assert_ptr_null(explain_assign(&k, -1, &mem));
  ck_assert_str_eq(explain_assign(&k, 1, &mem)[0], "engines=2");
}
END_TEST

START_TEST(explain_family__forms_of_an_op__are_one) {
  ck_assert_str_eq(explain_family(OP_SOFTMAX_EXP), "softmax");
  ck_assert_str_eq(explain_family(OP_MATMUL_ACC_SILU), "MatMul");
  ck_assert_str_eq(explain_family(OP_QK), "QK");
}
END_TEST

/* ---- effects in closed form ---- */

/* Serial: a load of 1 ms and a matmul of 2 ms after another of w (0.5 ms). */
START_TEST(explain_study__one_thing_at_a_time__effects_as_on_paper) {
  platform p = fx_platform(&(fx_chip){.speed = 5e8, .setup_s = 1e-4, .overhead_s = 3e-4}, &mem);
  dag *d = dag_new(&mem);
  uint32_t w = fx_weight(d, 500, 1000);
  fx_matmul(d, fx_load(d, 1000), w, 500, 1000, DAG_NO_GROUP);
  explain x = study(&p, d, "serial");
  double flow_s = 501000 / 1e9, all_s = 2 * 1e-4 + flow_s + 3e-4 + 1e6 / 5e8;
  ck_assert_double_eq_tol(x.base.makespan_s, all_s, 1e-12);
  size_t i;
  ck_assert_ptr_nonnull(knob(&x, "dram.bandwidth", &i));
  ck_assert_double_eq_tol(x.more[i].makespan_s, all_s - flow_s + flow_s / 1.1, 1e-12);
  ck_assert_double_eq_tol(x.less[i].makespan_s, all_s - flow_s + flow_s / 0.9, 1e-12);
  ck_assert_ptr_nonnull(knob(&x, "dma.setup", &i));
  ck_assert_double_eq_tol(x.more[i].makespan_s, all_s + 2e-5, 1e-12);
  ck_assert_ptr_nonnull(knob(&x, "engine.task_overhead", &i));
  ck_assert_double_eq_tol(x.less[i].makespan_s, all_s - 3e-5, 1e-12);
  ck_assert_ptr_nonnull(knob(&x, "engine.speed", &i));
  ck_assert_double_eq_tol(x.more[i].makespan_s, all_s - 2e-3 + 2e-3 / 1.1, 1e-12);
  ck_assert_ptr_nonnull(knob(&x, "dma.channels", &i));
  ck_assert_double_eq_tol(x.more[i].makespan_s, all_s, 1e-12);
  ck_assert_ptr_null(x.less[i].set);
}
END_TEST

START_TEST(explain_study__free_ops__their_whole_time_is_gained) {
  platform p = fx_platform(&(fx_chip){.speed = 5e8, .setup_s = 1e-4, .overhead_s = 3e-4}, &mem);
  dag *d = dag_new(&mem);
  uint32_t w = fx_weight(d, 500, 1000);
  fx_matmul(d, fx_load(d, 1000), w, 500, 1000, DAG_NO_GROUP);
  explain x = study(&p, d, "serial");
  ck_assert_uint_eq(x.n_free, 2); /* loads, the matmul */
  double all_s = 0;
  for (size_t i = 0; i < x.n_free; i++) {
    ck_assert_int_eq(x.free_op[i].status, ERR_OK);
    all_s += x.base.makespan_s - x.free_op[i].makespan_s;
    if (strcmp(x.free_op[i].free_ops, "MatMul") == 0)
      ck_assert_double_eq_tol(x.free_op[i].makespan_s, 2e-4 + 501000 / 1e9, 1e-12);
  }
  ck_assert_double_eq_tol(all_s, x.base.makespan_s, 1e-12); /* one after the other: nothing else */
}
END_TEST

/* Loads of B bytes and operand streams of S bytes each cross links of their own: which one is used
 * more changes where B / bandwidth is S / bandwidth of the bus, however long the run. */
START_TEST(explain_study__two_links__the_knee_is_where_their_times_are_equal) {
  platform p = fx_platform(
      &(fx_chip){.engines = 1, .bus_Bps = 4e9, .dram_Bps = 1e9, .apart = true, .speed = 1e15},
      &mem);
  dag *d = dag_new(&mem);
  for (int i = 0; i < 8; i++)
    fx_matmul(d, OBS_NONE, fx_weight(d, 500, 1000), 500, 1000, DAG_NO_GROUP);
  double loaded = 501000, streamed = 501500;
  explain x = study(&p, d, "heft");
  ck_assert_ptr_nonnull(strstr(x.base.bound_by, "dram"));
  bool seen = false;
  for (size_t i = 0; i < x.n_knees; i++) {
    const explain_knee *k = &x.knees[i];
    double at = 4 * loaded / streamed;
    if (strcmp(k->knob->key, "dram.bandwidth") != 0) continue;
    ck_assert(k->up && k->found);
    ck_assert_double_ge(k->factor, at * (1 - 1e-5)); /* values have six digits */
    ck_assert_double_le(k->factor, at * 1.003);
    ck_assert_str_ne(k->at.bound_by, x.base.bound_by);
    seen = true;
  }
  ck_assert(seen);
}
END_TEST

/* ---- the same as by hand ---- */

typedef struct job {
  model m;
  wl_options o;
} job;

static int compile_model(void *ctx, const platform *p, const dag **d, arena *a, err *e) {
  const job *j = ctx;
  wl_target t = {.engines = (uint32_t)p->n_engines, .sram_B = (uint64_t)p->srams[0].capacity_B};
  dag *made;
  if (wl_compile(&j->m, &j->o, &t, &made, a, e)) return e->status;
  *d = made;
  return ERR_OK;
}

static double by_hand(job *j, const platform *plat, const char *const *set) {
  platform p = *plat;
  const dag *d = NULL;
  timeline *tl;
  for (; *set != NULL; set++) ck_assert_int_eq(plat_set(&p, *set, &mem, &fault), ERR_OK);
  ck_assert_int_eq(compile_model(j, &p, &d, &mem, &fault), ERR_OK);
  ck_assert_int_eq(fx_try(FX_FLUID, d, &p, "heft", 2, false, &tl, &mem, &fault), ERR_OK);
  return tl->makespan_s;
}

START_TEST(explain_study__a_model__every_point_is_the_run_by_hand) {
  job j = {.o = wl_defaults()};
  platform p;
  const dag *d = NULL;
  ck_assert_int_eq(model_load("stories15m", &j.m, &mem, &fault), ERR_OK);
  ck_assert_int_eq(plat_load(_i == 0 ? "npu4" : "npu4-sram1m", &p, &mem, &fault), ERR_OK);
  ck_assert_int_eq(compile_model(&j, &p, &d, &mem, &fault), ERR_OK);
  explain_run run = {.plat = &p,
                     .dag = d,
                     .pol = pol_find("heft"),
                     .opt = {.prefetch = 2},
                     .exec = exec_fluid,
                     .compile = compile_model,
                     .ctx = &j};
  explain x;
  ck_assert_msg(explain_study(&run, &x, &mem, &fault) == ERR_OK, "%s", fault.msg);
  ck_assert_double_eq(x.base.makespan_s, by_hand(&j, &p, (const char *const[]){NULL}));
  size_t checked = 0;
  for (size_t i = 0; i < x.n_knobs; i++)
    for (int more = 0; more < 2; more++) {
      const explain_point *pt = more ? &x.more[i] : &x.less[i];
      if (pt->set == NULL) continue;
      ck_assert_int_eq(pt->status, ERR_OK);
      ck_assert_double_eq(pt->makespan_s, by_hand(&j, &p, pt->set));
      checked++;
    }
  ck_assert_uint_ge(checked, 20);
}
END_TEST

START_TEST(explain_study__too_little_sram_when_less__says_why) {
  platform p = fx_platform(&(fx_chip){.sram_B = 1001 + 1}, &mem);
  dag *d = dag_new(&mem);
  fx_store(d, fx_load(d, 1000));
  explain x = study(&p, d, "heft");
  size_t i;
  ck_assert_ptr_nonnull(knob(&x, "sram.capacity", &i));
  ck_assert_int_eq(x.less[i].status, ERR_NO);
  ck_assert_ptr_nonnull(strstr(x.less[i].why, "short"));
  ck_assert_int_eq(x.more[i].status, ERR_OK);
}
END_TEST

START_TEST(explain_study__the_run_itself_fails__so_does_the_study) {
  platform p = fx_platform(&(fx_chip){.sram_B = 500}, &mem);
  dag *d = dag_new(&mem);
  fx_store(d, fx_load(d, 1000));
  explain x;
  explain_run run = {.plat = &p,
                     .dag = d,
                     .pol = pol_find("heft"),
                     .exec = exec_fluid,
                     .compile = same_dag,
                     .ctx = d};
  ck_assert_int_eq(explain_study(&run, &x, &mem, &fault), ERR_NO);
  ck_assert_ptr_nonnull(strstr(fault.msg, "short"));
}
END_TEST

/* ---- as text ---- */

static const char *explained(const explain *x) {
  rig *g = rig_new(1, 1);
  uint32_t load = rig_load(g, 1000), add = rig_add(g, 4000, &load, 1);
  rig_play_task(g, load, 1, 0, 3e-6, 5e-6, 5e-6);
  rig_play *p = rig_play_task(g, add, 0, 5e-6, 0, 0, 10e-6);
  p->why.ready_s = 5e-6, p->why.ready_by = load;
  rig_run(g, false);
  out *o = out_memory();
  explain_print(&g->report, x, o);
  char *text = arena_strdup(&mem, out_text(o, NULL));
  out_abort(o);
  rig_free(g);
  return text;
}

START_TEST(explain_print__effects__as_signed_percentages_and_anomalies_are_marked) {
  const char *dram[] = {"dram_bus"};
  double one[] = {1};
  explain_knob k[] = {{.label = "dram_bus",
                       .key = "dram.bandwidth",
                       .kind = UNITS_BANDWIDTH,
                       .names = dram,
                       .value = one,
                       .n = 1,
                       .rate = true},
                      {.label = "engine.speed",
                       .key = "engine.speed",
                       .kind = UNITS_SPEED,
                       .names = dram,
                       .value = one,
                       .n = 1},
                      {.label = "dma.setup",
                       .key = "dma.setup",
                       .kind = UNITS_TIME,
                       .names = dram,
                       .value = one,
                       .n = 1}};
  const char *set[] = {"dram.bandwidth=9", NULL};
#define AT(us) {.set = set, .makespan_s = (us)*1e-6}
  explain_point more[] = {AT(9.02), AT(10.1), AT(10.2)}, less[] = {AT(11.1), AT(10.001), AT(9.9)};
  explain_point softmax = {.free_ops = "softmax", .makespan_s = 9.97e-6};
  explain_knee knee = {.knob = &k[0],
                       .up = true,
                       .found = true,
                       .factor = 4,
                       .at = {.bound_by = "sram_bus", .makespan_s = 5e-6}};
  explain x = {.base = {.makespan_s = 10e-6, .bound_by = "dram_bus", .share = 0.5},
               .knobs = k,
               .more = more,
               .less = less,
               .free_op = &softmax,
               .knees = &knee,
               .n_knobs = 3,
               .n_free = 1,
               .n_knees = 1};
  const char *said = explained(&x);
  const char *const want[] = {"\n  dram_bus +10%: -9.8%, -10%: +11.0%, elasticity -1.03",
                              "--set dram.bandwidth=9\n",
                              "\n! engine.speed +10%: +1.0%, -10%: 0.0%",
                              "\n  dma.setup +10%: +2.0%, -10%: -1.0%",
                              "softmax free: -0.3%",
                              "(x4): then sram_bus, 5 us\n"};
  for (size_t i = 0; i < sizeof want / sizeof *want; i++)
    ck_assert_msg(strstr(said, want[i]) != NULL, "no '%s' in:\n%s", want[i], said);
}
END_TEST

START_TEST(explain_print__attribution__path_by_op_with_its_main_cause) {
  explain x = {.base = {.makespan_s = 10e-6, .bound_by = "dram_bus"}};
  const char *said = explained(&x);
  /* the load: 2 us of setup, then 3 us; the add: 1 us of overhead, then 4 us of arithmetic: a
   * stream of 24000 B would take longer, but none was told */
  const char *const want[] = {"DRAM transfer",
                              "30.0%         3 us",
                              "40.0%         4 us",
                              "1   50.0%         5 us   DRAM transfer",
                              "1   50.0%         5 us   vector arithmetic",
                              "e0 50.0%, dma0 50.0%"};
  for (size_t i = 0; i < sizeof want / sizeof *want; i++)
    ck_assert_msg(strstr(said, want[i]) != NULL, "no '%s' in:\n%s", want[i], said);
}
END_TEST

int main(void) {
  Suite *s = suite_create("explain");
  TCase *c = tcase_create("explain");
  tcase_set_timeout(c, 120);
  tcase_add_checked_fixture(c, setup, teardown);
  tcase_add_test(c, explain_knobs__what_is_zero_or_unused__is_none);
  tcase_add_test(c, explain_assign__one_value__one_assignment_of_the_role);
  tcase_add_test(c, explain_assign__values_differ__each_its_own_and_the_roles_name_first);
  tcase_add_test(c, explain_assign__one_less_than_one__there_is_none);
  tcase_add_test(c, explain_family__forms_of_an_op__are_one);
  tcase_add_test(c, explain_study__one_thing_at_a_time__effects_as_on_paper);
  tcase_add_test(c, explain_study__free_ops__their_whole_time_is_gained);
  tcase_add_test(c, explain_study__two_links__the_knee_is_where_their_times_are_equal);
  tcase_add_loop_test(c, explain_study__a_model__every_point_is_the_run_by_hand, 0, 2);
  tcase_add_test(c, explain_study__too_little_sram_when_less__says_why);
  tcase_add_test(c, explain_study__the_run_itself_fails__so_does_the_study);
  tcase_add_test(c, explain_print__effects__as_signed_percentages_and_anomalies_are_marked);
  tcase_add_test(c, explain_print__attribution__path_by_op_with_its_main_cause);
  suite_add_tcase(s, c);
  return suite_run(s);
}
