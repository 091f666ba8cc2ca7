#include "workloads/cost.h"

static uint64_t min_u64(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

/* Visible (query, key) pairs of one head: sum over t < T of min(N, pos + t + 1). */
static uint64_t pairs(uint64_t T, uint64_t N, uint64_t pos) {
  uint64_t rising = N > pos ? min_u64(T, N - pos) : 0; /* queries that do not yet see all N */
  return rising * pos + rising * (rising + 1) / 2 + (T - rising) * N;
}

/* Visible pairs of a block of N keys from position `key` on: query t sees keys up to pos + t. */
static uint64_t block_pairs(uint64_t T, uint64_t N, uint64_t pos, uint64_t key) {
  uint64_t hidden =
      key > pos ? min_u64(T, key - pos) : 0; /* queries before the block's first key */
  return pairs(T - hidden, N, pos + hidden - key);
}

static dtype wider(dtype a, dtype b) {
  return dtype_bits(b) > dtype_bits(a) ? b : a;
}

static dtype tensor_dtype(const dag *d, const dag_view *v) {
  return (dtype)d->tensors[v->tensor].dtype;
}

static uint64_t views_bytes(const dag *d, const dag_view *v, size_t n) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < n; i++) bytes += dag_view_bytes(d, &v[i]);
  return bytes;
}

/* Arithmetic of a compute task. Scores and probabilities are (heads, T, N), cache tiles (kv heads,
 * N, head_dim), or of K (1, kv heads, head_dim, N): in both head_dim is dimension 2. */
static void arithmetic(const dag *d, const dag_task *t, cost *c) {
  const dag_view *r = dag_reads(d, t), *w = dag_writes(d, t);
  uint64_t written = t->n_writes > 0 ? dag_view_elements(&w[0]) : 0;
  switch ((op)t->op) {
  case OP_RMSNORM:
    c->vector_flops = 4 * written;
    break;
  case OP_MATMUL:
  case OP_MATMUL_ACC:
  case OP_MATMUL_SILU:
  case OP_MATMUL_ACC_SILU:
  case OP_MATMUL_ROPE:
  case OP_MATMUL_ACC_ROPE:
  case OP_MATMUL_ADD: {
    uint64_t T = r[0].len[0], K = r[0].len[1], N = r[1].len[0];
    bool silu = t->op == OP_MATMUL_SILU || t->op == OP_MATMUL_ACC_SILU;
    bool rope = t->op == OP_MATMUL_ROPE || t->op == OP_MATMUL_ACC_ROPE;
    c->vector_flops = written * (silu ? 5 : rope ? 3 : t->op == OP_MATMUL_ADD ? 1 : 0);
    c->matrix_flops = 2 * T * N * K;
    c->mnk[0] = T, c->mnk[1] = N, c->mnk[2] = K;
    break;
  }
  case OP_ROPE:
    c->vector_flops = 3 * written;
    break;
  case OP_KVAPPEND:
  case OP_KVSHIFT:
    break;
  case OP_QK: {
    uint64_t H = w[0].len[0], T = w[0].len[1], N = w[0].len[2], hd = r[1].len[2];
    c->matrix_flops = 2 * hd * H * pairs(T, N, t->pos);
    c->vector_flops = H * pairs(T, N, t->pos);
    c->mnk[0] = T, c->mnk[1] = N, c->mnk[2] = hd;
    break;
  }
  case OP_SOFTMAX_MAX:
    c->vector_flops = r[0].len[0] * pairs(r[0].len[1], r[0].len[2], t->pos);
    break;
  case OP_SOFTMAX_EXP:
    c->vector_flops = 3 * r[0].len[0] * pairs(r[0].len[1], r[0].len[2], t->pos);
    break;
  case OP_SOFTMAX_NORM:
    c->vector_flops = r[0].len[0] * pairs(r[0].len[1], r[0].len[2], t->pos);
    break;
  case OP_PV: {
    uint64_t H = r[0].len[0], T = r[0].len[1], N = r[0].len[2], hd = r[1].len[2];
    c->matrix_flops = 2 * hd * H * pairs(T, N, t->pos);
    c->mnk[0] = T, c->mnk[1] = hd, c->mnk[2] = N;
    break;
  }
  case OP_FLASH:
  case OP_FLASH_ACC:
  case OP_FLASH_OUT:
  case OP_FLASH_ACC_OUT: {
    uint64_t T = r[0].len[0], hd = r[1].len[2], H = r[0].len[1] / hd, N = r[2].len[1];
    uint64_t seen = H * block_pairs(T, N, t->pos, t->key);
    c->matrix_flops = 2 * 2 * hd * seen;
    c->vector_flops = 5 * seen; /* scale, maximum, subtract, exp, sum */
    if (t->op == OP_FLASH_OUT || t->op == OP_FLASH_ACC_OUT) c->vector_flops += written;
    if (t->op == OP_FLASH_ACC || t->op == OP_FLASH_ACC_OUT)
      c->vector_flops += H * T * (hd + 3); /* rescale o and l by exp(m - m') */
    c->mnk[0] = T, c->mnk[1] = N, c->mnk[2] = hd;
    break;
  }
  case OP_ARGMAX:
    c->vector_flops = dag_view_elements(&r[0]);
    break;
  case OP_EMBED:
    c->vector_flops = t->n_reads > 1 ? written : 0;
    break;
  case OP_COPY:
    break;
  case OP_ADD:
    c->vector_flops = written;
    break;
  case OP_SILU_MUL:
    c->vector_flops = 5 * written;
    break;
  default:
    break;
  }
}

/* Nothing goes to another SRAM. */
static bool stays(const dag *d, const dag_task *t) {
  return d->tensors[dag_reads(d, t)->tensor].space == d->tensors[dag_writes(d, t)->tensor].space;
}

cost cost_of(const dag *d, uint32_t task) {
  if (d->costs != NULL) return d->costs[task];
  const dag_task *t = &d->tasks[task];
  const dag_view *r = dag_reads(d, t);
  cost c = {.rate = tensor_dtype(d, &r[0])};
  if (op_kind_of((op)t->op) == OP_COMPUTE) {
    c.operand_B = views_bytes(d, r, (size_t)t->n_reads + t->n_writes);
    if (t->op == OP_KVSHIFT && stays(d, t)) c.operand_B = 0;
    if (t->n_reads > 1) c.rate = wider(c.rate, tensor_dtype(d, &r[1]));
    arithmetic(d, t, &c);
  } else {
    /* what a load writes is what it moves: of LoadEmbed the rows that are gathered, not the table
     */
    bool load = op_kind_of((op)t->op) == OP_LOAD;
    c.transfer_B =
        load ? views_bytes(d, r + t->n_reads, t->n_writes) : views_bytes(d, r, t->n_reads);
  }
  return c;
}

void cost_keep(dag *d) {
  cost *all = ARENA_NEW(d->mem, cost, d->n_tasks + 1);
  for (uint32_t t = 0; t < d->n_tasks; t++) all[t] = cost_of(d, t);
  d->costs = all;
}

/* What stays in SRAM from step to step. A scale tensor counts as what it is read with. */
static void sum_resident(const dag *d, cost_totals *s) {
  arena scratch = {0};
  uint32_t *first = ARENA_NEW(&scratch, uint32_t, d->n_tensors); /* step + 1 */
  bool *counted = ARENA_NEW(&scratch, bool, d->n_tensors);
  for (uint32_t i = 0; i < d->n_tasks; i++) {
    const dag_task *t = &d->tasks[i];
    const dag_view *v = dag_reads(d, t);
    bool kv = false;
    for (uint32_t k = 0; k < (uint32_t)t->n_reads + t->n_writes; k++)
      kv = kv || d->tensors[v[k].tensor].role == DAG_KV;
    for (uint32_t k = 0; k < (uint32_t)t->n_reads + t->n_writes; k++) {
      const dag_tensor *x = &d->tensors[v[k].tensor];
      if (x->space == DAG_DRAM || x->role == DAG_ACT || counted[v[k].tensor]) continue;
      if (first[v[k].tensor] == 0) first[v[k].tensor] = t->step + 1;
      if (first[v[k].tensor] == t->step + 1) continue;
      *(kv ? &s->resident_kv : &s->resident_weights) += dag_tensor_bytes(x);
      counted[v[k].tensor] = true;
    }
  }
  arena_free(&scratch);
}

cost_totals cost_sum(const dag *d) {
  cost_totals s = {0};
  sum_resident(d, &s);
  for (uint32_t i = 0; i < d->n_tasks; i++) {
    const dag_task *t = &d->tasks[i];
    op_kind kind = op_kind_of((op)t->op);
    if (kind == OP_COMPUTE) {
      cost c = cost_of(d, i);
      s.compute++;
      s.matrix_flops += c.matrix_flops;
      s.vector_flops += c.vector_flops;
      continue;
    }
    if (kind == OP_MOVE) {
      s.move++;
      s.moved += views_bytes(d, dag_reads(d, t), t->n_reads);
      continue;
    }
    bool load = kind == OP_LOAD;
    bool gathers = t->op == OP_LOAD_EMBED; /* what it writes counts, not the whole table */
    const dag_view *v = load && !gathers ? dag_reads(d, t) : dag_writes(d, t);
    size_t n = load && !gathers ? t->n_reads : t->n_writes;
    *(load ? &s.load : &s.store) += 1;
    if (t->op == OP_SPILL || t->op == OP_FILL) {
      uint64_t bytes = dag_view_bytes(d, &v[0]);
      *(load ? &s.dram_read : &s.dram_write) += bytes;
      s.spill += bytes;
      continue;
    }
    for (size_t j = 0; j < n; j++) {
      uint64_t bytes = dag_view_bytes(d, &v[j]);
      *(load ? &s.dram_read : &s.dram_write) += bytes;
      uint32_t of =
          load ? dag_reads(d, t)[j].tensor : v[j].tensor; /* what is moved, by what it is in DRAM */
      switch ((dag_role)d->tensors[of].role) {
      case DAG_WEIGHT:
        s.weights += bytes;
        break;
      case DAG_SCALE:
        s.scales += bytes;
        break;
      case DAG_KV:
        *(load ? &s.kv_read : &s.kv_write) += bytes;
        break;
      default:
        break;
      }
    }
  }
  return s;
}
