/* verify.h - is what the tasks of a DAG compute what the model says?
 *
 * A run: token ids go in (or, without the embedding, their rows of the table), the caller has the
 * DAG executed in whatever order, and what its tasks wrote is put together into the named points
 * (points.h). They are compared with the straight-line reference (reference.h), which gets the same
 * ids, greedy ones as the DAG chose them, so that a wrong choice is one fault and not a hundred;
 * and, where asked, with golden files. Of each point the rows that the DAG has computed count, and
 * of golden data that says its ids those before the first id that differs (the mask is causal).
 *
 * max|d| / max|ref|, over those rows, must be within the tolerance. A greedy token must be the
 * reference's, unless the reference itself has the two within twice the tolerance of one another.
 *
 * Tolerances, by the dtype of activations and KV cache, whichever is coarser:
 *   f32          5e-6: a sum of n products is off by about sqrt(n) * 2^-24 of its terms; torch in
 * f32 and the best C programs are at 1e-6 of the f64 golden data. Errors of a layer stay in what
 * runs through all further ones: beyond 4 layers, layers / 4 times that f16          2^-5 = 32
 * roundings of 2^-10, which is what a layer's points have gone through bf16         2^-2, the same
 * of 2^-7 int8, int4   0.5, 2: a rounding is 2^-8 and 2^-4 of the row's largest, and not of the
 * value; what is left to see is a wrong wire Softmax turns an absolute error of the scores, which
 * is the tolerance times max|s|, into a relative one. e^(s - max) and its sum are off by as much; a
 * probability by p (1 - p) times what two scores are off, at most half of it; values weighted by
 * them, between two keys, by at most all of it. So their tolerance is max(1, c * max|s|) times the
 * others', c = 1, 1/2 and 1, and max|s| the layer's largest score of the reference. (Torch's own
 * f32 is at 1.7e-5 for e^(s - max) on the golden data, with scores up to 12.)
 *
 * Where the executor refuses a task there is nothing to compare: its message names the task.
 *
 * The sequences of a batch are compared one by one, each with a reference of its own.
 *
 * Owner: the arena; verify_free gives back what the executor has. Cost of the reference, of each
 * sequence: reference.h. */
#ifndef LS_KERNELS_VERIFY_H
#define LS_KERNELS_VERIFY_H

#include "kernels/golden.h"
#include "kernels/points.h"
#include "kernels/source.h"
#include "sim/base/file.h"

typedef struct verify_input {
  const model *m;
  const dag *d;
  const wl_options *o; /* that the DAG was compiled with */
  const uint32_t *ids; /* n of each sequence, one after the other: those in the cache, then those of
                          the first step or steps */
  uint64_t n;
  source *weights;
} verify_input;

typedef enum verify_verdict { VERIFY_PASS, VERIFY_FAIL, VERIFY_ABSENT } verify_verdict;

typedef struct verify_line {
  const char *name;
  uint32_t rank;
  uint64_t dim[3];
  uint64_t rows, of; /* compared, of so many */
  double max_d, max_ref, tolerance;
  verify_verdict verdict;
  uint64_t at[3]; /* FAIL: the first element that differs */
  double got, want;
} verify_line;

typedef struct verify_table {
  const char *with; /* "the reference", or the golden file's stem */
  double tolerance; /* that of most lines */
  verify_line *line;
  size_t n, cap;
  uint64_t tokens, wrong;                    /* greedy ones */
  uint64_t wrong_pos, wrong_got, wrong_want; /* the first wrong one, at its position */
} verify_table;

/* Of a sequence. */
typedef struct verify_sequence {
  points *points;
  uint32_t *ids;     /* of all positions, once executed */
  double *max_score; /* by layer, of the reference */
} verify_sequence;

typedef struct verify {
  verify_input in;
  verify_sequence *sequences; /* o->batch of them */
  uint64_t seq;               /* the picked one; its points, ids and max_score are: */
  points *points;
  uint32_t *ids;
  double *max_score;
  dx *x; /* to be executed by the caller */
  dx_weights weights;
  dx_tap tap;
  double tolerance;
  void (*referred)(void *user, uint64_t layer); /* NULL, or told when the reference has done one */
  void *user;
  arena *a;
} verify;

/* The tolerance of a run with these dtypes and layers. */
double verify_tolerance(const wl_options *o);

/* Makes the executor and puts in what is in DRAM before the run; cached rows come from the
 * reference. ERR_BAD: an id beyond the vocabulary. Sets v->x; change v->weights or v->tap between
 * verify_init and verify_begin to mutate a run. */
void verify_init(verify *v, const verify_input *in, double tolerance, arena *a);
ERR_CHECK int verify_begin(verify *v, err *e);
/* Also after a failed verify_begin. */
void verify_free(verify *v);

/* Which sequence the functions below are about; at first the first. */
void verify_pick(verify *v, uint64_t seq);

/* After the run: compares. The reference comes first: it knows the scores. */
ERR_CHECK int verify_reference(verify *v, verify_table *t, err *e);
/* Can the sequence be compared with the file: are the first ids the same? */
bool verify_has_golden(const verify *v, const golden *g);
/* `logits`: the name of the array to take as logits, or NULL. ERR_BAD: no array is a point's, or
 * one has another shape, or all ids differ. */
ERR_CHECK int verify_golden(verify *v, const golden *g, const char *logits, verify_table *t,
                            err *e);
/* Points that the DAG computed; rows that it did not are NaN, and such rows of a golden file are
 * not compared with. */
ERR_CHECK int verify_dump(const verify *v, const char *stem, err *e);

bool verify_passed(const verify_table *t);
void verify_print(const verify_table *t, out *o);
/* The first fault, in words. */
const char *verify_fault(const verify_table *t, arena *a);

#endif
