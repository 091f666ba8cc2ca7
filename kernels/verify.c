#include "kernels/verify.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double verify_tolerance(const wl_options *o) {
  static const double BY_DTYPE[DT_COUNT] = {
      [DT_F16] = 0x1p-5, [DT_BF16] = 0x1p-2, [DT_INT8] = 0.5, [DT_INT4] = 2};
  double f32 = 5e-6 * fmax(1, (double)o->layers / 4);
  return fmax(f32, fmax(BY_DTYPE[o->act_dtype], BY_DTYPE[o->kv_dtype]));
}

void verify_pick(verify *v, uint64_t seq) {
  const verify_sequence *s = &v->sequences[seq];
  v->seq = seq;
  v->points = s->points, v->ids = s->ids, v->max_score = s->max_score;
}

/* Its ids. */
static const uint32_t *given(const verify *v) {
  return v->in.ids + v->seq * v->in.n;
}

/* ---- what goes in -----------------------------------------------------------------------------
 */

static uint32_t dram(const verify *v, const char *name) {
  const dag *d = v->in.d;
  for (uint32_t i = 0; i < d->n_tensors; i++)
    if (d->tensors[i].space == DAG_DRAM && strcmp(d->tensors[i].name, name) == 0) return i;
  return UINT32_MAX;
}

static int no_tensor(const char *name, err *e) {
  return err_set(e, ERR_INTERNAL, "verify: the DAG has no tensor '%s' in DRAM", name);
}

/* Rows of the embedding table, as the reference sees them: (n, C). */
static int embedding(const verify *v, const uint32_t *ids, uint64_t n, float *x, err *e) {
  ref_weights w = source_for_reference(v->in.weights);
  for (uint64_t i = 0; i < n; i++)
    if (w.rows(w.user, "model.embed_tokens.weight", ids[i], 1, x + i * v->in.m->hidden_size, e))
      return e->status;
  return ERR_OK;
}

static int check_ids(const verify *v, err *e) {
  const model *m = v->in.m;
  for (uint64_t i = 0; i < v->in.n * v->in.o->batch; i++)
    if (v->in.ids[i] >= m->vocab_size)
      return err_set(e, ERR_BAD,
                     "token %" PRIu64 ": id is %" PRIu32
                     "; the vocabulary of '%s' has ids 0 to %" PRIu64,
                     i % v->in.n, v->in.ids[i], m->name, m->vocab_size - 1);
  return ERR_OK;
}

/* The ids of the first step or steps, or their embedding: step by step, of each the sequences. */
static int set_input(verify *v, err *e) {
  const char *name = v->in.o->all ? "prompt_ids" : "input";
  uint64_t past = v->in.o->past, B = v->in.o->batch, fresh = v->in.n - past, n = B * fresh;
  uint64_t C = v->in.m->hidden_size, rows = v->in.o->tokens;
  uint32_t t = dram(v, name);
  if (t == UINT32_MAX) return no_tensor(name, e);
  arena scratch = {0};
  float *x = ARENA_NEW(&scratch, float, n *C);
  uint32_t *ids = ARENA_NEW(&scratch, uint32_t, n);
  for (uint64_t i = 0; i < n; i++) {
    uint64_t step = i / (B * rows), seq = i / rows % B;
    ids[i] = v->in.ids[seq * v->in.n + past + step * rows + i % rows];
  }
  int status = ERR_OK;
  if (!v->in.o->all) status = embedding(v, ids, n, x, e);
  for (uint64_t i = 0; i < n && v->in.o->all; i++) x[i] = (float)ids[i];
  dag_view all = dag_all(v->in.d, t);
  if (status == ERR_OK && dag_view_elements(&all) != n * (v->in.o->all ? 1 : C))
    status = err_set(e, ERR_INTERNAL, "verify: '%s' has not %" PRIu64 " rows", name, n);
  if (status == ERR_OK) status = dx_set(v->x, t, &all, x, e);
  arena_free(&scratch);
  return status;
}

/* Rows (past, KV heads, head_dim) into K or V of a layer's cache, in its layout (block.h). */
static int set_cache(verify *v, uint64_t layer, char which, const float *rows, err *e) {
  uint64_t KV = v->in.m->num_key_value_heads, hd = v->in.m->head_dim, P = v->in.o->past;
  char name[64], of[32] = "";
  if (v->in.o->batch > 1) snprintf(of, sizeof of, ".b%" PRIu64, v->seq);
  snprintf(name, sizeof name, "L%" PRIu64 ".%c_cache%s", layer, which, of);
  uint32_t t = dram(v, name);
  if (t == UINT32_MAX) return no_tensor(name, e);
  const dag_tensor *cache = &v->in.d->tensors[t];
  bool transposed = cache->rank == 4, shifted = !transposed && cache->dim[0] > KV;
  float *y = mem_alloc(P * KV * hd, sizeof *y);
  for (uint64_t p = 0; p < P; p++)
    for (uint64_t h = 0; h < KV; h++)
      for (uint64_t i = 0; i < hd; i++)
        y[transposed ? (h * hd + i) * P + p : (h * P + p) * hd + i] = rows[(p * KV + h) * hd + i];
  uint64_t lo[2][4] = {{shifted, 0, 0}, {0, 0, 1, 0}}, len[2][4] = {{KV, P, hd}, {1, KV, hd, P}};
  dag_view box = dag_box(v->in.d, t, lo[transposed], len[transposed]);
  int status = dx_set(v->x, t, &box, y, e);
  free(y);
  return status;
}

static int take_cached(void *user, const char *name, uint32_t rank, const uint64_t *dim,
                       const float *x, err *e) {
  (void)rank, (void)dim;
  char *end;
  if (*name != 'L') return ERR_OK;
  uint64_t layer = strtoull(name + 1, &end, 10);
  if (strcmp(end, ".k_rope") == 0) return set_cache(user, layer, 'k', x, e);
  if (strcmp(end, ".v") == 0) return set_cache(user, layer, 'v', x, e);
  return ERR_OK;
}

static int refer(verify *v, const uint32_t *ids, const float *input, uint64_t T,
                 int (*point)(void *, const char *, uint32_t, const uint64_t *, const float *,
                              err *),
                 void *user, bool head, err *e) {
  ref_run run = {.ids = ids,
                 .input = input,
                 .T = T,
                 .first_layer = v->in.o->first_layer,
                 .layers = v->in.o->layers,
                 .head = head};
  ref_weights w = source_for_reference(v->in.weights);
  return ref_forward(v->in.m, &run, &w, &(ref_points){point, user}, e);
}

/* What the reference takes in without the embedding: the prompt's rows, then what the DAG's steps
 * gave out. */
static int make_input(const verify *v, uint64_t T, float **input, arena *a, err *e) {
  uint64_t C = v->in.m->hidden_size, n = v->in.n < T ? v->in.n : T;
  if (v->in.o->all) return ERR_OK;
  *input = ARENA_NEW(a, float, T *C);
  if (embedding(v, given(v), n, *input, e)) return e->status;
  const dag *d = v->in.d;
  const points_array *x = NULL;
  for (size_t i = 0; i < v->points->n; i++)
    if (v->points->at[i].x != NULL && strstr(v->points->at[i].name, ".resid2") != NULL)
      x = &v->points->at[i];
  for (uint64_t s = 1; s < points_steps(d) && x != NULL; s++) {
    uint64_t to = points_step_begin(d, s), rows = points_step_rows(d, s);
    if (to + rows > T) break;
    memcpy(*input + to * C, x->x + (to - rows) * C, rows * C * sizeof(float));
  }
  return ERR_OK;
}

static int set_past(verify *v, err *e) {
  uint64_t P = v->in.o->past;
  if (P == 0) return ERR_OK;
  arena scratch = {0};
  float *input = NULL;
  int status = make_input(v, P, &input, &scratch, e);
  if (status == ERR_OK) status = refer(v, given(v), input, P, take_cached, v, false, e);
  arena_free(&scratch);
  return status;
}

static void wrote(void *user, uint32_t task, uint32_t w, const float *y) {
  const verify *v = user;
  uint64_t first, n = points_sequences(v->points, task, w, &first);
  for (uint64_t i = 0; i < n; i++) points_take(v->sequences[first + i].points, task, w, y);
}

void verify_init(verify *v, const verify_input *in, double tolerance, arena *a) {
  *v = (verify){.in = *in, .tolerance = tolerance, .a = a};
  v->weights = source_for_dag(in->weights);
  v->tap = (dx_tap){wrote, v};
  v->sequences = ARENA_NEW(a, verify_sequence, in->o->batch);
  for (uint64_t i = 0; i < in->o->batch; i++) {
    verify_sequence *s = &v->sequences[i];
    s->points = points_new(in->d, in->m, in->o, i, a);
    s->ids = ARENA_NEW(a, uint32_t, s->points->T + in->n);
    s->max_score = ARENA_NEW(a, double, in->m->num_hidden_layers);
  }
  verify_pick(v, 0);
}

int verify_begin(verify *v, err *e) {
  if (check_ids(v, e)) return e->status;
  v->x = dx_new(v->in.d, v->in.m, &v->weights, &v->tap, v->a, e);
  if (v->x == NULL || set_input(v, e)) return e->status;
  for (uint64_t i = v->in.o->batch; i-- > 0;) { /* the first stays picked */
    verify_pick(v, i);
    if (set_past(v, e)) return e->status;
  }
  return ERR_OK;
}

void verify_free(verify *v) {
  dx_free(v->x);
  v->x = NULL;
}

/* What went in at a position: given, or sampled by the step before. */
static uint32_t id_at(const verify *v, uint64_t pos) {
  return pos < v->in.n ? given(v)[pos] : v->ids[pos];
}

/* ---- comparing --------------------------------------------------------------------------------
 */

/* An array to compare with; of a golden file, or a dense f32. */
typedef struct array {
  uint32_t rank;
  uint64_t dim[3];
  const float *x;
  const golden_array *g;
  uint64_t skipped; /* rows that it lacks at the beginning */
  uint64_t end;     /* no row from this position on counts */
} array;

static double at(const array *r, uint64_t i) {
  return r->x != NULL ? (double)r->x[i] : golden_at(r->g, i);
}

/* Its rows are positions 0 .. T-1, less those skipped. */
static uint64_t positions(const array *r, const points_array *x) {
  uint64_t n = r->skipped + (x->shape < POINTS_S ? r->dim[0] : r->dim[1]);
  return n < r->end ? n : r->end;
}

/* The index of the row's first element. */
static uint64_t row_at(const verify *v, const array *r, const points_array *x, uint64_t row) {
  uint64_t T = v->points->T, pos = row % T, h = row / T;
  if (x->shape < POINTS_S) return (row - r->skipped) * r->dim[1];
  return (h * r->dim[1] + pos) * (x->shape == POINTS_S ? r->dim[2] : 1);
}

static uint64_t layer_of(const points_array *x) {
  return x->name[0] == 'L' ? strtoull(x->name + 1, NULL, 10) : 0;
}

static bool is(const points_array *x, const char *name) {
  const char *dot = strchr(x->name, '.');
  return strcmp(dot != NULL ? dot + 1 : x->name, name) == 0;
}

/* What an error of the scores does to the point, in max|s|. */
static double conditioning(const points_array *x) {
  if (is(x, "softmax_exp") || is(x, "softmax_sum") || is(x, "attn_out")) return 1;
  return is(x, "softmax_prob") ? 0.5 : 0;
}

static double tolerance_of(const verify *v, const points_array *x) {
  return v->tolerance * fmax(1, conditioning(x) * v->max_score[layer_of(x)]);
}

static uint64_t row_length(const verify *v, const points_array *x, uint64_t row) {
  return x->shape == POINTS_S ? points_position(v->points, x, row) + 1 : x->width;
}

/* A dumped file says so where a row was not computed: none of it is a number. */
static bool lacks_row(const verify *v, const array *r, const points_array *x, uint64_t row) {
  uint64_t n = row_length(v, x, row), from = row_at(v, r, x, row), i = 0;
  while (r->g != NULL && i < n && isnan(at(r, from + i))) i++;
  return i == n;
}

static bool in_both(const verify *v, const array *r, const points_array *x, uint64_t row) {
  uint64_t pos = points_position(v->points, x, row);
  if (pos < r->skipped || pos >= positions(r, x) || !points_has_row(v->points, x, row))
    return false;
  return !lacks_row(v, r, x, row);
}

static double distance(double got, double want) {
  if (got == want) return 0;
  double d = fabs(got - want);
  return isnan(d) ? INFINITY : d;
}

/* The first element that is off by more than may be, row by row. */
static void find_first(const verify *v, const points_array *x, const array *r, verify_line *l) {
  double most = l->tolerance * (l->max_ref > 0 ? l->max_ref : 1);
  for (uint64_t row = 0; row < x->rows; row++) {
    if (!in_both(v, r, x, row)) continue;
    for (uint64_t i = 0, n = row_length(v, x, row), from = row_at(v, r, x, row); i < n; i++) {
      double got = (double)x->x[row * x->width + i], want = at(r, from + i);
      if (distance(got, want) <= most) continue;
      uint64_t T = v->points->T;
      if (x->shape < POINTS_S)
        l->at[0] = row, l->at[1] = i;
      else
        l->at[0] = row / T, l->at[1] = row % T, l->at[2] = i;
      l->got = got, l->want = want;
      return;
    }
  }
}

static verify_line compare(const verify *v, const points_array *x, const array *r) {
  verify_line l = {.name = x->name, .rank = x->rank, .tolerance = tolerance_of(v, x)};
  memcpy(l.dim, x->dim, sizeof l.dim);
  for (uint64_t row = 0; row < x->rows; row++) {
    uint64_t pos = points_position(v->points, x, row);
    l.of += pos >= v->in.o->past;
    if (!in_both(v, r, x, row)) continue;
    l.rows++;
    for (uint64_t i = 0, n = row_length(v, x, row), from = row_at(v, r, x, row); i < n; i++) {
      double want = at(r, from + i);
      l.max_d = fmax(l.max_d, distance((double)x->x[row * x->width + i], want));
      l.max_ref = fmax(l.max_ref, fabs(want));
    }
  }
  l.verdict = l.rows == 0                                                ? VERIFY_ABSENT
              : l.max_d <= l.tolerance * (l.max_ref > 0 ? l.max_ref : 1) ? VERIFY_PASS
                                                                         : VERIFY_FAIL;
  if (l.verdict == VERIFY_FAIL) find_first(v, x, r, &l);
  return l;
}

static uint64_t largest(const array *r, uint64_t from, uint64_t n) {
  uint64_t best = 0;
  for (uint64_t i = 1; i < n; i++)
    if (at(r, from + i) > at(r, from + best)) best = i;
  return best;
}

/* Greedy tokens: what each step sampled, against the largest logit of the row before. */
static void compare_tokens(const verify *v, const points_array *x, const array *r,
                           const verify_line *l, verify_table *t) {
  for (uint64_t s = 0; s < points_steps(v->in.d); s++) {
    uint64_t pos = points_step_begin(v->in.d, s) + points_step_rows(v->in.d, s);
    if (!in_both(v, r, x, pos - 1)) continue;
    uint64_t from = row_at(v, r, x, pos - 1), got = v->ids[pos], want = largest(r, from, r->dim[1]);
    t->tokens++;
    if (got == want || (got < r->dim[1] &&
                        at(r, from + want) - at(r, from + got) <= 2 * l->tolerance * l->max_ref))
      continue;
    if (t->wrong++ == 0) t->wrong_pos = pos, t->wrong_got = got, t->wrong_want = want;
  }
}

static void add(verify *v, verify_table *t, const points_array *x, const array *r) {
  verify_line l = compare(v, x, r);
  ARENA_PUSH(v->a, t->line, t->n, t->cap, l);
  if (is(x, "logits") && l.rows > 0) compare_tokens(v, x, r, &l, t);
}

/* ---- with the reference -----------------------------------------------------------------------
 */

/* All ids: the given ones, then what steps sampled. */
static int find_ids(verify *v, err *e) {
  const dag *d = v->in.d;
  uint64_t n = points_steps(d);
  for (uint64_t s = 0; s < n && v->in.o->all; s++) {
    char name[64];
    snprintf(name, sizeof name, "s%" PRIu64 ".head.token_ids", s);
    uint32_t t = dram(v, n > 1 ? name : "head.token_ids");
    /* a long prompt's head has the block in its name */
    for (uint32_t i = 0; i < d->n_tensors && t == UINT32_MAX; i++)
      if (d->tensors[i].space == DAG_DRAM && strstr(d->tensors[i].name, "head.token_ids") != NULL &&
          (n == 1 || strncmp(d->tensors[i].name, name, strcspn(name, ".") + 1) == 0))
        t = i;
    if (t == UINT32_MAX) return no_tensor(name, e);
    float id;
    dag_view its = dag_box(d, t, (uint64_t[]){v->seq, 0}, (uint64_t[]){1, 1});
    if (dx_get(v->x, t, &its, &id, e)) return e->status;
    v->ids[points_step_begin(d, s) + points_step_rows(d, s)] = (uint32_t)id;
  }
  return ERR_OK;
}

typedef struct referring {
  verify *v;
  verify_table *t;
} referring;

static int take_reference(void *user, const char *name, uint32_t rank, const uint64_t *dim,
                          const float *x, err *e) {
  referring *c = user;
  const points_array *p = points_find(c->v->points, name);
  if (p == NULL) return err_set(e, ERR_INTERNAL, "verify: the reference has a point '%s'", name);
  array r = {
      .rank = rank, .dim = {dim[0], dim[1], rank > 2 ? dim[2] : 1}, .x = x, .end = UINT64_MAX};
  if (is(p, "scores"))
    for (uint64_t i = 0; i < dim[0] * dim[1] * dim[2]; i++)
      c->v->max_score[layer_of(p)] = fmax(c->v->max_score[layer_of(p)], fabs((double)x[i]));
  add(c->v, c->t, p, &r);
  if (is(p, "resid2") && c->v->referred != NULL) c->v->referred(c->v->user, layer_of(p));
  return ERR_OK;
}

int verify_reference(verify *v, verify_table *t, err *e) {
  *t = (verify_table){.with = "the reference", .tolerance = v->tolerance};
  uint64_t T = v->points->T;
  if (find_ids(v, e)) return e->status;
  uint32_t *fed = ARENA_NEW(v->a, uint32_t, T);
  for (uint64_t i = 0; i < T; i++) fed[i] = id_at(v, i);
  arena scratch = {0};
  float *input = NULL;
  int status = make_input(v, T, &input, &scratch, e);
  if (status == ERR_OK)
    status = refer(v, fed, input, T, take_reference, &(referring){v, t}, v->in.o->all, e);
  arena_free(&scratch);
  return status;
}

/* ---- with golden data -------------------------------------------------------------------------
 */

/* "L0.q@last6": how many rows from the end; the name before it. 0: all rows. */
static uint64_t last_rows(const char *name, size_t *len) {
  const char *s = strstr(name, "@last");
  *len = s == NULL ? strlen(name) : (size_t)(s - name);
  return s == NULL ? 0 : strtoull(s + 5, NULL, 10);
}

static const golden_array *golden_for(const golden *g, const points_array *x, const char *logits) {
  const char *name = logits != NULL && is(x, "logits") ? logits : x->name;
  for (size_t i = 0; i < g->n; i++) {
    size_t len;
    last_rows(g->arrays[i].name, &len);
    if (strlen(name) == len && strncmp(g->arrays[i].name, name, len) == 0) return &g->arrays[i];
  }
  return NULL;
}

/* Rows of the run that the file is of: those of an array that has them all. */
static uint64_t golden_rows(const golden *g, const char *logits) {
  const golden_array *x = golden_find(g, logits != NULL ? logits : "logits");
  return x == NULL ? 0 : x->dim[0];
}

static bool same_shape(const points_array *x, const golden_array *g) {
  if (g->rank != x->rank) return false;
  if (x->shape < POINTS_S) return g->dim[1] == x->dim[1];
  return g->dim[0] == x->dim[0] && (g->rank < 3 || g->dim[1] == g->dim[2]);
}

static const char *names_of(const golden *g, arena *a) {
  const char *text = "";
  for (size_t i = 0; i < g->n && i < 20; i++)
    text = arena_printf(a, "%s %s", text, g->arrays[i].name);
  return text;
}

/* How many positions have the same ids: rows up to there are of the same tokens. */
static uint64_t same_ids(const verify *v, const golden *g) {
  uint64_t i = 0;
  if (g->n_ids == 0 || !v->in.o->all) return UINT64_MAX;
  while (i < g->n_ids && i < v->points->T && g->ids[i] == id_at(v, i)) i++;
  return i < g->n_ids && i < v->points->T ? i : UINT64_MAX;
}

bool verify_has_golden(const verify *v, const golden *g) {
  return same_ids(v, g) > 0;
}

int verify_golden(verify *v, const golden *g, const char *logits, verify_table *t, err *e) {
  *t = (verify_table){.with = g->stem, .tolerance = v->tolerance};
  if (logits != NULL) t->with = arena_printf(v->a, "%s:%s", g->stem, logits);
  uint64_t T = golden_rows(g, logits), same = same_ids(v, g);
  if (same == 0)
    return err_set(e, ERR_BAD, "%s: is of other token ids, from the first on; give the same --ids",
                   g->stem);
  for (size_t i = 0; i < v->points->n; i++) {
    const points_array *x = &v->points->at[i];
    const golden_array *ga = golden_for(g, x, logits);
    if (ga == NULL) continue;
    size_t len;
    uint64_t last = last_rows(ga->name, &len);
    if (!same_shape(x, ga) || (last > 0 && (last != ga->dim[0] || T < last)))
      return err_set(e, ERR_BAD,
                     "%s: array '%s' has not the shape of that point; it must be as README of the "
                     "golden data says, for this model",
                     g->stem, ga->name);
    array r = {.rank = ga->rank, .g = ga, .skipped = last > 0 ? T - last : 0, .end = same};
    for (uint32_t k = 0; k < 3; k++) r.dim[k] = k < ga->rank ? ga->dim[k] : 1;
    add(v, t, x, &r);
  }
  if (t->n == 0)
    return err_set(
        e, ERR_BAD,
        "%s: no array there is a point of this run; there are:%s. To take one as logits, "
        "write STEM:NAME",
        g->stem, names_of(g, v->a));
  return ERR_OK;
}

/* ---- what comes out ---------------------------------------------------------------------------
 */

int verify_dump(const verify *v, const char *stem, err *e) {
  golden_writer *w = golden_create(stem, v->a, e);
  if (w == NULL) return e->status;
  for (size_t i = 0; i < v->points->n; i++) {
    const points_array *x = &v->points->at[i];
    if (x->x == NULL) continue;
    float *y = mem_alloc(x->rows * x->width, sizeof *y);
    memcpy(y, x->x, x->rows * x->width * sizeof *y);
    for (uint64_t row = 0; row < x->rows; row++)
      for (uint64_t k = 0; k < x->width && !points_has_row(v->points, x, row); k++)
        y[row * x->width + k] = NAN;
    golden_add(w, x->name, GOLDEN_F32, x->rank, x->dim, y);
    free(y);
  }
  return golden_close(w, e);
}
