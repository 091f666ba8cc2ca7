/* pth.h - what torch.save writes, as named views: `consolidated.NN.pth` of Meta, and what others
 * save in the same way (`pytorch_model.bin` too).
 *
 * Two forms, told apart by their first bytes:
 * - zip (torch 1.6 and later): entries PREFIX/data.pkl, the pickled object; PREFIX/data/KEY, the
 *   bytes of one storage each; PREFIX/byteorder where newer torch wrote it. Any PREFIX, of the
 *   archive's one data.pkl. Entries must be stored (zipdir.h), as torch stores them.
 * - legacy: five pickles (a magic number, the protocol 1001, facts of the writing system, the
 *   object, the list of storage keys), then for each key, in that order, its number of elements in
 *   8 bytes and the elements.
 * Everything is little-endian; a file that says otherwise is refused.
 *
 * The object is a dict of names to tensors, `dict` or OrderedDict. Where it holds no tensor itself,
 * the weights are the dict in it under "model", "state_dict", "model_state_dict" or "module" (the
 * first of these that there is), or else the only dict in it; so on for PTH_MAX_WRAPPERS levels.
 * Entries that are not tensors, and the other entries of a wrapper (optimizer state, counters), are
 * left aside. A name that is not printable ASCII, is longer than PTH_MAX_NAME or is there twice is
 * refused.
 *
 * A tensor is a call, in the pickle, of torch._utils._rebuild_tensor_v2 (or _v3, where an
 * UntypedStorage comes with a dtype; or either inside _rebuild_parameter): a storage, an offset, a
 * shape and strides, in elements. It may be any view of its storage, several may share one; each is
 * checked to lie wholly inside. Nothing is called: pickle.h says why nothing can be. Elements are
 * f32, f16 or bf16.
 *
 * Views point into the bytes given and live as long as these; names and the array live in the
 * arena. Scratch is in proportion to the pickle (pickle.h has its bounds), never to the weights. */
#ifndef LS_PTH_H
#define LS_PTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/arena.h"
#include "sim/base/err.h"
#include "workloads/ckpt/raw.h"

enum {
  PTH_MAX_NAME = 512,
  PTH_MAX_KEY = 64, /* of a storage: torch's are numbers. Short, since sorting compares them */
  PTH_MAX_WRAPPERS = 4,
  PTH_MAX_ELEMENTS_LOG2 = 40
};

/* Whether the bytes begin as a .pth does. A zip archive may still be something else. */
bool pth_is(const unsigned char *data, size_t len);

/* The tensors in the order of the file. `where` begins every message. */
ERR_CHECK int pth_parse(const char *where, const unsigned char *data, size_t len, raw_tensors *t,
                        arena *a, err *e);

/* How Meta cuts a weight into model-parallel shards, consolidated.00.pth, consolidated.01.pth, ...:
 * - a column-parallel layer computes a share of the outputs, so its (out, in) matrix is cut by
 *   rows, axis 0: wq, wk, wv, w1, w3, output;
 * - a row-parallel layer takes a share of the inputs, so its matrix is cut by columns, axis 1: wo,
 *   w2;
 * - tok_embeddings, (vocab, dim), is cut by columns in Llama 1 and 2 (ParallelEmbedding), and by
 *   rows in Llama 3 (VocabParallelEmbedding): by columns if a shard's rows are shorter than dim;
 * - norms, and rope.freqs, are whole in every shard.
 * Shard i holds the i-th of n equal parts, in the order of the file names; the whole is their
 * concatenation along the axis, for wq and wk too: a shard holds whole heads. */
typedef enum pth_axis {
  PTH_UNKNOWN = -2, /* not a weight of Meta's LLaMA, or a shape that fits neither rule */
  PTH_REPLICATED = -1,
  PTH_ROWS = 0,
  PTH_COLUMNS = 1
} pth_axis;

/* `name` is Meta's ("layers.0.attention.wq.weight"); `shard` is that weight in one of n_shards
 * shards; `dim` is the model's hidden_size. With one shard everything known is PTH_REPLICATED. */
pth_axis pth_shard_axis(const char *name, const raw_tensor *shard, uint64_t n_shards, uint64_t dim);

#endif
