/* `verify`: what is asked for becomes a DAG, the simulation executes it, kernels/verify.h compares.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/verify.h"
#include "sim/base/units.h"
#include "sim/cmd.h"
#include "sim/exec.h"
#include "sim/exec_numeric.h"
#include "sim/reach.h"

enum { IDS = 12, IDS_LIMIT = 1 << 24, TENTHS = 10 };

typedef struct job {
  const cli *c;
  platform plat;
  cmd_policy policy;
  ckpt ck; /* {0}: weights are seeded */
  bool has_ck;
  model model;
  wl_options o;
  uint32_t *ids;
  uint64_t n, batch; /* ids of a sequence, and sequences, one after the other */
  double tolerance;
  const char *golden, *logits; /* stem, and the array that stands for logits; or NULL */
  dag *dag;
} job;

/* ---- ids --------------------------------------------------------------------------------------
 */

/* The end of a sequence, the last of n ids in all: as long as the first. */
static int end_sequence(job *j, const char *where, uint64_t n, err *e) {
  if (n == 0) return err_set(e, ERR_BAD, "%s: there is no token id", where);
  if (j->batch++ == 0) j->n = n;
  if (n == j->batch * j->n) return ERR_OK;
  return err_set(e, ERR_BAD,
                 "%s: sequence %" PRIu64 " has %" PRIu64 " ids, the first has %" PRIu64
                 "; sequences of a batch are of one length",
                 where, j->batch, n - (j->batch - 1) * j->n, j->n);
}

static int parse_ids(job *j, const char *where, const char *s, arena *a, err *e) {
  static const char BETWEEN[] = ", \t\r\n", END[] = ";, \t\r\n";
  size_t cap = 0, n = 0;
  for (s += strspn(s, BETWEEN); *s != 0; s += strspn(s, BETWEEN)) {
    char *end;
    errno = 0;
    unsigned long long id = strtoull(s, &end, 10);
    size_t len = strcspn(s, END);
    if (*s == ';') {
      if (end_sequence(j, where, n, e)) return e->status;
      s++;
      continue;
    }
    if (*s < '0' || *s > '9' || end != s + len || errno != 0 || id > UINT32_MAX)
      return err_set(e, ERR_BAD,
                     "%s: '%.*s' is no token id; write whole numbers, parted by commas, and by "
                     "semicolons where another sequence begins",
                     where, (int)(len < 40 ? len : 40), s);
    ARENA_PUSH(a, j->ids, n, cap, (uint32_t)id);
    s = end;
  }
  if (end_sequence(j, where, n, e)) return e->status;
  uint64_t want = j->c->number[CLI_BATCH];
  if (j->c->given[CLI_BATCH] && want != j->batch)
    return err_set(e, ERR_BAD,
                   "%s: has the ids of %" PRIu64 " sequence%s, but --batch is %" PRIu64
                   "; part sequences by semicolons",
                   where, j->batch, j->batch == 1 ? "" : "s", want);
  return ERR_OK;
}

/* Which no seed makes the same for two positions: splitmix64 of seed and position. */
static void seeded_ids(job *j, uint64_t n, arena *a) {
  j->n = n;
  j->batch = j->c->number[CLI_BATCH];
  j->ids = ARENA_NEW(a, uint32_t, n * j->batch);
  for (uint64_t i = 0; i < n * j->batch; i++) {
    uint64_t z = (j->c->number[CLI_SEED] ^ 0x1d5u) + (i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    j->ids[i] = (uint32_t)((z ^ (z >> 31)) % j->model.vocab_size);
  }
}

static int find_ids(job *j, arena *a, err *e) {
  const cli *c = j->c;
  if (c->given[CLI_IDS] && c->given[CLI_IDS_FILE])
    return err_set(e, ERR_BAD, "--ids and --ids-file both name the ids; leave one out");
  if (c->given[CLI_IDS]) return parse_ids(j, "--ids", c->value[CLI_IDS], a, e);
  if (c->given[CLI_IDS_FILE]) {
    file_bytes b;
    if (file_read(c->value[CLI_IDS_FILE], IDS_LIMIT, &b, a, e)) return e->status;
    const char *text = arena_strndup(a, (const char *)b.data, b.len);
    return parse_ids(j, c->value[CLI_IDS_FILE], text, a, e);
  }
  seeded_ids(j,
             (c->given[CLI_PAST] ? c->number[CLI_PAST] : 0) +
                 (c->given[CLI_TOKENS] ? c->number[CLI_TOKENS] : IDS),
             a);
  return ERR_OK;
}

/* ---- options ----------------------------------------------------------------------------------
 */

static int find_model(job *j, arena *a, err *e) {
  const char *spec = j->c->value[CLI_MODEL];
  if (model_is_builtin(spec) || !ckpt_at(spec)) return model_load(spec, &j->model, a, e);
  if (ckpt_open(spec, &j->ck, e)) return e->status;
  j->has_ck = true;
  j->model = j->ck.model;
  return ERR_OK;
}

/* Phase, steps and tokens, from how many ids there are. */
static int find_steps(job *j, err *e) {
  const cli *c = j->c;
  wl_options *o = &j->o;
  bool decode = strcmp(o->phase, "decode") == 0, hybrid = strcmp(o->phase, "hybrid") == 0;
  uint64_t last = c->given[CLI_TOKENS] ? c->number[CLI_TOKENS] : 1; /* of layers alone, new ones */
  if (last > j->n) last = j->n;
  o->past = c->given[CLI_PAST] ? c->number[CLI_PAST] : decode && !o->all ? j->n - last : 0;
  if (o->past >= j->n)
    return err_set(e, ERR_BAD,
                   "--past %" PRIu64 ": that many of the %" PRIu64
                   " ids are in the cache, and none is left to run; give more --ids",
                   o->past, j->n);
  uint64_t fresh = j->n - o->past;
  if (c->given[CLI_TOKENS] && c->number[CLI_TOKENS] != fresh)
    return err_set(e, ERR_BAD,
                   "--tokens is %" PRIu64 ", but %" PRIu64
                   " ids are to run; leave it out where ids are given",
                   c->number[CLI_TOKENS], fresh);
  o->tokens = fresh;
  if (!decode && !hybrid && !c->given[CLI_STEPS]) o->steps = 1;
  if (!decode || !o->all) return ERR_OK;
  o->forced = fresh;
  o->tokens = 1;
  o->steps += fresh;
  return ERR_OK;
}

static int find_tolerance(job *j, err *e) {
  const char *text = j->c->value[CLI_TOLERANCE];
  j->tolerance = verify_tolerance(&j->o);
  if (!j->c->given[CLI_TOLERANCE]) return ERR_OK;
  char *end;
  j->tolerance = strtod(text, &end);
  if (end == text || *end != 0 || !(j->tolerance >= 0 && j->tolerance <= 1e300))
    return err_set(e, ERR_BAD, "--tolerance is '%s'; it must be a number, 0 or more", text);
  return ERR_OK;
}

/* STEM, or STEM:NAME. */
static void find_golden(job *j, arena *a) {
  const char *text = j->c->value[CLI_GOLDEN], *colon = strrchr(text, ':');
  if (!j->c->given[CLI_GOLDEN]) return;
  j->golden = text;
  if (colon == NULL || file_exists(arena_printf(a, "%s.json", text))) return;
  j->golden = arena_strndup(a, text, (size_t)(colon - text));
  j->logits = colon + 1;
}

/* Of a batch, each sequence's points have a file of their own. */
static const char *dump_stem(const job *j, uint64_t seq, arena *a) {
  const char *stem = j->c->value[CLI_DUMP];
  return j->batch == 1 ? stem : arena_printf(a, "%s.b%" PRIu64, stem, seq);
}

/* Where the points go: not over what is read, and a path that cannot be written fails at once. */
static int check_dump(const job *j, arena *a, err *e) {
  const cli *c = j->c;
  if (!c->given[CLI_DUMP]) return ERR_OK;
  for (uint64_t i = 0; i < 2 * j->batch; i++) {
    const char *path =
        arena_printf(a, "%s.%s", dump_stem(j, i / 2, a), i % 2 == 0 ? "json" : "bin");
    if (cmd_check_output(c, CLI_DUMP, path, a, e)) return e->status;
  }
  golden_writer *w = golden_create(dump_stem(j, 0, a), a, e);
  if (w == NULL) return e->status;
  golden_abort(w);
  return ERR_OK;
}

static int find_options(job *j, arena *a, err *e) {
  cli c = *j->c;
  if (!c.given[CLI_PHASE]) c.value[CLI_PHASE] = "hybrid";
  if (!c.given[CLI_LAYERS]) c.value[CLI_LAYERS] = "all";
  if (!c.given[CLI_FUSE]) c.value[CLI_FUSE] = "none";
  if (find_ids(j, a, e)) return e->status;
  c.number[CLI_BATCH] = j->batch;
  if (cmd_workload(&c, &j->model, &j->o, e)) return e->status;
  if (!c.given[CLI_DTYPE]) {
    j->o.weight_dtype = source_dtype(&j->model, j->has_ck ? &j->ck : NULL);
    j->o.act_dtype = DT_F32;
    if (!c.given[CLI_KV_DTYPE]) j->o.kv_dtype = DT_F32;
  }
  find_golden(j, a);
  if (find_steps(j, e) || find_tolerance(j, e)) return e->status;
  return check_dump(j, a, e);
}

/* ---- the run ----------------------------------------------------------------------------------
 */

/* The executor's observer, and how far it is. */
typedef struct watch {
  const cli *c;
  exec_numeric numeric;
  observer inner;
  uint32_t n_tasks, tenths;
  double makespan_s;
} watch;

static void end(void *self, double t, uint32_t task, uint32_t resource) {
  watch *w = self;
  w->inner.end(w->inner.self, t, task, resource);
  w->makespan_s = t;
  uint32_t tenths = (uint32_t)((uint64_t)w->numeric.n_done * TENTHS / w->n_tasks);
  if (tenths <= w->tenths) return;
  w->tenths = tenths;
  cmd_progress(w->c, SIZE_MAX, "executed %u of %u tasks", w->numeric.n_done, w->n_tasks);
}

static void buffer(void *self, double t, uint32_t tensor, uint32_t sram, uint64_t bytes,
                   uint64_t used_B, bool taken) {
  watch *w = self;
  w->inner.buffer(w->inner.self, t, tensor, sram, bytes, used_B, taken);
}

static int simulate(job *j, verify *v, watch *w, arena *a, err *e) {
  reach within;
  arena scratch = {0};
  int status = reach_make(&within, &j->plat, j->dag, &scratch, e);
  arena_free(&scratch);
  if (status != ERR_OK) return status;
  *w = (watch){.c = j->c, .numeric = {.x = v->x}, .n_tasks = (uint32_t)j->dag->n_tasks};
  w->inner = exec_numeric_observer(&w->numeric);
  observer obs = {.self = w, .end = end, .buffer = buffer};
  machine_options opt = {.prefetch = (uint32_t)j->c->number[CLI_PREFETCH],
                         .seed = j->c->number[CLI_SEED]};
  if (cmd_policy_ready(&j->policy, j->dag, &j->plat, &opt, a, e) ||
      exec_simgrid(j->dag, &j->plat, j->policy.run, &opt, &obs, a, e))
    return e->status;
  if (w->numeric.fault.status == ERR_OK) return ERR_OK;
  return err_set(e, w->numeric.fault.status, "executing, at %.9g s: %s", w->numeric.fault_s,
                 w->numeric.fault.msg);
}

static void referred(void *user, uint64_t layer) {
  cmd_progress(user, SIZE_MAX, "the reference has layer %" PRIu64, layer);
}

/* What a sequence went on with. */
static void print_greedy(const job *j, verify *v, uint64_t seq, out *o) {
  verify_pick(v, seq);
  uint64_t steps = points_steps(j->dag);
  if (j->o.all) out_str(o, seq == 0 ? "greedy        " : "              ");
  for (uint64_t s = 0; s < steps && j->o.all; s++) {
    uint64_t pos = points_step_begin(j->dag, s) + points_step_rows(j->dag, s);
    if (pos >= j->n) out_printf(o, "%s%" PRIu32, pos == j->n ? "" : ",", v->ids[pos]);
  }
  if (j->o.all) out_char(o, '\n');
}

static void print_head(const job *j, verify *v, const watch *w, out *o) {
  const wl_options *x = &j->o;
  out_printf(o, "model         %s, weights %s\n", j->model.name,
             j->has_ck ? arena_printf(v->a, "of %s (%s)", j->ck.where, ckpt_format_name(&j->ck))
                       : arena_printf(v->a, "seeded, %" PRIu64, j->c->number[CLI_SEED]));
  out_printf(o, "dtypes        weights %s, activations %s, KV %s; tolerance %g\n",
             dtype_name(x->weight_dtype), dtype_name(x->act_dtype), dtype_name(x->kv_dtype),
             v->tolerance);
  out_printf(o,
             "workload      %s, past %" PRIu64 ", %" PRIu64 " ids, %" PRIu64
             " positions, %s%" PRIu64 " layer%s, split %s, %s, %s, fuse %s\n",
             x->phase, x->past, j->n, v->points->T,
             j->batch == 1 ? "" : arena_printf(v->a, "batch %" PRIu64 ", ", j->batch), x->layers,
             x->layers == 1 ? "" : "s", wl_split_name(x->split), x->flash ? "flash" : "three-pass",
             wl_kv_update_name(x->kv_update), wl_fuse_name(x->fuse));
  out_printf(o, "simulation    %s on %s: %zu tasks executed in %.9g s\n", j->policy.name,
             j->plat.name, j->dag->n_tasks, w->makespan_s);
  for (uint64_t s = 0; s < j->batch; s++) print_greedy(j, v, s, o);
  out_char(o, '\n');
}

static int print(const job *j, verify *v, const watch *w, const verify_table *t, size_t n, err *e) {
  out *o = out_print(e);
  if (o == NULL) return e->status;
  print_head(j, v, w, o);
  bool passed = true;
  for (size_t i = 0; i < n; i++) {
    verify_print(&t[i], o);
    out_char(o, '\n');
    passed = passed && verify_passed(&t[i]);
  }
  if (passed) out_str(o, "all points that were computed agree\n");
  return out_close(o, e);
}

/* Of the picked sequence, which tables name where there are several. */
static void name_table(const job *j, const verify *v, verify_table *t) {
  if (j->batch > 1) t->with = arena_printf(v->a, "%s, sequence %" PRIu64, t->with, v->seq);
}

/* The tables of all sequences: with the reference, and with golden data where the ids are its. */
static int compare(const job *j, verify *v, const golden *g, verify_table *t, size_t *n, err *e) {
  for (uint64_t s = 0; s < j->batch; s++) {
    verify_pick(v, s);
    if (verify_reference(v, &t[*n], e)) return e->status;
    name_table(j, v, &t[(*n)++]);
    if (j->golden == NULL || (j->batch > 1 && !verify_has_golden(v, g))) continue;
    if (verify_golden(v, g, j->logits, &t[*n], e)) return e->status;
    name_table(j, v, &t[(*n)++]);
  }
  if (j->golden == NULL || *n > j->batch) return ERR_OK;
  return err_set(e, ERR_BAD,
                 "%s: is of other token ids than each of the %" PRIu64
                 " sequences, from the first on; give the same --ids",
                 j->golden, j->batch);
}

static int dump(const job *j, verify *v, arena *a, err *e) {
  for (uint64_t s = 0; s < j->batch && j->c->given[CLI_DUMP]; s++) {
    verify_pick(v, s);
    if (verify_dump(v, dump_stem(j, s, a), e)) return e->status;
  }
  return ERR_OK;
}

static int run(job *j, verify *v, arena *a, err *e) {
  golden g;
  watch w;
  verify_table *t = ARENA_NEW(a, verify_table, 2 * j->batch);
  size_t n = 0;
  if (j->golden != NULL && golden_read(j->golden, &g, a, e)) return e->status;
  cmd_progress(j->c, SIZE_MAX, "executing %zu tasks on '%s'", j->dag->n_tasks, j->plat.name);
  if (verify_begin(v, e) || simulate(j, v, &w, a, e)) return e->status;
  cmd_progress(j->c, SIZE_MAX, "simulated %.9g s; the reference computes %" PRIu64 " positions",
               w.makespan_s, v->points->T);
  v->referred = referred, v->user = (void *)j->c;
  if (compare(j, v, &g, t, &n, e) || dump(j, v, a, e)) return e->status;
  if (print(j, v, &w, t, n, e)) return e->status;
  for (size_t i = 0; i < n; i++)
    if (!verify_passed(&t[i])) return err_set(e, ERR_NO, "%s", verify_fault(&t[i], a));
  return ERR_OK;
}

int cmd_verify(const cli *c, arena *a, err *e) {
  job j = {.c = c};
  verify v = {0};
  int status = ERR_OK;
  if (cmd_policy_find(c, &j.policy, a, e) || cmd_load_platform(c, &j.plat, a, e) ||
      find_model(&j, a, e) || find_options(&j, a, e) ||
      cmd_compile_model(&j.model, &j.o, &j.plat, &j.dag, a, e)) {
    status = e->status;
  } else {
    verify_input in = {.m = &j.model, .d = j.dag, .o = &j.o, .ids = j.ids, .n = j.n};
    in.weights = source_new(&j.model, j.has_ck ? &j.ck : NULL, c->number[CLI_SEED],
                            j.o.weight_dtype, j.o.act_dtype, a);
    verify_init(&v, &in, j.tolerance, a);
    status = run(&j, &v, a, e);
  }
  verify_free(&v);
  ckpt_close(&j.ck);
  return status;
}
