/* Models by name, folder and file; their tensors; how they are printed. */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "workloads/model.h"
#include "tests/suite.h"

static char dir[256];
static arena mem;
static err fault;
static model m;

static void setup(void) {
  const char *tmp = getenv("TMPDIR");
  snprintf(dir, sizeof dir, "%s/llamasim-model-XXXXXX", tmp != NULL ? tmp : "/tmp");
  ck_assert_ptr_nonnull(mkdtemp(dir));
  mem = (arena){0};
  fault = (err){0};
  m = (model){0};
}

static void teardown(void) {
  static const char *const FILES[] = {"config.json", "params.json", "other.json"};
  for (size_t i = 0; i < 3; i++) unlink(arena_printf(&mem, "%s/%s", dir, FILES[i]));
  rmdir(dir);
  arena_free(&mem);
}

static const char *write_file(const char *name, const char *text) {
  const char *path = arena_printf(&mem, "%s/%s", dir, name);
  out *o = out_open(path, &fault);
  ck_assert_msg(o != NULL, "%s", fault.msg);
  out_str(o, text);
  ck_assert_int_eq(out_close(o, &fault), ERR_OK);
  return path;
}

#define CONFIG                                                                                     \
  "{\"hidden_size\": 64, \"intermediate_size\": 172, \"num_hidden_layers\": 1, "                   \
  "\"num_attention_heads\": 8, \"num_key_value_heads\": 2, \"vocab_size\": 320}"

static void load(const char *spec) {
  fault = (err){0};
  ck_assert_msg(model_load(spec, &m, &mem, &fault) == ERR_OK, "%s", fault.msg);
}

/* -- built-in -- */

START_TEST(model_load__built_in__published_number_of_parameters) {
  static const struct {
    const char *name;
    uint64_t params;
  } PUBLISHED[] = {
      {"llama-2-7b", 6738415616},   {"llama-3.1-70b", 70553706496}, {"llama-3.1-8b", 8030261248},
      {"llama-3.2-1b", 1235814400}, {"llama-3.2-3b", 3212749824},   {"stories110m", 109529856},
      {"stories15m", 15191712},     {"tinyllama-1.1b", 1100048384},
  };
  const size_t n = sizeof PUBLISHED / sizeof *PUBLISHED;
  char **names;
  ck_assert_uint_eq(model_builtin_names(&names, &mem), n);
  for (size_t i = 0; i < n; i++) {
    ck_assert_str_eq(names[i], PUBLISHED[i].name);
    load(names[i]);
    ck_assert_str_eq(m.name, names[i]);
    ck_assert_str_eq(m.source, "built-in");
    ck_assert_msg(model_params(&m) == PUBLISHED[i].params, "%s: %" PRIu64, names[i],
                  model_params(&m));
  }
}
END_TEST

START_TEST(model_load__llama_3_2_1b__every_field) {
  load("llama-3.2-1b");
  ck_assert_uint_eq(m.hidden_size, 2048);
  ck_assert_uint_eq(m.intermediate_size, 8192);
  ck_assert_uint_eq(m.num_hidden_layers, 16);
  ck_assert_uint_eq(m.num_attention_heads, 32);
  ck_assert_uint_eq(m.num_key_value_heads, 8);
  ck_assert_uint_eq(m.head_dim, 64);
  ck_assert_uint_eq(m.vocab_size, 128256);
  ck_assert_uint_eq(m.max_position_embeddings, 131072);
  ck_assert(m.rms_norm_eps == 1e-5 && m.rope_theta == 500000);
  ck_assert(m.rope_scaling.factor == 32 && m.rope_scaling.low_freq_factor == 1);
  ck_assert(m.rope_scaling.high_freq_factor == 4);
  ck_assert_uint_eq(m.rope_scaling.original_max_position_embeddings, 8192);
  ck_assert(m.tie_word_embeddings);
  ck_assert_int_eq(m.torch_dtype, DT_BF16);
}
END_TEST

START_TEST(model_load__no_such_model__lists_the_built_in_ones) {
  ck_assert_int_eq(model_load("llama-9", &m, &mem, &fault), ERR_BAD);
  ck_assert_str_eq(fault.msg,
                   "model 'llama-9': there is no such file or folder, and no built-in of "
                   "that name; built in are: llama-2-7b llama-3.1-70b llama-3.1-8b "
                   "llama-3.2-1b llama-3.2-3b stories110m stories15m tinyllama-1.1b");
  fault = (err){0};
  ck_assert_int_eq(model_load("", &m, &mem, &fault), ERR_BAD);
  ck_assert_ptr_nonnull(strstr(fault.msg, "built in are: llama-2-7b"));
}
END_TEST

/* -- files -- */

START_TEST(model_load__folder__config_before_params) {
  write_file("params.json", "{\"dim\": 64, \"n_layers\": 3, \"n_heads\": 8}");
  load(dir);
  ck_assert_uint_eq(m.num_hidden_layers, 3);
  ck_assert_str_eq(m.source, arena_printf(&mem, "%s/params.json", dir));
  ck_assert_str_eq(m.name, strrchr(dir, '/') + 1); /* its folder names it */

  const char *path = write_file("config.json", CONFIG);
  load(arena_printf(&mem, "%s/", dir));
  ck_assert_uint_eq(m.num_hidden_layers, 1);
  load(path);
  ck_assert_str_eq(m.name, strrchr(dir, '/') + 1);
  load(write_file("other.json", CONFIG));
  ck_assert_str_eq(m.name, "other");
}
END_TEST

START_TEST(model_load__bad_places__said) {
  ck_assert_int_eq(model_load(dir, &m, &mem, &fault), ERR_BAD);
  ck_assert_str_eq(fault.msg,
                   arena_printf(&mem,
                                "%s: this folder has neither config.json nor params.json; "
                                "name the folder of a HF or Meta checkpoint",
                                dir));
  fault = (err){0};
  const char *path = write_file("config.json", "");
  ck_assert_int_eq(model_load(dir, &m, &mem, &fault), ERR_BAD);
  ck_assert_str_eq(fault.msg, arena_printf(&mem, "%s: is empty; it must be a JSON document", path));
  fault = (err){0};
  ck_assert_int_eq(model_load("/dev/zero", &m, &mem, &fault), ERR_BAD);
  ck_assert_ptr_nonnull(strstr(fault.msg, "/dev/zero: is larger than the limit of 16777216 bytes"));
}
END_TEST

/* -- tensors and printing -- */

START_TEST(model_tensors__order_and_sizes__sum_is_the_number_of_parameters) {
  static const char *const SPECS[] = {"llama-3.2-1b", "llama-2-7b", "tinyllama-1.1b", "stories15m"};
  for (size_t k = 0; k < 4; k++) {
    load(SPECS[k]);
    model_tensor *t;
    size_t n = model_tensors(&m, &t, &mem);
    ck_assert_uint_eq(n, m.num_hidden_layers * 9 + (m.tie_word_embeddings ? 2 : 3));
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
      ck_assert(t[i].rank == 1 || t[i].rank == 2);
      sum += t[i].dim[0] * (t[i].rank == 2 ? t[i].dim[1] : 1);
    }
    ck_assert_uint_eq(sum, model_params(&m));
    ck_assert_str_eq(t[0].name, "model.embed_tokens.weight");
    ck_assert_str_eq(t[n - 1].name, m.tie_word_embeddings ? "model.norm.weight" : "lm_head.weight");
  }
}
END_TEST

START_TEST(model_tensors__one_layer__hf_names_and_shapes) {
  load(write_file("config.json", CONFIG)); /* hidden 64, heads 8/2 of 8, intermediate 172 */
  static const struct {
    const char *name;
    uint32_t rank;
    uint64_t a, b;
  } WANT[] = {
      {"model.embed_tokens.weight", 2, 320, 64},
      {"model.layers.0.input_layernorm.weight", 1, 64, 1},
      {"model.layers.0.self_attn.q_proj.weight", 2, 64, 64},
      {"model.layers.0.self_attn.k_proj.weight", 2, 16, 64},
      {"model.layers.0.self_attn.v_proj.weight", 2, 16, 64},
      {"model.layers.0.self_attn.o_proj.weight", 2, 64, 64},
      {"model.layers.0.post_attention_layernorm.weight", 1, 64, 1},
      {"model.layers.0.mlp.gate_proj.weight", 2, 172, 64},
      {"model.layers.0.mlp.up_proj.weight", 2, 172, 64},
      {"model.layers.0.mlp.down_proj.weight", 2, 64, 172},
      {"model.norm.weight", 1, 64, 1},
      {"lm_head.weight", 2, 320, 64},
  };
  model_tensor *t;
  ck_assert_uint_eq(model_tensors(&m, &t, &mem), sizeof WANT / sizeof *WANT);
  for (size_t i = 0; i < sizeof WANT / sizeof *WANT; i++) {
    ck_assert_str_eq(t[i].name, WANT[i].name);
    ck_assert_uint_eq(t[i].rank, WANT[i].rank);
    ck_assert_uint_eq(t[i].dim[0], WANT[i].a);
    ck_assert_uint_eq(t[i].dim[1], WANT[i].b);
  }
}
END_TEST

/* The printed row that begins with `name`, blanks squeezed. */
static const char *row(dtype weights, const char *name) {
  out *o = out_memory();
  model_print(&m, weights, o);
  char *line = arena_strdup(&mem, out_text(o, NULL));
  out_abort(o);
  size_t len = strlen(name);
  for (char *next; line != NULL; line = next) {
    next = strchr(line, '\n');
    if (next != NULL) *next++ = '\0';
    line += strspn(line, " ");
    if (strncmp(line, name, len) != 0 || line[len] != ' ') continue;
    char *to = line;
    for (char *p = line; *p != '\0'; p++)
      if (*p != ' ' || (p[1] != ' ' && p[1] != '\0')) *to++ = *p;
    *to = '\0';
    return line;
  }
  return "no such row";
}

START_TEST(model_print__rows_and_totals__bytes_of_the_dtype) {
  load("llama-3.2-1b");
  ck_assert_str_eq(row(DT_BF16, "num_key_value_heads"), "num_key_value_heads 8");
  ck_assert_str_eq(row(DT_BF16, "mlp.down_proj.weight"),
                   "mlp.down_proj.weight 2048 x 8192 bf16 16777216 33554432 32 MiB");
  /* the contract's block: 60,817,408 linear + 4,096 norm weights */
  ck_assert_str_eq(row(DT_BF16, "one layer"), "one layer 60821504 121643008 116 MiB");
  ck_assert_str_eq(row(DT_BF16, "total"), "total 1235814400 2471628800 2.302 GiB");
  ck_assert_str_eq(row(DT_BF16, "lm_head.weight"),
                   "lm_head.weight is model.embed_tokens.weight (tied)");
  /* int8: one f32 a row; norms stay bf16 */
  ck_assert_str_eq(row(DT_INT8, "self_attn.k_proj.weight"),
                   "self_attn.k_proj.weight 512 x 2048 int8 1048576 1048576 2048 1.002 MiB");
  ck_assert_str_eq(row(DT_INT8, "input_layernorm.weight"),
                   "input_layernorm.weight 2048 bf16 2048 4096 0 4 KiB");
  /* int4: one f16 a group of 32: 512 * 64 groups * 2 B */
  ck_assert_str_eq(row(DT_INT4, "self_attn.k_proj.weight"),
                   "self_attn.k_proj.weight 512 x 2048 int4 1048576 524288 65536 576 KiB");
}
END_TEST

START_TEST(model_print_list__all_built_in__a_line_each) {
  out *o = out_memory();
  ck_assert_int_eq(model_print_list(o, &fault), ERR_OK);
  const char *text = out_text(o, NULL);
  int lines = 0;
  for (const char *p = text; (p = strchr(p, '\n')) != NULL; p++) lines++;
  ck_assert_int_eq(lines, 8);
  ck_assert_ptr_nonnull(strstr(text, "\nllama-3.2-1b        1.24B parameters, 16 layers"));
  out_abort(o);
}
END_TEST

int main(void) {
  Suite *s = suite_create("model");
  TCase *t = tcase_create("model");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 120); /* against hanging; nothing here is a measurement */
  tcase_add_test(t, model_load__built_in__published_number_of_parameters);
  tcase_add_test(t, model_load__llama_3_2_1b__every_field);
  tcase_add_test(t, model_load__no_such_model__lists_the_built_in_ones);
  tcase_add_test(t, model_load__folder__config_before_params);
  tcase_add_test(t, model_load__bad_places__said);
  tcase_add_test(t, model_tensors__order_and_sizes__sum_is_the_number_of_parameters);
  tcase_add_test(t, model_tensors__one_layer__hf_names_and_shapes);
  tcase_add_test(t, model_print__rows_and_totals__bytes_of_the_dtype);
  tcase_add_test(t, model_print_list__all_built_in__a_line_each);
  suite_add_tcase(s, t);
  return suite_run(s);
}
