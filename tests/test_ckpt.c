/* Every format, read back: the weights by the seeded rule, each number rounded as the format does,
 * exactly. No tolerance anywhere: decoding is exact or rounds once, in a stated order. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/ckpt_rig.h"
#include "tests/suite.h"
#include "workloads/ckpt/ckpt_formats.h"

static arena mem;
static err fault;
static ckpt ck;

static void setup(void) {
  mem = (arena){0};
  fault = (err){0};
  ck = (ckpt){0};
}

static void teardown(void) {
  ckpt_close(&ck);
  arena_free(&mem);
}

static void open_blob(blob b, const rig *g) {
  const char *config = rig_config(g, &mem);
  fault = (err){0};
  ckpt_close(&ck);
  int status = ckpt_open_bytes("file", b.data, b.len, (const unsigned char *)config, strlen(config),
                               &ck, &fault);
  ck_assert_msg(status == ERR_OK, "%s: %s", g->m.name, fault.msg);
}

/* One weight, read whole, is what the rule says. */
static void check_weight(const rig *g, ckpt_role r, uint64_t layer, raw_format f, size_t group) {
  arena scratch = {0};
  const ckpt_weight *w = ckpt_find(&ck, r, layer);
  size_t n = (size_t)(w->rows * w->cols);
  float *want = rig_rounded(g, r, layer, f, group, &scratch);
  float *got = ARENA_NEW(&scratch, float, n);
  ckpt_read(&ck, r, layer, 0, w->rows, 0, w->cols, got);
  for (size_t i = 0; i < n; i++) /* no assert for each: they are slow */
    if (got[i] != want[i])
      ck_abort_msg("%s, %s of layer %d, %s: element %zu is %.9g, not %.9g", g->m.name,
                   ckpt_role_name(r), (int)layer, ck.format->name, i, (double)got[i],
                   (double)want[i]);
  arena_free(&scratch);
}

/* All of them; `format` gives what a role is stored as. */
static void check_weights(const rig *g, raw_format (*format)(const rig *, ckpt_role, raw_format),
                          raw_format f, size_t group) {
  for (int r = 0; r < CKPT_ROLE_COUNT; r++) {
    uint64_t layers = ckpt_role_in_layer((ckpt_role)r) ? g->m.num_hidden_layers : 1;
    for (uint64_t i = 0; i < layers; i++)
      check_weight(g, (ckpt_role)r, i, format(g, (ckpt_role)r, f), group);
  }
}

static raw_format same(const rig *g, ckpt_role r, raw_format f) {
  (void)g, (void)r;
  return f;
}

static raw_format f32_vectors(const rig *g, ckpt_role r, raw_format f) {
  (void)g;
  return ckpt_role_rank(r) == 1 ? RAW_F32 : f;
}

static void check_model(const rig *g, bool theta) {
  const model *m = &ck.model, *want = &g->m;
  ck_assert_uint_eq(m->hidden_size, want->hidden_size);
  ck_assert_uint_eq(m->intermediate_size, want->intermediate_size);
  ck_assert_uint_eq(m->num_hidden_layers, want->num_hidden_layers);
  ck_assert_uint_eq(m->num_attention_heads, want->num_attention_heads);
  ck_assert_uint_eq(m->num_key_value_heads, want->num_key_value_heads);
  ck_assert_uint_eq(m->head_dim, want->head_dim);
  ck_assert_uint_eq(m->vocab_size, want->vocab_size);
  ck_assert_int_eq(m->tie_word_embeddings, want->tie_word_embeddings);
  ck_assert_ptr_null(m->rope_factors);
  if (!theta) return; /* llama2.c's files do not know it */
  const model_rope_scaling *s = &m->rope_scaling, *t = &want->rope_scaling;
  ck_assert_double_eq(m->rope_theta, want->rope_theta);
  ck_assert_double_eq(m->rms_norm_eps, want->rms_norm_eps);
  ck_assert_double_eq(s->factor, t->factor);
  ck_assert_double_eq(s->low_freq_factor, t->low_freq_factor);
  ck_assert_double_eq(s->high_freq_factor, t->high_freq_factor);
  ck_assert_uint_eq(s->original_max_position_embeddings, t->original_max_position_embeddings);
}

/* -- the formats -- */

START_TEST(ckpt_read__safetensors_in_each_dtype__seeded_weights) {
  const rig *g = rig_named(RIG_NAMES[_i]);
  static const raw_format F[] = {RAW_F32, RAW_F16, RAW_BF16};
  static const dtype D[] = {DT_F32, DT_F16, DT_BF16};
  for (size_t i = 0; i < 3; i++) {
    open_blob(rig_safetensors(g, F[i], 0, 1, &mem), g);
    ck_assert_str_eq(ckpt_format_name(&ck), "safetensors");
    ck_assert_int_eq(ck.model.torch_dtype, D[i]);
    check_model(g, true);
    check_weights(g, same, F[i], 0);
  }
}
END_TEST

START_TEST(ckpt_read__gguf_in_each_type__seeded_weights_in_hf_order) {
  const rig *g = rig_named(RIG_NAMES[_i]);
  static const raw_format F[] = {RAW_F32, RAW_F16, RAW_BF16, RAW_Q8_0, RAW_Q4_0};
  for (size_t i = 0; i < 5; i++) {
    open_blob(rig_gguf(g, F[i], i % 2 == 0 ? 3 : 2, &mem), g);
    ck_assert_str_eq(ckpt_format_name(&ck), "gguf");
    check_model(g, true);
    check_weights(g, rig_gguf_format, F[i], 0);
  }
}
END_TEST

START_TEST(ckpt_read__llama2c_version_0_and_2__seeded_weights_in_hf_order) {
  rig g = *rig_named(RIG_NAMES[_i]);
  if (g.m.head_dim * g.m.num_attention_heads != g.m.hidden_size) return;
  g.m.max_position_embeddings = 64;
  open_blob(rig_l2c(&g, 0, &mem), &g);
  ck_assert_str_eq(ckpt_format_name(&ck), "llama2.c");
  check_model(&g, false);
  ck_assert_double_eq(ck.model.rope_theta, 10000);
  ck_assert_double_eq(ck.model.rms_norm_eps, 1e-5);
  check_weights(&g, same, RAW_F32, 0);
  size_t group = rig_l2c_group(&g);
  open_blob(rig_l2c(&g, group, &mem), &g);
  check_model(&g, false);
  ck_assert_int_eq(ck.model.torch_dtype, DT_INT8);
  check_weights(&g, f32_vectors, RAW_Q8_L2C, group);
}
END_TEST

/* llama2.c asks of a group that it divides the tensor, not the row: groups of
 * 16 cross the rows of tiny-mha's 172 columns. */
START_TEST(ckpt_read__llama2c_groups_across_rows__scales_of_the_whole_tensor) {
  arena scratch = {0};
  const rig *g = rig_named("tiny-mha");
  open_blob(rig_l2c(g, 16, &mem), g);
  const size_t n = 64 * 172;
  blob bytes = {.a = &scratch};
  float *got = ARENA_NEW(&scratch, float, n), *want = ARENA_NEW(&scratch, float, n);
  rig_encode(&bytes, RAW_Q8_L2C, rig_weight(g, CKPT_DOWN, 1, &scratch), n, 16, want);
  ckpt_read(&ck, CKPT_DOWN, 1, 0, 64, 0, 172, got);
  for (size_t i = 0; i < n; i++) ck_assert_msg(got[i] == want[i], "element %zu", i);
  ckpt_read(&ck, CKPT_DOWN, 1, 3, 1, 5, 100, got); /* begins inside a group */
  for (size_t i = 0; i < 100; i++) ck_assert(got[i] == want[3 * 172 + 5 + i]);
  arena_free(&scratch);
}
END_TEST

/* Files that the golden data's own generator wrote (gen.py ckpt, tiny-gqa-plain and tiny-hd32). */
START_TEST(ckpt_open__files_of_another_writer__seeded_weights) {
  const rig *plain = rig_named("tiny-gqa-plain"), *hd32 = rig_named("tiny-hd32");
  ck_assert_msg(ckpt_open(TESTS_DIR "/fixtures/tiny-hd32.q4_0.gguf", &ck, &fault) == ERR_OK, "%s",
                fault.msg);
  ck_assert_str_eq(ck.model.name, "tiny-hd32.q4_0");
  check_model(hd32, true);
  check_weights(hd32, rig_gguf_format, RAW_Q4_0, 0);
  ckpt_close(&ck);
  ck_assert_msg(ckpt_open(TESTS_DIR "/fixtures/tiny-gqa-plain.v2q80.bin", &ck, &fault) == ERR_OK,
                "%s", fault.msg);
  check_model(plain, true);
  check_weights(plain, f32_vectors, RAW_Q8_L2C, 64);
  ckpt_close(&ck);
  ck_assert_msg(ckpt_open(TESTS_DIR "/fixtures/tiny-gqa-plain-bf16", &ck, &fault) == ERR_OK, "%s",
                fault.msg);
  ck_assert_str_eq(ck.model.name, "tiny-gqa-plain-bf16");
  check_model(plain, true);
  check_weights(plain, same, RAW_BF16, 0);
}
END_TEST

/* -- boxes -- */

static uint32_t random_state = 12345;

static uint64_t below(uint64_t n) {
  random_state = random_state * 1664525 + 1013904223;
  return random_state % n;
}

static void check_boxes(ckpt_role r, int times) {
  arena scratch = {0};
  const ckpt_weight *w = ckpt_find(&ck, r, 1);
  float *all = ARENA_NEW(&scratch, float, (size_t)(w->rows * w->cols));
  float *box = ARENA_NEW(&scratch, float, (size_t)(w->rows * w->cols));
  ckpt_read(&ck, r, 1, 0, w->rows, 0, w->cols, all);
  for (int i = 0; i < times; i++) {
    uint64_t row = below(w->rows), rows = below(w->rows - row + 1);
    uint64_t col = below(w->cols), cols = below(w->cols - col + 1);
    ckpt_read(&ck, r, 1, row, rows, col, cols, box);
    for (uint64_t y = 0; y < rows; y++)
      for (uint64_t x = 0; x < cols; x++)
        if (box[y * cols + x] != all[(row + y) * w->cols + col + x])
          ck_abort_msg("%s: box of %d x %d at %d, %d", ckpt_role_name(r), (int)rows, (int)cols,
                       (int)row, (int)col);
  }
  arena_free(&scratch);
}

START_TEST(ckpt_read__random_boxes__parts_of_the_whole) {
  static const raw_format F[] = {RAW_F32, RAW_F16, RAW_BF16, RAW_Q8_0, RAW_Q4_0};
  const rig *g = rig_named("tiny-hd32");
  for (size_t i = 0; i < 5; i++) {
    open_blob(rig_gguf(g, F[i], 3, &mem), g);
    for (int r = CKPT_ATTN_NORM; r <= CKPT_DOWN; r++) check_boxes((ckpt_role)r, 20);
  }
  g = rig_named("tiny-gqa-plain");
  open_blob(rig_l2c(g, 64, &mem), g);
  for (int r = CKPT_ATTN_NORM; r <= CKPT_DOWN; r++) check_boxes((ckpt_role)r, 20);
}
END_TEST

/* The specials of f16, by IEEE 754: subnormals, the largest, infinity, NaN, minus zero. */
START_TEST(ckpt_read__special_f16_and_bf16__exact) {
  static const struct {
    uint16_t h;
    float f16;
  } V[] = {{0x0001, 0x1p-24f}, {0x03ff, 1023 * 0x1p-24f}, {0x8001, -0x1p-24f},
           {0x0400, 0x1p-14f}, {0x7bff, 65504},           {0x3c00, 1},
           {0x7c00, INFINITY}, {0xfc00, -INFINITY}};
  const rig *g = rig_named("micro");
  blob b = rig_safetensors(g, RAW_F16, 0, 1, &mem), c = rig_safetensors(g, RAW_BF16, 0, 1, &mem);
  size_t header = 8 + (size_t)(b.data[0] | b.data[1] << 8);
  float y[9];
  for (size_t i = 0; i < 8; i++) memcpy(b.data + header + 2 * i, &V[i].h, 2);
  memcpy(b.data + header + 16, &(uint16_t){0x7e01}, 2);
  open_blob(b, g);
  ckpt_read(&ck, CKPT_EMBEDDING, 0, 0, 1, 0, 9, y);
  for (size_t i = 0; i < 8; i++) ck_assert_msg(y[i] == V[i].f16, "f16 %zu: %a", i, (double)y[i]);
  ck_assert(isnan(y[8]));
  header = 8 + (size_t)(c.data[0] | c.data[1] << 8);
  for (size_t i = 0; i < 8; i++) memcpy(c.data + header + 2 * i, &V[i].h, 2);
  open_blob(c, g);
  ckpt_read(&ck, CKPT_EMBEDDING, 0, 0, 1, 0, 8, y);
  for (size_t i = 0; i < 8; i++) {
    uint32_t u = (uint32_t)V[i].h << 16;
    ck_assert_msg(memcmp(&y[i], &u, 4) == 0, "bf16 %zu: %a", i, (double)y[i]);
  }
}
END_TEST

/* -- shards that cut weights, as Meta's do; the parser of their format is not needed for it -- */

static const ckpt_format SPLIT = {
    .name = "split", .naming = CKPT_META, .pairs = true, .split = true};

/* How shard s of n has the weight: rows (0), columns (1), or a copy (2). */
static int cut_of(ckpt_role r, int embedding) {
  if (ckpt_role_rank(r) == 1) return 2;
  if (r == CKPT_EMBEDDING) return embedding;
  return r == CKPT_O || r == CKPT_DOWN;
}

/* A view of the stored weight, which lies in `pairs` order in memory, transposed for down_proj. */
static raw_tensor view_of(const rig *g, ckpt_role r, uint64_t layer, int cut, uint64_t s,
                          uint64_t n) {
  uint64_t rows, cols;
  blob b = {.a = &mem};
  ckpt_role_shape(&g->m, r, &rows, &cols);
  float *x = rig_weight(g, r, layer, &mem), *y = ARENA_NEW(&mem, float, (size_t)(rows * cols));
  bool pairs = r == CKPT_Q || r == CKPT_K, turned = r == CKPT_DOWN;
  uint64_t size = g->m.head_dim, half = size / 2;
  for (uint64_t i = 0; i < rows; i++)
    for (uint64_t k = 0; k < cols; k++) {
      uint64_t in = i % size, to = in < half ? 2 * in : 2 * (in - half) + 1;
      uint64_t row = pairs ? i - in + to : i;
      y[turned ? k * rows + row : row * cols + k] = x[i * cols + k];
    }
  rig_encode(&b, RAW_F32, y, (size_t)(rows * cols), 0, NULL);
  raw_tensor t = {.name = ckpt_tensor_name(CKPT_META, r, layer, &mem),
                  .rank = ckpt_role_rank(r),
                  .dim = {cut == 0 ? rows / n : rows, cut == 1 ? cols / n : cols},
                  .stride = {turned ? 1 : cols, turned ? rows : 1},
                  .data = b.data};
  uint64_t skipped = cut == 0   ? s * t.dim[0] * t.stride[0]
                     : cut == 1 ? s * t.dim[1] * t.stride[1]
                                : 0;
  t.data += 4 * skipped;
  if (t.rank == 1) t.dim[0] = cols, t.stride[0] = 1;
  t.bytes = b.len - 4 * skipped;
  return t;
}

/* `n` shards of all weights; embedding cut 0 or 1. */
static void split(const rig *g, uint64_t n, int embedding) {
  setup();
  ck.where = "split";
  ck.format = &SPLIT;
  ck.model = g->m;
  ck.shards = ARENA_NEW(&mem, ckpt_shard, (size_t)n);
  ck.n_shards = (size_t)n;
  for (uint64_t s = 0; s < n; s++) {
    ckpt_shard *shard = &ck.shards[s];
    shard->where = arena_printf(&mem, "consolidated.%02d.pth", (int)s);
    shard->tensors.at = ARENA_NEW(&mem, raw_tensor, 64);
    for (int r = 0; r < CKPT_ROLE_COUNT; r++)
      for (uint64_t i = 0; i < (ckpt_role_in_layer((ckpt_role)r) ? g->m.num_hidden_layers : 1); i++)
        shard->tensors.at[shard->tensors.n++] =
            view_of(g, (ckpt_role)r, i, cut_of((ckpt_role)r, embedding), s, n);
    shard->tensors.at[shard->tensors.n++] =
        (raw_tensor){.name = "rope.freqs", .rank = 1, .dim = {8}};
  }
}

START_TEST(ckpt_assemble__weights_cut_over_shards__seeded_weights) {
  const rig *g = rig_named("tiny-gqa-plain");
  for (int n = 1; n <= 2; n++)
    for (int embedding = 0; embedding < 2; embedding++) {
      split(g, (uint64_t)n, embedding);
      ck.model.vocab_size_open = true;
      ck.model.vocab_size = 32000;
      ck_assert_msg(ckpt_assemble(&ck, &fault) == ERR_OK, "%s", fault.msg);
      ck_assert_uint_eq(ck.model.vocab_size, 320);
      ck_assert(!ck.model.vocab_size_open);
      check_weights(g, same, RAW_F32, 0);
      for (int r = CKPT_ATTN_NORM; r <= CKPT_DOWN; r++) check_boxes((ckpt_role)r, 20);
      teardown();
    }
}
END_TEST

static void refuses_split(const char *say) {
  ck_assert_int_eq(ckpt_assemble(&ck, &fault), ERR_BAD);
  ck_assert_msg(strstr(fault.msg, say) != NULL, "'%s' is not in '%s'", say, fault.msg);
  teardown();
}

START_TEST(ckpt_assemble__faulty_shards__told_apart) {
  const rig *g = rig_named("tiny-gqa-plain");
  const float other = 3;
  unsigned char bytes[4 * 64];
  split(g, 2, 0);
  ck.n_shards = 1;
  refuses_split(
      "tok_embeddings.weight' has shape (160, 64); the model's hyper-parameters need (320, 64) "
      "(is a shard missing?)");
  split(g, 2, 0);
  ck.shards[1].tensors.n -= 2;
  refuses_split("output.weight' has shape (160, 64)");
  split(g, 2, 0);
  for (int i = 0; i < 64; i++) memcpy(bytes + 4 * i, &other, 4);
  ck.shards[1].tensors.at[1].data = bytes;
  refuses_split(
      "consolidated.01.pth: tensor 'layers.0.attention_norm.weight' differs from its copy in "
      "'consolidated.00.pth'");
  split(g, 2, 0);
  ck.shards[1].tensors.at[3].dim[0] = 31;
  refuses_split("neither their rows nor their columns add up to (64, 64)");
  split(g, 2, 0); /* rows that are 64 modulo 2^64 */
  ck.shards[0].tensors.at[3].dim[0] = ((uint64_t)1 << 63) + 64;
  ck.shards[1].tensors.at[3].dim[0] = (uint64_t)1 << 63;
  refuses_split("neither their rows nor their columns add up to (64, 64)");
  split(g, 1, 0);
  ck.shards[0].tensors.at[3].rank = 3;
  ck.shards[0].tensors.at[3].dim[2] = 2;
  refuses_split("' has shape (64, 64, 2); the model's hyper-parameters need (64, 64)");
  split(g, 2, 0);
  ck.shards[1].tensors.at[4] = ck.shards[1].tensors.at[3];
  refuses_split("layers.0.attention.wq.weight' is a duplicate: 'consolidated.01.pth' has it too");
}
END_TEST

int main(void) {
  Suite *s = suite_create("ckpt");
  TCase *t = tcase_create("ckpt");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 120);
  tcase_add_loop_test(t, ckpt_read__safetensors_in_each_dtype__seeded_weights, 0, RIG_MODELS);
  tcase_add_loop_test(t, ckpt_read__gguf_in_each_type__seeded_weights_in_hf_order, 0, RIG_MODELS);
  tcase_add_loop_test(t, ckpt_read__llama2c_version_0_and_2__seeded_weights_in_hf_order, 0,
                      RIG_MODELS);
  tcase_add_test(t, ckpt_read__llama2c_groups_across_rows__scales_of_the_whole_tensor);
  tcase_add_test(t, ckpt_open__files_of_another_writer__seeded_weights);
  tcase_add_test(t, ckpt_read__random_boxes__parts_of_the_whole);
  tcase_add_test(t, ckpt_read__special_f16_and_bf16__exact);
  tcase_add_test(t, ckpt_assemble__weights_cut_over_shards__seeded_weights);
  tcase_add_test(t, ckpt_assemble__faulty_shards__told_apart);
  suite_add_tcase(s, t);
  return suite_run(s);
}
