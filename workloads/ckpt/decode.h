/* decode.h - stored numbers as f32. */
#ifndef LS_DECODE_H
#define LS_DECODE_H

#include "workloads/ckpt/raw.h"

/* y[i] = t[row, col + i] for i < n, as f32: f32, f16 and bf16 exactly, blocks as scale * q with the
 * product rounded once. A vector (rank 1) is a matrix of one row. The elements must lie inside t:
 * nothing is checked. Cost: one pass over the bytes; a block's scale is read once. */
void raw_decode(const raw_tensor *t, uint64_t row, uint64_t col, uint64_t n, float *y);

#endif
