/* bytes.h - little-endian numbers out of bytes that may be unaligned, and a cursor over bytes from
 * outside that cannot leave them. */
#ifndef LS_BYTES_H
#define LS_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t bytes_u16(const unsigned char *p) {
  return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t bytes_u32(const unsigned char *p) {
  return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t bytes_u64(const unsigned char *p) {
  return bytes_u32(p) | (uint64_t)bytes_u32(p + 4) << 32;
}

static inline float bytes_f32(const unsigned char *p) {
  uint32_t u = bytes_u32(p);
  float f;
  memcpy(&f, &u, sizeof f);
  return f;
}

static inline double bytes_f64(const unsigned char *p) {
  uint64_t u = bytes_u64(p);
  double f;
  memcpy(&f, &u, sizeof f);
  return f;
}

/* What is left to read. Reading beyond gives false and moves nothing. */
typedef struct cursor {
  const unsigned char *at;
  uint64_t left;
} cursor;

static inline bool cursor_skip(cursor *c, uint64_t n) {
  if (n > c->left) return false;
  c->at += n;
  c->left -= n;
  return true;
}

static inline bool cursor_u32(cursor *c, uint32_t *v) {
  const unsigned char *p = c->at;
  if (!cursor_skip(c, 4)) return false;
  *v = bytes_u32(p);
  return true;
}

static inline bool cursor_u64(cursor *c, uint64_t *v) {
  const unsigned char *p = c->at;
  if (!cursor_skip(c, 8)) return false;
  *v = bytes_u64(p);
  return true;
}

#endif
