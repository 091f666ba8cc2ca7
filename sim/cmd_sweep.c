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

typedef struct sweep {
  const cli *c;
  sweep_source source;
  sweep_file file;
  uint64_t first, end, from; /* this shard's points; the first that is not there yet */
  sweep_run now;             /* the point that was prepared last */
  sweep_run first_run;       /* the first point, for its platform */
  bool alike;                /* all points' platforms are, to SimGrid */
  const sweep_dag *dag;      /* NULL: its process compiles it */
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

static int prepare(void *ctx, size_t piece, err *e) {
  sweep *s = ctx;
  double start = now_s();
  arena_free(&s->now.mem);
  if (sweep_read_point(&s->source, point_of(s, piece), &s->now, e)) return e->status;
  double read = now_s();
  s->dag = sweep_find_dag(&s->source, &s->now);
  s->prepared_s = now_s();
  s->cost.read_s += read - start;
  s->cost.compile_s += s->prepared_s - read;
  return ERR_OK;
}

/* The point's DAG; NULL: there is none, `why` says why. */
static const dag *point_dag(sweep *s, pol_known *known, const char **why) {
  static err fault;
  sweep_run *x = &s->now;
  const design_start *first = s->dag != NULL ? &s->dag->first : NULL;
  const dag *d;
  if (cmd_settle_work(&x->work, first, &d, known, &x->mem, &fault) == ERR_OK) return d;
  *why = fault.msg;
  return NULL;
}

/* In a process of its own: a row and, behind it, what it cost. */
static int work(void *ctx, size_t piece, out *result, err *e) {
  (void)piece;
  sweep *s = ctx;
  sweep_run *x = &s->now;
  double start = now_s();
  static err fault;
  const char *why = NULL;
  pol_known known = {0};
  const dag *d = point_dag(s, &known, &why);
  double compiled = now_s();
  if (d != NULL && cmd_simulate_row(&x->c, d, &x->plat, &known, result, &x->mem, &fault)) {
    d = NULL;
    why = fault.msg;
  }
  if (d == NULL) {
    report r = sweep_inputs(x, &x->mem);
    report_write_csv_failure(&r, why, result);
  }
  costs mine = {.fork_s = start - s->prepared_s,
                .compile_s = compiled - start,
                .simulate_s = now_s() - compiled};
  out_write(result, &mine, sizeof mine);
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
    int status = jobs_run_prepared(1, 1, prepare, work, take, s, e);
    s->again = UINT64_MAX;
    return status;
  }
  report inputs = sweep_inputs(&s->now, &s->now.mem);
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

/* Every point is read before the first one runs. `plan`: a line that tells this sweep from others.
 */
static int check_points(sweep *s, const char **header, const char **plan, arena *a, err *e) {
  uint64_t h = UINT64_C(0xcbf29ce484222325);
  *header = NULL;
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
  int status = jobs_run_prepared((size_t)(s->end - s->from), (size_t)s->c->number[CLI_JOBS],
                                 prepare, work, take, s, e);
  arena_free(&s->now.mem);
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
