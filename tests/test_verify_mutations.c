/* Mutations of the DAG, the run and the weights: verify must see and name each of them. */
#include <check.h>
#include <string.h>

#include "sim/policy.h"
#include "tests/suite.h"
#include "tests/verify_rig.h"
#include "workloads/dag_room.h"

static void named(const err *e, const char *what) {
  ck_assert_int_eq(e->status, ERR_NO);
  ck_assert_msg(strstr(e->msg, what) != NULL, "'%s' does not name '%s'", e->msg, what);
}

static bool reads_from(const dag *d, uint32_t task, uint32_t dep) {
  const dag_task *t = &d->tasks[task], *w = &d->tasks[dep];
  for (uint32_t i = 0; i < t->n_reads; i++)
    for (uint32_t k = 0; k < w->n_writes; k++)
      if (dag_reads(d, t)[i].tensor == dag_writes(d, w)[k].tensor) return true;
  return false;
}

/* Marks the task and all that it depends on. */
static void mark_needed(const dag *d, uint32_t task, bool *needed) {
  needed[task] = true;
  for (uint32_t t = task + 1; t-- > 0;)
    for (uint32_t i = 0; needed[t] && i < d->tasks[t].n_deps; i++)
      needed[dag_deps(d, &d->tasks[t])[i]] = true;
}

/* Each dependency that carries data is dropped, and the task executed as early as what is left
 * allows: it is refused, with its name. */
START_TEST(mutation__drop_a_dependency__refused_with_the_task) {
  vr_load(VR_PLAIN);
  wl_options o = vr_options("prefill", 1);
  o.kv_update = _i ? WL_SHIFT_POINTER : WL_SMART_MASK;
  dag *d = vr_compile(&o);
  source *s = vr_seeded(VR_PLAIN, &o);
  uint32_t *order = ARENA_NEW(&mem, uint32_t, d->n_tasks), dropped = 0;
  bool *needed = ARENA_NEW(&mem, bool, d->n_tasks);
  uint64_t every = d->n_deps / 60 + 1;
  for (uint32_t t = 0; t < d->n_tasks; t++) {
    dag_task *task = &d->tasks[t];
    for (uint32_t i = 0; i < task->n_deps; i++) {
      uint32_t *deps = d->deps + task->dep0, dep = deps[i];
      if ((task->dep0 + i) % every != 0 || !reads_from(d, t, dep)) continue;
      memmove(deps + i, deps + i + 1, (task->n_deps - i - 1) * sizeof *deps);
      task->n_deps--;
      memset(needed, 0, d->n_tasks);
      mark_needed(d, t, needed);
      uint32_t n = 0;
      for (int late = 0; late < 2; late++)
        for (uint32_t k = 0; k < d->n_tasks; k++)
          if (needed[k] == !late) order[n++] = k;
      if (!needed[dep]) { /* else another way round keeps the order */
        verify v;
        vr_begin(&v, d, &o, s);
        fault = (err){0};
        int status = dx_run(v.x, order, &fault);
        ck_assert_msg(status == ERR_NO, "task %u '%s' without %u '%s' is not refused", t,
                      task->name, dep, d->tasks[dep].name);
        named(&fault, arena_printf(&mem, "task %u ", t));
        named(&fault, task->name);
        fault = (err){0};
        verify_free(&v);
        dropped++;
      }
      task->n_deps++;
      memmove(deps + i + 1, deps + i, (task->n_deps - i - 1) * sizeof *deps);
      deps[i] = dep;
    }
  }
  ck_assert_uint_gt(dropped, 20);
}
END_TEST

/* The same through a simulation: a task that waits for nothing starts when its engine is free. */
START_TEST(mutation__drop_dependencies_in_a_simulation__refused_with_the_task) {
  vr_load(VR_PLAIN);
  wl_options o = vr_options("prefill", 1);
  dag *d = vr_compile(&o);
  uint32_t t = 0;
  while (strcmp(d->tasks[t].name, "L1.ffn_norm 1/4") != 0 &&
         strcmp(d->tasks[t].name, "L1.ffn_norm") != 0)
    t++;
  d->tasks[t].n_deps = 0;
  verify v;
  vr_begin(&v, d, &o, vr_seeded(VR_PLAIN, &o));
  exec_numeric n = vr_simulate(&v, "eager", 2);
  named(&n.fault, d->tasks[t].name);
  verify_free(&v);
}
END_TEST

static const struct {
  const char *weight, *point;
} TILES[] = {{"L0.q_proj.weight", "L0.q"},  {"L0.k_proj.weight", "L0.k"},
             {"L1.v_proj.weight", "L1.v"},  {"L1.o_proj.weight", "L1.o_proj"},
             {"L0.gate.weight", "L0.gate"}, {"L1.up.weight", "L1.up"},
             {"L0.down.weight", "L0.down"}, {"L0.lm_head.weight", "logits"}};
enum { N_TILES = sizeof TILES / sizeof TILES[0] };

START_TEST(mutation__swap_two_tiles__the_point_is_named) {
  vr_load(VR_PLAIN);
  wl_options o = vr_options("hybrid", 1);
  o.split = _i % 2 ? WL_TILE : WL_HEAD;
  dag *d = vr_compile(&o);
  dag_view *first = NULL, *second = NULL;
  for (uint32_t t = 0; t < d->n_tasks && second == NULL; t++) {
    dag_view *from = d->views + d->tasks[t].view0;
    if (d->tasks[t].op != OP_LOAD_WEIGHT ||
        strcmp(d->tensors[from->tensor].name, TILES[_i / 2].weight) != 0)
      continue;
    if (first == NULL)
      first = from;
    else if (memcmp(first->len, from->len, sizeof from->len) == 0)
      second = from;
  }
  ck_assert_ptr_nonnull(second);
  dag_view kept = *first;
  *first = *second, *second = kept;
  verify v;
  verify_table t[2];
  vr_begin(&v, d, &o, vr_seeded(VR_PLAIN, &o));
  ck_assert_int_eq(vr_simulate(&v, "heft", 2).fault.status, ERR_OK);
  vr_compare(&v, &t[0], &t[1]);
  for (int k = 0; k < 2; k++) {
    ck_assert(!verify_passed(&t[k]));
    const char *start = arena_printf(&mem, "'%s' is the first point", TILES[_i / 2].point);
    const char *text = verify_fault(&t[k], &mem);
    ck_assert_msg(strncmp(text, start, strlen(start)) == 0, "%s", text);
  }
  verify_free(&v);
}
END_TEST

/* The run's observer, with something left out or put in when a task ends. */
typedef struct mutant {
  exec_numeric numeric;
  observer inner;
  uint32_t skip;        /* this task is not executed */
  uint32_t after, give; /* when `after` has ended, the buffer is given back */
} mutant;

static void mutant_end(void *self, double t, uint32_t task, uint32_t resource) {
  mutant *x = self;
  if (task == x->skip) return;
  x->inner.end(x->inner.self, t, task, resource);
  if (task == x->after && x->numeric.fault.status == ERR_OK)
    vr_ok(dx_give(x->numeric.x, x->give, &fault));
}

static void mutant_buffer(void *self, double t, uint32_t tensor, uint32_t sram, uint64_t bytes,
                          uint64_t used_B, bool taken) {
  mutant *x = self;
  if (!taken && tensor == x->give) return;
  x->inner.buffer(x->inner.self, t, tensor, sram, bytes, used_B, taken);
}

static void simulate_mutant(const verify *v, mutant *x) {
  x->numeric = (exec_numeric){.x = v->x};
  x->inner = exec_numeric_observer(&x->numeric);
  observer o = {.self = x, .end = mutant_end, .buffer = mutant_buffer};
  machine_options opt = {.prefetch = 2};
  vr_ok(exec_fluid(v->in.d, &chip, pol_find("heft"), &opt, &o, &mem, &fault));
}

/* The task of that name that `what` it writes; the test fails where there is none. */
static uint32_t task_of(const dag *d, op o, const char *part) {
  for (uint32_t t = 0; t < d->n_tasks; t++)
    if (d->tasks[t].op == o && strstr(d->tasks[t].name, part) != NULL) return t;
  ck_abort_msg("no %s '%s'", op_name(o), part);
}

START_TEST(mutation__free_a_buffer_early__refused_with_the_reader) {
  static const struct {
    op o;
    const char *task;
  } FREED[] = {{OP_RMSNORM, "L0.attn_norm"}, {OP_LOAD_WEIGHT, "L1.up.weight"},
               {OP_ROPE, "L1.q_rope"},       {OP_QK, "L0.scores"},
               {OP_KVAPPEND, "L0.k_append"}, {OP_LOAD_KV, "s1.L1.v_cache"}};
  vr_load(VR_PLAIN);
  wl_options o = vr_options("hybrid", 1);
  dag *d = vr_compile(&o);
  uint32_t t = task_of(d, FREED[_i].o, FREED[_i].task), *rooms = dag_rooms(d, &mem);
  uint32_t tensor = dag_writes(d, &d->tasks[t])[0].tensor;
  mutant x = {.skip = UINT32_MAX, .after = t, .give = tensor};
  while (rooms[x.give] != DAG_NO_ROOM) x.give = rooms[x.give];
  verify v;
  vr_begin(&v, d, &o, vr_seeded(VR_PLAIN, &o));
  simulate_mutant(&v, &x);
  named(&x.numeric.fault, d->tensors[tensor].name);
  named(&x.numeric.fault, "task ");
  verify_free(&v);
}
END_TEST

START_TEST(mutation__skip_an_append_or_its_store__refused_with_the_reader) {
  static const struct {
    op o;
    const char *task, *reader;
  } SKIPPED[] = {{OP_KVAPPEND, "s0.L0.k_append", "s0.L0."},
                 {OP_KVAPPEND, "s1.L1.v_append", "s1.L1."},
                 {OP_STORE_KV, "s0.L1.k_cache", "s1.L1.k_cache"},
                 {OP_STORE_KV, "s1.L0.v_cache", "s2.L0.v_cache"}};
  vr_load(VR_PLAIN);
  wl_options o = vr_options("hybrid", 2);
  dag *d = vr_compile(&o);
  mutant x = {
      .skip = task_of(d, SKIPPED[_i].o, SKIPPED[_i].task), .after = UINT32_MAX, .give = UINT32_MAX};
  verify v;
  vr_begin(&v, d, &o, vr_seeded(VR_PLAIN, &o));
  simulate_mutant(&v, &x);
  named(&x.numeric.fault, SKIPPED[_i].reader);
  verify_free(&v);
}
END_TEST

/* Keys rotated by the next position: all is written, and wrong. */
START_TEST(mutation__rope_at_the_wrong_position__the_point_is_named) {
  vr_load(VR_PLAIN);
  wl_options o = vr_options("prefill", 1);
  o.split = WL_NONE;
  dag *d = vr_compile(&o);
  dag_task *t = &d->tasks[task_of(d, OP_ROPE, "L0.k_rope")];
  t->pos++;
  verify v;
  verify_table table;
  vr_begin(&v, d, &o, vr_seeded(VR_PLAIN, &o));
  ck_assert_int_eq(vr_simulate(&v, "heft", 2).fault.status, ERR_OK);
  vr_ok(verify_reference(&v, &table, &fault));
  ck_assert_ptr_nonnull(strstr(verify_fault(&table, &mem), "'L0.k_rope' is the first point"));
  verify_free(&v);
}
END_TEST

/* Q and K rows in the order of Meta and GGUF, RoPE's pairs side by side, taken as HF's. */
typedef struct paired {
  source *s;
  dx_weights dag;
  ref_weights ref;
} paired;

static uint64_t paired_row(uint64_t row) {
  uint64_t i = row % m.head_dim, half = m.head_dim / 2;
  return row - i + (i % 2 == 0 ? i / 2 : half + i / 2);
}

static bool is_paired(const char *name) {
  return strstr(name, "q_proj") != NULL || strstr(name, "k_proj") != NULL;
}

static int paired_box(void *user, const char *name, uint64_t row0, uint64_t rows, uint64_t col0,
                      uint64_t cols, float *y, err *e) {
  paired *p = user;
  if (!is_paired(name)) return p->dag.box(p->s, name, row0, rows, col0, cols, y, e);
  for (uint64_t r = 0; r < rows; r++)
    if (p->dag.box(p->s, name, paired_row(row0 + r), 1, col0, cols, y + r * cols, e))
      return e->status;
  return ERR_OK;
}

START_TEST(mutation__rope_pairs_in_the_other_order__the_point_is_named) {
  vr_load(VR_PLAIN);
  wl_options o = vr_options("prefill", 1);
  paired p = {.s = vr_seeded(VR_PLAIN, &o)};
  p.dag = source_for_dag(p.s);
  verify v;
  verify_table t[2];
  verify_input in = {
      .m = &m, .d = vr_compile(&o), .o = &o, .ids = acts.ids, .n = VR_PROMPT, .weights = p.s};
  verify_init(&v, &in, verify_tolerance(&o), &mem);
  v.weights = (dx_weights){paired_box, &p};
  vr_ok(verify_begin(&v, &fault));
  ck_assert_int_eq(vr_simulate(&v, "heft", 2).fault.status, ERR_OK);
  vr_compare(&v, &t[0], &t[1]);
  for (int k = 0; k < 2; k++)
    ck_assert_ptr_nonnull(strstr(verify_fault(&t[k], &mem), "'L0.q' is the first point"));
  verify_free(&v);
}
END_TEST

/* The executor alone with another scaling factor; then both sides: only golden data sees that. */
START_TEST(mutation__rope_scaling_factor__the_point_is_named) {
  vr_load(VR_L32);
  ck_assert_double_eq(m.rope_scaling.factor, 32);
  model right = m, wrong = m;
  wrong.rope_scaling.factor = 8;
  wl_options o = vr_options("prefill", 1);
  verify v;
  verify_table t[2];
  verify_input in = {.m = &wrong, .d = vr_compile(&o), .o = &o, .ids = acts.ids, .n = VR_PROMPT};
  in.weights = vr_seeded(VR_L32, &o);
  verify_init(&v, &in, verify_tolerance(&o), &mem);
  vr_ok(verify_begin(&v, &fault));
  ck_assert_int_eq(vr_simulate(&v, "heft", 2).fault.status, ERR_OK);
  if (_i == 0) v.in.m = &right;
  vr_compare(&v, &t[0], &t[1]);
  ck_assert_int_eq(verify_passed(&t[0]), _i == 1);
  for (int k = _i; k < 2; k++)
    ck_assert_ptr_nonnull(strstr(verify_fault(&t[k], &mem), "'L0.q_rope' is the first point"));
  verify_free(&v);
}
END_TEST

static Suite *suite(void) {
  Suite *s = suite_create("verify_mutations");
  TCase *t = tcase_create("mutations");
  tcase_add_checked_fixture(t, vr_setup, vr_teardown);
  tcase_set_timeout(t, 180);
  tcase_add_loop_test(t, mutation__drop_a_dependency__refused_with_the_task, 0, 2);
  tcase_add_test(t, mutation__drop_dependencies_in_a_simulation__refused_with_the_task);
  tcase_add_loop_test(t, mutation__swap_two_tiles__the_point_is_named, 0, 2 * N_TILES);
  tcase_add_loop_test(t, mutation__free_a_buffer_early__refused_with_the_reader, 0, 6);
  tcase_add_loop_test(t, mutation__skip_an_append_or_its_store__refused_with_the_reader, 0, 4);
  tcase_add_test(t, mutation__rope_at_the_wrong_position__the_point_is_named);
  tcase_add_test(t, mutation__rope_pairs_in_the_other_order__the_point_is_named);
  tcase_add_loop_test(t, mutation__rope_scaling_factor__the_point_is_named, 0, 2);
  suite_add_tcase(s, t);
  return s;
}

int main(void) {
  return suite_run(suite());
}
