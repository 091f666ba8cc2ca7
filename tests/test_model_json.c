/* Reading HF and Meta model descriptions from bytes, and everything that can be wrong with them. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/model.h"
#include "tests/suite.h"

static arena mem;
static err fault;
static model m;

static void setup(void) {
  mem = (arena){0};
  fault = (err){0};
  m = (model){0};
}

static void teardown(void) {
  arena_free(&mem);
}

/* Parses a copy that ends at its last byte, so that the sanitizer sees a read beyond. */
static int parse_bytes(const char *text, size_t len, model *to, err *e) {
  unsigned char *copy = malloc(len > 0 ? len : 1);
  if (len > 0) memcpy(copy, text, len);
  int status = model_parse("f.json", "m", copy, len, to, &mem, e);
  free(copy);
  return status;
}

static void parse(const char *text) {
  fault = (err){0};
  ck_assert_msg(parse_bytes(text, strlen(text), &m, &fault) == ERR_OK, "%s", fault.msg);
}

/* `text` is refused with exactly this message. */
static void refused(const char *text, const char *message) {
  err e = {0};
  model x;
  ck_assert_msg(parse_bytes(text, strlen(text), &x, &e) == ERR_BAD, "took %s", text);
  ck_assert_str_eq(e.msg, message);
}

/* A complete config; `key` (a top-level key of it, or a new one) gets `v`, or goes where v is NULL.
 */
static const char *config(const char *key, const char *v) {
  static const char *const BASE[][2] = {
      {"model_type", "\"llama\""}, {"hidden_size", "64"},          {"intermediate_size", "172"},
      {"num_hidden_layers", "2"},  {"num_attention_heads", "8"},   {"num_key_value_heads", "2"},
      {"vocab_size", "320"},       {"rms_norm_eps", "1e-05"},      {"rope_theta", "10000.0"},
      {"rope_scaling", "null"},    {"torch_dtype", "\"float32\""},
  };
  const char *text = "{";
  bool seen = false;
  for (size_t i = 0; i < sizeof BASE / sizeof *BASE; i++) {
    bool here = strcmp(key, BASE[i][0]) == 0;
    seen = seen || here;
    const char *value = here ? v : BASE[i][1];
    if (value != NULL)
      text = arena_printf(&mem, "%s%s\"%s\": %s", text, text[1] != '\0' ? ", " : "", BASE[i][0],
                          value);
  }
  return arena_printf(&mem, seen || v == NULL ? "%s}" : "%s, \"%s\": %s}", text, key, v);
}

/* -- HF -- */

START_TEST(model_parse__hf_keys_left_out__defaults_of_hf) {
  parse("{\"hidden_size\": 96, \"intermediate_size\": 160, \"num_hidden_layers\": 2,"
        "\"num_attention_heads\": 4, \"vocab_size\": 320}");
  ck_assert_uint_eq(m.num_key_value_heads, 4);
  ck_assert_uint_eq(m.head_dim, 24);
  ck_assert_uint_eq(m.max_position_embeddings, 2048);
  ck_assert(m.rms_norm_eps == 1e-6 && m.rope_theta == 10000 && m.rope_scaling.factor == 0);
  ck_assert(!m.tie_word_embeddings);
  ck_assert_int_eq(m.torch_dtype, DT_BF16);
}
END_TEST

START_TEST(model_parse__hf_head_dim__need_not_divide_hidden_size) {
  parse(config("head_dim", "32")); /* 8 heads of 32, hidden 64 */
  ck_assert_uint_eq(m.head_dim, 32);
  model_tensor *t;
  ck_assert_uint_eq(model_tensors(&m, &t, &mem), 2 * 9 + 3);
  ck_assert_str_eq(t[2].name, "model.layers.0.self_attn.q_proj.weight");
  ck_assert(t[2].dim[0] == 256 && t[2].dim[1] == 64);
  ck_assert(t[5].dim[0] == 64 && t[5].dim[1] == 256);
}
END_TEST

START_TEST(model_parse__hf_rope_spellings__understood) {
  static const char *const LLAMA3[] = {"rope_type", "type"};
  for (size_t i = 0; i < 2; i++) {
    parse(config("rope_scaling",
                 arena_printf(&mem,
                              "{\"%s\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.0,"
                              "\"high_freq_factor\": 4.0, "
                              "\"original_max_position_embeddings\": 8192}",
                              LLAMA3[i])));
    ck_assert(m.rope_scaling.factor == 8);
  }
  parse(config("rope_scaling", "{\"rope_type\": \"default\"}"));
  ck_assert(m.rope_scaling.factor == 0);
  parse(config("rope_parameters", "{\"rope_type\": \"default\", \"rope_theta\": 12345.0}"));
  ck_assert(m.rope_theta == 12345);
}
END_TEST

START_TEST(model_parse__hf_dtype_spellings__understood) {
  parse(config("torch_dtype", "\"float16\""));
  ck_assert_int_eq(m.torch_dtype, DT_F16);
  parse(config("torch_dtype", "\"torch.bfloat16\""));
  ck_assert_int_eq(m.torch_dtype, DT_BF16);
  parse(config("torch_dtype", NULL));
  ck_assert_int_eq(m.torch_dtype, DT_BF16);
  parse(config("dtype", "\"float32\""));
  ck_assert_int_eq(m.torch_dtype, DT_F32);
}
END_TEST

START_TEST(model_parse__hf_key_missing_or_out_of_range__named_with_limits) {
  static const struct {
    const char *key;
    int limit;
  } KEYS[] = {{"hidden_size", MODEL_MAX_HIDDEN},
              {"intermediate_size", MODEL_MAX_INTERMEDIATE},
              {"num_hidden_layers", MODEL_MAX_LAYERS},
              {"num_attention_heads", MODEL_MAX_HEADS},
              {"vocab_size", MODEL_MAX_VOCAB}};
  static const char *const BAD[][2] = {
      {NULL, "missing"},
      {"null", "missing"},
      {"0", "0"},
      {"-64", "-64"},
      {"1e300", "1e+300"},
      {"1000000000000000000", "1e+18"},
      {"64.5", "64.5"},
      {"\"64\"", "\"64\""},
      {"true", "true"},
      {"[64]", "an array"},
      {"{}", "an object"},
      {"\"1000000000000000000\"", "\"1000000000000000000\""},
      {"4194305", "4194305"}, /* the largest limit, and one */
  };
  for (size_t k = 0; k < sizeof KEYS / sizeof *KEYS; k++)
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
      refused(config(KEYS[k].key, BAD[i][0]),
              arena_printf(&mem, "f.json: .%s: is %s; it must be a whole number from 1 to %d",
                           KEYS[k].key, BAD[i][1], KEYS[k].limit));
}
END_TEST

START_TEST(model_parse__hf_contradictions_and_foreign_things__refused_by_name) {
  static const char *const CASES[][3] = {
      {"num_key_value_heads", "3",
       "f.json: .num_attention_heads: is 8; it must be a multiple of num_key_value_heads, 3"},
      {"num_key_value_heads", "16",
       "f.json: .num_attention_heads: is 8; it must be a multiple of num_key_value_heads, 16"},
      {"hidden_size", "100",
       "f.json: .hidden_size: is 100; without head_dim it must be a multiple of "
       "num_attention_heads, 8"},
      {"hidden_size", "72",
       "f.json: the head size that follows from the number of heads is 9; it must be even (RoPE "
       "rotates pairs) and at most 1024"},
      {"hidden_size", "16384",
       "f.json: the head size that follows from the number of heads is 2048; it must be even (RoPE "
       "rotates pairs) and at most 1024"},
      {"head_dim", "9",
       "f.json: .head_dim: is 9; it must be even (RoPE rotates pairs) and at most 1024"},
      {"head_dim", "2048", "f.json: .head_dim: is 2048; it must be a whole number from 1 to 1024"},
      {"model_type", "\"gpt2\"",
       "f.json: .model_type: is \"gpt2\"; only \"llama\" is supported (Llama 1 to 3.2 text models "
       "and others of the same architecture)"},
      {"model_type", "7", "f.json: .model_type: is 7; it must be a string"},
      {"architectures", "[\"MistralForCausalLM\"]",
       "f.json: .architectures[0]: is \"MistralForCausalLM\"; only \"LlamaForCausalLM\" is "
       "supported"},
      {"hidden_act", "\"gelu\"", "f.json: .hidden_act: is \"gelu\"; only \"silu\" is supported"},
      {"attention_bias", "true",
       "f.json: .attention_bias: is true; linear layers with a bias are not supported, it must be "
       "false"},
      {"mlp_bias", "true",
       "f.json: .mlp_bias: is true; linear layers with a bias are not supported, it must be false"},
      {"rms_norm_eps", "0", "f.json: .rms_norm_eps: is 0; it must be a number from 1e-30 to 1"},
      {"rms_norm_eps", "\"x\"",
       "f.json: .rms_norm_eps: is \"x\"; it must be a number from 1e-30 to 1"},
      {"rope_theta", "1e300",
       "f.json: .rope_theta: is 1e+300; it must be a number from 1 to 1e+12"},
      {"rope_scaling", "7", "f.json: .rope_scaling: is 7; it must be an object or null"},
      {"rope_scaling", "{\"type\": \"yarn\", \"factor\": 2}",
       "f.json: .rope_scaling.rope_type: is \"yarn\"; only \"llama3\" and \"default\" are "
       "supported"},
      {"rope_scaling", "{\"rope_type\": \"llama3\"}",
       "f.json: .rope_scaling.factor: is missing; it must be a number from 1 to 1e+06"},
      {"rope_scaling",
       "{\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, \"high_freq_factor\": 4,"
       "\"original_max_position_embeddings\": 8192}",
       "f.json: .rope_scaling.high_freq_factor: is 4; it must be greater than low_freq_factor, 4"},
      {"rope_scaling",
       "{\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1, \"high_freq_factor\": 4,"
       "\"original_max_position_embeddings\": 0}",
       "f.json: .rope_scaling.original_max_position_embeddings: is 0; it must be a whole number "
       "from 1 to 16777216"},
      {"rope_parameters", "{\"partial_rotary_factor\": 0.5}",
       "f.json: .rope_parameters.partial_rotary_factor: is 0.5; it must be a number from 1 to 1"},
      {"torch_dtype", "\"float8\"",
       "f.json: .torch_dtype: is \"float8\"; it must be \"float32\", \"float16\" or \"bfloat16\""},
      {"tie_word_embeddings", "1", "f.json: .tie_word_embeddings: is 1; it must be true or false"},
      {"max_position_embeddings", "0",
       "f.json: .max_position_embeddings: is 0; it must be a whole number from 1 to 16777216"},
  };
  for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
    refused(config(CASES[i][0], CASES[i][1]), CASES[i][2]);
}
END_TEST

START_TEST(model_parse__no_config__said) {
  refused("", "f.json: is empty; it must be a JSON document");
  refused("[]", "f.json: is an array; it must be an object, as in a HF config.json");
  refused("7", "f.json: is 7; it must be an object, as in a HF config.json");
  refused("{}", "f.json: .hidden_size: is missing; it must be a whole number from 1 to 131072");
  refused("{\"hidden_size\": 64, \"hid",
          "f.json:1:25: this is not JSON: expected a closing quote, got the end of the file");
  refused("GGUF\x03", "f.json:1:1: this is not JSON: expected a value, got 'G'");
}
END_TEST

START_TEST(model_parse__truncated_anywhere__refused) {
  const char *text = config("head_dim", "8");
  for (size_t len = 0; len < strlen(text); len++) {
    err e = {0};
    model x;
    ck_assert_int_eq(parse_bytes(text, len, &x, &e), ERR_BAD);
    ck_assert_msg(strncmp(e.msg, "f.json:", 7) == 0, "%s", e.msg);
  }
  parse(text);
}
END_TEST

/* -- Meta -- */

START_TEST(model_parse__meta_llama_3_2_1b__same_as_the_built_in_one) {
  model hf;
  ck_assert_msg(model_load("llama-3.2-1b", &hf, &mem, &fault) == ERR_OK, "%s", fault.msg);
  parse("{\"dim\": 2048, \"ffn_dim_multiplier\": 1.5, \"multiple_of\": 256, \"n_heads\": 32,"
        "\"n_kv_heads\": 8, \"n_layers\": 16, \"norm_eps\": 1e-05, \"rope_theta\": 500000.0,"
        "\"use_scaled_rope\": true, \"vocab_size\": 128256, \"tie_word_embeddings\": true}");
  ck_assert_uint_eq(m.intermediate_size, hf.intermediate_size);
  ck_assert_uint_eq(m.head_dim, hf.head_dim);
  ck_assert_uint_eq(m.max_position_embeddings, hf.max_position_embeddings);
  ck_assert_mem_eq(&m.rope_scaling, &hf.rope_scaling, sizeof m.rope_scaling);
  ck_assert(m.rms_norm_eps == hf.rms_norm_eps && m.rope_theta == hf.rope_theta);
  ck_assert_uint_eq(model_params(&m), model_params(&hf));
}
END_TEST

START_TEST(model_parse__meta_feed_forward_rule__known_widths) {
  static const struct {
    const char *text;
    uint64_t width;
    double factor;
  } CASES[] = {
      /* Llama 3.1 8B and 70B, Llama 2 7B, and a small one with all defaults: 4*64*2/3 = 170 -> 256
       */
      {"{\"dim\": 4096, \"ffn_dim_multiplier\": 1.3, \"multiple_of\": 1024, \"n_heads\": 32,"
       "\"n_kv_heads\": 8, \"n_layers\": 32, \"use_scaled_rope\": true, \"vocab_size\": 128256}",
       14336, 8},
      {"{\"dim\": 8192, \"ffn_dim_multiplier\": 1.3, \"multiple_of\": 4096, \"n_heads\": 64,"
       "\"n_kv_heads\": 8, \"n_layers\": 80, \"vocab_size\": 128256}",
       28672, 0},
      {"{\"dim\": 4096, \"multiple_of\": 256, \"n_heads\": 32, \"n_layers\": 32,"
       "\"norm_eps\": 1e-05, \"vocab_size\": -1}",
       11008, 0},
      {"{\"dim\": 64, \"n_heads\": 4, \"n_layers\": 2, \"use_scaled_rope\": true,"
       "\"rope_scale_factor\": 16}",
       256, 16},
  };
  for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
    parse(CASES[i].text);
    ck_assert_uint_eq(m.intermediate_size, CASES[i].width);
    ck_assert(m.rope_scaling.factor == CASES[i].factor);
  }
}
END_TEST

START_TEST(model_parse__meta_llama_2__defaults) {
  parse("{\"dim\": 4096, \"multiple_of\": 256, \"n_heads\": 32, \"n_layers\": 32,"
        "\"norm_eps\": 1e-05, \"vocab_size\": -1}");
  ck_assert_uint_eq(m.vocab_size, 32000);
  ck_assert_uint_eq(m.num_key_value_heads, 32);
  ck_assert_uint_eq(m.max_position_embeddings, 4096);
  ck_assert(m.rope_theta == 10000 && m.rms_norm_eps == 1e-5 && !m.tie_word_embeddings);
  ck_assert_uint_eq(model_params(&m), 6738415616); /* as published, from Meta's own file */
}
END_TEST

/* The params.json of the golden tiny models (golden data: gen.py, MODELS and meta_params). */
START_TEST(model_parse__golden_params__the_golden_models) {
  parse("{\"dim\": 64, \"multiple_of\": 4, \"n_heads\": 4, \"n_layers\": 2, \"norm_eps\": 1e-05,"
        "\"vocab_size\": -1}");
  ck_assert_uint_eq(m.intermediate_size, 172);
  ck_assert_uint_eq(m.num_key_value_heads, 4);
  ck_assert(m.rope_theta == 10000 && m.rope_scaling.factor == 0);
  parse("{\"dim\": 64, \"multiple_of\": 32, \"n_heads\": 8, \"n_kv_heads\": 2, \"n_layers\": 2,"
        "\"norm_eps\": 1e-05, \"rope_theta\": 10000.0, \"use_scaled_rope\": false,"
        "\"vocab_size\": 320}");
  ck_assert_uint_eq(m.intermediate_size, 192);
  ck_assert_uint_eq(m.head_dim, 8);
  ck_assert_uint_eq(m.vocab_size, 320);
  ck_assert(m.rope_scaling.factor == 0);
  parse("{\"dim\": 128, \"ffn_dim_multiplier\": 0.75, \"multiple_of\": 32, \"n_heads\": 8,"
        "\"n_kv_heads\": 2, \"n_layers\": 4, \"norm_eps\": 1e-05, \"rope_theta\": 500000.0,"
        "\"use_scaled_rope\": true, \"vocab_size\": 512}");
  ck_assert_uint_eq(m.intermediate_size, 256);
  ck_assert_uint_eq(m.head_dim, 16);
  ck_assert(m.rope_scaling.factor == 32 && m.rope_scaling.low_freq_factor == 1);
  ck_assert(m.rope_scaling.high_freq_factor == 4 && m.rope_theta == 500000);
  ck_assert_uint_eq(m.rope_scaling.original_max_position_embeddings, 8192);
}
END_TEST

START_TEST(model_parse__meta_faults__named_by_metas_keys) {
  static const char *const CASES[][2] = {
      {"{\"dim\": 64}", "f.json: .n_layers: is missing; it must be a whole number from 1 to 1024"},
      {"{\"dim\": -64}", "f.json: .dim: is -64; it must be a whole number from 1 to 131072"},
      {"{\"dim\": 64, \"n_layers\": 2, \"n_heads\": 6}",
       "f.json: .dim: is 64; without head_dim it must be a multiple of n_heads, 6"},
      {"{\"dim\": 64, \"n_layers\": 2, \"n_heads\": 8, \"n_kv_heads\": 3}",
       "f.json: .n_heads: is 8; it must be a multiple of n_kv_heads, 3"},
      {"{\"dim\": 64, \"n_layers\": 2, \"n_heads\": 8, \"vocab_size\": -2}",
       "f.json: .vocab_size: is -2; it must be a whole number from 1 to 4194304"},
      {"{\"dim\": 64, \"n_layers\": 2, \"n_heads\": 8, \"multiple_of\": 0}",
       "f.json: .multiple_of: is 0; it must be a whole number from 1 to 524288"},
      {"{\"dim\": 131072, \"n_layers\": 2, \"n_heads\": 1024, \"ffn_dim_multiplier\": 1000}",
       "f.json: the feed-forward width that follows from dim, ffn_dim_multiplier and multiple_of "
       "is "
       "349525248; it must be from 1 to 524288"},
      {"{\"dim\": 64, \"n_layers\": 2, \"n_heads\": 8, \"moe_args\": {}}",
       "f.json: .moe_args: mixtures of experts (Llama 4) are not supported; only Llama 1 to 3.2 "
       "text models are"},
  };
  for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) refused(CASES[i][0], CASES[i][1]);
}
END_TEST

/* -- anything -- */

static uint64_t next_random(uint64_t *x) {
  *x ^= *x << 13;
  *x ^= *x >> 7;
  *x ^= *x << 17;
  return *x;
}

/* Whatever is taken must keep the promises of model.h: bounded fields that multiply without
 * overflow. */
static void check_promises(const model *x) {
  ck_assert(x->hidden_size >= 1 && x->hidden_size <= MODEL_MAX_HIDDEN);
  ck_assert(x->intermediate_size >= 1 && x->intermediate_size <= MODEL_MAX_INTERMEDIATE);
  ck_assert(x->num_hidden_layers >= 1 && x->num_hidden_layers <= MODEL_MAX_LAYERS);
  ck_assert(x->num_key_value_heads >= 1 && x->num_attention_heads <= MODEL_MAX_HEADS);
  ck_assert(x->num_attention_heads % x->num_key_value_heads == 0);
  ck_assert(x->head_dim >= 2 && x->head_dim <= MODEL_MAX_HEAD_DIM && x->head_dim % 2 == 0);
  ck_assert(x->vocab_size >= 1 && x->vocab_size <= MODEL_MAX_VOCAB);
  ck_assert(x->max_position_embeddings >= 1);
  ck_assert(x->rms_norm_eps > 0 && isfinite(x->rope_theta) && x->rope_theta >= 1);
}

START_TEST(model_parse__random_mutations__refused_or_sound) {
  const char *const texts[] = {
      config("rope_scaling",
             "{\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.0,"
             "\"high_freq_factor\": 4.0,"
             "\"original_max_position_embeddings\": 8192}"),
      "{\"dim\": 64, \"n_layers\": 2, \"n_heads\": 8, \"n_kv_heads\": 2, \"vocab_size\": 320,"
      "\"multiple_of\": 32, \"norm_eps\": 1e-05, \"use_scaled_rope\": true}",
  };
  static const char ALPHABET[] = "0123456789-+.eE\"{}[],: \\null\xff";
  uint64_t x = 1;
  int taken = 0;
  for (int i = 0; i < 40000; i++) {
    const char *base = texts[i % 2];
    size_t len = strlen(base);
    char *text = malloc(len + 1);
    memcpy(text, base, len + 1);
    for (uint64_t n = 1 + next_random(&x) % 3; n > 0; n--) {
      uint64_t r = next_random(&x);
      text[r % len] = r >> 60 == 0 ? (char)(r >> 32) : ALPHABET[(r >> 32) % (sizeof ALPHABET - 1)];
    }
    err e = {0};
    model y;
    arena scratch = {0};
    int status = model_parse("f.json", "m", (const unsigned char *)text, len, &y, &scratch, &e);
    ck_assert_msg(status == ERR_OK || status == ERR_BAD, "%s", e.msg);
    if (status == ERR_OK)
      check_promises(&y);
    else
      ck_assert_msg(strncmp(e.msg, "f.json:", 7) == 0, "%s", e.msg);
    taken += status == ERR_OK;
    arena_free(&scratch);
    free(text);
  }
  ck_assert_int_gt(taken, 1000); /* a digit for a digit is often still a model */
  ck_assert_int_lt(taken, 39000);
}
END_TEST

int main(void) {
  Suite *s = suite_create("model_json");
  TCase *t = tcase_create("model_json");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 120); /* against hanging; nothing here is a measurement */
  tcase_add_test(t, model_parse__hf_keys_left_out__defaults_of_hf);
  tcase_add_test(t, model_parse__hf_head_dim__need_not_divide_hidden_size);
  tcase_add_test(t, model_parse__hf_rope_spellings__understood);
  tcase_add_test(t, model_parse__hf_dtype_spellings__understood);
  tcase_add_test(t, model_parse__hf_key_missing_or_out_of_range__named_with_limits);
  tcase_add_test(t, model_parse__hf_contradictions_and_foreign_things__refused_by_name);
  tcase_add_test(t, model_parse__no_config__said);
  tcase_add_test(t, model_parse__truncated_anywhere__refused);
  tcase_add_test(t, model_parse__meta_llama_3_2_1b__same_as_the_built_in_one);
  tcase_add_test(t, model_parse__meta_feed_forward_rule__known_widths);
  tcase_add_test(t, model_parse__meta_llama_2__defaults);
  tcase_add_test(t, model_parse__golden_params__the_golden_models);
  tcase_add_test(t, model_parse__meta_faults__named_by_metas_keys);
  tcase_add_test(t, model_parse__random_mutations__refused_or_sound);
  suite_add_tcase(s, t);
  return suite_run(s);
}
