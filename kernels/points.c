#include "kernels/points.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct kind {
  const char *name, *tensor;
  bool in_layer;
  points_shape shape;
} kind;

static const kind KINDS[] = {
#define X(name, tensor, in_layer, shape) {name, tensor, in_layer, shape},
    POINTS(X)
#undef X
};
enum { N_KINDS = sizeof KINDS / sizeof KINDS[0], BEFORE = 1, AFTER = 2 };
enum { IN_LAYER = N_KINDS - BEFORE - AFTER };

/* ---- steps ------------------------------------------------------------------------------------
 */

static bool hybrid(const dag *d) {
  return strcmp(d->workload.phase, "hybrid") == 0;
}

uint64_t points_steps(const dag *d) {
  return d->workload.steps + hybrid(d);
}

uint64_t points_step_begin(const dag *d, uint64_t step) {
  const dag_workload *w = &d->workload;
  if (hybrid(d)) return step == 0 ? 0 : w->tokens + step - 1;
  return w->past + step * w->tokens;
}

uint64_t points_step_rows(const dag *d, uint64_t step) {
  return hybrid(d) && step > 0 ? 1 : d->workload.tokens;
}

/* ---- arrays -----------------------------------------------------------------------------------
 */

static points_array array_of(const points *p, const kind *k, uint64_t layer) {
  const model *m = p->m;
  uint64_t H = m->num_attention_heads, T = p->T;
  points_array x = {.name = k->name, .shape = k->shape, .rank = 2, .dim = {T, 0, 1}};
  if (k->in_layer) x.name = arena_printf(p->a, "L%" PRIu64 ".%s", layer, k->name);
  uint64_t cols[] = {[POINTS_C] = m->hidden_size,
                     [POINTS_Q] = H * m->head_dim,
                     [POINTS_KV] = m->num_key_value_heads * m->head_dim,
                     [POINTS_I] = m->intermediate_size,
                     [POINTS_V] = m->vocab_size,
                     [POINTS_S] = T,
                     [POINTS_R] = T};
  x.dim[1] = cols[k->shape];
  if (k->shape >= POINTS_S) x.dim[0] = H;
  if (k->shape == POINTS_S) x.dim[2] = T, x.rank = 3;
  x.width = k->shape == POINTS_S ? T : k->shape == POINTS_R ? 1 : x.dim[1];
  x.rows = k->shape >= POINTS_S ? H * T : T;
  return x;
}

points *points_new(const dag *d, const model *m, const wl_options *o, uint64_t seq, arena *a) {
  points *p = ARENA_NEW(a, points, 1);
  uint64_t last = points_steps(d) - 1;
  *p = (points){.d = d,
                .m = m,
                .T = points_step_begin(d, last) + points_step_rows(d, last),
                .seq = seq,
                .batch = o->batch,
                .first_layer = o->first_layer,
                .layers = o->layers,
                .a = a};
  p->n = (size_t)o->layers * IN_LAYER + BEFORE + AFTER;
  p->at = ARENA_NEW(a, points_array, p->n);
  p->at[0] = array_of(p, &KINDS[0], 0);
  for (size_t i = 0; i < (size_t)o->layers * IN_LAYER; i++)
    p->at[BEFORE + i] = array_of(p, &KINDS[BEFORE + i % IN_LAYER], o->first_layer + i / IN_LAYER);
  for (size_t i = 0; i < AFTER; i++)
    p->at[p->n - AFTER + i] = array_of(p, &KINDS[N_KINDS - AFTER + i], 0);
  return p;
}

const points_array *points_find(const points *p, const char *name) {
  for (size_t i = 0; i < p->n; i++)
    if (strcmp(p->at[i].name, name) == 0) return &p->at[i];
  return NULL;
}

uint64_t points_position(const points *p, const points_array *x, uint64_t row) {
  (void)x;
  return row % p->T;
}

bool points_has_row(const points *p, const points_array *x, uint64_t row) {
  if (x->x == NULL) return false;
  return x->have[row] >= (x->shape == POINTS_S ? points_position(p, x, row) + 1 : x->width);
}

/* ---- names ------------------------------------------------------------------------------------
 */

/* What a tensor's name says. */
typedef struct origin {
  size_t point; /* p->n: none */
  uint64_t token0, col0, head0, row0;
  uint64_t seq; /* the only one in it; batch where it has all */
} origin;

/* A whole number at *s, which moves behind it. */
static bool number(const char **s, uint64_t *x) {
  char *end;
  if (**s < '0' || **s > '9') return false;
  *x = strtoull(*s, &end, 10);
  *s = end;
  return true;
}

/* "s3." or "t16." or "L0." */
static bool prefix(const char **s, char letter, uint64_t *x) {
  const char *at = *s + 1;
  if (**s != letter || !number(&at, x) || *at != '.') return false;
  *s = at + 1;
  return true;
}

static bool word(const char **s, const char *w) {
  size_t n = strlen(w);
  if (strncmp(*s, w, n) != 0) return false;
  *s += n;
  return true;
}

/* "4:8" and what stands behind it; keeps the 4. */
static bool range(const char **s, uint64_t *lo, const char *behind) {
  uint64_t hi;
  return number(s, lo) && word(s, ":") && number(s, &hi) && word(s, behind);
}

/* The columns, heads and rows behind the point's own name; false where it is no point's. */
static bool pieces(const points *p, const char *s, origin *o) {
  uint64_t x;
  if (word(&s, "[") && !range(&s, &o->col0, "]")) return false;
  if (word(&s, ".b") && !number(&s, &o->seq)) return false;
  if (word(&s, ".h")) {
    if (!number(&s, &o->head0) || (word(&s, "-") && !number(&s, &x))) return false;
    o->col0 = o->head0 * p->m->head_dim;
  }
  if (word(&s, " rows ") && !range(&s, &o->row0, "")) return false;
  return *s == 0;
}

static origin read_name(const points *p, const char *s) {
  origin o = {.point = p->n, .seq = p->batch};
  uint64_t step, layer = 0;
  prefix(&s, 's', &step);
  prefix(&s, 't', &o.token0);
  bool in_layer = prefix(&s, 'L', &layer);
  if (!in_layer && !word(&s, "embed.") && !word(&s, "head.")) return o;
  if (in_layer && (layer < p->first_layer || layer >= p->first_layer + p->layers)) return o;
  for (size_t k = 0; k < N_KINDS; k++) {
    const char *rest = s;
    origin got = o;
    if (KINDS[k].in_layer != in_layer || !word(&rest, KINDS[k].tensor) || !pieces(p, rest, &got))
      continue;
    got.point = in_layer     ? (size_t)(layer - p->first_layer) * IN_LAYER + k
                : k < BEFORE ? 0
                             : p->n - N_KINDS + k;
    return got;
  }
  return o;
}

/* ---- collecting -------------------------------------------------------------------------------
 */

static void put(points_array *x, uint64_t row, uint64_t col, const float *y, uint64_t n) {
  if (row >= x->rows || col >= x->width) return;
  if (n > x->width - col) n = x->width - col;
  memcpy(x->x + row * x->width + col, y, n * sizeof *y);
  x->have[row] += n;
}

/* Scores are kept up to the mask only. */
static void put_scores(points_array *x, uint64_t row, uint64_t pos, const float *y, uint64_t col,
                       uint64_t n) {
  if (col > pos) return;
  put(x, row, col, y, n < pos + 1 - col ? n : pos + 1 - col);
}

uint64_t points_sequences(const points *p, uint32_t task, uint32_t w, uint64_t *first) {
  const dag_view *v = &dag_writes(p->d, &p->d->tasks[task])[w];
  const dag_tensor *tensor = &p->d->tensors[v->tensor];
  if (tensor->role != DAG_ACT) return 0;
  origin o = read_name(p, tensor->name);
  *first = o.seq;
  if (o.point == p->n || o.seq > p->batch) return 0;
  if (o.seq < p->batch) return 1;
  if (tensor->dim[0] % p->batch != 0) return 0;
  uint64_t rows = tensor->dim[0] / p->batch;
  *first = v->lo[0] / rows;
  return (v->lo[0] + v->len[0] - 1) / rows - *first + 1;
}

void points_take(points *p, uint32_t task, uint32_t w, const float *y) {
  const dag_task *t = &p->d->tasks[task];
  const dag_view *v = &dag_writes(p->d, t)[w];
  const dag_tensor *tensor = &p->d->tensors[v->tensor];
  if (tensor->role != DAG_ACT) return;
  origin o = read_name(p, tensor->name);
  if (o.point == p->n || (o.seq != p->batch && o.seq != p->seq)) return;
  points_array *x = &p->at[o.point];
  if (x->x == NULL) {
    x->x = ARENA_NEW(p->a, float, x->rows * x->width);
    x->have = ARENA_NEW(p->a, uint64_t, x->rows);
  }
  uint64_t begin = points_step_begin(p->d, t->step);
  uint64_t pos = begin + o.token0 + o.row0;
  bool last_token = o.point >= p->n - AFTER; /* of the step */
  if (last_token) pos = begin + points_step_rows(p->d, t->step) - 1;
  if (x->shape < POINTS_S) {
    uint64_t rows = tensor->dim[0], first = 0; /* of this sequence */
    if (o.seq == p->batch) rows /= p->batch, first = p->seq * rows;
    for (uint64_t r = 0; r < v->len[0]; r++)
      if (v->lo[0] + r >= first && v->lo[0] + r < first + rows)
        put(x, pos + v->lo[0] + r - first, o.col0 + v->lo[1], y + r * v->len[1], v->len[1]);
    return;
  }
  for (uint64_t h = 0; h < v->len[0]; h++)
    for (uint64_t r = 0; r < v->len[1]; r++) {
      uint64_t at = pos + v->lo[1] + r, row = (o.head0 + v->lo[0] + h) * p->T + at;
      const float *from = y + (h * v->len[1] + r) * v->len[2];
      if (x->shape == POINTS_S)
        put_scores(x, row, at, from, v->lo[2], v->len[2]);
      else
        put(x, row, 0, from, 1);
    }
}
