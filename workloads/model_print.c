#include "sim/base/units.h"
#include "workloads/model.h"

#include <inttypes.h>
#include <stdio.h>

enum { INT4_GROUP = 32 };

int model_print_list(out *o, err *e) {
  arena a = {0};
  char **names;
  size_t n = model_builtin_names(&names, &a);
  int status = ERR_OK;
  for (size_t i = 0; i < n && status == ERR_OK; i++) {
    model m;
    status = model_load(names[i], &m, &a, e);
    if (status != ERR_OK) break;
    double params = (double)model_params(&m);
    bool large = params >= 1e9;
    out_printf(o,
               "%-16s %7.2f%c parameters, %2" PRIu64 " layers, hidden %4" PRIu64
               ", intermediate %5" PRIu64 ", heads %" PRIu64 "/%" PRIu64 " of %" PRIu64
               ", vocabulary %" PRIu64 "\n",
               m.name, params / (large ? 1e9 : 1e6), large ? 'B' : 'M', m.num_hidden_layers,
               m.hidden_size, m.intermediate_size, m.num_attention_heads, m.num_key_value_heads,
               m.head_dim, m.vocab_size);
  }
  if (n == 0)
    status = err_set(e, ERR_BAD,
                     "no built-in models found; set LLAMASIM_DATA to the folder that has models/");
  arena_free(&a);
  return status;
}

void model_print_parameters(const model *m, out *o) {
  const struct {
    const char *key;
    uint64_t v;
  } WHOLE[] = {
      {"hidden_size", m->hidden_size},
      {"intermediate_size", m->intermediate_size},
      {"num_hidden_layers", m->num_hidden_layers},
      {"num_attention_heads", m->num_attention_heads},
      {"num_key_value_heads", m->num_key_value_heads},
      {"head_dim", m->head_dim},
      {"vocab_size", m->vocab_size},
      {"max_position_embeddings", m->max_position_embeddings},
  };
  const model_rope_scaling *s = &m->rope_scaling;
  out_printf(o, "%-24s %s\n", "model", m->name);
  out_printf(o, "%-24s %s\n", "source", m->source);
  for (size_t i = 0; i < sizeof WHOLE / sizeof *WHOLE; i++)
    out_printf(o, "%-24s %" PRIu64 "\n", WHOLE[i].key, WHOLE[i].v);
  out_printf(o, "%-24s %.10g\n", "rms_norm_eps", m->rms_norm_eps);
  out_printf(o, "%-24s %.10g\n", "rope_theta", m->rope_theta);
  if (s->factor > 0)
    out_printf(o,
               "%-24s llama3, factor %.10g, low_freq_factor %.10g, high_freq_factor %.10g, "
               "original_max_position_embeddings %" PRIu64 "\n",
               "rope_scaling", s->factor, s->low_freq_factor, s->high_freq_factor,
               s->original_max_position_embeddings);
  else
    out_printf(o, "%-24s %s\n", "rope_scaling",
               m->rope_factors != NULL ? "a factor for each frequency, from the file" : "none");
  out_printf(o, "%-24s %s\n", "tie_word_embeddings", m->tie_word_embeddings ? "true" : "false");
  out_printf(o, "%-24s %s\n", "torch_dtype", dtype_name(m->torch_dtype));
}

/* What one tensor, or many, take. */
typedef struct amount {
  uint64_t elements, weights_B, scales_B;
} amount;

static bool is_quantized(dtype weights) {
  return weights == DT_INT8 || weights == DT_INT4;
}

static dtype stored_as(const model_tensor *t, dtype weights) {
  return t->rank == 1 && is_quantized(weights) ? DT_BF16 : weights;
}

static amount amount_of(const model_tensor *t, dtype weights) {
  uint64_t rows = t->rank == 2 ? t->dim[0] : 1, columns = t->dim[t->rank - 1];
  amount n = {.elements = rows * columns};
  n.weights_B = dtype_bytes(stored_as(t, weights), n.elements);
  if (t->rank == 2 && weights == DT_INT8) n.scales_B = rows * dtype_bytes(DT_F32, 1);
  if (t->rank == 2 && weights == DT_INT4)
    n.scales_B = rows * ((columns + INT4_GROUP - 1) / INT4_GROUP) * dtype_bytes(DT_F16, 1);
  return n;
}

static amount sum(amount a, amount b) {
  return (amount){a.elements + b.elements, a.weights_B + b.weights_B, a.scales_B + b.scales_B};
}

static void print_row(const char *name, const char *shape, const char *dt, amount n, dtype weights,
                      out *o) {
  char text[UNITS_TEXT], scales[UNITS_TEXT] = "";
  if (is_quantized(weights)) snprintf(scales, sizeof scales, " %12" PRIu64, n.scales_B);
  out_printf(o, "%-34s %-15s %-5s %12" PRIu64 " %13" PRIu64 "%s  %s\n", name, shape, dt, n.elements,
             n.weights_B, scales, units_size(text, (double)(n.weights_B + n.scales_B)));
}

static amount print_tensor(const model_tensor *t, const char *name, dtype weights, out *o) {
  char shape[48];
  if (t->rank == 2)
    snprintf(shape, sizeof shape, "%" PRIu64 " x %" PRIu64, t->dim[0], t->dim[1]);
  else
    snprintf(shape, sizeof shape, "%" PRIu64, t->dim[0]);
  amount n = amount_of(t, weights);
  print_row(name, shape, dtype_name(stored_as(t, weights)), n, weights, o);
  return n;
}

void model_print(const model *m, dtype weights, out *o) {
  arena a = {0};
  model_tensor *t;
  size_t n = model_tensors(m, &t, &a), tail = m->tie_word_embeddings ? 1 : 2;
  size_t a_layer = (n - 1 - tail) / (size_t)m->num_hidden_layers;

  model_print_parameters(m, o);
  out_printf(o, "\n%-34s %-15s %-5s %12s %13s%s\n", "tensor (out, in)", "shape", "dtype",
             "elements", "bytes", is_quantized(weights) ? "       scales" : "");
  amount all = print_tensor(&t[0], t[0].name, weights, o), layer = {0};
  out_printf(o, "model.layers.0..%" PRIu64 ", each:\n", m->num_hidden_layers - 1);
  for (size_t i = 1; i <= a_layer; i++) {
    /* all layers look alike: the first one's names, without "model.layers.0." */
    char name[64];
    snprintf(name, sizeof name, "  %s", t[i].name + sizeof "model.layers.0." - 1);
    layer = sum(layer, print_tensor(&t[i], name, weights, o));
  }
  print_row("  one layer", "", "", layer, weights, o);
  for (uint64_t i = 0; i < m->num_hidden_layers; i++) all = sum(all, layer);
  for (size_t i = n - tail; i < n; i++) all = sum(all, print_tensor(&t[i], t[i].name, weights, o));
  if (m->tie_word_embeddings)
    out_str(o, "lm_head.weight                     is model.embed_tokens.weight (tied)\n");
  print_row("total", "", "", all, weights, o);
  arena_free(&a);
}
