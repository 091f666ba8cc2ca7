/* cmd.h - the commands, and what they share. Each returns an exit status and leaves the printing of
 * errors to main.c. */
#ifndef LS_CMD_H
#define LS_CMD_H

#include "sim/base/file.h"
#include "sim/cli.h"
#include "sim/design.h"
#include "sim/explain.h"
#include "sim/evaluate.h"
#include "sim/platform.h"
#include "sim/policy.h"
#include "workloads/block.h"
#include "workloads/place.h"

int cmd_run(const cli *c, arena *a, err *e);
int cmd_sweep(const cli *c, arena *a, err *e);
int cmd_simulate(const cli *c, arena *a, err *e);
int cmd_compile(const cli *c, arena *a, err *e);
int cmd_verify(const cli *c, arena *a, err *e);
int cmd_inspect(const cli *c, arena *a, err *e);
int cmd_models(const cli *c, arena *a, err *e);
int cmd_schedulers(const cli *c, arena *a, err *e);
int cmd_ops(const cli *c, arena *a, err *e);
int cmd_compare(const cli *c, arena *a, err *e);
int cmd_help(const cli *c, arena *a, err *e);

/* Reads --platform and applies every --set. */
ERR_CHECK int cmd_load_platform(const cli *c, platform *p, arena *a, err *e);

/* Reads --model and compiles the step that the options describe for this platform. The DAG is
 * checked. */
ERR_CHECK int cmd_compile_dag(const cli *c, const platform *p, dag **d, arena *a, err *e);

/* The same in parts, for a model that is there: the options, with the contract's defaults; and the
 * compilation. */
ERR_CHECK int cmd_workload(const cli *c, const model *m, wl_options *o, err *e);
ERR_CHECK int cmd_compile_model(const model *m, const wl_options *o, const platform *p, dag **d,
                                arena *a, err *e);
/* The same in two steps: what is to be compiled, which is all that the DAG depends on; and
 * compiling it. `m`, `p` and `w->pads` must
 * outlive it. */
typedef struct cmd_work {
  const model *model;
  const platform *plat;
  wl_options options;
  wl_target target;
  wl_pads pads;
} cmd_work;

ERR_CHECK int cmd_find_work(const cli *c, const platform *p, const model *m, cmd_work *w, arena *a,
                            err *e);
ERR_CHECK int cmd_compile_work(const cmd_work *w, dag **d, arena *a, err *e);

/* The compilation in two steps (design_first, design_settle): what depends on `w` but for its
 * platform's rates; and what comes of it on the platform, which may be `first`'s itself; and what
 * is known of that then, which saves the run a simulation. */
ERR_CHECK int cmd_compile_first(const cmd_work *w, design_start *first, arena *a, err *e);
ERR_CHECK int cmd_settle_work(const cmd_work *w, const design_start *first, const dag **d,
                              pol_known *known, arena *a, err *e);

/* Simulates the DAG and writes the report as a row of CSV; a process can do that once. `known`: of
 * the DAG and the platform as they were settled. */
ERR_CHECK int cmd_simulate_row(const cli *c, const dag *d, const platform *p,
                               const pol_known *known, out *row, arena *a, err *e);

/* --dtype and --kv-dtype; sets nothing else. */
ERR_CHECK int cmd_dtypes(const cli *c, wl_options *o, err *e);

/* --scheduler, for who takes no schedule from a file */
ERR_CHECK int cmd_find_policy(const cli *c, const policy **p, arena *a, err *e);

/* --search-budget is for --scheduler search. */
ERR_CHECK int cmd_check_budget(const cli *c, err *e);

/* --explain: the re-simulations, before the run itself (explain.h). `given`: the DAG is not compiled from a model. */
ERR_CHECK int cmd_explain(const cli *c, const dag *d, bool given, const policy *pol,
                          const machine_options *opt, const platform *p, explain *x, arena *a,
                          err *e);
/* A policy as a run takes it: --scheduler (also file:F), --search-budget, --save-schedule. First find, before anything else is
 * done; then, when the DAG is there, ready: reads the file, and sets what machine_options hands on to the policy. */
typedef struct cmd_policy {
  const policy *run;   /* for the executor; NULL from find to ready where a file is to be read */
  const char *name;    /* for reports */
  const char *file;    /* NULL: none */
  pol_schedule given, made;
  pol_recorder recorder;
  pol_host host;
  const cli *cli;
} cmd_policy;
ERR_CHECK int cmd_policy_find(const cli *c, cmd_policy *p, arena *a, err *e);
ERR_CHECK int cmd_policy_ready(cmd_policy *p, const dag *d, const platform *plat, machine_options *opt,
                               arena *a, err *e);

/* A line on standard error, where the options and the terminal allow; `tasks`: how large the job
 * is. */
void cmd_progress(const cli *c, size_t tasks, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Prints by `print` to standard output; its failure is an error like any other. */
#define CMD_PRINT(call)                                                                            \
  do {                                                                                             \
    out *o = out_print(e);                                                                     \
    if (o == NULL) return e->status;                                                               \
    call;                                                                                          \
    return out_close(o, e);                                                                        \
  } while (0)

/* The files of a run: opened together before it, finished together after it, so that a path that
 * cannot be written fails at once, and a run that fails leaves nothing behind. */
typedef enum cmd_file { CMD_REPORT, CMD_TRACE, CMD_CSV, CMD_TIMELINE, CMD_SCHEDULE, CMD_FILE_COUNT } cmd_file;

typedef struct cmd_files {
  out *o[CMD_FILE_COUNT]; /* NULL: not asked for, or finished */
  const char *path[CMD_FILE_COUNT];
  bool to_stdout; /* one of them goes there */
  out *row;       /* not NULL: the CSV's row goes there, and nothing anywhere else */
} cmd_files;

/* Is it standard output; do two paths name one plain file? */
bool cmd_is_stdout(const char *path);
bool cmd_same_file(const char *a, const char *b, arena *mem);

/* Refuses to write option o's result to a path that the command reads: operands, model (of a folder
 * the files that readers of checkpoints read), platform, schedule, ids, golden data. */
ERR_CHECK int cmd_check_output(const cli *c, cli_opt o, const char *path, arena *a, err *e);

/* Refuses one path given twice, and a path that is also an input. */
ERR_CHECK int cmd_files_open(const cli *c, cmd_files *f, arena *a, err *e);
void cmd_files_abort(cmd_files *f);
/* Closes them, first what is no plain file (standard output, a pipe), then the files: what fails,
 * most likely there, leaves no file. The first failure aborts the rest. */
ERR_CHECK int cmd_files_close_streams(cmd_files *f, err *e);
ERR_CHECK int cmd_files_close(cmd_files *f, err *e);

/* Before its row, a CSV needs what the file had so far, or the header where it had nothing. Refuses
 * another header. */
ERR_CHECK int cmd_csv_begin(cmd_files *f, const char *header, size_t len, arena *a, err *e);

#endif
