/* safetensors.h - the file format of HF checkpoints: a length (u64), that many bytes of JSON
 * ({"name": {"dtype": "BF16", "shape": [64, 32], "data_offsets": [0, 4096]}, "__metadata__":
 * {..}}), then the tensors' bytes, which the header must cover without overlap or hole.
 * Hyper-parameters are not in it but in the config.json beside. Read: F32, F16, BF16; other dtypes
 * are refused by name. Source: huggingface/safetensors, README "Format". */
#ifndef LS_SAFETENSORS_H
#define LS_SAFETENSORS_H

#include <stdbool.h>

#include "sim/base/arena.h"
#include "sim/base/err.h"
#include "workloads/ckpt/raw.h"

/* Do the first bytes look like it? Cut short or damaged further on, it is still one. */
bool st_is(const unsigned char *data, size_t len);

/* All tensors in the header's order. Errors: ERR_BAD, with tensor and limit. */
ERR_CHECK int st_parse(const char *where, const unsigned char *data, size_t len, raw_tensors *t,
                       arena *a, err *e);

#endif
