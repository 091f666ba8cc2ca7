#include <string.h>

#include "sim/cmd.h"
#include "sim/compare.h"
#include "sim/jobs.h"

/* compare: what a run is read from is in compare.h. --trace needs every run's timeline: that of a
 * report is made again, by the options that the report names, and counts only if its
 * report has the same fields with the same values. */

/* ---- a report's run once more ---- */

enum { MAX_ARGS = 256 };

typedef struct args {
  char *v[MAX_ARGS];
  int n;
} args;

static void add_arg(args *x, const char *option, const char *value, arena *a) {
  if (x->n + 2 > MAX_ARGS) return; /* then it is another report */
  x->v[x->n++] = arena_strdup(a, option);
  x->v[x->n++] = arena_strdup(a, value);
}

/* "w4a16" where the two differ: bits, as wl_dtype_parse has them. */
static const char *dtype_option(const char *weight, const char *act, arena *a) {
  if (strcmp(weight, act) == 0) return weight;
  const char *bits = strcmp(weight, "int4") == 0 ? "4" : "8";
  return arena_printf(a, "w%sa%s", bits, strcmp(act, "int8") == 0 ? "8" : "16");
}

/* Fields of a report, and the options that they come from. */
static const struct {
  const char *key, *option;
} OPTIONS[] = {{"workload.model", "--model"},
               {"workload.layer", "--layer"},
               {"workload.phase", "--phase"},
               {"workload.past", "--past"},
               {"workload.tokens", "--tokens"},
               {"workload.steps", "--steps"},
               {"workload.batch", "--batch"},
               {"workload.split", "--split"},
               {"workload.attention", "--attention"},
               {"workload.fuse", "--fuse"},
               {"workload.kv_update", "--kv-update"},
               {"workload.kv_dtype", "--kv-dtype"},
               {"workload.resident", "--resident"},
               {"scheduler", "--scheduler"},
               {"prefetch", "--prefetch"},
               {"seed", "--seed"}};

/* The command line of `run` that the report is of, as far as it says; `all`: with --layers all. */
static args run_args(const compare_run *r, bool all, arena *a) {
  args x = {.v = {arena_strdup(a, "run"), arena_strdup(a, "--quiet")}, .n = 2};
  const char *weight = "", *act = "";
  for (size_t f = 0; f < r->n_fields; f++) {
    const char *key = r->fields[f].key;
    const json *v = r->fields[f].value;
    const char *text = json_is_string(v)   ? json_str(v)
                       : json_is_number(v) ? arena_printf(a, "%.17g", json_num(v))
                                           : "";
    for (size_t i = 0; i < sizeof OPTIONS / sizeof *OPTIONS; i++)
      if (strcmp(key, OPTIONS[i].key) == 0) add_arg(&x, OPTIONS[i].option, text, a);
    if (strcmp(key, "workload.layers") == 0) add_arg(&x, "--layers", all ? "all" : text, a);
    if (strcmp(key, "workload.weight_dtype") == 0) weight = text;
    if (strcmp(key, "workload.act_dtype") == 0) act = text;
    if (strcmp(key, "platform.name") == 0) add_arg(&x, "--platform", text, a);
    if (strncmp(key, "platform.overrides.", 19) == 0)
      add_arg(&x, "--set", arena_printf(a, "%s=%s", key + 19, text), a);
  }
  add_arg(&x, "--dtype", dtype_option(weight, act, a), a);
  return x;
}

/* Has it the report of r? */
static int check_same(const compare_run *r, const report *again, arena *a, err *e) {
  out *o = out_memory();
  report_write_json(again, o);
  compare_run now;
  size_t len, same = 0;
  const char *text = out_text(o, &len);
  int status = compare_parse(r->path, (const unsigned char *)text, len, &now, a, e);
  for (size_t f = 0; status == ERR_OK && f < now.n_fields; f++)
    same += compare_same(now.fields[f].value, compare_field_of(r, now.fields[f].key));
  if (status == ERR_OK && (same != now.n_fields || same != r->n_fields))
    status = err_set(e, ERR_BAD, "a run with its options gives another report");
  compare_free(&now);
  out_abort(o);
  return status;
}

static int simulate(const cli *c, const compare_run *r, out *result, arena *a, err *e) {
  platform p;
  dag *d;
  cmd_policy pol;
  reach within;
  if (cmd_policy_find(c, &pol, a, e) || cmd_load_platform(c, &p, a, e) ||
      cmd_compile_dag(c, &p, &d, a, e) || reach_make(&within, &p, d, a, e))
    return e->status;
  bounds b = est_bounds(&p, d, a);
  timeline *tl = tl_new(d, &p, pol.name, true, a);
  observer watch = tl_observer(tl);
  pol_host host = evaluate_host(c->number[CLI_SEARCH_BUDGET]);
  machine_options opt = {
      .prefetch = (uint32_t)c->number[CLI_PREFETCH], .seed = c->number[CLI_SEED], .host = &host};
  tl->prefetch = opt.prefetch;
  tl->seed = opt.seed;
  if (cmd_policy_ready(&pol, d, &p, &opt, a, e) ||
      exec_simgrid(d, &p, pol.run, &opt, &watch, a, e))
    return e->status;
  report again = report_make(tl, &b, a);
  int status = check_same(r, &again, a, e);
  if (status == ERR_OK) report_write_trace((const report *const[]){&again}, 1, result);
  tl_free(tl);
  return status;
}

typedef struct again {
  compare_run *r;
  const size_t *which; /* by piece: the run, twice each: without and with --layers all */
  bool *done;          /* by run */
  const char **why;
  arena *a;
} again;

static int run_again(void *ctx, size_t i, out *result, err *e) {
  const again *x = ctx;
  const compare_run *r = &x->r[x->which[i / 2]];
  arena a = {0};
  cli c;
  args v = run_args(r, i % 2 == 1, &a);
  if (cli_parse(v.n, v.v, &c, &a, e)) return e->status;
  return simulate(&c, r, result, &a, e);
}

static int take(void *ctx, size_t i, const jobs_result *result, err *e) {
  again *x = ctx;
  size_t k = x->which[i / 2];
  if (result->status != ERR_OK && x->why[k] == NULL) x->why[k] = arena_strdup(x->a, result->msg);
  if (result->status != ERR_OK || x->done[k]) return ERR_OK;
  x->done[k] = true;
  const char *text = arena_strndup(x->a, result->data, result->len);
  return compare_add_trace(&x->r[k], (const unsigned char *)text, result->len, x->a, e);
}

/* Gives every run its trace. */
static int make_traces(const cli *c, compare_run *r, size_t n, arena *a, err *e) {
  size_t *which = ARENA_NEW(a, size_t, n), n_again = 0;
  for (size_t i = 0; i < n; i++)
    if (r[i].text == NULL) which[n_again++] = i;
  again x = {.r = r,
             .which = which,
             .done = ARENA_NEW(a, bool, n),
             .why = ARENA_NEW(a, const char *, n),
             .a = a};
  if (n_again > 0) cmd_progress(c, 0, "simulating %zu runs again", n_again);
  if (jobs_run(2 * n_again, 0, run_again, take, &x, e)) return e->status;
  for (size_t i = 0; i < n_again; i++)
    if (!x.done[which[i]])
      return err_set(
          e, ERR_BAD,
          "%s: this report's timeline cannot be made again (%s); give the file that `run "
          "--trace` wrote instead",
          r[which[i]].path, x.why[which[i]]);
  return ERR_OK;
}

/* ---- the command ---- */

static int print(const compare_run *r, size_t n, size_t *differ, arena *a, err *e) {
  CMD_PRINT(*differ = compare_print(r, n, o, a));
}

static int write_trace(const char *path, const compare_run *r, size_t n, err *e) {
  out *o = out_open(path, e);
  if (o == NULL) return e->status;
  if (compare_merge(r, n, o, e) == ERR_OK) return out_close(o, e);
  out_abort(o);
  return e->status;
}

static int compare(const cli *c, compare_run *r, arena *a, err *e) {
  size_t n = c->n_operands, differ = 0;
  const char *to = c->given[CLI_TRACE] ? c->value[CLI_TRACE] : NULL;
  bool on_stdout = to != NULL && cmd_is_stdout(to);
  for (size_t i = 0; i < n; i++) {
    if (to != NULL && !on_stdout && cmd_same_file(to, c->operands[i], a))
      return err_set(e, ERR_BAD, "--trace would overwrite the input '%s'; name another file",
                     c->operands[i]);
    if (compare_read(c->operands[i], &r[i], a, e)) return e->status;
  }
  if (to != NULL && make_traces(c, r, n, a, e)) return e->status;
  if (to != NULL && write_trace(to, r, n, e)) return e->status;
  if (on_stdout) return ERR_OK;
  if (print(r, n, &differ, a, e)) return e->status;
  if (differ == 0) return ERR_OK;
  return err_set(e, ERR_NO, "the runs differ");
}

int cmd_compare(const cli *c, arena *a, err *e) {
  if (c->n_operands < 2)
    return err_set(e, ERR_BAD, "'compare' needs two files or more, but got one: %s",
                   c->command->example);
  compare_run *r = ARENA_NEW(a, compare_run, c->n_operands);
  int status = compare(c, r, a, e);
  for (size_t i = 0; i < c->n_operands; i++) compare_free(&r[i]);
  return status;
}
