/* l2c.h - llama2.c's .bin files: a few whole numbers, then the weights one after the other, without
 * names. Names here are Meta's. Little-endian.
 *
 * Version 0 (legacy): i32 dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len; then
 * f32: embedding, attention norms, wq, wk, wv, wo, ffn norms, w1, w2, w3 (each for all layers),
 * final norm, two RoPE tables of seq_len x head_size/2 (skipped), and the LM head where vocab_size
 * is negative (its magnitude counts).
 * Version 2 (Q8_0): u32 0x616b3432 ("ak42"), i32 2, the same seven numbers, u8 tied, i32 group
 * size, zeros up to byte 256; then f32 attention norms, ffn norms, final norm; then, quantised,
 * embedding, wq, wk, wv, wo, w1, w2, w3, and the LM head unless tied: each tensor int8 values, then
 * an f32 scale a group. Version 1 has not been seen in use and is refused. The format knows no
 * rope_theta, no RoPE scaling and no eps: they are llama2.c's 10000, none and 1e-5. head_dim is dim
 * / n_heads. Source: karpathy/llama2.c export.py (legacy_export, version2_export), run.c, runq.c.
 */
#ifndef LS_L2C_H
#define LS_L2C_H

#include "workloads/ckpt/raw.h"
#include "workloads/model.h"

/* Version 0 has no magic number: it is one where all seven numbers are possible and agree. */
bool l2c_is(const unsigned char *data, size_t len);

ERR_CHECK int l2c_model(const char *where, const char *name, const unsigned char *data, size_t len,
                        model *m, arena *a, err *e);

/* Tensors in the file's order. Errors (ERR_BAD): numbers out of range, more or fewer bytes than the
 * shapes need, a group size that divides no tensor. */
ERR_CHECK int l2c_parse(const char *where, const unsigned char *data, size_t len, raw_tensors *t,
                        arena *a, err *e);

#endif
