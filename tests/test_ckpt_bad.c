/* Hostile files: cut short at every byte, every header byte damaged, and the lies that a header can
 * tell, each with what is said of it. Inputs are copied to blocks of exactly their size, so that
 * the sanitizers see a read beyond. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/ckpt_rig.h"
#include "tests/suite.h"
#include "workloads/ckpt/gguf.h"

static arena mem;
static const rig *g;
static const char *config;

static void setup(void) {
  mem = (arena){0};
  g = rig_named("micro");
  config = rig_config(g, &mem);
}

static void teardown(void) {
  arena_free(&mem);
}

/* Opens a copy and reads everything in it; the status. */
static int try_open(const unsigned char *data, size_t len, err *e) {
  ckpt ck;
  unsigned char *copy = malloc(len > 0 ? len : 1);
  ck_assert_ptr_nonnull(copy);
  memcpy(copy, data, len);
  *e = (err){0};
  int status =
      ckpt_open_bytes("file", copy, len, (const unsigned char *)config, strlen(config), &ck, e);
  if (status == ERR_OK)
    for (int r = 0; r < CKPT_ROLE_COUNT; r++) {
      const ckpt_weight *w = ckpt_find(&ck, (ckpt_role)r, 0);
      float *y = malloc((size_t)(w->rows * w->cols) * sizeof *y);
      ck_assert_ptr_nonnull(y);
      ckpt_read(&ck, (ckpt_role)r, 0, 0, w->rows, 0, w->cols, y);
      free(y);
    }
  ckpt_close(&ck);
  free(copy);
  return status;
}

static blob file_of(int format) {
  switch (format) {
  case 0:
    return rig_safetensors(g, RAW_F16, 0, 1, &mem);
  case 1:
    return rig_gguf(g, RAW_Q4_0, 3, &mem);
  case 2:
    return rig_l2c(g, 0, &mem);
  default:
    return rig_l2c(g, 1, &mem);
  }
}
enum { FILES = 4 };

/* -- every byte -- */

START_TEST(ckpt_open_bytes__cut_short_anywhere__refused) {
  blob b = file_of(_i);
  err e;
  ck_assert_msg(try_open(b.data, b.len, &e) == ERR_OK, "%s", e.msg);
  size_t last = b.len;
  if (_i == 1) /* GGUF pads its end: without it the file is still whole */
    while (try_open(b.data, last - 1, &e) == ERR_OK) last--;
  ck_assert_uint_le(b.len - last, 31);
  for (size_t n = 0; n < last; n += n < 4096 ? 1 : 7) {
    int status = try_open(b.data, n, &e);
    ck_assert_msg(status == ERR_BAD && strncmp(e.msg, "file", 4) == 0, "%zu of %zu bytes: %d '%s'",
                  n, b.len, status, e.msg);
  }
}
END_TEST

/* Taken or refused, but never a crash, and never without a word. */
START_TEST(ckpt_open_bytes__any_header_byte_damaged__taken_or_refused) {
  static const unsigned char V[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
  blob b = file_of(_i);
  size_t header = _i == 0 ? 8 + (size_t)(b.data[0] | b.data[1] << 8) : _i == 1 ? 1600 : 256;
  size_t refused = 0;
  err e;
  for (size_t i = 0; i < header; i++)
    for (size_t k = 0; k < sizeof V + 2; k++) {
      unsigned char was = b.data[i];
      b.data[i] = k < sizeof V    ? V[k]
                  : k == sizeof V ? (unsigned char)(was ^ 1)
                                  : (unsigned char)(was + 1);
      int status = try_open(b.data, b.len, &e);
      ck_assert_msg(status == ERR_OK || (status == ERR_BAD && e.msg[0] != '\0'), "byte %zu", i);
      refused += status == ERR_BAD;
      b.data[i] = was;
    }
  ck_assert_uint_gt(refused, header / 4); /* most damage is seen; names of keys and norms are not */
}
END_TEST

/* -- lies -- */

static void refuses(const void *data, size_t len, const char *say) {
  err e;
  ck_assert_msg(try_open(data, len, &e) == ERR_BAD, "taken, not refused: %s", say);
  ck_assert_msg(strstr(e.msg, say) != NULL, "'%s' is not in '%s'", say, e.msg);
}

/* A safetensors file of this header and `n` bytes of data. */
static void refuses_st(const char *header, size_t n, const char *say) {
  blob b = {.a = &mem};
  blob_int(&b, strlen(header), 8);
  blob_put(&b, header, strlen(header));
  for (size_t i = 0; i < n; i++) blob_int(&b, 0, 1);
  refuses(b.data, b.len, say);
}

#define ST(more) "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}" more "}"

START_TEST(st_parse__lying_headers__said) {
  refuses_st("{\"a\": 1}", 0, "file: tensor 'a': it is 1; it must be an object");
  refuses_st("{\"a\": }", 0, "in the header: file:1:7: this is not JSON");
  refuses_st("{\"a\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]}}", 8,
             "tensor 'a': its dtype is \"I64\"; F32, F16 and BF16 are supported");
  refuses_st("{\"a\":{\"shape\":[1],\"data_offsets\":[0,8]}}", 8, "its dtype is missing");
  refuses_st("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4,
             "its data_offsets has 1 numbers; it must have 2");
  refuses_st("{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1],\"data_offsets\":[0,4]}}", 4,
             "its shape has 5 numbers; it must have at most 4");
  refuses_st("{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4,
             "its shape[0] is -1; it must be a whole number from 0 to 2^53");
  refuses_st("{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 4,
             "its shape[0] is 1.5");
  refuses_st(
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,2],\"data_offsets\":[0,4]}}", 4,
      "its shape (4294967296, 4294967296, 2) has more bytes than 2^64");
  refuses_st("{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}",
             0, "its shape[0] is 4.61168601842739e+18");
  refuses_st("{\"a\":{\"dtype\":\"F32\",\"shape\":[1048576,4398046511104],\"data_offsets\":[0,0]}}",
             0, "has more bytes than 2^64"); /* 2^20 * 2^42 elements of 4 bytes: 0 modulo 2^64 */
  refuses_st("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8,
             "its data_offsets are 8 to 0, but the file has 8 bytes of data");
  refuses_st("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4,
             "span 4 bytes, but shape (2) of f32 has 8");
  refuses_st("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,12]}}", 12,
             "span 12 bytes, but shape (2) of f32 has 8");
  refuses_st(ST(), 7, "its data_offsets are 0 to 8, but the file has 7");
  refuses_st(ST(), 9, "the tensors end at byte 8 of the data, but the file has 9 bytes of it");
  refuses_st(ST(",\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}"), 12,
             "tensors 'a' and 'b' overlap: the second begins at byte 4");
  refuses_st(ST(",\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[12,16]}"), 16,
             "no tensor owns the 4 bytes of data before 'b'");
  refuses_st(ST(",\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}"), 16,
             ".a: this key stands there twice");
  refuses_st("{\"\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
             "the name of tensor 0 has 0 bytes; it must have 1 to 200");
  refuses_st("{\"a\\u001b[2J\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
             "has a control character, 0x1b");
  refuses_st("{}", 0, "(and 11 more) is missing");
  refuses("\x10\0\0\0\0\0\0\0{\"a\"", 12,
          "the header has 16 bytes, but the file ends after 4 of them");
  size_t large = ((size_t)1 << 24) + 1;
  char *spaces = arena_alloc(&mem, large + 1, 1);
  memset(spaces, ' ', large);
  memcpy(spaces, "{}", 2);
  refuses_st(spaces, 0, "the header has 16777217 bytes; the limit is 16777216");
  refuses("\0\0\0\0\0\0\0\0{}", 10, "none of the formats known");
  refuses("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10, "none of the formats known");
}
END_TEST

/* A GGUF file by hand: header, then what `b` has from byte 24 on. */
static blob gguf(uint64_t tensors, uint64_t keys) {
  blob b = {.a = &mem};
  blob_put(&b, "GGUF", 4);
  blob_int(&b, 3, 4);
  blob_int(&b, tensors, 8);
  blob_int(&b, keys, 8);
  return b;
}

static void text(blob *b, const char *s) {
  blob_int(b, strlen(s), 8);
  blob_put(b, s, strlen(s));
}

static void key(blob *b, const char *name, uint32_t type) {
  text(b, name);
  blob_int(b, type, 4);
}

static void info(blob *b, const char *name, uint64_t cols, uint64_t rows, uint32_t type,
                 uint64_t offset) {
  text(b, name);
  blob_int(b, 2, 4);
  blob_int(b, cols, 8);
  blob_int(b, rows, 8);
  blob_int(b, type, 4);
  blob_int(b, offset, 8);
}

/* Fills up with zeros, so that no message is for want of bytes. */
static void refuses_gguf(blob b, const char *say) {
  for (int i = 0; i < 256; i++) blob_int(&b, 0, 1);
  refuses(b.data, b.len, say);
}

START_TEST(gguf_parse__lying_headers__said) {
  blob b = gguf(0, 0);
  b.data[4] = 1;
  refuses_gguf(b, "is GGUF version 1; 2 and 3, little-endian, are supported");
  refuses_gguf(gguf(UINT64_MAX, 0),
               "claims 0 keys and 18446744073709551615 tensors, but only 256 bytes");
  refuses_gguf(gguf(0, 1000), "claims 1000 keys and 0 tensors");
  b = gguf(0, 1);
  blob_int(&b, UINT64_MAX - 3, 8);
  refuses_gguf(b, "the file ends inside key 0 of the header");
  b = gguf(0, 1);
  blob_int(&b, 2000, 8);
  for (int i = 0; i < 2000; i++) blob_int(&b, 'a', 1);
  refuses_gguf(b, "the name of key 0 has 2000 bytes; it must have 1 to 1024");
  b = gguf(0, 1);
  key(&b, "k", 13);
  refuses_gguf(b, "key 'k' has type 13; the last one is 12");
  b = gguf(0, 1);
  key(&b, "k", 9);
  blob_int(&b, 9, 4); /* an array of arrays, which could nest without end */
  blob_int(&b, 1, 8);
  refuses_gguf(b, "key 'k' is an array of type 9");
  b = gguf(0, 1);
  key(&b, "k", 9);
  blob_int(&b, 10, 4);
  blob_int(&b, (uint64_t)1 << 61, 8); /* times 8 bytes is 0 modulo 2^64 */
  refuses_gguf(b, "key 'k' claims 2305843009213693952 items, more than the file has bytes for");
  b = gguf(0, 1);
  key(&b, "k", 9);
  blob_int(&b, 8, 4);
  blob_int(&b, 1000000, 8);
  refuses_gguf(b, "key 'k' claims 1000000 strings, more than the file has bytes for");
  b = gguf(0, 2);
  for (int i = 0; i < 2; i++) {
    key(&b, "general.alignment", 4);
    blob_int(&b, 32, 4);
  }
  refuses_gguf(b, "key 'general.alignment' stands there twice");
  b = gguf(0, 1);
  key(&b, "general.alignment", 4);
  blob_int(&b, 24, 4);
  refuses_gguf(b, "'general.alignment' must be a power of two");
}
END_TEST

START_TEST(gguf_parse__lying_tensors__said) {
  blob b = gguf(1, 0);
  text(&b, "t");
  blob_int(&b, 5, 4);
  refuses_gguf(b, "tensor 't' has 5 dimensions; the limit is 4");
  b = gguf(1, 0);
  info(&b, "t", 32, 1, 14, 0);
  refuses_gguf(b, "tensor 't' has type 14 (Q6_K); F32, F16, BF16, Q8_0 and Q4_0 are supported");
  b = gguf(1, 0);
  info(&b, "t", 33, 1, 8, 0);
  refuses_gguf(b, "tensor 't' has shape (1, 33), which q8_0 cannot have: blocks of 32");
  b = gguf(1, 0);
  info(&b, "t", (uint64_t)1 << 32, (uint64_t)1 << 32, 0, 0);
  refuses_gguf(b, "its bytes stay below 2^64");
  b = gguf(1, 0);
  info(&b, "t", (uint64_t)1 << 62, 1, 0, 0); /* times 4 is 0 modulo 2^64 */
  refuses_gguf(b, "its bytes stay below 2^64");
  b = gguf(1, 0);
  info(&b, "t", 4, 4, 0, 8);
  refuses_gguf(b,
               "tensor 't' lies at byte 8 of the data; it must be a multiple of the alignment, 32");
  b = gguf(1, 0);
  info(&b, "t", 4, 4, 0, UINT64_MAX - 31);
  refuses_gguf(b, "tensor 't' needs 64 bytes from byte 18446744073709551584 of the data");
  b = gguf(1, 0);
  info(&b, "t", 1000, 1000, 0, 0);
  refuses_gguf(b, "tensor 't' needs 4000000 bytes");
  b = gguf(2, 0);
  info(&b, "t", 4, 4, 0, 0);
  info(&b, "u", 4, 4, 0, 32);
  refuses_gguf(b, "tensors 't' and 'u' overlap: the second begins at byte 32");
  b = gguf(2, 0);
  info(&b, "t", 4, 4, 0, 0);
  info(&b, "t", 4, 4, 0, 64);
  refuses_gguf(b, "tensor 't' stands there twice");
  b = gguf(0, 0);
  refuses_gguf(b, "key 'general.architecture' is missing");
}
END_TEST

/* The data begin at the next multiple of the alignment that the file asks for. */
START_TEST(gguf_parse__alignment_of_its_own__data_begin_there) {
  for (uint32_t alignment = 8; alignment <= 256; alignment *= 2) {
    blob b = gguf(2, 1);
    raw_tensors t;
    err e = {0};
    key(&b, "general.alignment", 4);
    blob_int(&b, alignment, 4);
    info(&b, "t", 2, 1, 0, 0);
    info(&b, "u", 2, 1, 0, alignment);
    blob_pad(&b, alignment);
    size_t data = b.len;
    blob_int(&b, 1, 8);
    blob_pad(&b, alignment);
    blob_int(&b, 2, 8);
    ck_assert_msg(gguf_parse("file", b.data, b.len, &t, &mem, &e) == ERR_OK, "%s", e.msg);
    ck_assert_ptr_eq(t.at[0].data, b.data + data);
    ck_assert_ptr_eq(t.at[1].data, b.data + data + alignment);
    ck_assert_uint_eq(t.at[1].dim[1], 2);
    ck_assert_uint_eq(t.at[1].bytes, 8);
  }
}
END_TEST

/* The bytes of a key's name and type, where its value begins. */
static unsigned char *value_of(blob *b, const char *name) {
  size_t n = strlen(name), i = 0;
  while (i + n <= b->len && memcmp(b->data + i, name, n) != 0) i++;
  ck_assert_msg(i + n <= b->len, "no key '%s'", name);
  return b->data + i + n + 4;
}

/* A whole file of micro's with one u32 or f32 changed. */
static void refuses_value(const char *name, uint32_t v, const char *say) {
  blob b = rig_gguf(g, RAW_F32, 3, &mem);
  unsigned char *p = value_of(&b, name);
  for (int i = 0; i < 4; i++) p[i] = (unsigned char)(v >> 8 * i);
  refuses(b.data, b.len, say);
}

START_TEST(gguf_model__values_that_cannot_be__said) {
  refuses_value("llama.block_count", 0, "key 'llama.block_count' is 0; it must be from 1 to 1024");
  refuses_value("llama.block_count", 1025, "is 1025; it must be from 1 to 1024");
  refuses_value("llama.block_count", 2, "tensor 'blk.1.attn_norm.weight' (and 8 more) is missing");
  refuses_value("llama.embedding_length", 0xffffffff, "'llama.embedding_length' is 4294967295");
  refuses_value("llama.embedding_length", 64,
                "heads of 16 with values of 16 and RoPE over 8 elements");
  refuses_value("llama.feed_forward_length", 4,
                "has shape (3, 32); the model's hyper-parameters need (4, 32)");
  refuses_value("llama.attention.head_count", 3, "must be a multiple of head_count 3");
  refuses_value("llama.attention.head_count_kv", 3,
                "num_attention_heads is 4; it must be a multiple of num_key_value_heads, 3");
  refuses_value("llama.rope.dimension_count", 4,
                "heads of 8 with values of 8 and RoPE over 4 elements");
  refuses_value("llama.rope.freq_base", 0x7fc00000,
                "'llama.rope.freq_base' is nan; it must be from 1");
  refuses_value("llama.attention.layer_norm_rms_epsilon", 0, "is 0; it must be from 1e-30 to 1");
  blob b = rig_gguf(g, RAW_F32, 3, &mem);
  memcpy(value_of(&b, "general.architecture") + 8, "qwen2", 5);
  refuses(b.data, b.len, "key 'general.architecture' is \"qwen2\"; only \"llama\" is supported");
  b = rig_gguf(g, RAW_F32, 3, &mem);
  value_of(&b, "llama.block_count")[-4] = 6;
  refuses(b.data, b.len, "'llama.block_count' is of type float32; it must be one whole number");
}
END_TEST

/* micro's file with one key more; `extra` is its name, type and value. A filler key keeps the data
 * where the alignment wants them. */
static blob with_key(blob extra) {
  blob b = rig_gguf(g, RAW_F32, 3, &mem), more = {.a = &mem};
  blob_put(&more, b.data, 24);
  blob_put(&more, extra.data, extra.len);
  key(&more, "filler", 8);
  size_t n = (32 - (more.len + 8 - 24) % 32) % 32;
  blob_int(&more, n, 8);
  for (size_t i = 0; i < n; i++) blob_int(&more, 'x', 1);
  blob_put(&more, b.data + 24, b.len - 24);
  more.data[16] = (unsigned char)(more.data[16] + 2); /* keys */
  return more;
}

static blob u32_key(const char *name, uint32_t type, uint32_t v) {
  blob b = {.a = &mem};
  key(&b, name, type);
  blob_int(&b, v, 4);
  return with_key(b);
}

static blob text_key(const char *name, const char *v) {
  blob b = {.a = &mem};
  key(&b, name, 8);
  text(&b, v);
  return with_key(b);
}

static void takes(blob b) {
  err e;
  ck_assert_msg(try_open(b.data, b.len, &e) == ERR_OK, "%s", e.msg);
}

static void refuses_blob(blob b, const char *say) {
  refuses(b.data, b.len, say);
}

START_TEST(gguf_model__what_would_change_results__refused) {
  takes(u32_key("llama.expert_count", 4, 0));
  refuses_blob(u32_key("llama.expert_count", 4, 8), "mixtures of experts are not supported");
  takes(text_key("llama.rope.scaling.type", "none"));
  refuses_blob(text_key("llama.rope.scaling.type", "yarn"),
               "key 'llama.rope.scaling.type' is \"yarn\"; only \"none\" is supported");
  refuses_blob(text_key("llama.rope.scaling.type", "\033[2J"), "is \"?[2J\"; only");
  takes(u32_key("llama.rope.scale_linear", 6, 0x3f800000));
  refuses_blob(u32_key("llama.rope.scale_linear", 6, 0x40000000),
               "key 'llama.rope.scale_linear' is 2; it must be from 1 to 1");
  takes(u32_key("llama.vocab_size", 4, 5));
  refuses_blob(u32_key("llama.vocab_size", 4, 6), "tensor 'token_embd.weight' has shape (5, 32)");
  takes(u32_key("llama.attention.value_length", 4, 8));
  refuses_blob(u32_key("llama.attention.value_length", 4, 6), "with values of 6");
  refuses_blob(text_key("llama.vocab_size", "5"), "is of type string; it must be one whole number");
}
END_TEST

START_TEST(gguf_model__other_forms__same_model) {
  err e;
  /* other integer types of the same width, and a missing key: heads of their own for K and V */
  blob b = rig_gguf(g, RAW_F32, 3, &mem);
  value_of(&b, "llama.block_count")[-4] = 5;
  ck_assert_msg(try_open(b.data, b.len, &e) == ERR_OK, "%s", e.msg);
  b = rig_gguf(g, RAW_F32, 3, &mem);
  value_of(&b, "llama.attention.head_count_kv")[-5] = 'x'; /* now no key that is known */
  refuses(b.data, b.len,
          "tensor 'blk.0.attn_k.weight' has shape (16, 32); the model's "
          "hyper-parameters need (32, 32)");
}
END_TEST

/* Factors that Meta's rule does not give go to the model as they are; all 1 is no scaling. */
START_TEST(gguf_model__rope_factors__rule_or_factors) {
  static const struct {
    float low, high;
    uint64_t original;
    bool rule;
  } CASES[] = {{1, 4, 8192, true}, {1, 2, 8192, false}, {1, 4, 1024, false}};
  for (size_t i = 0; i < 3; i++) {
    rig other = *rig_named("tiny-hd32");
    ckpt ck;
    err e = {0};
    other.m.rope_scaling = (model_rope_scaling){8, CASES[i].low, CASES[i].high, CASES[i].original};
    blob b = rig_gguf(&other, RAW_Q8_0, 3, &mem);
    ck_assert_msg(ckpt_open_bytes("file", b.data, b.len, NULL, 0, &ck, &e) == ERR_OK, "%s", e.msg);
    ck_assert_double_eq(ck.model.rope_scaling.factor, CASES[i].rule ? 8 : 0);
    ck_assert(CASES[i].rule == (ck.model.rope_factors == NULL));
    if (!CASES[i].rule) {
      ck_assert_float_eq(ck.model.rope_factors[0], 1);
      ck_assert_float_eq(ck.model.rope_factors[15], 8);
    }
    ckpt_close(&ck);
    /* the factors are the last 64 bytes; none can be negative, all may be 1 */
    for (size_t k = 0; k < 16; k++) memcpy(b.data + b.len - 64 + 4 * k, &(float){1}, 4);
    ck_assert_int_eq(ckpt_open_bytes("file", b.data, b.len, NULL, 0, &ck, &e), ERR_OK);
    ck_assert_double_eq(ck.model.rope_scaling.factor, 0);
    ck_assert_ptr_null(ck.model.rope_factors);
    ckpt_close(&ck);
    memcpy(b.data + b.len - 64, &(float){-1}, 4);
    refuses(b.data, b.len, "rope_freqs.weight[0] is -1; it must be above 0");
  }
}
END_TEST

static blob l2c_with(size_t group, size_t at, uint32_t v) {
  blob b = rig_l2c(g, group, &mem);
  for (int i = 0; i < 4; i++) b.data[at + (size_t)i] = (unsigned char)(v >> 8 * i);
  return b;
}

static void refuses_l2c(size_t group, size_t at, uint32_t v, const char *say) {
  blob b = l2c_with(group, at, v);
  refuses(b.data, b.len, say);
}

START_TEST(l2c_parse__lying_headers__said) {
  /* version 2: numbers from byte 8, flag at 36, group size at 37 */
  refuses_l2c(1, 4, 1, "is llama2.c's version 1; versions 0 and 2 are supported");
  refuses_l2c(1, 8, 0, "dim is 0; it must be from 1 to 131072");
  refuses_l2c(1, 12, 0x80000000, "hidden_dim is -2147483648; it must be from 1");
  refuses_l2c(1, 28, 0xfffffffb, "vocab_size is -5; it must be from 1"); /* only version 0 may */
  refuses_l2c(1, 20, 3, "dim 32, n_heads 3 and n_kv_heads 2 do not agree");
  refuses_l2c(1, 37, 0, "group size is 0; it must be at least 1");
  refuses_l2c(1, 37, 0xffffffff, "group size is -1");
  refuses_l2c(1, 37, 7, "group size 7 does not divide the 160 elements of 'tok_embeddings.weight'");
  refuses_l2c(1, 37, 2, "bytes follow the last weight");
  refuses_l2c(1, 12, 4, "the file ends inside 'output.weight': it needs 800 bytes");
  blob b = rig_l2c(g, 1, &mem);
  b.data[36] = 2;
  refuses(b.data, b.len, "the flag for a tied LM head is 2; it must be 0 or 1");
  b = rig_l2c(g, 1, &mem);
  refuses(b.data, 200, "the header has 256 bytes, but the file only 200");
  /* version 0: numbers from byte 0 */
  refuses_l2c(0, 8, 2, "the file ends inside 'layers.1.attention.wv.weight': it needs 2048 bytes");
  refuses_l2c(0, 24, 17, "the file ends inside 'output.weight'"); /* longer RoPE tables */
  refuses_l2c(0, 24, 1 << 20, "the file ends inside the RoPE tables: they need");
  refuses_l2c(0, 24, 15, "32 bytes follow the last weight");
  refuses_l2c(0, 20, 5, "640 bytes follow the last weight"); /* tied, but with a head */
  refuses_l2c(0, 20, 6, "512 bytes follow the last weight"); /* a row more, no head */
  refuses_l2c(0, 20, 0, "none of the formats known");
}
END_TEST

int main(void) {
  Suite *s = suite_create("ckpt_bad");
  TCase *t = tcase_create("ckpt_bad");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 180);
  tcase_add_loop_test(t, ckpt_open_bytes__cut_short_anywhere__refused, 0, FILES);
  tcase_add_loop_test(t, ckpt_open_bytes__any_header_byte_damaged__taken_or_refused, 0, FILES);
  tcase_add_test(t, st_parse__lying_headers__said);
  tcase_add_test(t, gguf_parse__lying_headers__said);
  tcase_add_test(t, gguf_parse__lying_tensors__said);
  tcase_add_test(t, gguf_parse__alignment_of_its_own__data_begin_there);
  tcase_add_test(t, gguf_model__values_that_cannot_be__said);
  tcase_add_test(t, gguf_model__what_would_change_results__refused);
  tcase_add_test(t, gguf_model__other_forms__same_model);
  tcase_add_test(t, gguf_model__rope_factors__rule_or_factors);
  tcase_add_test(t, l2c_parse__lying_headers__said);
  suite_add_tcase(s, t);
  return suite_run(s);
}
