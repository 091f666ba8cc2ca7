/* gguf.h - llama.cpp's files, versions 2 and 3, little-endian: "GGUF", u32 version, u64 tensors,
 * u64 keys; then the keys (name, type, value), then the tensors (name, dims innermost first, type,
 * offset into the data), padding to `general.alignment` (32 where it is not said), then the data.
 *
 * Read: F32, F16, BF16, Q8_0, Q4_0 (other types are refused by name), architecture "llama". Keys
 * give the hyper-parameters; those that change the result in a way that a `model` cannot say
 * (experts, linear or yarn RoPE scaling) are refused, arrays (the tokenizer) are skipped. RoPE
 * scaling is not in the keys but in the tensor rope_freqs.weight, a factor for each frequency:
 * where the factors are those of the llama3 rule as Meta uses it (low 1, high 4, original 8192),
 * the model gets the rule, else it gets the factors. No output.weight means a tied head. Floats are
 * f32 in the file and are taken for the shortest decimal number that reads as the same f32 (1e-05).
 * Source: ggml-org/ggml docs/gguf.md; ggml-quants. */
#ifndef LS_GGUF_H
#define LS_GGUF_H

#include "workloads/ckpt/raw.h"
#include "workloads/model.h"

bool gguf_is(const unsigned char *data, size_t len);

ERR_CHECK int gguf_parse(const char *where, const unsigned char *data, size_t len, raw_tensors *t,
                         arena *a, err *e);

/* Hyper-parameters; parses the tensors as well, and so refuses what gguf_parse refuses. */
ERR_CHECK int gguf_model(const char *where, const char *name, const unsigned char *data, size_t len,
                         model *m, arena *a, err *e);

#endif
