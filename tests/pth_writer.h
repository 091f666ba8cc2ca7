/* pth_writer.h - .pth files for the tests, from C, in the bytes that torch.save of torch 1.13
 * writes: test_pth.c compares whole files with torch's own, byte for byte. Names, shapes, storages
 * and numbers are the test's. Everything is appended to an `out`. */
#ifndef LS_TESTS_PTH_WRITER_H
#define LS_TESTS_PTH_WRITER_H

#include "sim/base/file.h"
#include "workloads/ckpt/raw.h"

typedef struct pw_storage {
  const char *key;
  raw_format format; /* F32, F16, BF16 */
  const void *data;  /* n elements */
  uint64_t n;
} pw_storage;

typedef struct pw_tensor {
  const char *name;
  size_t storage; /* in the file's array */
  uint64_t offset;
  uint32_t rank; /* 1 or 2 */
  uint64_t dim[2], stride[2];
} pw_tensor;

typedef struct pw_file {
  const char *prefix; /* of the archive's names: "consolidated.00" */
  const pw_storage *storages;
  size_t n_storages;
  const pw_tensor *tensors;
  size_t n_tensors;
} pw_file;

/* A dict of the tensors, as in data.pkl. */
void pw_pickle(const pw_file *f, bool legacy, out *o);

/* The whole file; `pickle` replaces what pw_pickle writes, where it is not NULL. */
void pw_zip(const pw_file *f, const void *pickle, size_t pickle_len, out *o);
void pw_legacy(const pw_file *f, const void *pickle, size_t pickle_len, out *o);

/* An archive of any entries. PW_TORCH is torch's form: names and data padded to 64 bytes, sizes
 * behind the data, a zip64 end record always. PW_PLAIN is what other programs write: sizes in the
 * local header, no zip64. */
typedef enum pw_form { PW_TORCH, PW_PLAIN } pw_form;
typedef struct pw_entry {
  const char *name;
  const void *data;
  uint64_t len;
} pw_entry;
void pw_archive(const pw_entry *entries, size_t n, pw_form form, out *o);

/* An archive of `words` (pw_assemble) as data.pkl, two storages "0" and "1" of PW_NUMBERS, and,
 * where it is not "", a byteorder. */
extern const float PW_NUMBERS[4]; /* 1, 2, 3, 4 */
void pw_small(const char *words, const char *byte_order, pw_form form, out *o);

/* Words for a tensor of storage "0" or "1": PW_F32_0, then offset, shape and strides, then PW_END.
 */
#define PW_REBUILD " ctorch._utils/_rebuild_tensor_v2 ( "
#define PW_F32_0 PW_REBUILD "( 'storage' ctorch/FloatStorage '0' 'cpu' i4 t Q "
#define PW_F32_1 PW_REBUILD "( 'storage' ctorch/FloatStorage '1' 'cpu' i4 t Q "
#define PW_END " F ccollections/OrderedDict ) R t R "
#define PW_DENSE_4 "i0 i4 t1 i1 t1" /* all of a storage */

/* Assembles a pickle from words with spaces between them:
 *   'text'      BINUNICODE; ~ in it is a space   cM/N    GLOBAL M.N
 *   "text       the bytes of the text
 *   i-5         BININT1, BININT2 or BININT        l-5     LONG1 of 8 bytes
 *   q7 r7       BINPUT, LONG_BINPUT               h7 j7   BINGET, LONG_BINGET
 *   t0..t3      tuples of so many values          p       PROTO 2
 *   T F         NEWTRUE, NEWFALSE                 xHH     any byte
 * and any other single character is the opcode of that byte. */
void pw_assemble(const char *words, out *o);

#endif
