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
  const policy *policy;
  ckpt ck; /* {0}: weights are seeded */
  bool has_ck;
  model model;
  wl_options o;
  uint32_t *ids;
  uint64_t n, cap_ids;
  double tolerance;
  const char *golden, *logits; /* stem, and the array that stands for logits; or NULL */
  dag *dag;
} job;

/* ---- ids --------------------------------------------------------------------------------------
 */

static int parse_ids(job *j, const char *where, const char *s, arena *a, err *e) {
  static const char BETWEEN[] = ", \t\r\n";
  size_t cap = 0, n = 0;
  for (s += strspn(s, BETWEEN); *s != 0; s += strspn(s, BETWEEN)) {
    char *end;
    errno = 0;
    unsigned long long id = strtoull(s, &end, 10);
    size_t len = strcspn(s, BETWEEN);
    if (*s < '0' || *s > '9' || end != s + len || errno != 0 || id > UINT32_MAX)
      return err_set(e, ERR_BAD, "%s: '%.*s' is no token id; write whole numbers, parted by commas",
                     where, (int)(len < 40 ? len : 40), s);
    ARENA_PUSH(a, j->ids, n, cap, (uint32_t)id);
    s = end;
  }
  j->n = n;
  if (n == 0) return err_set(e, ERR_BAD, "%s: there is no token id", where);
  return ERR_OK;
}

/* Which no seed makes the same for two positions: splitmix64 of seed and position. */
static void seeded_ids(job *j, uint64_t n, arena *a) {
  j->ids = ARENA_NEW(a, uint32_t, n);
  for (j->n = 0; j->n < n; j->n++) {
    uint64_t z = (j->c->number[CLI_SEED] ^ 0x1d5u) + (j->n + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    j->ids[j->n] = (uint32_t)((z ^ (z >> 31)) % j->model.vocab_size);
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
  o->past = c->given[CLI_PAST] ? c->number[CLI_PAST] : decode && !o->all ? j->n - 1 : 0;
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

/* Where the points go: not over what is read, and a path that cannot be written fails at once. */
static int check_dump(const job *j, arena *a, err *e) {
  const cli *c = j->c;
  if (!c->given[CLI_DUMP]) return ERR_OK;
  const char *input[] = {c->value[CLI_MODEL], c->value[CLI_IDS_FILE], c->value[CLI_PLATFORM],
                         arena_printf(a, "%s/config.json", c->value[CLI_MODEL]),
                         j->golden != NULL ? arena_printf(a, "%s.json", j->golden) : ""};
  for (int i = 0; i < 2; i++) {
    const char *path = arena_printf(a, "%s.%s", c->value[CLI_DUMP], i == 0 ? "json" : "bin");
    for (size_t k = 0; k < sizeof input / sizeof *input; k++)
      if (*input[k] != 0 && file_exists(input[k]) && cmd_same_file(path, input[k], a))
        return err_set(e, ERR_BAD, "--dump would overwrite the input '%s'; name another stem",
                       input[k]);
  }
  golden_writer *w = golden_create(c->value[CLI_DUMP], a, e);
  if (w == NULL) return e->status;
  golden_abort(w);
  return ERR_OK;
}

static int find_options(job *j, arena *a, err *e) {
  cli c = *j->c;
  if (!c.given[CLI_PHASE]) c.value[CLI_PHASE] = "hybrid";
  if (!c.given[CLI_LAYERS]) c.value[CLI_LAYERS] = "all";
  if (!c.given[CLI_FUSE]) c.value[CLI_FUSE] = "none";
  if (c.number[CLI_BATCH] != 1)
    return err_set(e, ERR_BAD, "verify runs one sequence; leave --batch out");
  if (find_ids(j, a, e) || cmd_workload(&c, &j->model, &j->o, e)) return e->status;
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

static int simulate(const job *j, verify *v, watch *w, arena *a, err *e) {
  reach within;
  arena scratch = {0};
  int status = reach_make(&within, &j->plat, j->dag, &scratch, e);
  arena_free(&scratch);
  if (status != ERR_OK) return status;
  *w = (watch){.c = j->c, .numeric = {.x = v->x}, .n_tasks = (uint32_t)j->dag->n_tasks};
  w->inner = exec_numeric_observer(&w->numeric);
  observer obs = {.self = w, .end = end, .buffer = buffer};
  pol_host host = evaluate_host(j->c->number[CLI_SEARCH_BUDGET]);
  machine_options opt = {.prefetch = (uint32_t)j->c->number[CLI_PREFETCH],
                         .seed = j->c->number[CLI_SEED],
                         .host = &host};
  if (exec_simgrid(j->dag, &j->plat, j->policy, &opt, &obs, a, e)) return e->status;
  if (w->numeric.fault.status == ERR_OK) return ERR_OK;
  return err_set(e, w->numeric.fault.status, "executing, at %.9g s: %s", w->numeric.fault_s,
                 w->numeric.fault.msg);
}

static void referred(void *user, uint64_t layer) {
  cmd_progress(user, SIZE_MAX, "the reference has layer %" PRIu64, layer);
}

static void print_head(const job *j, const verify *v, const watch *w, out *o) {
  const wl_options *x = &j->o;
  out_printf(o, "model         %s, weights %s\n", j->model.name,
             j->has_ck ? arena_printf(v->a, "of %s (%s)", j->ck.where, ckpt_format_name(&j->ck))
                       : arena_printf(v->a, "seeded, %" PRIu64, j->c->number[CLI_SEED]));
  out_printf(o, "dtypes        weights %s, activations %s, KV %s; tolerance %g\n",
             dtype_name(x->weight_dtype), dtype_name(x->act_dtype), dtype_name(x->kv_dtype),
             v->tolerance);
  out_printf(o,
             "workload      %s, past %" PRIu64 ", %" PRIu64 " ids, %" PRIu64 " positions, %" PRIu64
             " layer%s, split %s, %s, %s, fuse %s\n",
             x->phase, x->past, j->n, v->points->T, x->layers, x->layers == 1 ? "" : "s",
             wl_split_name(x->split), x->flash ? "flash" : "three-pass",
             wl_kv_update_name(x->kv_update), wl_fuse_name(x->fuse));
  out_printf(o, "simulation    %s on %s: %zu tasks executed in %.9g s\n", j->policy->name,
             j->plat.name, j->dag->n_tasks, w->makespan_s);
  uint64_t steps = points_steps(j->dag);
  if (x->all) out_str(o, "greedy        ");
  for (uint64_t s = 0; s < steps && x->all; s++) {
    uint64_t pos = points_step_begin(j->dag, s) + points_step_rows(j->dag, s);
    if (pos >= j->n) out_printf(o, "%s%" PRIu32, pos == j->n ? "" : ",", v->ids[pos]);
  }
  out_str(o, x->all ? "\n\n" : "\n");
}

static int print(const job *j, const verify *v, const watch *w, const verify_table *t, size_t n,
                 err *e) {
  out *o = out_open("-", e);
  if (o == NULL) return e->status;
  print_head(j, v, w, o);
  for (size_t i = 0; i < n; i++) {
    verify_print(&t[i], o);
    out_char(o, '\n');
  }
  if (verify_passed(&t[0]) && (n == 1 || verify_passed(&t[1])))
    out_str(o, "all points that were computed agree\n");
  return out_close(o, e);
}

static int run(const job *j, verify *v, arena *a, err *e) {
  golden g;
  watch w;
  verify_table t[2];
  size_t n = 1;
  if (j->golden != NULL && golden_read(j->golden, &g, a, e)) return e->status;
  cmd_progress(j->c, SIZE_MAX, "executing %zu tasks on '%s'", j->dag->n_tasks, j->plat.name);
  if (verify_begin(v, e) || simulate(j, v, &w, a, e)) return e->status;
  cmd_progress(j->c, SIZE_MAX, "simulated %.9g s; the reference computes %" PRIu64 " positions",
               w.makespan_s, v->points->T);
  v->referred = referred, v->user = (void *)j->c;
  if (verify_reference(v, &t[0], e)) return e->status;
  if (j->golden != NULL && verify_golden(v, &g, j->logits, &t[n++], e)) return e->status;
  if (j->c->given[CLI_DUMP] && verify_dump(v, j->c->value[CLI_DUMP], e)) return e->status;
  if (print(j, v, &w, t, n, e)) return e->status;
  for (size_t i = 0; i < n; i++)
    if (!verify_passed(&t[i])) return err_set(e, ERR_NO, "%s", verify_fault(&t[i], a));
  return ERR_OK;
}

int cmd_verify(const cli *c, arena *a, err *e) {
  job j = {.c = c};
  verify v = {0};
  int status = ERR_OK;
  if (cmd_find_policy(c, &j.policy, a, e) || cmd_load_platform(c, &j.plat, a, e) ||
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
