/* libFuzzer: any bytes as a model's config.json or params.json. What is accepted keeps the limits
 * that model.h promises, so that its tensors can be listed, counted and printed. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x)                                                                                 \
  do {                                                                                             \
    if (!(x)) abort();                                                                             \
  } while (0)

static void check_ranges(const model *m) {
  const struct {
    uint64_t v, hi;
  } FIELD[] = {
      {m->hidden_size, MODEL_MAX_HIDDEN},        {m->intermediate_size, MODEL_MAX_INTERMEDIATE},
      {m->num_hidden_layers, MODEL_MAX_LAYERS},  {m->num_attention_heads, MODEL_MAX_HEADS},
      {m->num_key_value_heads, MODEL_MAX_HEADS}, {m->head_dim, MODEL_MAX_HEAD_DIM},
      {m->vocab_size, MODEL_MAX_VOCAB},          {m->max_position_embeddings, MODEL_MAX_POSITION}};
  for (size_t i = 0; i < sizeof FIELD / sizeof *FIELD; i++)
    REQUIRE(FIELD[i].v >= 1 && FIELD[i].v <= FIELD[i].hi);
  REQUIRE(m->num_attention_heads % m->num_key_value_heads == 0 && m->head_dim % 2 == 0);
  REQUIRE(m->rms_norm_eps > 0 && m->rope_theta >= 1 && m->torch_dtype < DT_COUNT);
  const model_rope_scaling *s = &m->rope_scaling;
  REQUIRE(s->factor == 0 ||
          (s->factor >= 1 && s->low_freq_factor > 0 && s->high_freq_factor > s->low_freq_factor &&
           s->original_max_position_embeddings >= 1));
}

static void check_tensors(const model *m, arena *a) {
  model_tensor *t;
  size_t n = model_tensors(m, &t, a);
  uint64_t sum = 0;
  for (size_t i = 0; i < n; i++) {
    REQUIRE(t[i].name != NULL && (t[i].rank == 1 || t[i].rank == 2));
    sum += t[i].dim[0] * (t[i].rank == 2 ? t[i].dim[1] : 1);
  }
  REQUIRE(sum == model_params(m));
}

static void print(const model *m, dtype weights) {
  out *o = out_memory();
  model_print(m, weights, o);
  size_t n = 0;
  (void)out_text(o, &n);
  REQUIRE(n > 0);
  out_abort(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  arena a = {0};
  model m = {0};
  err e = {0};
  int status = model_parse("fuzz.json", "fuzz", data, size, &m, &a, &e);
  REQUIRE(status == ERR_OK || (status == ERR_BAD && e.msg[0] != '\0'));
  if (status == ERR_OK) {
    REQUIRE(strcmp(m.name, "fuzz") == 0);
    check_ranges(&m);
    check_tensors(&m, &a);
    for (int d = 0; d < DT_COUNT; d++) print(&m, (dtype)d);
  }
  arena_free(&a);
  return 0;
}
