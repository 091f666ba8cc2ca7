#include "sim/explain.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/jobs.h"

/* softmax's passes and the forms of one op count together. */
const char *explain_family(op o) {
  static const struct {
    const char *begins, *name;
  } FAMILY[] = {{"Softmax", "softmax"}, {"MatMul", "MatMul"}, {"FlashAttn", "FlashAttn"}};
  for (size_t i = 0; i < sizeof FAMILY / sizeof *FAMILY; i++)
    if (strncmp(op_name(o), FAMILY[i].begins, strlen(FAMILY[i].begins)) == 0) return FAMILY[i].name;
  return op_name(o);
}

/* ---- one point, in its process ---- */

typedef struct batch {
  const explain_run *run;
  explain_point **point;
  size_t n, done, of; /* progress: points done before this batch, and in all */
  arena *a;
} batch;

static int change(const explain_point *pt, platform *p, arena *a, err *e) {
  for (size_t i = 0; pt->set != NULL && pt->set[i] != NULL; i++)
    if (plat_set(p, pt->set[i], a, e)) return e->status;
  for (int o = 0; pt->free_ops != NULL && o < OP_COUNT; o++)
    p->op_free[o] = strcmp(explain_family((op)o), pt->free_ops) == 0;
  return ERR_OK;
}

/* Makespan, use of the bottleneck, and its name. */
static int simulate(void *ctx, size_t i, out *result, err *e) {
  const batch *b = ctx;
  const explain_run *run = b->run;
  arena a = {0};
  platform p = *run->plat;
  const dag *d = run->dag;
  reach within;
  if (change(b->point[i], &p, &a, e)) return e->status;
  if (b->point[i]->set != NULL && run->compile(run->ctx, &p, &d, &a, e)) return e->status;
  if (reach_make(&within, &p, d, &a, e)) return e->status;
  timeline *tl = tl_new(d, &p, run->pol->name, false, &a);
  observer watch = tl_observer(tl);
  if (run->exec(d, &p, run->pol, &run->opt, &watch, &a, e)) return e->status;
  bounds bound = est_bounds(&p, d, &a);
  report r = report_make(tl, &bound, &a);
  double share;
  const char *name = report_bound_by(&r, &share);
  out_printf(result, "%.17g %.17g %s", tl->makespan_s, share, name);
  tl_free(tl);
  arena_free(&a);
  return ERR_OK;
}

static int take(void *ctx, size_t i, const jobs_result *r, err *e) {
  batch *b = ctx;
  explain_point *pt = b->point[i];
  (void)e;
  pt->status = r->status;
  pt->why = arena_strdup(b->a, r->msg);
  if (r->status == ERR_OK) {
    char *rest;
    pt->makespan_s = strtod(r->data, &rest);
    pt->share = strtod(rest, &rest);
    pt->bound_by = arena_strdup(b->a, rest + 1);
  }
  if (b->run->progress != NULL) b->run->progress(b->run->ctx, b->done + i + 1, b->of);
  return ERR_OK;
}

/* ---- knees ---- */

/* Each round tries these; then the first interval in which the bottleneck changes is cut again. */
enum { COARSE = 5, CUTS = 7, FINE_ROUNDS = 3 };
static const double STRIDE = 4;

typedef struct search {
  explain_knee *knee;
  double lo, hi; /* factors, lo before the knee and hi beyond it */
  explain_point try[CUTS];
  double factor[CUTS];
  size_t n;
} search;

static bool owns(const explain_knob *k, const char *bound_by) {
  for (int i = 0; i < 2; i++)
    if (k->owner[i] != NULL && strcmp(k->owner[i], bound_by) == 0) return true;
  if (k->owner[0] != NULL) return false;
  for (size_t i = 0; k->names != NULL && i < k->n; i++)
    if (strcmp(k->names[i], bound_by) == 0) return true;
  return false;
}

/* Puts the round's points into the batch. */
static void plan_round(search *s, int round, batch *b) {
  s->n = round == 0 ? COARSE : s->knee->found ? CUTS : 0;
  for (size_t i = 0; i < s->n; i++) {
    double share = (double)(i + 1) / (CUTS + 1);
    s->factor[i] = round > 0 ? s->lo * pow(s->hi / s->lo, share)
                             : pow(s->knee->up ? STRIDE : 1 / STRIDE, (double)(i + 1));
    s->try[i] = (explain_point){.set = explain_assign(s->knee->knob, s->factor[i], b->a)};
    b->point[b->n++] = &s->try[i];
  }
}

static void end_round(search *s, const char *bound_by) {
  for (size_t i = 0; i < s->n; i++) {
    if (s->try[i].status != ERR_OK) return;
    if (strcmp(s->try[i].bound_by, bound_by) != 0) {
      s->knee->found = true;
      s->knee->factor = s->hi = s->factor[i];
      s->knee->at = s->try[i];
      return;
    }
    s->lo = s->factor[i];
  }
}

/* ---- the study ---- */

static void list_points(const explain_run *run, explain *x, arena *a) {
  x->n_knobs = explain_knobs(run->plat, run->dag, &x->knobs, a);
  x->less = ARENA_NEW(a, explain_point, x->n_knobs);
  x->more = ARENA_NEW(a, explain_point, x->n_knobs);
  x->free_op = ARENA_NEW(a, explain_point, OP_COUNT);
  x->knees = ARENA_NEW(a, explain_knee, x->n_knobs);
  for (size_t i = 0; i < x->n_knobs; i++) {
    const explain_knob *k = &x->knobs[i];
    x->less[i] = (explain_point){.set = explain_assign(k, k->step ? -1 : 0.9, a), .status = ERR_NO};
    x->more[i] = (explain_point){.set = explain_assign(k, k->step ? 1 : 1.1, a), .status = ERR_NO};
    if (k->rate) x->knees[x->n_knees++].knob = k;
  }
  bool has[OP_COUNT] = {false};
  for (uint32_t t = 0; t < run->dag->n_tasks; t++) has[run->dag->tasks[t].op] = true;
  for (int o = 0; o < OP_COUNT; o++) {
    const char *family = explain_family((op)o);
    bool again = false;
    for (size_t i = 0; i < x->n_free; i++)
      again = again || strcmp(x->free_op[i].free_ops, family) == 0;
    if (has[o] && !again) x->free_op[x->n_free++] = (explain_point){.free_ops = family};
  }
}

static int run_batch(batch *b, err *e) {
  int status = jobs_run(b->n, 0, simulate, take, b, e);
  b->done += b->n;
  b->n = 0;
  return status;
}

static int find_knees(explain *x, batch *b, err *e) {
  search *s = ARENA_NEW(b->a, search, x->n_knees);
  for (size_t i = 0; i < x->n_knees; i++) {
    x->knees[i].up = owns(x->knees[i].knob, x->base.bound_by);
    s[i] = (search){.knee = &x->knees[i], .lo = 1};
  }
  for (int round = 0; round <= FINE_ROUNDS; round++) {
    for (size_t i = 0; i < x->n_knees; i++) plan_round(&s[i], round, b);
    if (run_batch(b, e)) return e->status;
    for (size_t i = 0; i < x->n_knees; i++) end_round(&s[i], x->base.bound_by);
  }
  return ERR_OK;
}

int explain_study(const explain_run *run, explain *x, arena *a, err *e) {
  *x = (explain){.base = {.status = ERR_OK}};
  list_points(run, x, a);
  size_t most = 1 + 2 * x->n_knobs + x->n_free + CUTS * x->n_knees;
  batch b = {.run = run, .a = a, .point = ARENA_NEW(a, explain_point *, most)};
  b.point[b.n++] = &x->base;
  for (size_t i = 0; i < x->n_knobs; i++) {
    if (x->less[i].set != NULL) b.point[b.n++] = &x->less[i];
    if (x->more[i].set != NULL) b.point[b.n++] = &x->more[i];
  }
  for (size_t i = 0; i < x->n_free; i++) b.point[b.n++] = &x->free_op[i];
  b.of = b.n + (COARSE + FINE_ROUNDS * CUTS) * x->n_knees;
  if (run_batch(&b, e)) return e->status;
  if (x->base.status != ERR_OK) return err_set(e, x->base.status, "%s", x->base.why);
  int status = find_knees(x, &b, e);
  x->n_points = b.done;
  return status;
}
