#include <string.h>

#include "sim/cmd.h"
#include "sim/exec.h"
#include "sim/report.h"
#include "sim/schedule_file.h"
#include "workloads/dag_room.h"

/* A DAG file of 2 GiB has about 5 million tasks. */
static const size_t DAG_LIMIT = (size_t)1 << 31;

static int write_csv(const report *r, cmd_files *f, arena *a, err *e) {
  out *header = out_memory();
  report_write_csv_header(r, header);
  size_t len;
  const char *text = out_text(header, &len);
  int status = cmd_csv_begin(f, text, len, a, e);
  out_abort(header);
  if (status == ERR_OK) report_write_csv_row(r, f->o[CMD_CSV]);
  return status;
}

/* `x`: NULL without --explain */
static void print_all(const report *r, const explain *x, out *o) {
  report_print_summary(r, o);
  if (x != NULL) explain_print(r, x, o);
}

static int print_summary(const report *r, const explain *x, err *e) {
  CMD_PRINT(print_all(r, x, o));
}

static int write_results(const report *r, const explain *x, cmd_files *f, arena *a, err *e) {
  if (f->row != NULL) {
    report_write_csv_row(r, f->row);
    return ERR_OK;
  }
  if (f->o[CMD_REPORT] != NULL) report_write_json(r, f->o[CMD_REPORT]);
  if (f->o[CMD_TRACE] != NULL) report_write_trace((const report *const[]){r}, 1, f->o[CMD_TRACE]);
  if (f->o[CMD_TIMELINE] != NULL) report_write_timeline(r, f->o[CMD_TIMELINE]);
  if (f->o[CMD_CSV] != NULL && write_csv(r, f, a, e)) return e->status;
  if (cmd_files_close_streams(f, e)) return e->status;
  if (!f->to_stdout && print_summary(r, x, e)) return e->status;
  return cmd_files_close(f, e);
}

/* The same path for a compiled DAG and for one from a file: what is reported depends on the DAG
 * alone. */
static int simulate(const cli *c, const dag *d, const platform *p, const pol_known *known,
                    cmd_policy *pol, cmd_files *f, arena *a, err *e) {
  reach within;
  arena scratch = {0};
  int status = reach_make(&within, p, d, &scratch, e); /* before anything is asked of its routes */
  arena_free(&scratch);
  if (status != ERR_OK) return status;
  cmd_progress(c, d->n_tasks, "simulating %zu tasks on '%s'", d->n_tasks, p->name);
  bounds b = est_bounds(p, d, a);
  machine_options opt = {.prefetch = (uint32_t)c->number[CLI_PREFETCH],
                         .seed = c->number[CLI_SEED]};
  if (cmd_policy_ready(pol, d, p, &opt, a, e)) return e->status;
  pol->host.known = known;
  pol->host.bound = (pol_bound){d, p, b.lower_s};
  timeline *tl = tl_new(d, p, pol->name, f->o[CMD_TRACE] != NULL, a);
  observer watch = tl_observer(tl);
  tl->prefetch = opt.prefetch;
  tl->seed = opt.seed;
  explain x;
  bool explains = c->given[CLI_EXPLAIN];
  if (explains) status = cmd_explain(c, d, c->operand != NULL, pol->run, &opt, p, &x, a, e);
  if (status == ERR_OK) status = exec_simgrid(d, p, pol->run, &opt, &watch, a, e);
  if (status == ERR_OK) {
    cmd_progress(c, d->n_tasks, "simulated %.9g s; writing results", tl->makespan_s);
    report r = report_make(tl, &b, a);
    if (f->o[CMD_SCHEDULE] != NULL)
      schedule_file_write(d, p, &pol->made, pol->name, f->o[CMD_SCHEDULE]);
    status = write_results(&r, explains ? &x : NULL, f, a, e);
  }
  tl_free(tl);
  return status;
}

int cmd_simulate_row(const cli *c, const dag *d, const platform *p, const pol_known *known,
                     out *row, arena *a, err *e) {
  cmd_files f = {.row = row};
  cmd_policy pol;
  if (cmd_policy_find(c, &pol, a, e)) return e->status;
  return simulate(c, d, p, known, &pol, &f, a, e);
}

static int read_dag(const cli *c, const platform *p, dag **d, arena *a, err *e) {
  (void)p;
  arena scratch = {0};
  file_bytes b;
  int status = file_read(c->operand, DAG_LIMIT, &b, &scratch, e);
  if (status == ERR_OK) {
    cmd_progress(c, b.len / 400, "reading %zu bytes of tasks", b.len);
    const char *where = strcmp(c->operand, "-") == 0 ? "standard input" : c->operand;
    status = dag_read_json(where, b.data, b.len, d, a, e);
    if (status == ERR_OK) dag_keep_rooms(*d);
  }
  arena_free(&scratch);
  return status;
}

typedef int dag_source(const cli *c, const platform *p, dag **d, arena *a, err *e);

static int run(const cli *c, dag_source *source, arena *a, err *e) {
  platform p;
  dag *d;
  cmd_policy pol;
  cmd_files f;
  if (cmd_policy_find(c, &pol, a, e) || cmd_load_platform(c, &p, a, e)) return e->status;
  if (cmd_files_open(c, &f, a, e)) return e->status;
  if (c->given[CLI_EXPLAIN] && f.to_stdout) {
    cmd_files_abort(&f);
    return err_set(e, ERR_BAD,
                   "--explain prints to standard output, where a result goes already; "
                   "write that to a file");
  }
  int status = source(c, &p, &d, a, e);
  if (status == ERR_OK) status = simulate(c, d, &p, NULL, &pol, &f, a, e);
  cmd_files_abort(&f);
  return status;
}

int cmd_run(const cli *c, arena *a, err *e) {
  return run(c, cmd_compile_dag, a, e);
}

int cmd_simulate(const cli *c, arena *a, err *e) {
  return run(c, read_dag, a, e);
}
