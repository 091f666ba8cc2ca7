/* The DAG executor against the straight-line reference: every split, attention, fusion, phase,
 * batch, engine count and SRAM size; orders; dtypes; and what it must refuse. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/exec_numeric.h"
#include "tests/dx_rig.h"
#include "tests/fixture.h"
#include "tests/numeric.h"
#include "tests/suite.h"

static arena mem;
static err fault;
static model m;

static void setup(void) {
  mem = (arena){0};
  fault = (err){0};
  m = rig_model(true, &mem);
}

static void teardown(void) {
  arena_free(&mem);
}

/* ---- what runs --------------------------------------------------------------------------------
 */

static const struct {
  const char *phase;
  uint64_t past, tokens, steps;
  bool all_only; /* a step's last row is the next one's input only where tokens are sampled */
} PHASE[] = {{"decode", 7, 1, 1, false},   {"decode", 0, 3, 2, false}, {"decode", 33, 5, 1, false},
             {"prefill", 0, 40, 1, false}, {"hybrid", 0, 1, 3, false}, {"hybrid", 0, 9, 2, true},
             {"decode", 5, 1, 3, false}};
enum { PHASES = sizeof PHASE / sizeof PHASE[0] };

static const struct {
  uint32_t engines;
  uint64_t sram_B, tile_B;
} CHIP[] = {{4, 8 << 20, 0}, {5, 60 << 10, 0}, {3, 24 << 10, 0}, {2, 1 << 20, 3000}};
enum { CHIPS = sizeof CHIP / sizeof CHIP[0] };

static wl_options options(int phase, uint64_t batch, bool all, const char *dtype_) {
  wl_options o = wl_defaults();
  o.phase = PHASE[phase].phase;
  o.past = PHASE[phase].past;
  o.tokens = PHASE[phase].tokens;
  o.steps = all && phase == 1 ? 1 : PHASE[phase].steps; /* a step samples one token */
  o.batch = batch;
  o.layers = m.num_hidden_layers;
  o.all = all;
  int status = wl_dtype_parse(dtype_, &o.weight_dtype, &o.act_dtype, &o.kv_dtype, &fault);
  ck_assert_msg(status == ERR_OK, "%s", fault.msg);
  return o;
}

enum { WAYS = WL_SPLIT_COUNT * 2 * WL_FUSE_COUNT * WL_KV_UPDATE_COUNT };

static void choose(wl_options *o, int way) {
  o->split = (wl_split)(way % WL_SPLIT_COUNT), way /= WL_SPLIT_COUNT;
  o->flash = way % 2, way /= 2;
  o->fuse = (wl_fuse)(way % WL_FUSE_COUNT), way /= WL_FUSE_COUNT;
  o->kv_update = (wl_kv_update)way;
}

static dag *compile(const wl_options *o, int chip) {
  dag *d;
  wl_target t = {.engines = CHIP[chip].engines, .sram_B = CHIP[chip].sram_B};
  ck_assert_msg(wl_compile(&m, o, &t, &d, &mem, &fault) == ERR_OK, "%s", fault.msg);
  return d;
}

static const char *name_of(const wl_options *o, int chip) {
  return arena_printf(&mem, "%s past %u tokens %u batch %u%s %s split %s %s fuse %s %s chip %d",
                      o->phase, (unsigned)o->past, (unsigned)o->tokens, (unsigned)o->batch,
                      o->all ? " all" : "", dtype_name(o->weight_dtype), wl_split_name(o->split),
                      o->flash ? "flash" : "three-pass", wl_fuse_name(o->fuse),
                      wl_kv_update_name(o->kv_update), chip);
}

/* f32 throughout: every sum of n products is off by about sqrt(n) * 2^-24 at most of what it adds
 * up; two layers and the head stay below 5e-6 of the largest value, as the golden data's own f32
 * do. */
static const double TOLERANCE_F32 = 5e-6;

START_TEST(dx_run__every_way_to_compile__yields_the_reference) {
  int phase = _i / 4;
  bool all = _i % 2;
  if (PHASE[phase].all_only && !all) return;
  wl_options o = options(phase, (uint64_t)_i % 4 / 2 + 1, all, "f32");
  rig g = rig_new(&m, &o, &mem);
  double worst = 0;
  for (int i = 0; i < WAYS * CHIPS; i++) {
    int chip = i % CHIPS;
    choose(&o, i / CHIPS);
    dag *d = compile(&o, chip);
    rig_run run;
    rig_begin(&run, &g, d);
    ck_assert_msg(dx_run(run.x, NULL, &fault) == ERR_OK, "%s: %s", name_of(&o, chip), fault.msg);
    double error = rig_error(&run, true);
    ck_assert_msg(error <= TOLERANCE_F32, "%s: error %g", name_of(&o, chip), error);
    worst = error > worst ? error : worst;
    rig_end(&run);
  }
  if (getenv("LS_SHOW") != NULL) fprintf(stderr, "%s: %g\n", name_of(&o, 0), worst);
}
END_TEST

static Suite *suite(void) {
  Suite *s = suite_create("dag_exec");
  TCase *t = tcase_create("compiled");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 120);
  tcase_add_loop_test(t, dx_run__every_way_to_compile__yields_the_reference, 0, PHASES * 4);
  suite_add_tcase(s, t);
  return s;
}

int main(void) {
  return suite_run(suite());
}
