/* Checkpoints found and opened: folders, files, indexes; what is refused, and how it is said;
 * models loaded from them; how they are printed. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/ckpt_rig.h"
#include "tests/suite.h"
#include "workloads/ckpt/ckpt_formats.h"

static char dir[256];
static arena mem;
static err fault;
static ckpt ck;
static const rig *g;

static void setup(void) {
  const char *tmp = getenv("TMPDIR");
  snprintf(dir, sizeof dir, "%s/llamasim-ckpt-XXXXXX", tmp != NULL ? tmp : "/tmp");
  ck_assert_ptr_nonnull(mkdtemp(dir));
  mem = (arena){0};
  fault = (err){0};
  ck = (ckpt){0};
  g = rig_named("micro");
}

static void teardown(void) {
  static const char *const FILES[] = {"config.json",
                                      "params.json",
                                      "model.safetensors",
                                      "model.safetensors.index.json",
                                      "part-0.safetensors",
                                      "part-1.safetensors",
                                      "other.safetensors",
                                      "consolidated.00.pth",
                                      "consolidated.02.pth",
                                      "a.gguf",
                                      "a.bin"};
  ckpt_close(&ck);
  for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++)
    unlink(arena_printf(&mem, "%s/%s", dir, FILES[i]));
  rmdir(dir);
  arena_free(&mem);
}

static const char *put(const char *name, const void *data, size_t n) {
  const char *path = arena_printf(&mem, "%s/%s", dir, name);
  out *o = out_open(path, &fault);
  ck_assert_msg(o != NULL, "%s", fault.msg);
  out_write(o, data, n);
  ck_assert_int_eq(out_close(o, &fault), ERR_OK);
  return path;
}

static const char *put_text(const char *name, const char *text) {
  return put(name, text, strlen(text));
}

static const char *put_blob(const char *name, blob b) {
  return put(name, b.data, b.len);
}

static void opens(const char *spec) {
  ckpt_close(&ck);
  fault = (err){0};
  ck_assert(ckpt_at(spec));
  ck_assert_msg(ckpt_open(spec, &ck, &fault) == ERR_OK, "%s", fault.msg);
}

static void refuses(const char *spec, const char *say) {
  ckpt_close(&ck);
  fault = (err){0};
  ck_assert_msg(ckpt_open(spec, &ck, &fault) == ERR_BAD, "%s is taken, not refused: %s", spec, say);
  ck_assert_msg(strstr(fault.msg, say) != NULL, "'%s' is not in '%s'", say, fault.msg);
  ck_assert_ptr_null(ck.shards);
}

static void check_embedding_and_head(void) {
  static const ckpt_role R[] = {CKPT_EMBEDDING, CKPT_LM_HEAD, CKPT_Q};
  for (size_t k = 0; k < 3; k++) {
    const ckpt_weight *w = ckpt_find(&ck, R[k], 0);
    float *want = rig_weight(g, R[k], 0, &mem), *got = rig_weight(g, CKPT_GATE, 0, &mem);
    size_t n = (size_t)(w->rows * w->cols);
    got = ARENA_NEW(&mem, float, n);
    ckpt_read(&ck, R[k], 0, 0, w->rows, 0, w->cols, got);
    for (size_t i = 0; i < n; i++) ck_assert(got[i] == want[i]);
  }
}

/* -- folders -- */

START_TEST(ckpt_open__hf_folder__whole_file_then_index_then_a_single_one) {
  put_text("config.json", rig_config(g, &mem));
  ck_assert(!ckpt_at(dir));
  refuses(dir, "there are no weights here");
  put_blob("other.safetensors", rig_safetensors(g, RAW_F32, 0, 1, &mem));
  opens(dir);
  ck_assert_str_eq(strrchr(ck.shards[0].where, '/'), "/other.safetensors");
  check_embedding_and_head();
  put_text("model.safetensors.index.json", rig_index(g, 2, &mem));
  put_blob("part-0.safetensors", rig_safetensors(g, RAW_F32, 0, 2, &mem));
  put_blob("part-1.safetensors", rig_safetensors(g, RAW_F32, 1, 2, &mem));
  opens(dir);
  ck_assert_uint_eq(ck.n_shards, 2);
  check_embedding_and_head();
  put_blob("model.safetensors", rig_safetensors(g, RAW_F32, 0, 1, &mem));
  opens(dir);
  ck_assert_uint_eq(ck.n_shards, 1);
  ck_assert_str_eq(ck.model.name, strrchr(dir, '/') + 1);
  check_embedding_and_head();
  opens(arena_printf(&mem, "%s/model.safetensors", dir));
  ck_assert_str_eq(ck.model.name, strrchr(dir, '/') + 1);
  opens(arena_printf(&mem, "%s/other.safetensors", dir));
  ck_assert_str_eq(ck.model.name, "other");
  /* as in HF's cache: the usual name is a link to another */
  const char *link = arena_printf(&mem, "%s/model.safetensors", dir);
  unlink(link);
  ck_assert_int_eq(symlink("other.safetensors", link), 0);
  opens(link);
  ck_assert_str_eq(ck.model.name, strrchr(dir, '/') + 1);
}
END_TEST

START_TEST(ckpt_open__faulty_folders__said) {
  const char *whole = put_blob("other.safetensors", rig_safetensors(g, RAW_F32, 0, 1, &mem));
  refuses(whole, "there is no config.json beside it");
  ck_assert(!ckpt_at(dir)); /* nothing says what the folder is */
  put_text("config.json", rig_config(g, &mem));
  put_blob("part-0.safetensors", rig_safetensors(g, RAW_F32, 0, 2, &mem));
  refuses(dir, "has 2 .safetensors files, but neither model.safetensors nor "
               "model.safetensors.index.json");
  refuses(
      arena_printf(&mem, "%s/part-0.safetensors", dir),
      "(and 5 more) is missing; of a checkpoint in shards, name the folder"); /* of 12 tensors, 6 */
  const char *index = rig_index(g, 2, &mem);
  put_text("model.safetensors.index.json", index);
  refuses(dir, "part-1.safetensors: cannot read it: No such file");
  put_blob("part-1.safetensors", rig_gguf(g, RAW_F32, 3, &mem));
  refuses(dir, "part-1.safetensors: is gguf, but");
  put_text("part-1.safetensors", "what is this? nothing that anybody knows");
  refuses(dir, "part-1.safetensors: is none of the formats known: GGUF version 2 or 3, HF "
               "safetensors");
  put_blob("part-1.safetensors", rig_safetensors(g, RAW_F32, 1, 2, &mem));
  opens(dir);
  put_text("part-1.safetensors", "");
  refuses(dir, "part-1.safetensors: is empty");
}
END_TEST

START_TEST(ckpt_open__lying_index__said) {
  put_text("config.json", rig_config(g, &mem));
  put_blob("part-0.safetensors", rig_safetensors(g, RAW_F32, 0, 2, &mem));
  put_blob("part-1.safetensors", rig_safetensors(g, RAW_F32, 1, 2, &mem));
  put_text("model.safetensors.index.json", "{\"weight_map\": {}}");
  refuses(dir, ".weight_map: is empty");
  put_text("model.safetensors.index.json", "{\"weight_map\": {\"a\": \"../part-0.safetensors\"}}");
  refuses(dir,
          ".weight_map['a']: is \"../part-0.safetensors\"; it must be the name of a file in the "
          "same folder");
  put_text("model.safetensors.index.json", "{\"weight_map\": {\"a\": \"/part-0.safetensors\"}}");
  refuses(dir, ".weight_map['a']: is \"/part-0.safetensors\"; it must be the name of a file in the "
               "same folder");
  put_text("model.safetensors.index.json", "{\"weight_map\": {\"a\": 1}}");
  refuses(dir, ".weight_map['a']: is 1;");
  char *index = arena_strdup(&mem, rig_index(g, 2, &mem));
  strstr(index, "part-1")[5] =
      '0'; /* the first tensor of the second file is said to be in the first */
  put_text("model.safetensors.index.json", index);
  refuses(dir, ".weight_map['model.layers.0.input_layernorm.weight']: that tensor is not in "
               "'part-0.safetensors'");
  put_blob("part-1.safetensors", rig_safetensors(g, RAW_F32, 0, 1, &mem));
  put_text("model.safetensors.index.json", rig_index(g, 2, &mem));
  refuses(dir, "part-1.safetensors: tensor 'model.embed_tokens.weight' is a duplicate: ");
}
END_TEST

START_TEST(ckpt_locate__meta_folder__shards_in_order_without_a_gap) {
  ckpt_files f;
  put_text("params.json", "{\"dim\": 64, \"n_layers\": 2, \"n_heads\": 4}");
  put_text("consolidated.00.pth", "x");
  ck_assert_int_eq(ckpt_locate(dir, &f, &mem, &fault), ERR_OK);
  ck_assert_uint_eq(f.n, 1);
  put_text("consolidated.02.pth", "x");
  refuses(dir, "'consolidated.01.pth' is missing, but there is 'consolidated.02.pth'");
}
END_TEST

/* -- files -- */

START_TEST(ckpt_open__format__found_by_content_not_by_name) {
  put_text("config.json", rig_config(g, &mem));
  const char *path = put_blob("a.bin", rig_gguf(g, RAW_F32, 3, &mem));
  opens(path);
  ck_assert_str_eq(ckpt_format_name(&ck), "gguf");
  ck_assert_str_eq(ck.model.name, "a");
  check_embedding_and_head();
  path = put_blob("a.gguf", rig_l2c(g, 0, &mem));
  opens(path);
  ck_assert_str_eq(ckpt_format_name(&ck), "llama2.c");
  check_embedding_and_head();
  path = put_blob("a.gguf", rig_safetensors(g, RAW_F32, 0, 1, &mem));
  opens(path);
  ck_assert_str_eq(ckpt_format_name(&ck), "safetensors");
  check_embedding_and_head();
}
END_TEST

START_TEST(ckpt_open__no_checkpoints__said) {
  ck_assert(!ckpt_at("llama-3.2-1b"));
  refuses("llama-3.2-1b", "is a built-in description; it has no weights");
  ck_assert(!ckpt_at("no-such-file.gguf"));
  refuses("no-such-file.gguf", "there is no such file or folder");
  const char *path = put_text("config.json", rig_config(g, &mem));
  ck_assert(!ckpt_at(path));
  refuses(path, "there are no weights here; name a HF folder");
  path = put_text("a.bin", "\x7f"
                           "ELF and then some more bytes, enough for a header of any kind");
  ck_assert(ckpt_at(path));
  refuses(path, "is none of the formats known");
}
END_TEST

/* -- what is in the file against what the model needs -- */

static void refuses_safetensors(const char *config, blob b, const char *say) {
  fault = (err){0};
  ckpt_close(&ck);
  ck_assert_msg(ckpt_open_bytes("file", b.data, b.len, (const unsigned char *)config,
                                strlen(config), &ck, &fault) == ERR_BAD,
                "taken, not refused: %s", say);
  ck_assert_msg(strstr(fault.msg, say) != NULL, "'%s' is not in '%s'", say, fault.msg);
}

/* The text in the file, of the same length, becomes another. */
static blob changed(blob b, const char *from, const char *to) {
  size_t n = strlen(from), i = 0;
  ck_assert_uint_eq(n, strlen(to));
  while (i + n <= b.len && memcmp(b.data + i, from, n) != 0) i++;
  ck_assert_msg(i + n <= b.len, "'%s' is not there", from);
  memcpy(b.data + i, to, n);
  return b;
}

static const char *config_with(const char *from, const char *to) {
  const char *config = rig_config(g, &mem), *at = strstr(config, from);
  ck_assert_ptr_nonnull(at);
  return arena_printf(&mem, "%.*s%s%s", (int)(at - config), config, to, at + strlen(from));
}

START_TEST(ckpt_open_bytes__not_the_models_tensors__named) {
  blob b = rig_safetensors(g, RAW_F32, 0, 1, &mem);
  const char *config = rig_config(g, &mem);
  const size_t len = b.len;
  blob copy = {.a = &mem};
  blob_put(&copy, b.data, len);
  refuses_safetensors(
      config, changed(copy, "0.mlp.up_proj.weight", "0.mlp.up_proj.weighs"),
      "tensor 'model.layers.0.mlp.up_proj.weighs' is not one that a LLaMA model has");
  changed(copy, "0.mlp.up_proj.weighs", "0.mlp.up_proj.weight");
  refuses_safetensors(config, changed(copy, "layers.0.mlp.up", "layers.7.mlp.up"),
                      "is of layer 7, but the model has layers 0..0");
  changed(copy, "layers.7.mlp.up", "layers.1.mlp.up");
  refuses_safetensors(config, copy, "is of layer 1, but the model has layers 0..0");
  changed(copy, "layers.1.mlp.up", "layers.0.mlp.up");
  refuses_safetensors(
      config_with("\"num_hidden_layers\": 1", "\"num_hidden_layers\": 2"), copy,
      "file: tensor 'model.layers.1.input_layernorm.weight' (and 8 more) is missing");
  refuses_safetensors(config_with("\"intermediate_size\": 3", "\"intermediate_size\": 4"), copy,
                      "tensor 'model.layers.0.mlp.gate_proj.weight' has shape (3, 32); the model's "
                      "hyper-parameters need (4, 32)");
  refuses_safetensors(config, changed(copy, "[3,32]", "[32,3]"), "has shape (32, 3)");
  changed(copy, "[32,3]", "[3,32]");
  rig tied = *g;
  tied.m.tie_word_embeddings = true;
  refuses_safetensors(config, rig_safetensors(&tied, RAW_F32, 0, 1, &mem),
                      "tensor 'lm_head.weight' is missing; is the head tied?");
}
END_TEST

START_TEST(ckpt_open_bytes__known_extras__ignored) {
  const char *config =
      config_with("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true");
  blob b = rig_safetensors(g, RAW_F32, 0, 1, &mem);
  ck_assert_msg(ckpt_open_bytes("file", b.data, b.len, (const unsigned char *)config,
                                strlen(config), &ck, &fault) == ERR_OK,
                "%s", fault.msg);
  /* tied: the stored head is not looked at */
  ck_assert_ptr_eq(ckpt_find(&ck, CKPT_LM_HEAD, 0), ckpt_find(&ck, CKPT_EMBEDDING, 0));
  uint64_t layer;
  ck_assert(ckpt_is_ignored(CKPT_HF, "model.layers.31.self_attn.rotary_emb.inv_freq"));
  ck_assert(ckpt_is_ignored(CKPT_META, "rope.freqs"));
  ck_assert(ckpt_is_ignored(CKPT_GGUF, "rope_freqs.weight"));
  ck_assert(!ckpt_is_ignored(CKPT_HF, "model.layers.31.self_attn.q_proj.bias"));
  ck_assert_int_eq(ckpt_role_of(CKPT_HF, "model.layers.012.mlp.up_proj.weight", &layer),
                   CKPT_ROLE_COUNT);
  ck_assert_int_eq(ckpt_role_of(CKPT_HF, "model.layers..mlp.up_proj.weight", &layer),
                   CKPT_ROLE_COUNT);
  ck_assert_int_eq(ckpt_role_of(CKPT_HF, "model.layers.9999999999.mlp.up_proj.weight", &layer),
                   CKPT_ROLE_COUNT);
  ck_assert_int_eq(ckpt_role_of(CKPT_GGUF, "blk.12.ffn_up.weight", &layer), CKPT_UP);
  ck_assert_uint_eq(layer, 12);
}
END_TEST

/* -- models from checkpoints -- */

START_TEST(model_load__checkpoint__its_hyper_parameters) {
  model m;
  g = rig_named("tiny-hd32");
  const char *path = put_blob("a.gguf", rig_gguf(g, RAW_BF16, 3, &mem));
  ck_assert_msg(model_load(path, &m, &mem, &fault) == ERR_OK, "%s", fault.msg);
  ck_assert_str_eq(m.name, "a");
  ck_assert_str_eq(m.source, path);
  ck_assert_uint_eq(m.head_dim, 32);
  ck_assert_uint_eq(m.hidden_size, 96);
  ck_assert_double_eq(m.rms_norm_eps, 1e-6);
  ck_assert_double_eq(m.rope_scaling.factor, 8);
  ck_assert(m.tie_word_embeddings);
  path = put_text("a.bin", "GGUF");
  ck_assert_int_eq(model_load(path, &m, &mem, &fault), ERR_BAD);
  ck_assert_msg(strstr(fault.msg, "a.bin: the file ends inside the header") != NULL, "%s",
                fault.msg);
  /* a folder is its JSON, even where the weights are damaged */
  put_text("config.json", rig_config(g, &mem));
  put_text("model.safetensors", "damaged");
  ck_assert_msg(model_load(dir, &m, &mem, &fault) == ERR_OK, "%s", fault.msg);
  ck_assert(!m.vocab_size_open);
}
END_TEST

/* What the file has and no rule gives outlives the checkpoint, as all of the model does. */
START_TEST(model_load__rope_factors__outlive_the_checkpoint) {
  model m;
  rig odd = *rig_named("tiny-hd32");
  odd.m.rope_scaling.high_freq_factor = 2;
  const char *path = put_blob("a.gguf", rig_gguf(&odd, RAW_Q8_0, 3, &mem));
  opens(path);
  ck_assert_msg(model_load(path, &m, &mem, &fault) == ERR_OK, "%s", fault.msg);
  ck_assert_ptr_nonnull(m.rope_factors);
  ck_assert_ptr_ne(m.rope_factors, ck.model.rope_factors);
  ck_assert_mem_eq(m.rope_factors, ck.model.rope_factors, 16 * sizeof(float));
}
END_TEST

/* -1 in params.json: the tensors are asked, so that damaged ones show. */
START_TEST(model_load__vocabulary_left_open__asks_the_weights) {
  model m;
  put_text("params.json", "{\"dim\": 64, \"n_layers\": 2, \"n_heads\": 4, \"vocab_size\": 512}");
  put_text("consolidated.00.pth", "x");
  ck_assert_msg(model_load(dir, &m, &mem, &fault) == ERR_OK, "%s", fault.msg);
  put_text("params.json", "{\"dim\": 64, \"n_layers\": 2, \"n_heads\": 4, \"vocab_size\": -1}");
  ck_assert_int_eq(model_load(dir, &m, &mem, &fault), ERR_BAD);
  ck_assert_msg(strstr(fault.msg, "consolidated.00.pth: ") != NULL, "%s", fault.msg);
}
END_TEST

START_TEST(model_parse__metas_vocabulary_left_open__said) {
  static const struct {
    const char *json;
    bool open;
  } CASES[] = {{"{\"dim\": 64, \"n_layers\": 2, \"n_heads\": 4, \"vocab_size\": -1}", true},
               {"{\"dim\": 64, \"n_layers\": 2, \"n_heads\": 4}", true},
               {"{\"dim\": 64, \"n_layers\": 2, \"n_heads\": 4, \"vocab_size\": 512}", false}};
  for (size_t i = 0; i < 3; i++) {
    model m;
    ck_assert_int_eq(model_parse("p", "p", (const unsigned char *)CASES[i].json,
                                 strlen(CASES[i].json), &m, &mem, &fault),
                     ERR_OK);
    ck_assert_int_eq(m.vocab_size_open, CASES[i].open);
  }
}
END_TEST

/* -- printing -- */

static const char *printed(void) {
  size_t n;
  out *o = out_memory();
  ckpt_print(&ck, o);
  const char *text = arena_strdup(&mem, out_text(o, &n));
  out_abort(o);
  return text;
}

static void prints(const char *text, const char *line) {
  ck_assert_msg(strstr(text, line) != NULL, "no '%s' in:\n%s", line, text);
}

START_TEST(ckpt_print__every_tensor__shape_format_bytes_shard_totals) {
  put_text("config.json", rig_config(g, &mem));
  put_text("model.safetensors.index.json", rig_index(g, 2, &mem));
  put_blob("part-0.safetensors", rig_safetensors(g, RAW_BF16, 0, 2, &mem));
  put_blob("part-1.safetensors", rig_safetensors(g, RAW_BF16, 1, 2, &mem));
  opens(dir);
  const char *text = printed();
  prints(text, "format                   safetensors, 2 files, ");
  prints(text, "hidden_size              32\n");
  prints(text, "\nshard 1, part-1.safetensors, ");
  prints(text, "model.layers.0.mlp.down_proj.weight            (32, 3)            bf16    "
               "          96           192\n");
  /* 2*5*32 + 2*32*32 + 2*16*32 + 3*3*32 + 3*32 = 3776 parameters */
  prints(text, "\ntotal 12 tensors, 3776 elements, 7552 bytes, 7.375 KiB\n");
  opens(put_blob("a.bin", rig_l2c(g, 1, &mem)));
  /* a scale for each of the 3776 - 96 quantised weights */
  prints(printed(), "\ntotal 12 tensors, 3776 elements, 18784 bytes, ");
  g = rig_named("tiny-hd32");
  opens(put_blob("a.gguf", rig_gguf(g, RAW_Q8_0, 3, &mem)));
  text = printed();
  prints(text,
         "rope_freqs.weight                              (16)               f32               "
         "16            64  RoPE scaling\n");
  prints(text, "rope_scaling             llama3, factor 8, ");
  prints(text, "blk.1.ffn_down.weight                          (96, 160)          q8_0           "
               "15360         16320\n");
}
END_TEST

int main(void) {
  Suite *s = suite_create("ckpt_open");
  TCase *t = tcase_create("ckpt_open");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, ckpt_open__hf_folder__whole_file_then_index_then_a_single_one);
  tcase_add_test(t, ckpt_open__faulty_folders__said);
  tcase_add_test(t, ckpt_open__lying_index__said);
  tcase_add_test(t, ckpt_locate__meta_folder__shards_in_order_without_a_gap);
  tcase_add_test(t, ckpt_open__format__found_by_content_not_by_name);
  tcase_add_test(t, ckpt_open__no_checkpoints__said);
  tcase_add_test(t, ckpt_open_bytes__not_the_models_tensors__named);
  tcase_add_test(t, ckpt_open_bytes__known_extras__ignored);
  tcase_add_test(t, model_load__checkpoint__its_hyper_parameters);
  tcase_add_test(t, model_load__rope_factors__outlive_the_checkpoint);
  tcase_add_test(t, model_load__vocabulary_left_open__asks_the_weights);
  tcase_add_test(t, model_parse__metas_vocabulary_left_open__said);
  tcase_add_test(t, ckpt_print__every_tensor__shape_format_bytes_shard_totals);
  suite_add_tcase(s, t);
  return suite_run(s);
}
