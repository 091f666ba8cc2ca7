/* rand.h - the random numbers of policies: splitmix64 (Steele, Lea, Flood 2014). */
#ifndef LS_RAND_H
#define LS_RAND_H

#include <stdint.h>

typedef struct pol_rand {
  uint64_t state;
} pol_rand;

static inline uint64_t pol_rand_next(pol_rand *r) {
  uint64_t z = r->state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

static inline double pol_rand_unit(pol_rand *r) { /* [0,1) */
  return (double)(pol_rand_next(r) >> 11) * 0x1p-53;
}

static inline uint32_t pol_rand_below(pol_rand *r,
                                      uint32_t n) { /* 0 .. n-1; the bias is below 2^-32 */
  return (uint32_t)(pol_rand_next(r) % n);
}

#endif
