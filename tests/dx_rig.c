#include "tests/dx_rig.h"

#include <check.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/convert.h"
#include "kernels/quant.h"
#include "kernels/reference.h"
#include "kernels/seeded.h"
#include "kernels/vector.h"
#include "tests/numeric.h"

enum { SEED = 7 };

static bool ends(const char *s, const char *with) {
  size_t n = strlen(s), k = strlen(with);
  return n >= k && strcmp(s + n - k, with) == 0;
}

model rig_model(bool tied, arena *a) {
  static const char TEXT[] =
      "{\"model_type\":\"llama\",\"hidden_size\":96,\"intermediate_size\":160,"
      "\"num_hidden_layers\":2,\"num_attention_heads\":6,\"num_key_value_heads\":3,\"head_dim\":16,"
      "\"vocab_size\":50,\"rms_norm_eps\":1e-5,\"rope_theta\":10000,"
      "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1,"
      "\"high_freq_factor\":4,\"original_max_position_embeddings\":64},"
      "\"max_position_embeddings\":4096,\"torch_dtype\":\"float32\",\"tie_word_embeddings\":%s}";
  const char *text = arena_printf(a, TEXT, tied ? "true" : "false");
  model m;
  err e = {0};
  int status =
      model_parse("tiny.json", "tiny", (const unsigned char *)text, strlen(text), &m, a, &e);
  ck_assert_msg(status == ERR_OK, "%s", e.msg);
  return m;
}

/* ---- weights ----------------------------------------------------------------------------------
 */

/* The HF name of a tensor of the DAG. */
static const char *hf_name(const char *name, char buf[96]) {
  static const char *const NAME[][2] = {{"attn_norm.weight", "input_layernorm.weight"},
                                        {"ffn_norm.weight", "post_attention_layernorm.weight"},
                                        {"q_proj.weight", "self_attn.q_proj.weight"},
                                        {"k_proj.weight", "self_attn.k_proj.weight"},
                                        {"v_proj.weight", "self_attn.v_proj.weight"},
                                        {"o_proj.weight", "self_attn.o_proj.weight"},
                                        {"gate.weight", "mlp.gate_proj.weight"},
                                        {"up.weight", "mlp.up_proj.weight"},
                                        {"down.weight", "mlp.down_proj.weight"}};
  if (ends(name, "embed_tokens.weight")) return "model.embed_tokens.weight";
  if (ends(name, "final_norm.weight")) return "model.norm.weight";
  if (ends(name, "lm_head.weight")) return "lm_head.weight";
  for (size_t i = 0; i < sizeof NAME / sizeof NAME[0]; i++)
    if (ends(name, NAME[i][0])) {
      snprintf(buf, 96, "model.layers.%ld.%s", strtol(name + 1, NULL, 10), NAME[i][1]);
      return buf;
    }
  ck_abort_msg("no weight '%s'", name);
}

static int box(void *user, const char *name, uint64_t row0, uint64_t rows, uint64_t col0,
               uint64_t cols, float *y, err *e) {
  const model *m = user;
  arena a = {0};
  char buf[96];
  const char *hf = hf_name(name, buf);
  model_tensor *t;
  size_t n = model_tensors(m, &t, &a), i = 0;
  while (i < n && strcmp(t[i].name, hf) != 0) i++;
  uint64_t width = i == n ? 0 : t[i].rank == 1 ? t[i].dim[0] : t[i].dim[1];
  uint64_t height = i == n || t[i].rank == 1 ? 1 : t[i].dim[0];
  if (col0 + cols > width || row0 + rows > height)
    return err_set(e, ERR_INTERNAL, "weights '%s' have no such box", hf);
  for (uint64_t r = 0; r < rows; r++)
    seeded_fill(y + r * cols, SEED, &t[i], (row0 + r) * width + col0, cols, m->torch_dtype);
  arena_free(&a);
  return ERR_OK;
}

dx_weights rig_weights(const model *m) {
  return (dx_weights){box, (void *)m};
}

static void round_row(float *x, size_t n, dtype d) {
  uint16_t *h = mem_alloc(n, sizeof *h);
  int8_t *q = mem_alloc(n, 1);
  float scale;
  if (d == DT_F16) kern_to_f16(h, x, n), kern_from_f16(x, h, n);
  if (d == DT_BF16) kern_to_bf16(h, x, n), kern_from_bf16(x, h, n);
  if (d == DT_INT8)
    kern_int8_quantise(q, &scale, x, 1, n), kern_int8_dequantise(x, q, &scale, 1, n);
  if (d == DT_INT4)
    kern_int4_quantise((uint8_t *)q, h, x, 1, n, 32),
        kern_int4_dequantise(x, (uint8_t *)q, h, 1, n, 32);
  free(q);
  free(h);
}

/* The reference's weights: `user` is a rig. Vectors are of the activations' dtype, or bf16. */
static int rounded_rows(void *user, const char *name, uint64_t row0, uint64_t n, float *rows,
                        err *e) {
  const rig *g = user;
  seeded *s = seeded_new(g->m, SEED, g->a);
  if (seeded_rows(s, name, row0, n, rows, e)) return e->status;
  for (size_t i = 0; i < s->n; i++) {
    if (strcmp(s->tensors[i].name, name) != 0) continue;
    bool vector = s->tensors[i].rank == 1;
    dtype act = g->o.act_dtype, d = !vector                ? g->o.weight_dtype
                                    : dtype_bits(act) < 16 ? DT_BF16
                                                           : act;
    size_t width = vector ? s->tensors[i].dim[0] : s->tensors[i].dim[1];
    for (uint64_t r = 0; r < n; r++) round_row(rows + r * width, width, d);
  }
  return ERR_OK;
}

/* ---- what the reference says ------------------------------------------------------------------
 */

typedef struct capture {
  const rig *g;
  float **k, **v; /* by layer */
  float *x, *logits;
} capture;

static float *copy(arena *a, const float *x, size_t n) {
  return memcpy(ARENA_NEW(a, float, n), x, n * sizeof *x);
}

static int keep(void *user, const char *name, uint32_t rank, const uint64_t *dim, const float *x,
                err *e) {
  capture *c = user;
  (void)rank, (void)e;
  size_t n = dim[0] * dim[1];
  long layer = *name == 'L' ? strtol(name + 1, NULL, 10) : 0;
  if (ends(name, ".k_rope")) c->k[layer] = copy(c->g->a, x, n);
  if (ends(name, ".v")) c->v[layer] = copy(c->g->a, x, n);
  if (ends(name, ".resid2")) c->x = copy(c->g->a, x, n);
  if (strcmp(name, "logits") == 0) c->logits = copy(c->g->a, x, n);
  return ERR_OK;
}

static capture refer(const rig *g, const uint32_t *ids, const float *input, size_t n) {
  const model *m = g->m;
  capture c = {.g = g,
               .k = ARENA_NEW(g->a, float *, m->num_hidden_layers),
               .v = ARENA_NEW(g->a, float *, m->num_hidden_layers)};
  ref_run run = {.ids = ids,
                 .input = input,
                 .T = n,
                 .first_layer = g->o.first_layer,
                 .layers = g->o.layers,
                 .head = g->o.all};
  err e = {0};
  int status =
      ref_forward(m, &run, &(ref_weights){rounded_rows, (void *)g}, &(ref_points){keep, &c}, &e);
  ck_assert_msg(status == ERR_OK, "%s", e.msg);
  return c;
}

static void keep_cache(rig *g, const capture *c, uint64_t seq) {
  uint64_t cols = g->m->num_key_value_heads * g->m->head_dim, n = g->o.past * cols;
  for (uint64_t l = g->o.first_layer; l < g->o.first_layer + g->o.layers && n > 0; l++) {
    memcpy(g->k + (l * g->o.batch + seq) * n, c->k[l], n * sizeof *g->k);
    memcpy(g->v + (l * g->o.batch + seq) * n, c->v[l], n * sizeof *g->v);
  }
}

static bool hybrid(const wl_options *o) {
  return strcmp(o->phase, "hybrid") == 0;
}

/* New rows of a sequence in a step. */
static uint64_t rows_of(const rig *g, uint32_t step) {
  return step > 0 && hybrid(&g->o) ? 1 : g->o.tokens;
}

/* One sequence through all steps: what comes out of each is what goes into the next. */
static void expect(rig *g, uint64_t seq) {
  uint64_t C = g->m->hidden_size, V = g->m->vocab_size, P = g->o.past, T = g->o.tokens, n = P + T;
  uint32_t *ids = ARENA_NEW(g->a, uint32_t, n + g->steps * T);
  float *x = ARENA_NEW(g->a, float, (n + g->steps * T) * C);
  memcpy(ids, g->ids + seq * n, n * sizeof *ids);
  memcpy(x, g->input + seq * n * C, n * C * sizeof *x);
  for (uint32_t s = 0; s < g->steps; s++) {
    capture c = refer(g, ids, g->o.all ? NULL : x, n);
    if (s == 0) keep_cache(g, &c, seq);
    uint64_t rows = rows_of(g, s), next = rows_of(g, s + 1);
    if (g->o.all) {
      memcpy(g->want[s] + seq * V, c.logits + (n - 1) * V, V * sizeof *x);
      g->next[s][seq] = ids[n] = (uint32_t)kern_argmax(c.logits + (n - 1) * V, V);
    } else {
      memcpy(g->want[s] + seq * rows * C, c.x + (n - rows) * C, rows * C * sizeof *x);
      memcpy(x + n * C, c.x + (n - next) * C, next * C * sizeof *x);
    }
    n += next;
  }
}

rig rig_new(const model *m, const wl_options *o, arena *a) {
  rig g = {.a = a, .m = m, .o = *o, .steps = (uint32_t)o->steps + hybrid(o)};
  ck_assert_uint_le(g.steps, RIG_MAX_STEPS);
  ck_assert_uint_le(o->batch, RIG_MAX_BATCH);
  uint64_t n = o->past + o->tokens, C = m->hidden_size,
           kv = m->num_hidden_layers * o->batch * o->past * m->num_key_value_heads * m->head_dim;
  uint64_t state = 11;
  g.ids = ARENA_NEW(a, uint32_t, o->batch * n);
  for (uint64_t i = 0; i < o->batch * n; i++)
    g.ids[i] = (uint32_t)num_pick(&state, 0, m->vocab_size - 1);
  g.input = num_random(5, o->batch * n * C, a);
  for (uint64_t i = 0; i < o->batch * n * C; i++)
    round_row(g.input + i, 1,
              o->act_dtype == DT_F16    ? DT_F16
              : o->act_dtype == DT_BF16 ? DT_BF16
                                        : DT_F32);
  g.k = ARENA_NEW(a, float, kv + 1);
  g.v = ARENA_NEW(a, float, kv + 1);
  for (uint32_t s = 0; s < g.steps; s++) {
    g.rows[s] = o->batch * (o->all ? 1 : rows_of(&g, s));
    g.want[s] = ARENA_NEW(a, float, g.rows[s] * (o->all ? m->vocab_size : C));
  }
  for (uint64_t b = 0; b < o->batch; b++) expect(&g, b);
  return g;
}

/* ---- runs -------------------------------------------------------------------------------------
 */

uint32_t rig_tensor(const dag *d, const char *name) {
  for (uint32_t i = 0; i < d->n_tensors; i++)
    if (d->tensors[i].space == DAG_DRAM && strcmp(d->tensors[i].name, name) == 0) return i;
  return DX_RIG_NONE;
}

/* Collects logits. */
static void wrote(void *user, uint32_t task, uint32_t w, const float *x) {
  rig_run *run = user;
  const dag_task *t = &run->d->tasks[task];
  const dag_view *v = &dag_writes(run->d, t)[w];
  if (!run->g->o.all || !ends(run->d->tensors[v->tensor].name, "logits")) return;
  uint64_t V = run->g->m->vocab_size;
  for (uint64_t r = 0; r < v->len[0]; r++, x += v->len[1])
    memcpy(run->logits[t->step] + (v->lo[0] + r) * V + v->lo[1], x, v->len[1] * sizeof *x);
}

static void set(rig_run *run, uint32_t tensor, const dag_view *box_, const float *values) {
  err e = {0};
  ck_assert_msg(dx_set(run->x, tensor, box_, values, &e) == ERR_OK, "%s", e.msg);
}

static void set_cache(rig_run *run, uint64_t layer, uint64_t seq, char which, const float *all) {
  const rig *g = run->g;
  uint64_t KV = g->m->num_key_value_heads, hd = g->m->head_dim, P = g->o.past;
  char name[64], b[32] = "";
  if (g->o.batch > 1) snprintf(b, sizeof b, ".b%" PRIu64, seq);
  snprintf(name, sizeof name, "L%" PRIu64 ".%c_cache%s", layer, which, b);
  uint32_t t = rig_tensor(run->d, name);
  ck_assert_uint_ne(t, DX_RIG_NONE);
  const float *x = all + (layer * g->o.batch + seq) * P * KV * hd;
  float *y = mem_alloc(P * KV * hd, sizeof *y);
  const dag_tensor *cache = &run->d->tensors[t]; /* in the layouts of block.h */
  bool transposed = cache->rank == 4, shift = !transposed && cache->dim[0] > KV;
  for (uint64_t p = 0; p < P; p++)
    for (uint64_t h = 0; h < KV; h++)
      for (uint64_t i = 0; i < hd; i++)
        y[transposed ? (h * hd + i) * P + p : (h * P + p) * hd + i] = x[(p * KV + h) * hd + i];
  uint64_t lo[2][4] = {{shift, 0, 0}, {0, 0, 1, 0}}, len[2][4] = {{KV, P, hd}, {1, KV, hd, P}};
  dag_view v = dag_box(run->d, t, lo[transposed], len[transposed]);
  set(run, t, &v, y);
  free(y);
}

static void set_input(rig_run *run) {
  const rig *g = run->g;
  uint64_t width = g->o.all ? 1 : g->m->hidden_size, T = g->o.tokens, n = g->o.past + T;
  uint32_t t = rig_tensor(run->d, g->o.all ? "prompt_ids" : "input");
  ck_assert_uint_ne(t, DX_RIG_NONE);
  float *x = mem_alloc(T * width, sizeof *x);
  for (uint64_t b = 0; b < g->o.batch; b++) {
    uint64_t from = b * n + g->o.past;
    for (uint64_t i = 0; i < T * width; i++)
      x[i] = g->o.all ? (float)g->ids[from + i] : g->input[from * width + i];
    dag_view v = dag_box(run->d, t, (uint64_t[]){b * T, 0}, (uint64_t[]){T, width});
    set(run, t, &v, x);
  }
  free(x);
}

void rig_begin(rig_run *run, const rig *g, const dag *d) {
  static dx_weights source;
  source = rig_weights(g->m);
  *run = (rig_run){.g = g, .d = d, .tap = {wrote, run}};
  for (uint32_t s = 0; s < g->steps; s++)
    run->logits[s] = ARENA_NEW(g->a, float, g->o.batch * g->m->vocab_size);
  err e = {0};
  run->x = dx_new(d, g->m, &source, &run->tap, g->a, &e);
  ck_assert_msg(run->x != NULL, "%s", e.msg);
  set_input(run);
  for (uint64_t l = g->o.first_layer; l < g->o.first_layer + g->o.layers && g->o.past > 0; l++)
    for (uint64_t b = 0; b < g->o.batch; b++) {
      set_cache(run, l, b, 'k', g->k);
      set_cache(run, l, b, 'v', g->v);
    }
}

void rig_end(rig_run *run) {
  dx_free(run->x);
}

/* What a DRAM tensor of step s holds. */
static float *get(rig_run *run, uint32_t s, const char *what) {
  char prefix[16] = "";
  if (run->g->steps > 1) snprintf(prefix, sizeof prefix, "s%u.", s);
  for (uint32_t i = 0; i < run->d->n_tensors; i++) {
    const dag_tensor *t = &run->d->tensors[i];
    if (t->space != DAG_DRAM || strncmp(t->name, prefix, strlen(prefix)) != 0 ||
        !ends(t->name, what))
      continue;
    dag_view all = dag_all(run->d, i);
    float *y = ARENA_NEW(run->g->a, float, dag_view_elements(&all));
    err e = {0};
    ck_assert_msg(dx_get(run->x, i, &all, y, &e) == ERR_OK, "%s", e.msg);
    return y;
  }
  ck_abort_msg("no '%s' of step %u", what, s);
}

float *rig_got(rig_run *run, uint32_t s) {
  return run->g->o.all ? run->logits[s] : get(run, s, "output");
}

double rig_error(rig_run *run, bool ids) {
  const rig *g = run->g;
  double worst = 0;
  for (uint32_t s = 0; s < g->steps; s++) {
    size_t n = g->rows[s] * (g->o.all ? g->m->vocab_size : g->m->hidden_size);
    double error = num_error_f32(rig_got(run, s), g->want[s], n);
    worst = error > worst ? error : worst;
    float *next = g->o.all && ids ? get(run, s, "token_ids") : NULL;
    for (uint64_t b = 0; b < g->o.batch && next != NULL; b++)
      ck_assert_msg(next[b] == (float)g->next[s][b], "step %u, sequence %u: token %g, not %u", s,
                    (unsigned)b, (double)next[b], g->next[s][b]);
  }
  return worst;
}
