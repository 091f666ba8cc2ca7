#include "sim/cmd.h"

/* --explain: how the run's DAG comes about once more, on a changed platform. */

typedef struct source {
  const cli *c;
  const dag *given; /* from a file: the same on any platform; NULL: compiled from the model */
  size_t told;      /* tenths of the progress */
} source;

static int compile(void *ctx, const platform *p, const dag **d, arena *a, err *e) {
  const source *s = ctx;
  dag *made;
  if (s->given != NULL) return *d = s->given, ERR_OK;
  if (cmd_compile_dag(s->c, p, &made, a, e)) return e->status;
  *d = made;
  return ERR_OK;
}

static void progress(void *ctx, size_t done, size_t of) {
  source *s = ctx;
  if (10 * done / of == s->told) return;
  s->told = 10 * done / of;
  /* many runs are a big job, however small each is */
  cmd_progress(s->c, SIZE_MAX, "explaining: %zu of at most %zu simulations", done, of);
}

int cmd_explain(const cli *c, const dag *d, bool given, const policy *pol,
                const machine_options *opt, const platform *p, explain *x, arena *a, err *e) {
  source s = {.c = c, .given = given ? d : NULL};
  explain_run run = {.plat = p,
                     .dag = d,
                     .pol = pol,
                     .opt = *opt,
                     .exec = exec_simgrid,
                     .compile = compile,
                     .progress = progress,
                     .ctx = &s};
  return explain_study(&run, x, a, e);
}
