/* cmd_sweep.h - one point of `llamasim sweep`, from text to what a run needs.
 *
 * A point is a command line of `run`: the sweep's own options, and --KEY=VALUE or --set KEY=VALUE
 * for each key that varies. It is read by the parser of command lines, so that an option means, and
 * refuses, here what it does there. Models and platform files are read once, and a DAG is compiled
 * once for each distinct piece of work (options, model, and what the compiler sees of the
 * platform): one that a single point has, in that point's process, beside others. Whoever has
 * checked all points has counted their work, so that a DAG goes with its last point: what is kept
 * makes every fork dearer. DAGs to be used again are kept up to SWEEP_KEPT_TASKS tasks together;
 * from then on the one used last makes room, so that of work that comes round again most is found.
 *
 * Points come in batches, each for one process: within a batch no DAG goes, and platforms are alike
 * to SimGrid, so that the process can simulate one after the other. */
#ifndef LS_CMD_SWEEP_H
#define LS_CMD_SWEEP_H

#include "sim/cmd.h"
#include "sim/report.h"
#include "sim/sweep.h"

enum { SWEEP_KEPT_TASKS = 1 << 15, SWEEP_COUNTED = 1 << 14 };

/* How many points are still to come that have this work. */
typedef struct sweep_count {
  uint64_t hash; /* 0: the slot is empty */
  uint64_t left;
} sweep_count;

/* Something read once, by the name it was asked for. */
typedef struct sweep_named {
  const char *name;
  platform plat; /* one of both */
  model model;
} sweep_named;

typedef struct sweep_dag {
  char *key; /* all that it depends on, as text */
  arena mem;
  design_start first;
  uint64_t left;  /* points to come */
  uint64_t batch; /* the last one that used it */
} sweep_dag;

typedef struct sweep_source {
  const cli *c; /* of the sweep */
  sweep_plan plan;
  sweep_cursor cursor;
  const cli_opt *option; /* by key; CLI_SET: it is one of the platform's */
  sweep_named *plats, *models;
  size_t n_plats, cap_plats, n_models, cap_models;
  sweep_dag **dags; /* n_dags, each allocated by itself; the one used last at the end */
  size_t n_dags, cap_dags, kept_tasks;
  uint64_t batch; /* counts them, from 1 on */
  sweep_count *counts; /* SWEEP_COUNTED slots; work beyond half of them is taken to come again */
  size_t n_counts;
  uint64_t compiled; /* how many times */
  arena *mem;
} sweep_source;

/* Reads --vary or --points and finds out what their keys are. ERR_BAD: unknown, not to be varied,
 * or given beside. */
ERR_CHECK int sweep_source_open(sweep_source *s, const cli *c, arena *a, err *e);
void sweep_source_close(sweep_source *s);

typedef struct sweep_run {
  arena mem; /* of all the rest */
  cli c;
  const policy *policy;
  platform plat;
  cmd_work work;
  char *text; /* "engines=2, past=4" */
  char **argv;
  int argc;
} sweep_run;

/* Point i, checked as far as that goes without compiling. ERR_BAD names the point. Give it back
 * with arena_free(&x->mem). */
ERR_CHECK int sweep_read_point(sweep_source *s, uint64_t i, sweep_run *x, err *e);

/* Counts the work of a point that will come. */
void sweep_count_work(sweep_source *s, const sweep_run *x);

/* Begins a batch. Gives back DAGs of which no point is to come. */
void sweep_begin_batch(sweep_source *s);

/* A point's DAG, from those kept or compiled now; valid for the batch. NULL: no other point to come
 * has that work, so it is the point's own process that compiles it. `again`: the point was asked
 * about before, and is not counted another time. */
const sweep_dag *sweep_find_dag(sweep_source *s, const sweep_run *x, bool again);

/* Is there no room for a further DAG in this batch? */
bool sweep_is_full(const sweep_source *s);

/* A report with the point's inputs and no result. */
report sweep_inputs(const sweep_run *x, arena *a);

#endif
