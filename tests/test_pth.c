/* .pth files as torch.save writes them: the same bytes, read back to the numbers of the rule that
 * made them. What is wrong with a file is for test_pth_bad.c. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "tests/suite.h"
#include "tests/tiny_meta.h"
#include "workloads/ckpt/pth.h"

static arena mem;
static err fault;
static raw_tensors got;

static void setup(void) {
  mem = (arena){0};
  fault = (err){0};
}

static void teardown(void) {
  arena_free(&mem);
}

/* The bytes of an `out`, in a block that ends with them. */
static const unsigned char *bytes_of(out *o, size_t *len) {
  const char *text = out_text(o, len);
  unsigned char *copy = ARENA_NEW(&mem, unsigned char, *len);
  memcpy(copy, text, *len);
  out_abort(o);
  return copy;
}

static void parse(const unsigned char *data, size_t len) {
  fault = (err){0};
  ck_assert_msg(pth_parse("f.pth", data, len, &got, &mem, &fault) == ERR_OK, "%s", fault.msg);
  for (size_t i = 0; i < got.n; i++) {
    const raw_tensor *t = &got.at[i];
    ck_assert(t->data >= data && t->data + t->bytes <= data + len);
  }
}

/* Element (i, j) through the view's strides. */
static uint32_t bits_at(const raw_tensor *t, uint64_t i, uint64_t j) {
  const uint64_t size = t->format == RAW_F32 ? 4 : 2;
  const unsigned char *p =
      t->data + size * (i * t->stride[0] + (t->rank == 2 ? j * t->stride[1] : 0));
  if (p + size > t->data + t->bytes) ck_abort_msg("%s: a view shorter than its shape", t->name);
  uint32_t bits = 0;
  for (size_t b = 0; b < size; b++) bits |= (uint32_t)p[b] << (8 * b);
  return bits;
}

/* Every element of every tensor is what the rule says, in order of the file. */
static void holds(const tiny_file *f) {
  tiny_tensor want[TINY_MAX_TENSORS];
  size_t n = tiny_tensors(f->m, want);
  ck_assert_uint_eq(got.n, n);
  for (size_t k = 0; k < n; k++) {
    const raw_tensor *t = &got.at[k];
    tiny_part p = tiny_shard(f->m, &want[k], f->shard, f->n_shards);
    ck_assert_str_eq(t->name, want[k].meta);
    ck_assert_uint_eq(t->rank, want[k].rank);
    ck_assert_uint_eq(t->dim[0], p.dim[0]);
    ck_assert_uint_eq(t->dim[1], p.dim[1]);
    ck_assert_int_eq(t->format, f->format);
    for (uint64_t i = 0; i < p.dim[0]; i++)
      for (uint64_t j = 0; j < (t->rank == 2 ? p.dim[1] : 1); j++) {
        float v = tiny_value(f->m, &want[k], p.first[0] + i, p.first[1] + j);
        if (bits_at(t, i, j) != tiny_bits(v, f->format)) /* asserts are slow */
          ck_abort_msg("%s: element (%u, %u)", t->name, (unsigned)i, (unsigned)j);
      }
  }
}

/* -- torch's own bytes -- */

/* Addresses in the memory of the program that saved it: of each tensor, in the order of the file.
 */
static const char *const LEGACY_KEYS[] = {
    "1124343952", "1123862496", "1128693024", "1128693120", "1123875200", "1123875552",
    "1123864976", "1128980912", "1128981216", "1123873184", "1128980064", "1129288112",
    "1129288416", "1128968464", "1128968768", "1129288512", "1128973136", "1128973488",
    "1128976432", "1128973792", "1066287200"};

/* Length and CRC-32 of the golden files that torch 1.13 saved. */
static const struct {
  tiny_file f;
  size_t len;
  uint32_t crc;
} GOLDEN[] = {
    {{&TINY_GQA_L32, RAW_BF16, 0, 2, .views = false}, 702264, 0x1f68db91},
    {{&TINY_GQA_L32, RAW_BF16, 1, 2, .views = false}, 702264, 0x3f321e02},
    {{&TINY_GQA_PLAIN, RAW_F16, 0, 1, .views = false}, 277470, 0xcfb9ede4},
    {{&TINY_GQA_PLAIN, RAW_F32, 0, 2, .views = false}, 278110, 0xe65eec26},
    {{&TINY_GQA_PLAIN, RAW_F32, 1, 2, .views = false}, 278110, 0x1dd2e292},
    {{&TINY_GQA_PLAIN, RAW_F32, 0, 1, .legacy = true, .keys = LEGACY_KEYS}, 544759, 0xbc61f34d},
    {{&TINY_GQA_PLAIN, RAW_F32, 0, 1, .views = true}, 548446, 0x7fee264d},
    {{&TINY_MHA, RAW_F32, 0, 2, .views = false}, 336739, 0x8335c2a7},
    {{&TINY_MHA, RAW_F32, 1, 2, .views = false}, 336739, 0x394376ee},
};

START_TEST(pth_parse__each_golden_file__torchs_bytes_and_the_rules_numbers) {
  out *o = out_memory();
  size_t len = 0;
  tiny_write(&GOLDEN[_i].f, o);
  const unsigned char *data = bytes_of(o, &len);
  ck_assert_uint_eq(len, GOLDEN[_i].len);
  ck_assert_uint_eq(crc32(0, data, (uInt)len), GOLDEN[_i].crc);
  parse(data, len);
  holds(&GOLDEN[_i].f);
}
END_TEST

/* The file itself: what the writer of these tests makes is what torch made. */
START_TEST(pth_parse__a_file_that_torch_saved__the_rules_numbers) {
  static const tiny_file F = {.m = &TINY_GQA_PLAIN, .format = RAW_F16, .n_shards = 1};
  file_bytes real;
  size_t len = 0;
  ck_assert(file_read(TESTS_DIR "/fixtures/pth/tiny-gqa-plain-f16.pth", 1 << 20, &real, &mem,
                      &fault) == ERR_OK);
  out *o = out_memory();
  tiny_write(&F, o);
  const unsigned char *own = bytes_of(o, &len);
  ck_assert_uint_eq(real.len, len);
  ck_assert(memcmp(real.data, own, len) == 0);
  parse(real.data, real.len);
  holds(&F);
}
END_TEST

START_TEST(pth_parse__views__transposed_and_offset_in_their_storage) {
  static const tiny_file F = {
      .m = &TINY_GQA_PLAIN, .format = RAW_F32, .n_shards = 1, .views = true};
  size_t len = 0;
  out *o = out_memory();
  tiny_write(&F, o);
  const unsigned char *data = bytes_of(o, &len);
  parse(data, len);
  const raw_tensor *embedding = &got.at[0];
  ck_assert_uint_eq(embedding->stride[0], 1);
  ck_assert_uint_eq(embedding->stride[1], 320);
  ck_assert_uint_eq(embedding->bytes, 4 * 320 * 64);
}
END_TEST

/* -- what torch writes in other versions, and others around it -- */

#define TENSOR PW_F32_0 PW_DENSE_4 PW_END

static void parse_words(const char *words, const char *byte_order, pw_form form) {
  size_t len = 0;
  out *o = out_memory();
  pw_small(words, byte_order, form, o);
  const unsigned char *data = bytes_of(o, &len);
  parse(data, len);
}

/* One tensor "w" of PW_NUMBERS. */
static void holds_numbers(void) {
  ck_assert_uint_eq(got.n, 1);
  ck_assert_str_eq(got.at[0].name, "w");
  ck_assert_uint_eq(got.at[0].rank, 1);
  ck_assert_uint_eq(got.at[0].dim[0], 4);
  ck_assert_mem_eq(got.at[0].data, PW_NUMBERS, sizeof PW_NUMBERS);
}

START_TEST(pth_parse__archive_of_another_program__read) {
  parse_words("p } ( 'w'" TENSOR "u .", "", PW_PLAIN);
  holds_numbers();
}
END_TEST

START_TEST(pth_parse__forms_of_one_dict__the_same_tensor) {
  static const char *const FORMS[] = {
      "p } ( 'w'" TENSOR "u .",
      "p } 'w'" TENSOR "s .",
      /* state_dict(): an OrderedDict that carries _metadata */
      "p ccollections/OrderedDict ) R q0 ( 'w'" TENSOR
      "u } '_metadata' ccollections/OrderedDict ) R s b .",
      /* parameters, as in a dict of them */
      "p } 'w' ctorch._utils/_rebuild_parameter" TENSOR "T ccollections/OrderedDict ) R t3 R s .",
      /* protocol 4: a frame, short strings, globals from the stack, MEMOIZE */
      "x80 x04 x95 x10 x00 x00 x00 x00 x00 x00 x00 } x94 ( x8c x01 \"w x94"
      " x8c x0c \"torch._utils x8c x12 \"_rebuild_tensor_v2 x93"
      " ( ( 'storage' ctorch/FloatStorage '0' 'cpu' i4 t Q " PW_DENSE_4
      " F ccollections/OrderedDict ) R t R u .",
      /* metadata that says nothing; dimensions as LONG1 */
      "p } 'w' ctorch._utils/_rebuild_tensor_v2 ( ( 'storage' ctorch/FloatStorage '0' 'cpu' l4 t Q "
      "l0 l4 t1 l1 t1 F ccollections/OrderedDict ) R } t R s .",
      /* an untyped storage counts bytes; its dtype is the tensor's */
      "p } 'w' ctorch._utils/_rebuild_tensor_v3 ( ( 'storage' ctorch.storage/UntypedStorage '0' "
      "'cpu' i16 t Q " PW_DENSE_4 " F ccollections/OrderedDict ) R ctorch/float32 t R s .",
      /* beside what is no tensor */
      "p } ( 'w'" TENSOR "'step' i7 'lr' G x00 x00 x00 x00 x00 x00"
      " x00 x00 'none' N 'list' ] i1 a u .",
  };
  parse_words(FORMS[_i], "little", PW_TORCH);
  holds_numbers();
}
END_TEST
enum { N_FORMS = 8 };

START_TEST(pth_parse__wrapped_dicts__the_weights_found) {
#define W "} 'w'" TENSOR "s "
#define OTHER "} 'z'" PW_F32_1 PW_DENSE_4 PW_END "s "
  static const char *const FORMS[] = {
      "p } 'model' " W "s .",
      "p } ( 'optimizer' " OTHER "'model' " W "'args' N 'epoch' i3 u .",
      "p } ( 'optimizer' " OTHER "'state_dict' } 'module' " W "s u .",
      "p } ( 'anything' " W "'version' i1 u .",
      "p } 'model_state_dict' " W "s .",
      "p } 'w'" TENSOR "s q0 'model' " OTHER "s .",
  };
  parse_words(FORMS[_i], "little", PW_TORCH);
  holds_numbers();
}
END_TEST
enum { N_WRAPPED = 6 };

START_TEST(pth_parse__one_storage__many_views) {
  parse_words("p } ( "
              "'all'" PW_F32_0 "i0 i2 i2 t2 i2 i1 t2" PW_END "'turned'" PW_F32_0
              "i0 i2 i2 t2 i1 i2 t2" PW_END "'row'" PW_F32_0 "i2 i2 t1 i1 t1" PW_END
              "'even'" PW_F32_0 "i0 i2 t1 i2 t1" PW_END "'same'" PW_F32_0 "i3 i5 t1 i0 t1" PW_END
              "'scalar'" PW_F32_0 "i1 t0 t0" PW_END "'none'" PW_F32_0 "i4 i0 t1 i1 t1" PW_END "u .",
              "little", PW_TORCH);
  static const struct {
    const char *name;
    uint64_t bytes;
    float first, last;
  } WANT[] = {{"all", 16, 1, 4}, {"turned", 16, 1, 4}, {"row", 8, 3, 4}, {"even", 12, 1, 3},
              {"same", 4, 4, 4}, {"scalar", 4, 2, 2},  {"none", 0, 0, 0}};
  ck_assert_uint_eq(got.n, 7);
  for (size_t i = 0; i < got.n; i++) {
    const raw_tensor *t = &got.at[i];
    ck_assert_str_eq(t->name, WANT[i].name);
    ck_assert_uint_eq(t->bytes, WANT[i].bytes);
    if (t->bytes == 0) continue;
    ck_assert_mem_eq(t->data, &WANT[i].first, 4);
    ck_assert_mem_eq(t->data + t->bytes - 4, &WANT[i].last, 4);
  }
  ck_assert(tiny_number(bits_at(&got.at[1], 0, 1), RAW_F32) == 3);
  ck_assert_uint_eq(got.at[5].rank, 0);
}
END_TEST

START_TEST(pth_is__first_bytes__tell) {
  static const unsigned char ZIP[] = "PK\3\4....", MAGIC[] = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9"
                                                             "\x20\x6a\xa8\x50\x19.";
  ck_assert(pth_is(ZIP, 4) && pth_is(MAGIC, 15));
  ck_assert(!pth_is(ZIP, 3) && !pth_is(MAGIC, 14) && !pth_is((const unsigned char *)"GGUF", 4));
  ck_assert(!pth_is(NULL, 0));
}
END_TEST

/* -- shards -- */

static pth_axis axis(const char *name, uint64_t rows, uint64_t columns, uint64_t n) {
  raw_tensor t = {.name = name, .rank = columns > 0 ? 2 : 1, .dim = {rows, columns}};
  return pth_shard_axis(name, &t, n, 64);
}

START_TEST(pth_shard_axis__metas_names__metas_rule) {
  ck_assert_int_eq(axis("layers.0.attention.wq.weight", 32, 64, 2), PTH_ROWS);
  ck_assert_int_eq(axis("layers.11.attention.wk.weight", 8, 64, 2), PTH_ROWS);
  ck_assert_int_eq(axis("layers.0.attention.wv.weight", 8, 64, 2), PTH_ROWS);
  ck_assert_int_eq(axis("layers.0.feed_forward.w1.weight", 96, 64, 2), PTH_ROWS);
  ck_assert_int_eq(axis("layers.0.feed_forward.w3.weight", 96, 64, 2), PTH_ROWS);
  ck_assert_int_eq(axis("output.weight", 160, 64, 2), PTH_ROWS);
  ck_assert_int_eq(axis("layers.0.attention.wo.weight", 64, 32, 2), PTH_COLUMNS);
  ck_assert_int_eq(axis("layers.0.feed_forward.w2.weight", 64, 96, 2), PTH_COLUMNS);
  ck_assert_int_eq(axis("layers.0.attention_norm.weight", 64, 0, 2), PTH_REPLICATED);
  ck_assert_int_eq(axis("layers.0.ffn_norm.weight", 64, 0, 2), PTH_REPLICATED);
  ck_assert_int_eq(axis("norm.weight", 64, 0, 2), PTH_REPLICATED);
  ck_assert_int_eq(axis("rope.freqs", 8, 0, 2), PTH_REPLICATED);
  ck_assert_int_eq(axis("layers.0.attention.inner_attention.rope.freqs", 8, 0, 2), PTH_REPLICATED);
  ck_assert_int_eq(axis("output.weight", 320, 64, 1), PTH_REPLICATED);
  ck_assert_int_eq(axis("my_output.weight", 320, 64, 2), PTH_UNKNOWN);
  ck_assert_int_eq(axis("model.layers.0.self_attn.q_proj.weight", 32, 64, 2), PTH_UNKNOWN);
  ck_assert_int_eq(axis("", 32, 64, 1), PTH_UNKNOWN);
}
END_TEST

START_TEST(pth_shard_axis__embedding__by_its_shape) {
  ck_assert_int_eq(axis("tok_embeddings.weight", 512, 32, 2), PTH_COLUMNS); /* Llama 1 and 2 */
  ck_assert_int_eq(axis("tok_embeddings.weight", 160, 64, 2), PTH_ROWS);    /* Llama 3 */
  ck_assert_int_eq(axis("tok_embeddings.weight", 320, 64, 1), PTH_REPLICATED);
  ck_assert_int_eq(axis("tok_embeddings.weight", 512, 16, 2), PTH_UNKNOWN);
  ck_assert_int_eq(axis("tok_embeddings.weight", 512, 21, 3), PTH_UNKNOWN); /* 64 = 3 * 21 + 1 */
  ck_assert_int_eq(axis("tok_embeddings.weight", 64, 0, 2), PTH_UNKNOWN);
  ck_assert_int_eq(axis("tok_embeddings.weight", 512, 32, 0), PTH_UNKNOWN);
}
END_TEST

/* Both shards of each golden model, joined along the axes that the helper says, are the whole. */
START_TEST(pth_shard_axis__golden_shards__join_to_the_whole) {
  static const tiny_model *const MODELS[] = {&TINY_MHA, &TINY_GQA_PLAIN, &TINY_GQA_L32};
  const tiny_model *m = MODELS[_i];
  raw_format format = m->bf16 ? RAW_BF16 : RAW_F32;
  raw_tensors shard[2];
  for (uint64_t s = 0; s < 2; s++) {
    size_t len = 0;
    out *o = out_memory();
    tiny_write(&(tiny_file){.m = m, .format = format, .shard = s, .n_shards = 2}, o);
    const unsigned char *data = bytes_of(o, &len);
    parse(data, len);
    shard[s] = got;
  }
  tiny_tensor whole[TINY_MAX_TENSORS];
  size_t n = tiny_tensors(m, whole);
  for (size_t k = 0; k < n; k++) {
    const raw_tensor *t = &shard[0].at[k];
    pth_axis ax = pth_shard_axis(t->name, t, 2, m->dim);
    ck_assert_int_ne(ax, PTH_UNKNOWN);
    for (uint64_t i = 0; i < whole[k].dim[0]; i++)
      for (uint64_t j = 0; j < (t->rank == 2 ? whole[k].dim[1] : 1); j++) {
        uint64_t at[2] = {i, j}, s = 0;
        if (ax >= 0) s = at[ax] / t->dim[ax], at[ax] %= t->dim[ax];
        float v = tiny_value(m, &whole[k], i, j);
        if (s >= 2 || at[0] >= t->dim[0] ||
            bits_at(&shard[s].at[k], at[0], at[1]) != tiny_bits(v, format))
          ck_abort_msg("%s: element (%u, %u)", t->name, (unsigned)i, (unsigned)j);
      }
  }
}
END_TEST

int main(void) {
  Suite *s = suite_create("pth");
  TCase *t = tcase_create("all");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 60);
  tcase_add_loop_test(t, pth_parse__each_golden_file__torchs_bytes_and_the_rules_numbers, 0,
                      (int)(sizeof GOLDEN / sizeof *GOLDEN));
  tcase_add_test(t, pth_parse__a_file_that_torch_saved__the_rules_numbers);
  tcase_add_test(t, pth_parse__views__transposed_and_offset_in_their_storage);
  tcase_add_test(t, pth_parse__archive_of_another_program__read);
  tcase_add_loop_test(t, pth_parse__forms_of_one_dict__the_same_tensor, 0, N_FORMS);
  tcase_add_loop_test(t, pth_parse__wrapped_dicts__the_weights_found, 0, N_WRAPPED);
  tcase_add_test(t, pth_parse__one_storage__many_views);
  tcase_add_test(t, pth_is__first_bytes__tell);
  tcase_add_test(t, pth_shard_axis__metas_names__metas_rule);
  tcase_add_test(t, pth_shard_axis__embedding__by_its_shape);
  tcase_add_loop_test(t, pth_shard_axis__golden_shards__join_to_the_whole, 0, 3);
  suite_add_tcase(s, t);
  return suite_run(s);
}
