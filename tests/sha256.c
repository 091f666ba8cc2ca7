#include "tests/sha256.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static uint32_t rotate(uint32_t x, int n) {
  return x >> n | x << (32 - n);
}

/* The first 32 bits of the fraction of x. */
static uint32_t fraction(long double x) {
  return (uint32_t)((x - floorl(x)) * 4294967296.0L);
}

/* k: from the cube roots of the first 64 primes; h: from the square roots of the first 8. */
static void constants(uint32_t k[64], uint32_t h[8]) {
  for (int n = 0, p = 2; n < 64; p++) {
    int prime = 1;
    for (int d = 2; d * d <= p; d++) prime = prime && p % d != 0;
    if (!prime) continue;
    if (n < 8) h[n] = fraction(sqrtl(p));
    k[n++] = fraction(cbrtl(p));
  }
}

static void block(uint32_t h[8], const uint32_t k[64], const unsigned char *p) {
  uint32_t w[64], v[8];
  for (int i = 0; i < 16; i++)
    w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 |
           p[4 * i + 3];
  for (int i = 16; i < 64; i++)
    w[i] = w[i - 16] + (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7] +
           (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
  memcpy(v, h, sizeof v);
  for (int i = 0; i < 64; i++) {
    uint32_t s1 = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25);
    uint32_t t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i];
    uint32_t s0 = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22);
    uint32_t t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
    memmove(v + 1, v, 7 * sizeof v[0]);
    v[4] += t1;
    v[0] = t1 + t2;
  }
  for (int i = 0; i < 8; i++) h[i] += v[i];
}

char *sha256_hex(const void *data, size_t len, char hex[65]) {
  uint32_t h[8], k[64];
  unsigned char tail[128] = {0};
  size_t whole = len / 64 * 64, rest = len - whole, end = rest < 56 ? 64 : 128;
  constants(k, h);
  for (size_t i = 0; i < whole; i += 64) block(h, k, (const unsigned char *)data + i);
  memcpy(tail, (const unsigned char *)data + whole, rest);
  tail[rest] = 0x80;
  for (int i = 0; i < 8; i++)
    tail[end - 1 - (size_t)i] = (unsigned char)((uint64_t)len * 8 >> 8 * i);
  for (size_t i = 0; i < end; i += 64) block(h, k, tail + i);
  for (int i = 0; i < 8; i++) snprintf(hex + 8 * i, 9, "%08x", h[i]);
  return hex;
}
