/* What is compiled: options checked, then step by step and layer by layer. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sim/base/units.h"
#include "workloads/build.h"
#include "workloads/spill.h"

wl_options wl_defaults(void) {
  return (wl_options){.phase = "decode",
                      .past = 4,
                      .tokens = 1,
                      .steps = 1,
                      .batch = 1,
                      .layers = 1,
                      .weight_dtype = DT_BF16,
                      .act_dtype = DT_BF16,
                      .kv_dtype = DT_BF16,
                      .split = WL_HEAD};
}

/* Its place among n names, or n. */
static int find_name(const char *const *names, int n, const char *name) {
  for (int i = 0; i < n; i++)
    if (strcmp(names[i], name) == 0) return i;
  return n;
}

static const char *const SPLIT_NAME[WL_SPLIT_COUNT] = {
#define X(id, name, text) [WL_##id] = name,
    WL_SPLITS(X)
#undef X
};

wl_split wl_split_parse(const char *name) {
  return (wl_split)find_name(SPLIT_NAME, WL_SPLIT_COUNT, name);
}

const char *wl_split_name(wl_split s) {
  return SPLIT_NAME[s];
}

static const char *const FUSE_NAME[WL_FUSE_COUNT] = {
#define X(id, name, text) [WL_FUSE_##id] = name,
    WL_FUSES(X)
#undef X
};

wl_fuse wl_fuse_parse(const char *name) {
  return (wl_fuse)find_name(FUSE_NAME, WL_FUSE_COUNT, name);
}

const char *wl_fuse_name(wl_fuse f) {
  return FUSE_NAME[f];
}

static const char *const KV_UPDATE_NAME[WL_KV_UPDATE_COUNT] = {
#define X(id, name, text) [WL_##id] = name,
    WL_KV_UPDATES(X)
#undef X
};

wl_kv_update wl_kv_update_parse(const char *name) {
  return (wl_kv_update)find_name(KV_UPDATE_NAME, WL_KV_UPDATE_COUNT, name);
}

const char *wl_kv_update_name(wl_kv_update u) {
  return KV_UPDATE_NAME[u];
}

static const char *const RESIDENT_NAME[WL_RESIDENT_COUNT] = {
#define X(id, name, text) [WL_RESIDENT_##id] = name,
    WL_RESIDENTS(X)
#undef X
};

wl_resident wl_resident_parse(const char *name) {
  return (wl_resident)find_name(RESIDENT_NAME, WL_RESIDENT_COUNT, name);
}

const char *wl_resident_name(wl_resident r) {
  return RESIDENT_NAME[r];
}

int wl_dtype_parse(const char *text, dtype *weight, dtype *act, dtype *kv, err *e) {
  static const struct {
    const char *name;
    dtype weight, act;
  } MIX[] = {{"w8a8", DT_INT8, DT_INT8},
             {"w8a16", DT_INT8, DT_BF16},
             {"w4a16", DT_INT4, DT_BF16},
             {"w4a8", DT_INT4, DT_INT8}};
  for (size_t i = 0; i < sizeof MIX / sizeof MIX[0]; i++)
    if (strcmp(MIX[i].name, text) == 0) {
      *weight = MIX[i].weight;
      *act = *kv = MIX[i].act;
      return ERR_OK;
    }
  dtype d = dtype_parse(text);
  if (d == DT_COUNT || d == DT_INT32)
    return err_set(e, ERR_BAD,
                   "unknown dtype '%s'; write one of f32 f16 bf16 int8 int4 w8a8 w8a16 w4a16 w4a8",
                   text);
  *weight = *act = *kv = d;
  return ERR_OK;
}

uint64_t wl_piece_bytes(const wl_options *o, const wl_target *t) {
  uint64_t streams = o->split == WL_NONE ? 1 : t->engines;
  uint64_t share = t->sram_B / (4 * streams), pad = t->pad_B / (t->pads_only ? 4 : 2);
  if (o->tile_B > 0) return o->tile_B;
  if (t->pad_B > 0 && share > pad && (t->pads_only || pad >= share / 2)) share = pad;
  return share < WL_MAX_PIECE_B ? share : WL_MAX_PIECE_B;
}

uint64_t wl_block_tokens(const model *m, const wl_options *o, const wl_target *t, uint64_t tokens) {
  uint64_t cols =
      m->hidden_size + (m->num_attention_heads + 2 * m->num_key_value_heads) * m->head_dim;
  uint64_t row_B = o->batch * dtype_bytes(o->act_dtype, cols), S = wl_work_bytes(t);
  uint64_t beside = wl_piece_bytes(o, t) > S / 8 ? wl_piece_bytes(o, t) : S / 8;
  uint64_t most = S > beside ? (S - beside) / row_B : 0;
  uint64_t least = (WL_LEAST_BLOCK_ROWS + o->batch - 1) / o->batch;
  if (most < least) most = least;
  uint64_t blocks = (tokens + most - 1) / most;
  if (blocks > 1) blocks += blocks < 4 ? t->blocks : blocks * t->blocks / 4;
  return (tokens + blocks - 1) / blocks;
}

/* A name that outlives the options. */
static const char *phase_name(const wl_options *o) {
  static const char *const NAME[] = {"decode", "prefill", "hybrid"};
  for (size_t i = 0; i < sizeof NAME / sizeof *NAME; i++)
    if (strcmp(NAME[i], o->phase) == 0) return NAME[i];
  return "";
}

static bool hybrid(const wl_options *o) {
  return strcmp(o->phase, "hybrid") == 0;
}

/* The names of a run of several steps begin with the step's. */
static bool several(const wl_options *o) {
  return hybrid(o) || o->steps > 1;
}

/* Rows of the cache when the run ends. */
static uint64_t last_row(const wl_options *o) {
  return hybrid(o) ? o->tokens + o->steps : o->past + o->tokens * o->steps;
}

static int check_options(const model *m, const wl_options *o, const wl_target *t, err *e) {
  bool decode = strcmp(o->phase, "decode") == 0;
  if (!decode && o->past != 0)
    return err_set(e, ERR_BAD,
                   "phase %s starts with an empty cache, but past is %" PRIu64
                   "; leave --past out, or use --phase decode with --tokens",
                   o->phase, o->past);
  if (o->tokens < 1 || o->batch < 1 || o->batch > WL_MAX_BATCH)
    return err_set(e, ERR_BAD,
                   "tokens is %" PRIu64 " and batch is %" PRIu64
                   "; tokens must be at least 1 and batch from 1 to %d",
                   o->tokens, o->batch, WL_MAX_BATCH);
  if (o->steps < 1 || (o->steps > 1 && !hybrid(o) && !decode))
    return err_set(e, ERR_BAD,
                   "steps is %" PRIu64
                   " in phase %s; --steps goes with --phase decode or hybrid, and is at least 1",
                   o->steps, o->phase);
  if (decode && o->all && o->steps > 1 && o->tokens > 1)
    return err_set(e, ERR_BAD,
                   "a step samples one token of each sequence, but the next is to take %" PRIu64
                   "; with --layers all and --steps leave --tokens at 1",
                   o->tokens);
  if (o->forced > 0 && (!decode || !o->all || o->tokens != 1 || o->forced > o->steps))
    return err_set(
        e, ERR_BAD,
        "tokens are given to %" PRIu64
        " steps, which takes --phase decode, --layers all, one token a step and no fewer "
        "steps",
        o->forced);
  if (o->past > MODEL_MAX_POSITION || o->tokens > MODEL_MAX_POSITION ||
      o->steps > MODEL_MAX_POSITION || last_row(o) > m->max_position_embeddings)
    return err_set(e, ERR_BAD,
                   "past %" PRIu64 " + tokens %" PRIu64 "%s is beyond the %" PRIu64
                   " positions of model '%s'",
                   o->past, o->tokens, several(o) ? ", in all steps," : "",
                   m->max_position_embeddings, m->name);
  if (o->resident != WL_RESIDENT_NONE && t->pad_B > 0)
    return err_set(
        e, ERR_BAD,
        "--resident %s keeps tiles in the SRAM that engines share, but this platform has "
        "scratchpads; leave it out, or use a platform without",
        wl_resident_name(o->resident));
  if (o->all && (o->first_layer != 0 || o->layers != m->num_hidden_layers))
    return err_set(e, ERR_BAD, "layers all begins at layer 0, but --layer is %" PRIu64,
                   o->first_layer);
  if (o->layers < 1 || o->first_layer >= m->num_hidden_layers ||
      o->layers > m->num_hidden_layers - o->first_layer)
    return err_set(
        e, ERR_BAD,
        "layers %" PRIu64 "..%" PRIu64 " asked for, but model '%s' has layers 0..%" PRIu64,
        o->first_layer, o->first_layer + o->layers - 1, m->name, m->num_hidden_layers - 1);
  if (t->engines < 1 || t->sram_B < 1)
    return err_set(e, ERR_INTERNAL, "compile target has %u engines and %" PRIu64 " B of SRAM",
                   t->engines, t->sram_B);
  return ERR_OK;
}

static void describe(dag *d, const model *m, const wl_options *o) {
  d->workload = (dag_workload){.model = m->name,
                               .phase = phase_name(o),
                               .split = wl_split_name(o->split),
                               .attention = o->flash ? "flash" : "three-pass",
                               .kv_update = wl_kv_update_name(o->kv_update),
                               .resident = wl_resident_name(o->resident),
                               .fuse = wl_fuse_name(o->fuse),
                               .past = o->past,
                               .tokens = o->tokens,
                               .steps = o->steps,
                               .batch = o->batch,
                               .layers = o->layers,
                               .weight_dtype = o->weight_dtype,
                               .act_dtype = o->act_dtype,
                               .kv_dtype = o->kv_dtype,
                               .head_dim = m->head_dim,
                               .rms_norm_eps = m->rms_norm_eps,
                               .rope_theta = m->rope_theta,
                               .rope_factor = m->rope_scaling.factor,
                               .rope_low_freq_factor = m->rope_scaling.low_freq_factor,
                               .rope_high_freq_factor = m->rope_scaling.high_freq_factor,
                               .rope_original_max_position =
                                   m->rope_scaling.original_max_position_embeddings};
}

/* What runs through the steps: the tables, and where the next step's input comes from. */
typedef struct run {
  build b;
  uint32_t table, table_scale; /* embedding; DAG_NO_TENSOR without */
  linear head;
  uint32_t ids;              /* all: the tensor in SRAM that names the next tokens */
  uint32_t prompt;           /* all: the one that names the given ones */
  uint64_t id_row;           /* of the step's first token in `ids` */
  uint32_t home;             /* else: the DRAM tensor that holds the next input */
  uint64_t home_rows;        /* and its rows of a sequence, of which the last are read */
  uint64_t seq_rows, token0; /* the step's tokens of a sequence; the first of the present block */
} run;

/* Rows of sequence `seq` of the present block of tokens: first row in what holds whole sequences.
 */
static uint64_t home_row(const run *r, uint64_t seq) {
  return seq * r->seq_rows + r->token0;
}

/* The block's rows are the whole of what holds the sequences, or lie together in it: one view, else
 * one a sequence. */
static uint64_t views_of_rows(const run *r) {
  return r->b.tokens == r->seq_rows ? 1 : r->b.o->batch;
}

/* Loads the block's rows of the input, in many loads if they are large: work begins with the first.
 */
static columns load_input(run *r) {
  build *b = &r->b;
  uint64_t C = b->m->hidden_size, skipped = r->home_rows - r->seq_rows;
  uint64_t views = skipped > 0 ? b->o->batch : views_of_rows(r), rows = b->rows / views;
  uint32_t x = build_act(b, build_name(b, "input"), b->rows, C);
  bool large = dtype_bytes(b->o->act_dtype, b->rows * C) > b->c.piece_B;
  uint64_t parts = large ? (block_input_parts(b) + views - 1) / views : 1;
  for (uint64_t p = 0; p < parts * views; p++) {
    uint64_t seq = p / parts, lo = rows * (p % parts) / parts;
    uint64_t n = rows * (p % parts + 1) / parts - lo;
    uint64_t row = home_row(r, seq) + (seq + 1) * skipped + lo;
    dag_view from = build_box2(b, r->home, row, n, 0, C),
             to = build_box2(b, x, seq * rows + lo, n, 0, C);
    build_emit(b, OP_LOAD_ACT, build_part(b, build_name(b, "input"), p, parts * views),
               DAG_NO_GROUP, &from, 1, &to, 1);
  }
  return columns_one(b, x);
}

/* Gathers the rows that the ids name; integers are turned into activations by an op of their own.
 */
static columns embed(run *r) {
  build *b = &r->b;
  uint64_t C = b->m->hidden_size;
  dtype w = b->o->weight_dtype;
  bool scaled = build_integer(w), convert = scaled || w != b->o->act_dtype;
  const char *name = build_name(b, "embedding");
  uint32_t x = build_act(b, name, b->rows, C), rows = x, scale = 0;
  if (convert) {
    const char *raw = arena_printf(b->a, "%s.rows", name);
    rows = dag_add_tensor(b->d, raw, DAG_SRAM, DAG_WEIGHT, w, 2, (uint64_t[]){b->rows, C});
  }
  if (scaled) {
    const uint64_t *dim = b->d->tensors[r->table_scale].dim;
    scale = dag_add_tensor(b->d, arena_printf(b->a, "%s.scale", name), DAG_SRAM, DAG_SCALE,
                           (dtype)b->d->tensors[r->table_scale].dtype, 2,
                           (uint64_t[]){b->rows, dim[1]});
  }
  uint64_t views = views_of_rows(r), n_rows = b->rows / views;
  for (uint64_t s = 0; s < views; s++) {
    dag_view from[3] = {dag_all(b->d, r->table)},
             to[2] = {build_box2(b, rows, s * n_rows, n_rows, 0, C)};
    size_t n = 1;
    if (scaled) {
      from[n] = dag_all(b->d, r->table_scale);
      to[n++] = build_box2(b, scale, s * n_rows, n_rows, 0, b->d->tensors[scale].dim[1]);
    }
    from[n] = build_box2(b, r->ids, r->id_row + home_row(r, s), n_rows, 0, 1);
    build_emit(b, OP_LOAD_EMBED, build_part(b, name, s, views), DAG_NO_GROUP, from, n + 1, to, n);
  }
  if (convert) {
    build_op(b);
    dag_view in[2] = {dag_all(b->d, rows)}, y = dag_all(b->d, x);
    if (scaled) in[1] = dag_all(b->d, scale);
    build_emit(b, OP_EMBED, name, b->op_group, in, scaled ? 2 : 1, &y, 1);
  }
  return columns_one(b, x);
}

/* Final norm and LM head of the last token of each sequence, and the most likely next token. */
static void sample(run *r, const columns *x) {
  build *b = &r->b;
  uint64_t B = b->o->batch, T = b->tokens, V = b->m->vocab_size, C = b->m->hidden_size;
  columns last = *x;
  uint64_t row = T - 1;
  if (B > 1 && T > 1) { /* the last rows, one after the other */
    uint32_t rows = build_act(b, build_name(b, "last_rows"), B, C);
    build_op(b);
    for (uint64_t s = 0; s < B; s++) {
      dag_view from = columns_view(b, x, s * T + T - 1, 1, 0, C),
               to = build_box2(b, rows, s, 1, 0, C);
      build_emit(b, OP_COPY, build_part(b, build_name(b, "last_rows"), s, B), b->op_group, &from, 1,
                 &to, 1);
    }
    last = columns_one(b, rows);
    row = 0;
  } else if (B > 1) {
    row = 0;
  }
  columns n = columns_one(b, block_norm(b, "final_norm", &last, row, B));
  uint64_t all_rows = b->rows;
  b->rows = B;
  columns logits = build_columns(b, "logits", V, NULL, 0);
  linear_range range = {.n = V,
                        .kn = C,
                        .x = &n,
                        .x_rows = B,
                        .y = &logits,
                        .first = true,
                        .last = true,
                        .tag = "",
                        .ramp_down = true};
  r->head.name = build_name(b, "lm_head");
  linear_run(b, &r->head, &range);
  b->rows = all_rows;
  r->ids = dag_add_tensor(b->d, build_name(b, "next_ids"), DAG_SRAM, DAG_ACT, DT_INT32, 2,
                          (uint64_t[]){B, 1});
  build_op(b);
  dag_view in = dag_all(b->d, logits.tensor[0]), id = dag_all(b->d, r->ids);
  build_emit(b, OP_ARGMAX, build_name(b, "next_ids"), b->op_group, &in, 1, &id, 1);
  uint32_t home = dag_add_tensor(b->d, build_name(b, "token_ids"), DAG_DRAM, DAG_ACT, DT_INT32, 2,
                                 (uint64_t[]){B, 1});
  dag_view to = dag_all(b->d, home);
  build_emit(b, OP_STORE_ACT, build_name(b, "token_ids"), DAG_NO_GROUP, &id, 1, &to, 1);
}

static void store_output(run *r, uint32_t home, const columns *x) {
  build *b = &r->b;
  uint64_t C = b->m->hidden_size, views = views_of_rows(r), rows = b->rows / views;
  bool large = dtype_bytes(b->o->act_dtype, b->rows * C) > b->c.piece_B;
  uint64_t parts = large && b->parts > 1 ? b->parts : 1;
  bool by_piece = parts > 1 && b->c.fuse; /* the pieces are the output */
  if (by_piece) parts = b->ends.n;
  for (uint64_t p = 0; p < parts * views; p++) {
    uint64_t i = p % parts, seq = p / parts;
    uint64_t lo = by_piece ? b->ends.at[i].lo : C * i / parts;
    uint64_t n = by_piece ? b->ends.at[i].n : C * (i + 1) / parts - lo;
    dag_view from = columns_view(b, x, seq * rows, rows, lo, n),
             to = build_box2(b, home, home_row(r, seq), rows, lo, n);
    build_emit(b, OP_STORE_ACT, build_part(b, build_name(b, "output"), p, parts * views),
               DAG_NO_GROUP, &from, 1, &to, 1);
  }
}

/* The step's prefix: "L3." of layer 3, and before it the step's number where there are several, and
 * the first token of a block where the step has several. */
static void set_layer(run *r, const char *what) {
  build *b = &r->b;
  const char *s = several(b->o) ? arena_printf(b->a, "s%u.", b->step) : "";
  if (b->tokens < r->seq_rows) s = arena_printf(b->a, "%st%" PRIu64 ".", s, r->token0);
  b->prefix =
      *what != 0 ? arena_printf(b->a, "%s%s", s, what) : arena_printf(b->a, "%sL%u.", s, b->layer);
}

static void begin_block(run *r, uint64_t past, uint64_t tokens) {
  build *b = &r->b;
  b->past = past;
  b->tokens = tokens;
  b->rows = b->o->batch * tokens;
  b->kv_rows = past + tokens;
  b->c = chunks_plan(b);
  b->ends = (cut_list){0};
}

/* Names what the impossible task holds. */
static int refuse(const build *b, err *e) {
  const dag_task *t = &b->d->tasks[b->checked];
  const dag_view *v = dag_reads(b->d, t);
  uint64_t most = b->target->most_B;
  char need[UNITS_TEXT], have[UNITS_TEXT], lack[UNITS_TEXT], size[UNITS_TEXT], list[1024] = "";
  size_t len = 0;
  for (uint32_t i = 0; i < (uint32_t)t->n_reads + t->n_writes && len < sizeof list; i++) {
    if (!build_takes_room(b->d, b->checked, i)) continue;
    const dag_tensor *x = &b->d->tensors[v[i].tensor];
    len += (size_t)snprintf(list + len, sizeof list - len, "%s%.200s %s", len > 0 ? " + " : "",
                            x->name, units_size(size, (double)dag_tensor_bytes(x)));
  }
  return err_set(
      e, ERR_NO,
      "infeasible: task %u '%s %s' needs %s in '%s' (%s), capacity %s, short %s; even one "
      "task at a time does not fit: enlarge %s.capacity, or use a finer split, fewer "
      "tokens or a smaller dtype",
      b->checked, op_name((op)t->op), t->name, units_size(need, (double)b->impossible_B),
      b->target->sram_name, list, units_size(have, (double)most),
      units_size(lack, (double)(b->impossible_B - most)), b->target->sram_name);
}

/* All layers, on the present block. */
static int compile_layers(run *r, columns *x, err *e) {
  build *b = &r->b;
  const wl_options *o = b->o;
  for (uint64_t l = 0; l < o->layers; l++) {
    b->layer = (uint32_t)(o->first_layer + l);
    set_layer(r, "");
    if (!b->again) attention_cache(b, &b->cache[b->layer], b->last_row);
    b->first_block = l == 0;
    b->last_block = l + 1 == o->layers && !o->all;
    *x = block(b, x);
    if (b->impossible_B > 0) return refuse(b, e);
    if (b->d->n_tasks > WL_MAX_TASKS)
      return err_set(
          e, ERR_BAD,
          "layer %u of %" PRIu64
          " brings the DAG to %zu tasks; at most %d are compiled: ask for fewer --layers, "
          "tokens, steps or batch, or a platform with more SRAM for larger pieces",
          b->layer, o->first_layer + o->layers - 1, b->d->n_tasks, WL_MAX_TASKS);
  }
  b->again = true;
  return ERR_OK;
}

/* Where the step's input comes from: token ids of the prompt, or the input's rows. */
static void make_prompt(run *r) {
  build *b = &r->b;
  uint64_t rows = b->o->batch * r->seq_rows * (b->o->forced > 1 ? b->o->forced : 1);
  b->prefix = b->o->all ? "embed." : "";
  if (!b->o->all) {
    r->home = dag_add_tensor(b->d, "input", DAG_DRAM, DAG_ACT, b->o->act_dtype, 2,
                             (uint64_t[]){rows, b->m->hidden_size});
    r->home_rows = r->seq_rows;
    return;
  }
  uint32_t home =
      dag_add_tensor(b->d, "prompt_ids", DAG_DRAM, DAG_ACT, DT_INT32, 2, (uint64_t[]){rows, 1});
  r->prompt = dag_add_tensor(b->d, build_name(b, "ids"), DAG_SRAM, DAG_ACT, DT_INT32, 2,
                             (uint64_t[]){rows, 1});
  dag_view from = dag_all(b->d, home), to = dag_all(b->d, r->prompt);
  build_emit(b, OP_LOAD_ACT, build_name(b, "ids"), DAG_NO_GROUP, &from, 1, &to, 1);
}

static int compile_step(run *r, uint64_t step, err *e) {
  build *b = &r->b;
  const wl_options *o = b->o;
  bool after_prefill = hybrid(o) && step > 0;
  uint64_t past = after_prefill ? o->tokens + step - 1 : o->past + step * o->tokens;
  uint64_t C = b->m->hidden_size;
  b->step = (uint32_t)step;
  b->layer = (uint32_t)o->first_layer;
  b->keeps = several(o) && (after_prefill || !hybrid(o));
  r->seq_rows = after_prefill ? 1 : o->tokens;
  if (step == 0) make_prompt(r);
  bool given = step == 0 || step < o->forced;
  if (given) r->ids = r->prompt;
  r->id_row = given ? step * o->batch * r->seq_rows : 0;
  uint64_t block = wl_block_tokens(b->m, o, b->target, r->seq_rows);
  uint32_t output = DAG_NO_TENSOR, n = 0, abreast = 2 + b->target->abreast;
  uint32_t *ends = ARENA_NEW(b->a, uint32_t, abreast);
  for (uint32_t i = 0; i < abreast; i++) ends[i] = DAG_NO_TASK;
  for (r->token0 = 0; r->token0 < r->seq_rows; r->token0 += block) {
    uint64_t left = r->seq_rows - r->token0, tokens = left < block ? left : block;
    begin_block(r, past + r->token0, tokens);
    b->behind = o->split == WL_OP ? ends[n % abreast] : DAG_NO_TASK;
    set_layer(r, o->all ? "embed." : "");
    columns x = o->all ? embed(r) : load_input(r);
    if (compile_layers(r, &x, e)) return e->status;
    ends[n++ % abreast] = (uint32_t)b->d->n_tasks - 1;
    set_layer(r, o->all ? "head." : "");
    if (o->all && tokens == left) sample(r, &x);
    if (o->all) continue;
    if (output == DAG_NO_TENSOR)
      output = dag_add_tensor(b->d, build_name(b, "output"), DAG_DRAM, DAG_ACT, o->act_dtype, 2,
                              (uint64_t[]){o->batch * r->seq_rows, C});
    store_output(r, output, &x);
  }
  if (!o->all) r->home = output, r->home_rows = r->seq_rows;
  return ERR_OK;
}

/* The embedding table and the LM head, which share their weights where the model ties them. */
static void make_tables(run *r) {
  build *b = &r->b;
  uint64_t V = b->m->vocab_size, C = b->m->hidden_size;
  b->prefix = "";
  linear table = linear_new(b, "embed_tokens", C, V, DAG_NO_TENSOR, DAG_NO_TENSOR);
  r->table = table.weight;
  r->table_scale = table.scale;
  bool tied = b->m->tie_word_embeddings;
  r->head = linear_new(b, "lm_head", C, V, tied ? r->table : DAG_NO_TENSOR, r->table_scale);
}

/* The DAG, with up to pin_B of tiles that stay. */
static dag *compile(const model *m, const wl_options *o, const wl_target *t, uint64_t pin_B,
                    arena *a, err *e) {
  run r = {.b = {.m = m,
                 .o = o,
                 .target = t,
                 .d = dag_new(a),
                 .a = a,
                 .parts = o->split >= WL_HEAD ? t->engines : 1,
                 .q_cols = m->num_attention_heads * m->head_dim,
                 .kv_cols = m->num_key_value_heads * m->head_dim,
                 .last_row = last_row(o)}};
  build *b = &r.b;
  describe(b->d, m, o);
  pins_new(b, pin_B);
  b->cache = ARENA_NEW(a, kv_cache, m->num_hidden_layers);
  if (o->all) make_tables(&r);
  uint64_t steps = hybrid(o) ? o->steps + 1 : o->steps;
  for (uint64_t s = 0; s < steps; s++)
    if (compile_step(&r, s, e)) return NULL;
  /* room for a tile beside the one in work, on every engine */
  return wl_spill(b->d, t->sram_B, b->parts * wl_piece_bytes(o, t), a);
}

/* What may stay: the SRAM that the run leaves free when it keeps nothing, but for two tiles an
 * engine. */
static int pin_budget(const model *m, const wl_options *o, const wl_target *t, uint64_t *bytes,
                      err *e) {
  *bytes = 0;
  if (o->resident == WL_RESIDENT_NONE || !several(o)) return ERR_OK;
  arena scratch = {0};
  const dag *d = compile(m, o, t, 0, &scratch, e);
  if (d != NULL) {
    uint64_t held = wl_peak_B(d), reserve = 2 * t->engines * wl_piece_bytes(o, t);
    if (t->sram_B > held + reserve) *bytes = t->sram_B - held - reserve;
  }
  arena_free(&scratch);
  return d == NULL ? e->status : ERR_OK;
}

int wl_compile(const model *m, const wl_options *o, const wl_target *t, dag **d, arena *a, err *e) {
  uint64_t pin_B;
  if (check_options(m, o, t, e) || pin_budget(m, o, t, &pin_B, e)) return e->status;
  *d = compile(m, o, t, pin_B, a, e);
  return *d == NULL ? e->status : ERR_OK;
}

int wl_check(const model *m, const wl_options *o, const wl_target *t, err *e) {
  return check_options(m, o, t, e);
}

dag_workload wl_describe(const model *m, const wl_options *o) {
  dag d;
  describe(&d, m, o);
  return d.workload;
}
