/* dag_check.h - dag_check for readers: where a file numbers its tasks in another way than the DAG
 * made from it, messages must say the file's ids. */
#ifndef LS_DAG_CHECK_H
#define LS_DAG_CHECK_H

#include "workloads/dag.h"

/* As dag_check; task i is called ids[i] in messages (NULL: i). */
ERR_CHECK int dag_check_ids(const dag *d, const char *where, const uint32_t *ids, err *e);

/* The largest tensor, and the most that one task moves, in bytes. Sums over a DAG's tensors,
 * operands and FLOPs are held below DAG_MAX_SUM, so that whoever holds a checked DAG may add up
 * freely in uint64_t. */
#define DAG_MAX_TENSOR_B ((uint64_t)1 << 50)
#define DAG_MAX_SUM ((uint64_t)1 << 62)

/* ERR_OK, or what is wrong with a tensor's shape (a text without the tensor's name), in `why`. */
enum { DAG_WHY = 160 };
ERR_CHECK int dag_check_dims(const uint64_t *dim, uint32_t rank, dtype dt, char why[DAG_WHY]);

#endif
