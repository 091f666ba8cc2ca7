/* The DAG executor against the straight-line reference: every split, attention, fusion, phase,
 * batch, engine count and SRAM size; dtypes; orders, lost dependencies, simulations. */
#include <check.h>
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

/* The small ones make attention work in chunks, long prompts go in blocks, and activations spill.
 * Scratchpads: beside the shared SRAM or fed straight from DRAM; or all that engines reach. */
static const struct {
  uint32_t engines;
  uint64_t sram_B, tile_B, pad_B;
  bool beside, from_dram;
} CHIP[] = {{4, 8 << 20, 0, 0, false, false},        {5, 60 << 10, 0, 0, false, false},
            {3, 24 << 10, 0, 0, false, false},       {2, 1 << 20, 3000, 0, false, false},
            {4, 1 << 20, 0, 64 << 10, true, false},  {3, 1 << 20, 0, 64 << 10, true, true},
            {4, 1 << 20, 0, 128 << 10, false, false}};
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
  wl_options with = *o;
  with.tile_B = CHIP[chip].tile_B;
  wl_target t = {.engines = CHIP[chip].engines, .sram_B = CHIP[chip].sram_B};
  wl_pad *pad = ARENA_NEW(&mem, wl_pad, t.engines);
  wl_pads pads = {
      .pad = pad, .n = CHIP[chip].pad_B > 0 ? t.engines : 0, .shared = CHIP[chip].beside};
  for (uint32_t i = 0; i < pads.n; i++)
    pad[i] = (wl_pad){.space = (dag_space)(DAG_SRAM + 1 + i),
                      .capacity_B = CHIP[chip].pad_B,
                      .from_dram = CHIP[chip].from_dram,
                      .beside_shared = CHIP[chip].beside};
  if (pads.n > 0) with.resident = WL_RESIDENT_NONE;
  wl_pads_target(&pads, &t);
  ck_assert_msg(wl_compile(&m, &with, &t, &d, &mem, &fault) == ERR_OK, "%s", fault.msg);
  d = wl_place(d, &pads, &mem);
  ck_assert_msg(dag_check(d, "dag", &fault) == ERR_OK, "%s", fault.msg);
  return d;
}

static const char *name_of(const wl_options *o, int chip) {
  return arena_printf(&mem, "%s past %u tokens %u batch %u%s %s split %s %s fuse %s %s chip %d",
                      o->phase, (unsigned)o->past, (unsigned)o->tokens, (unsigned)o->batch,
                      o->all ? " all" : "", dtype_name(o->weight_dtype), wl_split_name(o->split),
                      o->flash ? "flash" : "three-pass", wl_fuse_name(o->fuse),
                      wl_kv_update_name(o->kv_update), chip);
}

static double execute(const rig *g, const wl_options *o, int chip, bool ids) {
  rig_run run;
  rig_begin(&run, g, compile(o, chip));
  ck_assert_msg(dx_run(run.x, NULL, &fault) == ERR_OK, "%s: %s", name_of(o, chip), fault.msg);
  double error = rig_error(&run, ids);
  rig_end(&run);
  return error;
}

/* f32 throughout: every sum of n products is off by about sqrt(n) * 2^-24 at most of what it adds
 * up; two layers and the head stay below 5e-6 of the largest value, as the golden data's own f32
 * do. */
static const double TOLERANCE_F32 = 5e-6;

/* Under the sanitizers, which take some ten times as long, an eighth of the ways. */
#ifdef TESTS_WITH_SIMGRID
enum { EVERY = 1 };
#else
enum { EVERY = 8 };
#endif

START_TEST(dx_run__every_way_to_compile__yields_the_reference) {
  int phase = _i / 4;
  bool all = _i % 2;
  if (PHASE[phase].all_only && !all) return;
  wl_options o = options(phase, (uint64_t)_i % 4 / 2 + 1, all, "f32");
  rig g = rig_new(&m, &o, &mem);
  for (int way = 0; way < WAYS; way++) {
    int chip = (way + _i) % CHIPS; /* odd, and so is the number of ways to update and fuse */
    if ((way + _i) % EVERY != 0) continue;
    choose(&o, way);
    for (int k = 0; k < 2; k++, chip = (chip + 3) % CHIPS) {
      double error = execute(&g, &o, chip, true);
      ck_assert_msg(error <= TOLERANCE_F32, "%s: error %g", name_of(&o, chip), error);
    }
  }
}
END_TEST

/* The sample above is worth something only if it has what it is for. */
START_TEST(compile__the_chips__spill_move_and_cut_prompts) {
  bool spills = false, moves = false, blocks = false, stays = false;
  for (int i = 0; i<WAYS * CHIPS * 2; i += EVERY> 1 ? 5 : 1) {
    wl_options o = i % 2 ? options(3, 1, true, "f32") : options(6, 1, true, "f32");
    o.resident = WL_RESIDENT_ALL;
    choose(&o, i / 2 / CHIPS);
    const dag *d = compile(&o, i / 2 % CHIPS);
    uint32_t *step = ARENA_NEW(&mem, uint32_t, d->n_tensors);
    for (uint32_t k = 0; k < d->n_tasks; k++) {
      const dag_task *t = &d->tasks[k];
      spills = spills || t->op == OP_SPILL;
      moves = moves || t->op == OP_MOVE_SRAM;
      blocks = blocks || (t->name[0] == 't' && strtol(t->name + 1, NULL, 10) > 0);
      if (t->op == OP_LOAD_WEIGHT) step[dag_writes(d, t)->tensor] = t->step + 1;
      uint32_t x = dag_reads(d, t)[t->n_reads > 1].tensor;
      stays = stays || (step[x] > 0 && step[x] < t->step + 1);
    }
  }
  ck_assert_msg(spills && moves && blocks && stays, "spills %d moves %d blocks %d stays %d", spills,
                moves, blocks, stays);
}
END_TEST

START_TEST(dx_run__weights_and_cache_stay__yields_the_reference) {
  wl_options o = options(_i % 2 ? 4 : 6, 1, true, "f32");
  rig g = rig_new(&m, &o, &mem);
  for (int i = 0; i < WAYS * 2; i += EVERY) {
    choose(&o, i / 2);
    o.resident = i % 2 ? WL_RESIDENT_KV : WL_RESIDENT_ALL;
    double error = execute(&g, &o, _i / 2 * 3, true);
    ck_assert_msg(error <= TOLERANCE_F32, "%s: error %g", name_of(&o, _i / 2 * 3), error);
  }
}
END_TEST

START_TEST(dx_run__own_head__yields_the_reference) {
  m = rig_model(false, &mem);
  wl_options o = options(4, 1, true, "f32");
  rig g = rig_new(&m, &o, &mem);
  ck_assert_double_le(execute(&g, &o, 0, true), TOLERANCE_F32);
}
END_TEST

/* A file's own factors: as the reference has them, and not as without. */
START_TEST(dx_run__rope_factors__turn_by_them) {
  static const float FACTOR[8] = {1, 1.5f, 2, 3, 5, 8, 8, 8};
  wl_options o = options(2, 1, false, "f32");
  rig without = rig_new(&m, &o, &mem);
  m.rope_factors = FACTOR;
  rig g = rig_new(&m, &o, &mem);
  ck_assert_double_le(execute(&g, &o, 0, false), TOLERANCE_F32);
  ck_assert_double_ge(execute(&without, &o, 0, false), 1e-3);
}
END_TEST

/* ---- dtypes -----------------------------------------------------------------------------------
 */

/* The reference's weights are rounded as the executor's. What is left, in max|d| / max|reference|:
 *   f32 activations and cache: f32's own error, as above.
 *   16 bits: every activation is rounded by up to 2^-9 (bf16) or 2^-12 (f16) of itself; some 20
 *     roundings in a row add up as a random walk, sqrt(20) * 2^-9 = 0.009 (0.0011); scores of up
 *     to 12, rounded, change e^score by 12 * 2^-9 = 0.023 (0.003). The sum of both.
 *   int8: up to 1/254 of the largest of a row, 0.004, about as much as bf16; with inputs of linear
 *     layers rounded too, seven products a layer, twice as much at most.
 *   4 bits: 1/16 of the largest of a row, in place of 1/254: 0.06 is what a single product of such
 *     a cache is off by, and some ten of them in a row 0.2 to 0.4 (cache) or 0.6 (activations as
 * well). */
static const struct {
  const char *weight, *act, *kv;
  double tolerance;
} MIX[] = {{"bf16", "f32", "f32", 5e-6},    {"f16", "f32", "f32", 5e-6},
           {"int8", "f32", "f32", 5e-6},    {"int4", "f32", "f32", 5e-6},
           {"f32", "f32", "bf16", 0.032},   {"f32", "f32", "f16", 4.1e-3},
           {"f32", "f32", "int8", 0.032},   {"f32", "f32", "int4", 0.4},
           {"bf16", "bf16", "bf16", 0.032}, {"f16", "f16", "f16", 4.1e-3},
           {"int8", "bf16", "bf16", 0.032}, {"int4", "bf16", "bf16", 0.032},
           {"int8", "bf16", "int8", 0.064}, {"int8", "int8", "int8", 0.064},
           {"int4", "int8", "int8", 0.064}, {"int4", "int4", "int4", 0.6}};
enum { MIXES = sizeof MIX / sizeof MIX[0] };

START_TEST(dx_run__dtypes__yield_the_reference_of_such_weights) {
  for (int with = 0; with < 3; with++) { /* all layers; rows on top of a cache; a prompt */
    wl_options o = options(with == 0 ? 0 : with == 1 ? 2 : 3, 1 + (with == 1), with == 0, "f32");
    o.weight_dtype = dtype_parse(MIX[_i].weight);
    o.act_dtype = dtype_parse(MIX[_i].act);
    o.kv_dtype = dtype_parse(MIX[_i].kv);
    rig g = rig_new(&m, &o, &mem);
    for (int way = with; way < WAYS; way += 5 * EVERY) {
      choose(&o, way);
      int chip = way % CHIPS;
      double error = execute(&g, &o, chip, false);
      ck_assert_msg(error <= MIX[_i].tolerance, "%s/%s/%s %s: error %g", MIX[_i].weight,
                    MIX[_i].act, MIX[_i].kv, name_of(&o, chip), error);
    }
  }
}
END_TEST

/* ---- orders -----------------------------------------------------------------------------------
 */

/* Any order that the deps allow, chosen by chance. */
static uint32_t *some_order(const dag *d, uint64_t seed) {
  fx_random r = {seed};
  dag_succ succ = dag_successors(d, &mem);
  uint32_t *wait = ARENA_NEW(&mem, uint32_t, d->n_tasks),
           *order = ARENA_NEW(&mem, uint32_t, d->n_tasks);
  uint32_t *ready = ARENA_NEW(&mem, uint32_t, d->n_tasks);
  size_t n_ready = 0, n = 0;
  for (uint32_t t = 0; t < d->n_tasks; t++)
    if ((wait[t] = d->tasks[t].n_deps) == 0) ready[n_ready++] = t;
  while (n_ready > 0) {
    size_t k = fx_range(&r, 0, n_ready - 1);
    uint32_t t = order[n++] = ready[k];
    ready[k] = ready[--n_ready];
    for (uint64_t s = succ.first[t]; s < succ.first[t + 1]; s++)
      if (--wait[succ.succ[s]] == 0) ready[n_ready++] = succ.succ[s];
  }
  ck_assert_uint_eq(n, d->n_tasks);
  return order;
}

/* All that came out, to the bit. */
static void check_same(rig_run *run, rig_run *as, const char *what) {
  for (uint32_t s = 0; s < run->g->steps; s++) {
    size_t n = run->g->rows[s] * (run->g->o.all ? m.vocab_size : m.hidden_size);
    ck_assert_msg(memcmp(rig_got(run, s), rig_got(as, s), n * sizeof(float)) == 0,
                  "%s: other bits in step %u", what, s);
  }
}

START_TEST(dx_run__any_order__same_bits) {
  static const char *const DTYPE[] = {"f32", "bf16", "w4a8"};
  wl_options o = options(5, 1, true, DTYPE[_i]);
  rig g = rig_new(&m, &o, &mem);
  for (int way = _i; way < WAYS; way += 5 * EVERY) {
    choose(&o, way);
    dag *d = compile(&o, way % CHIPS);
    rig_run by_id;
    rig_begin(&by_id, &g, d);
    ck_assert_msg(dx_run(by_id.x, NULL, &fault) == ERR_OK, "%s", fault.msg);
    for (uint64_t seed = 0; seed < 2; seed++) {
      rig_run run;
      rig_begin(&run, &g, d);
      ck_assert_msg(dx_run(run.x, some_order(d, seed), &fault) == ERR_OK, "%s: %s",
                    name_of(&o, way % CHIPS), fault.msg);
      check_same(&run, &by_id, name_of(&o, way % CHIPS));
      rig_end(&run);
    }
    rig_end(&by_id);
  }
}
END_TEST

/* ---- dependencies lost ---- */

/* Does task t read what task u writes? */
static bool reads_of(const dag *d, uint32_t t, uint32_t u) {
  const dag_view *r = dag_reads(d, &d->tasks[t]), *w = dag_writes(d, &d->tasks[u]);
  for (uint32_t i = 0; i < d->tasks[t].n_reads; i++)
    for (uint32_t k = 0; k < d->tasks[u].n_writes; k++) {
      bool apart = r[i].tensor != w[k].tensor;
      for (int dim = 0; dim < DAG_RANK; dim++)
        apart = apart || r[i].lo[dim] + r[i].len[dim] <= w[k].lo[dim] ||
                w[k].lo[dim] + w[k].len[dim] <= r[i].lo[dim];
      if (!apart) return true;
    }
  return false;
}

/* The first task that depends on u, or n_tasks. */
static uint32_t first_dependent(const dag *d, uint32_t u) {
  for (uint32_t t = u + 1; t < d->n_tasks; t++)
    for (uint32_t i = 0; i < d->tasks[t].n_deps; i++)
      if (dag_deps(d, &d->tasks[t])[i] == u) return t;
  return (uint32_t)d->n_tasks;
}

/* Every task u is put right behind the first that depends on it, as if the dep had been lost. Where
 * that reads what u writes, it is refused, by its name; where the dep is there for order alone, the
 * run is refused or has the same bits. */
START_TEST(dx_run__a_dependency_lost__refused_or_harmless) {
  wl_options o = wl_defaults();
  o.past = 5, o.tokens = 2, o.layers = 1;
  o.weight_dtype = o.act_dtype = o.kv_dtype = DT_F32;
  o.split = _i % 2 ? WL_TILE : WL_HEAD;
  o.flash = _i / 2;
  o.fuse = _i / 2 ? WL_FUSE_ALL : WL_FUSE_NONE;
  wl_target chip = {.engines = 3, .sram_B = 40 << 10};
  rig g = rig_new(&m, &o, &mem);
  dag *d;
  ck_assert_msg(wl_compile(&m, &o, &chip, &d, &mem, &fault) == ERR_OK, "%s", fault.msg);
  rig_run good;
  rig_begin(&good, &g, d);
  ck_assert_msg(dx_run(good.x, NULL, &fault) == ERR_OK, "%s", fault.msg);
  float *want = rig_got(&good, 0);
  rig_end(&good);
  uint32_t *order = ARENA_NEW(&mem, uint32_t, d->n_tasks), caught = 0;
  for (uint32_t u = 0; u < d->n_tasks; u++) {
    uint32_t t = first_dependent(d, u);
    if (t == d->n_tasks) continue;
    for (uint32_t i = 0; i < d->n_tasks; i++) order[i] = i < u || i > t ? i : i + 1;
    order[t] = u;
    rig_run bad;
    rig_begin(&bad, &g, d);
    int status = dx_run(bad.x, order, &fault);
    const char *name = arena_printf(&mem, "task %u %s '%s' reads ", t, op_name((op)d->tasks[t].op),
                                    d->tasks[t].name);
    if (reads_of(d, t, u)) {
      ck_assert_int_eq(status, ERR_NO);
      ck_assert_msg(strncmp(fault.msg, name, strlen(name)) == 0, "'%s' is not '%s'", fault.msg,
                    name);
      caught++;
    } else if (status == ERR_OK) {
      ck_assert_mem_eq(rig_got(&bad, 0), want, g.rows[0] * m.hidden_size * sizeof *want);
    }
    fault = (err){0};
    rig_end(&bad);
  }
  ck_assert_uint_ge(caught, d->n_tasks / 2);
}
END_TEST

/* ---- in simulated order -----------------------------------------------------------------------
 */

static void simulate(fx_backend b, rig_run *run, const fx_chip *chip, const char *policy_name,
                     uint32_t prefetch) {
  platform p = fx_platform(chip, &mem);
  exec_numeric n = {.x = run->x};
  observer obs = exec_numeric_observer(&n);
  machine_options opt = {.prefetch = prefetch};
  const policy *pol = pol_find(policy_name);
  int status;
#ifdef TESTS_WITH_SIMGRID
  if (b == FX_SIMGRID)
    status = exec_simgrid(run->d, &p, pol, &opt, &obs, &mem, &fault);
  else
#endif
    status = exec_fluid(run->d, &p, pol, &opt, &obs, &mem, &fault);
  (void)b;
  const char *what =
      arena_printf(&mem, "%s, prefetch %u, %u engines", policy_name, prefetch, chip->engines);
  ck_assert_msg(status == ERR_OK, "%s: %s", what, fault.msg);
  ck_assert_msg(n.fault.status == ERR_OK, "%s: %s", what, n.fault.msg);
  ck_assert_uint_eq(n.n_done, run->d->n_tasks);
  for (uint32_t i = 0; i < run->d->n_tensors; i++) { /* nothing is held any more */
    err e = {0};
    ck_assert_int_ne(dx_give(run->x, i, &e), ERR_OK);
  }
}

/* One DAG, on 1, 2 and 5 engines, with little SRAM and much, whatever policy and prefetch: each
 * task's numbers made when it ends, in buffers that live as long as the machine holds them. A run
 * in SimGrid is one of those, the _i-th. */
START_TEST(simulated__any_policy_engines_prefetch_and_sram__same_bits) {
  bool simgrid = fx_backends > 1 && _i % 2;
  wl_options o = options(5, 1, true, "f32");
  choose(&o, _i * 5 % WAYS);
  int chip = _i % CHIPS;
  bool pads = CHIP[chip].pad_B > 0; /* one an engine: as many as were compiled for */
  rig g = rig_new(&m, &o, &mem);
  dag *d = compile(&o, chip);
  rig_run by_id;
  rig_begin(&by_id, &g, d);
  ck_assert_msg(dx_run(by_id.x, NULL, &fault) == ERR_OK, "%s", fault.msg);
  ck_assert_double_le(rig_error(&by_id, true), TOLERANCE_F32);
  static const uint32_t ENGINES[] = {1, 2, 5}, PREFETCH[] = {0, 2, 8};
  size_t n = pol_count() * 18, first = simgrid ? (size_t)_i * 7 % n : 0;
  for (size_t i = first; i < (simgrid ? first + 1 : n); i++) {
    const char *name = pol_at(i % pol_count())->name;
    size_t k = i / pol_count();
    if (k % EVERY != 0) continue;
    fx_chip c = {.engines = pads ? CHIP[chip].engines : ENGINES[k % 3],
                 .channels = 2,
                 .pad_B = CHIP[chip].pad_B,
                 .pad_from_dram = CHIP[chip].from_dram,
                 .pads_only = pads && !CHIP[chip].beside,
                 .sram_B = k / 9 == 0 ? CHIP[chip].sram_B : 64 << 20};
    rig_run run;
    rig_begin(&run, &g, d);
    simulate(simgrid ? FX_SIMGRID : FX_FLUID, &run, &c, name, PREFETCH[k / 3 % 3]);
    check_same(&run, &by_id, name);
    rig_end(&run);
  }
  rig_end(&by_id);
}
END_TEST

static Suite *suite(void) {
  Suite *s = suite_create("dag_exec");
  TCase *t = tcase_create("compiled");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 120);
  tcase_add_loop_test(t, dx_run__every_way_to_compile__yields_the_reference, 0, PHASES * 4);
  tcase_add_test(t, compile__the_chips__spill_move_and_cut_prompts);
  tcase_add_loop_test(t, dx_run__weights_and_cache_stay__yields_the_reference, 0, 4);
  tcase_add_test(t, dx_run__own_head__yields_the_reference);
  tcase_add_test(t, dx_run__rope_factors__turn_by_them);
  tcase_add_loop_test(t, dx_run__dtypes__yield_the_reference_of_such_weights, 0, MIXES);
  tcase_add_loop_test(t, dx_run__any_order__same_bits, 0, 3);
  tcase_add_loop_test(t, dx_run__a_dependency_lost__refused_or_harmless, 0, 4);
  tcase_add_loop_test(t, simulated__any_policy_engines_prefetch_and_sram__same_bits, 0, 14);
  suite_add_tcase(s, t);
  return s;
}

int main(void) {
  return suite_run(suite());
}
