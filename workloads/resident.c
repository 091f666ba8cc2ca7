/* What stays in SRAM between steps (block.h, --resident): tiles of weights and of the KV cache that
 * a later step finds again. */
#include "workloads/build.h"

typedef struct pin {
  pin_key key;
  uint32_t tensor, scale;
  uint32_t next; /* of the same bucket; index + 1, 0: none */
} pin;

enum { BUCKETS = 1 << 12 };

struct pins {
  pin *at;
  size_t n, cap;
  uint32_t bucket[BUCKETS];
};

static uint32_t bucket_of(const pin_key *k) {
  uint64_t h = (k->home * 0x9E3779B97F4A7C15u) ^ (k->lo * 0xC2B2AE3D27D4EB4Fu) ^
               (k->k * 0x165667B19E3779F9u);
  return (uint32_t)(h >> 32) % BUCKETS;
}

static bool same(const pin_key *a, const pin_key *b) {
  return a->home == b->home && a->lo == b->lo && a->n == b->n && a->k == b->k && a->kn == b->kn;
}

bool pin_find(const build *b, const pin_key *key, uint32_t *tensor, uint32_t *scale) {
  if (!b->keeps) return false;
  for (uint32_t i = b->pins->bucket[bucket_of(key)]; i != 0; i = b->pins->at[i - 1].next) {
    const pin *p = &b->pins->at[i - 1];
    if (!same(&p->key, key)) continue;
    *tensor = p->tensor;
    *scale = p->scale;
    return true;
  }
  return false;
}

bool pin_fits(build *b, uint64_t bytes) {
  if (!b->keeps || bytes > b->pin_left_B) return false;
  b->pin_left_B -= bytes;
  return true;
}

void pin_add(build *b, const pin_key *key, uint32_t tensor, uint32_t scale) {
  struct pins *x = b->pins;
  uint32_t *bucket = &x->bucket[bucket_of(key)];
  pin p = {.key = *key, .tensor = tensor, .scale = scale, .next = *bucket};
  ARENA_PUSH(b->a, x->at, x->n, x->cap, p);
  *bucket = (uint32_t)x->n;
}

void pins_new(build *b, uint64_t budget_B) {
  b->pins = ARENA_NEW(b->a, struct pins, 1);
  b->pin_left_B = budget_B;
}

bool resident_weights(const build *b) {
  return b->o->resident == WL_RESIDENT_WEIGHTS || b->o->resident == WL_RESIDENT_ALL;
}

bool resident_kv(const build *b) {
  return b->o->resident == WL_RESIDENT_KV || b->o->resident == WL_RESIDENT_ALL;
}
