#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sim/cmd_sweep.h"
#include "sim/exec.h"
#include "sim/jobs.h"
#include "sim/sweep_file.h"

/* Where a point's time goes, for --progress. */
typedef struct costs {
  double read_s, compile_s, fork_s, simulate_s, write_s;
} costs;

/* A point that a process is to run. */
typedef struct prepared {
  sweep_run run;
  const sweep_dag *dag; /* NULL: its process compiles it */
} prepared;

typedef struct sweep {
  const cli *c;
  sweep_source source;
  sweep_file file;
  uint64_t first, end, from; /* this shard's points; the first that is not there yet */
  prepared batch[JOBS_MOST]; /* what was prepared last */
  size_t batch_first, batch_n;
  uint64_t counted;    /* points before it were prepared once */
  sweep_run first_run; /* the first point, for its platform */
  bool alike;          /* all points' platforms are, to SimGrid */
  double prepared_s;
  uint64_t again; /* the piece that is tried a second time; UINT64_MAX: none */
  bool shows, terminal;
  double begun_s, shown_s;
  costs cost;
} sweep;

static double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- a point ---- */

static uint64_t point_of(const sweep *s, size_t piece) {
  return s->again != UINT64_MAX ? s->again : s->from + piece;
}

static void drop_batch(sweep *s) {
  for (size_t k = 0; k < s->batch_n; k++) arena_free(&s->batch[k].run.mem);
  s->batch_n = 0;
}

/* Adds a point to the batch. Not where the first one's process could not simulate it: `fits`. */
static int add_point(sweep *s, size_t piece, bool *fits, err *e) {
  prepared *x = &s->batch[s->batch_n];
  uint64_t i = point_of(s, piece);
  double start = now_s();
  if (sweep_read_point(&s->source, i, &x->run, e)) return e->status;
  double read = now_s();
  s->cost.read_s += read - start;
  *fits = s->batch_n == 0 || exec_simgrid_alike(&s->batch[0].run.plat, &x->run.plat);
  if (!*fits) {
    arena_free(&x->run.mem);
    return ERR_OK;
  }
  x->dag = sweep_find_dag(&s->source, &x->run, i < s->counted);
  s->cost.compile_s += now_s() - read;
  if (i >= s->counted) s->counted = i + 1;
  s->batch_n++;
  return ERR_OK;
}

static int prepare(void *ctx, size_t piece, size_t most, size_t *n, err *e) {
  sweep *s = ctx;
  drop_batch(s);
  sweep_begin_batch(&s->source);
  s->batch_first = piece;
  bool fits = true;
  while (fits && s->batch_n < most && !sweep_is_full(&s->source))
    if (add_point(s, piece + s->batch_n, &fits, e)) return e->status;
  *n = s->batch_n;
  s->prepared_s = now_s();
  return ERR_OK;
}

/* Between two points of a process. */
static bool again(void *ctx, size_t piece) {
  const sweep *s = ctx;
  return exec_simgrid_again(&s->batch[piece - s->batch_first].run.plat);
}

static const jobs_batch BATCH = {.prepare = prepare, .again = again};

/* The point's DAG; NULL: there is none, `why` says why. */
static const dag *point_dag(const prepared *x, pol_known *known, arena *a, const char **why) {
  static err fault;
  fault = (err){0};
  const design_start *first = x->dag != NULL ? &x->dag->first : NULL;
  const dag *d;
  if (cmd_settle_work(&x->run.work, first, &d, known, a, &fault) == ERR_OK) return d;
  *why = fault.msg;
  return NULL;
}

/* In a process that is not the sweep's: a row and, behind it, what it cost. */
static int work(void *ctx, size_t piece, out *result, err *e) {
  sweep *s = ctx;
  const prepared *x = &s->batch[piece - s->batch_first];
  arena mem = {0};
  double start = now_s();
  static err fault;
  fault = (err){0};
  const char *why = NULL;
  pol_known known = {0};
  const dag *d = point_dag(x, &known, &mem, &why);
  double compiled = now_s();
  if (d != NULL && cmd_simulate_row(&x->run.c, d, &x->run.plat, &known, result, &mem, &fault)) {
    d = NULL;
    why = fault.msg;
  }
  if (d == NULL) {
    report r = sweep_inputs(&x->run, &mem);
    report_write_csv_failure(&r, why, result);
  }
  costs mine = {.compile_s = compiled - start, .simulate_s = now_s() - compiled};
  if (piece == s->batch_first) mine.fork_s = start - s->prepared_s;
  out_write(result, &mine, sizeof mine);
  arena_free(&mem);
  (void)e;
  return ERR_OK;
}

static void show(sweep *s, bool last) {
  double now = now_s();
  if (!s->shows || (now - s->shown_s < 0.5 && !last)) return;
  s->shown_s = now;
  uint64_t all = s->end - s->first, here = s->first + s->file.rows - s->from;
  double rate = (double)here / fmax(now - s->begun_s, 1e-9);
  fprintf(stderr, "llamasim: %" PRIu64 "/%" PRIu64 " points, %.0f/s, %.0f s to go%s", s->file.rows,
          all, rate, here == 0 ? 0 : (double)(all - s->file.rows) / rate,
          s->terminal && !last ? "   \r" : "\n");
}

/* ---- results ---- */

/* A process that gave no row: perhaps it was ended from outside, or memory was short with so many
 * beside it. Once more, alone. */
static int take(void *ctx, size_t piece, const jobs_result *r, err *e) {
  sweep *s = ctx;
  costs its;
  if (r->len > sizeof its) {
    double start = now_s();
    memcpy(&its, r->data + r->len - sizeof its, sizeof its);
    s->cost.fork_s += its.fork_s;
    s->cost.compile_s += its.compile_s;
    s->cost.simulate_s += its.simulate_s;
    if (sweep_file_add(&s->file, r->data, r->len - sizeof its, e)) return e->status;
    s->cost.write_s += now_s() - start;
    show(s, false);
    return ERR_OK;
  }
  if (s->again == UINT64_MAX) {
    s->again = s->from + piece;
    int status = jobs_run_batches(1, 1, &BATCH, work, take, s, e);
    s->again = UINT64_MAX;
    return status;
  }
  sweep_run *x = &s->batch[0].run;
  report inputs = sweep_inputs(x, &x->mem);
  out *row = out_memory();
  report_write_csv_failure(&inputs, r->msg, row);
  size_t len;
  const char *text = out_text(row, &len);
  int status = sweep_file_add(&s->file, text, len, e);
  out_abort(row);
  return status;
}

/* ---- the whole ---- */

static uint64_t hash(uint64_t h, const char *data, size_t len) { /* FNV-1a */
  for (size_t i = 0; i < len; i++) h = (h ^ (unsigned char)data[i]) * UINT64_C(0x100000001b3);
  return h;
}

/* Adds the point's header to the hash; ERR_BAD where it is another than the first one's. */
static int check_columns(const sweep_run *x, uint64_t i, const char **header, arena *a, err *e) {
  arena scratch = {0};
  report r = sweep_inputs(x, &scratch);
  out *o = out_memory();
  report_write_csv_header(&r, o);
  const char *text = out_text(o, NULL);
  if (*header == NULL)
    *header = arena_strdup(a, text);
  else if (strcmp(*header, text) != 0)
    err_set(e, ERR_BAD,
            "point %" PRIu64
            " (%s): its row has other columns than the first point's: shared links "
            "and memories, or the keys that are set, differ; make a sweep of each kind",
            i + 1, x->text);
  out_abort(o);
  arena_free(&scratch);
  return e->status;
}

/* The columns of the whole sweep, of which this may be a shard. */
static int first_columns(sweep *s, const char **header, arena *a, err *e) {
  sweep_run x;
  *header = NULL;
  if (s->first == 0) return ERR_OK; /* read in its turn */
  if (sweep_read_point(&s->source, 0, &x, e)) return e->status;
  int status = check_columns(&x, 0, header, a, e);
  arena_free(&x.mem);
  return status;
}

/* Every point is read before the first one runs. `plan`: a line that tells this sweep from others.
 */
static int check_points(sweep *s, const char **header, const char **plan, arena *a, err *e) {
  uint64_t h = UINT64_C(0xcbf29ce484222325);
  if (first_columns(s, header, a, e)) return e->status;
  for (uint64_t i = s->first; i < s->end; i++) {
    sweep_run x;
    if (sweep_read_point(&s->source, i, &x, e)) return e->status;
    for (int k = 0; k < x.argc; k++) h = hash(h, x.argv[k], strlen(x.argv[k]) + 1);
    sweep_count_work(&s->source, &x);
    int status = check_columns(&x, i, header, a, e);
    s->alike = i == s->first || (s->alike && exec_simgrid_alike(&s->first_run.plat, &x.plat));
    if (i == s->first)
      s->first_run = x;
    else
      arena_free(&x.mem);
    if (status != ERR_OK) return status;
  }
  for (size_t i = 0; i < s->source.n_plats; i++) { /* a platform file may change */
    out *o = out_memory();
    size_t len;
    plat_write_xml(&s->source.plats[i].plat, false, o);
    const char *text = out_text(o, &len);
    h = hash(h, text, len);
    out_abort(o);
  }
  *plan = arena_printf(a, "llamasim %s sweep, points %" PRIu64 " to %" PRIu64 ", %016" PRIx64,
                       LLAMASIM_VERSION, s->first + 1, s->end, h);
  return ERR_OK;
}

static int check_inputs(const cli *c, err *e) {
  struct stat there, in;
  const cli_opt INPUT[] = {CLI_POINTS, CLI_PLATFORM, CLI_MODEL};
  if (stat(c->value[CLI_OUT], &there) != 0 || !S_ISREG(there.st_mode)) return ERR_OK;
  for (size_t i = 0; i < sizeof INPUT / sizeof INPUT[0]; i++)
    if (stat(c->value[INPUT[i]], &in) == 0 && in.st_dev == there.st_dev &&
        in.st_ino == there.st_ino)
      return err_set(e, ERR_BAD, "--out would overwrite the input '%s'; name another file",
                     c->value[INPUT[i]]);
  return ERR_OK;
}

static void show_costs(const sweep *s) {
  uint64_t n = s->first + s->file.rows - s->from;
  if (!s->shows || n == 0) return;
  double us = 1e6 / (double)n;
  const costs *x = &s->cost;
  fprintf(stderr,
          "llamasim: %" PRIu64 " DAGs compiled; us a point: read %.0f, compile %.0f, fork %.0f, "
          "simulate and report %.0f, write %.0f\n",
          s->source.compiled, x->read_s * us, x->compile_s * us, x->fork_s * us, x->simulate_s * us,
          x->write_s * us);
}

static int run_points(sweep *s, arena *a, err *e) {
  const char *header, *plan;
  if (check_points(s, &header, &plan, a, e) ||
      sweep_file_open(s->c->value[CLI_OUT], header, plan, s->c->given[CLI_RESUME], &s->file, a, e))
    return e->status;
  uint64_t n = s->end - s->first;
  if (s->file.rows > n) {
    sweep_file_leave(&s->file);
    return err_set(e, ERR_BAD,
                   "%s: has more rows than the sweep has points; remove it to start anew",
                   s->file.part);
  }
  s->from = s->first + s->file.rows;
  if (exec_simgrid_prepare(s->alike ? &s->first_run.plat : NULL, e)) {
    sweep_file_leave(&s->file);
    return e->status;
  }
  s->begun_s = s->shown_s = now_s();
  int status = jobs_run_batches((size_t)(s->end - s->from), (size_t)s->c->number[CLI_JOBS], &BATCH,
                                work, take, s, e);
  drop_batch(s);
  arena_free(&s->first_run.mem);
  if (status != ERR_OK) {
    sweep_file_leave(&s->file);
    return status;
  }
  show(s, true);
  show_costs(s);
  if (sweep_file_finish(&s->file, e)) return e->status;
  if (s->file.failed == 0) return ERR_OK;
  return err_set(e, ERR_NO,
                 "%" PRIu64 " of %" PRIu64 " points failed; the column 'error' of %s says why",
                 s->file.failed, n, s->file.path);
}

int cmd_sweep(const cli *c, arena *a, err *e) {
  static sweep s;
  s = (sweep){.c = c, .again = UINT64_MAX, .terminal = isatty(STDERR_FILENO) == 1};
  s.shows = (s.terminal || c->given[CLI_PROGRESS]) && !c->given[CLI_QUIET];
  int status = sweep_source_open(&s.source, c, a, e);
  if (status == ERR_OK)
    status = sweep_shard(c->value[CLI_SHARD], s.source.plan.n_points, &s.first, &s.end, e);
  if (status == ERR_OK && s.first == s.end)
    status =
        err_set(e, ERR_BAD, "--shard %s: has none of the %" PRIu64 " points; make fewer shards",
                c->value[CLI_SHARD], s.source.plan.n_points);
  if (status == ERR_OK) status = check_inputs(c, e);
  if (status == ERR_OK) status = run_points(&s, a, e);
  sweep_source_close(&s.source);
  return status;
}
