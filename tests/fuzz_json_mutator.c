/* libFuzzer's mutator for targets that read JSON. Damaged at random, a long document is no JSON
 * any more, and only the scanner is tested; so most mutations here keep it JSON: a value is
 * replaced by another one of the document or by a telling one, repeated, or dropped. The rest are
 * libFuzzer's own. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

enum { MAX_VALUES = 8192, MAX_DEPTH = 64, MAX_PIECE = 4096 };

/* A value: data[begin .. end-1]. Keys count as values: to replace one tests as much. */
typedef struct span {
  size_t begin, end;
} span;

static span values[MAX_VALUES];
static uint32_t state;

/* xorshift */
static uint32_t below(uint32_t n) {
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state % n;
}

static bool is_structure(uint8_t c) {
  return c <= ' ' || strchr(",:[]{}\"", c) != NULL;
}

/* Finds values without caring much for syntax: strings, words and numbers, and what matching
 * brackets hold. */
static size_t find_values(const uint8_t *d, size_t size) {
  size_t open[MAX_DEPTH], depth = 0, n = 0;
  for (size_t i = 0; i < size && n < MAX_VALUES;) {
    size_t begin = i;
    if (d[i] == '"') {
      for (i++; i < size && d[i] != '"'; i++) i += d[i] == '\\';
      i = i < size ? i + 1 : size; /* an escape at the very end went beyond */
      values[n++] = (span){begin, i};
    } else if (d[i] == '{' || d[i] == '[') {
      i++;
      if (depth == MAX_DEPTH) continue;
      open[depth++] = begin;
    } else if (d[i] == '}' || d[i] == ']') {
      i++;
      if (depth > 0) values[n++] = (span){open[--depth], i};
    } else if (is_structure(d[i])) {
      i++;
    } else {
      while (i < size && !is_structure(d[i])) i++;
      values[n++] = (span){begin, i};
    }
  }
  return n;
}

/* Puts `len` bytes in the place of the span; returns the new size, or the old one where there is no
 * room. */
static size_t put(uint8_t *d, size_t size, size_t max_size, span at, const void *piece,
                  size_t len) {
  size_t rest = size - at.end;
  if (at.begin + len + rest > max_size) return size;
  memmove(d + at.begin + len, d + at.end, rest);
  memcpy(d + at.begin, piece, len);
  return at.begin + len + rest;
}

static size_t put_telling(uint8_t *d, size_t size, size_t max_size, span at) {
  static const char *const TELLING[] = {
      "0",          "1",          "2",          "3",        "4",   "7",     "8",    "16",
      "31",         "32",         "33",         "64",       "255", "65536", "-1",   "0.5",
      "4294967294", "4294967295", "1073741824", "1e15",     "[]",  "{}",    "null", "true",
      "\"\"",       "1e308",      "16777216",   "16777217", "[1]", "[0]",   "5",    "6"};
  const char *text = TELLING[below(sizeof TELLING / sizeof *TELLING)];
  return put(d, size, max_size, at, text, strlen(text));
}

/* A number moves by one. */
static size_t step(uint8_t *d, size_t size, size_t max_size, span at) {
  char text[24];
  uint64_t v = 0;
  if (at.end - at.begin > 18) return size;
  for (size_t i = at.begin; i < at.end; i++) {
    if (d[i] < '0' || d[i] > '9') return size;
    v = v * 10 + d[i] - '0';
  }
  v = below(2) == 0 || v == 0 ? v + 1 : v - 1;
  int len = snprintf(text, sizeof text, "%llu", (unsigned long long)v);
  return put(d, size, max_size, at, text, (size_t)len);
}

static size_t replace(uint8_t *d, size_t size, size_t max_size, span at, span by, bool twice) {
  uint8_t piece[MAX_PIECE];
  size_t len = by.end - by.begin;
  if (len + 1 > sizeof piece) return size;
  memcpy(piece, d + by.begin, len);
  if (twice) { /* beside what stands there, not in its place */
    memmove(piece + 1, piece, len++);
    piece[0] = ',';
    at.begin = at.end;
  }
  return put(d, size, max_size, at, piece, len);
}

/* Every number, string or word that reads as `at` does becomes `by`: shapes and names that belong
 * together change together. */
static size_t replace_all(uint8_t *d, size_t size, size_t max_size, size_t n, span at, span by) {
  uint8_t old[64], piece[64];
  size_t old_len = at.end - at.begin, len = by.end - by.begin;
  if (old_len > sizeof old || len > sizeof piece || d[at.begin] == '{' || d[at.begin] == '[')
    return size;
  memcpy(old, d + at.begin, old_len);
  memcpy(piece, d + by.begin, len);
  for (size_t i = n; i-- > 0;) { /* from the back: what lies before stays where it is */
    span v = values[i];
    bool same = v.end - v.begin == old_len && memcmp(d + v.begin, old, old_len) == 0;
    if (same) size = put(d, size, max_size, v, piece, len);
  }
  return size;
}

/* Drops a value with the comma behind or before it. */
static size_t drop(uint8_t *d, size_t size, span at) {
  size_t i = at.end, j = at.begin;
  while (i < size && d[i] <= ' ') i++;
  while (j > 0 && d[j - 1] <= ' ') j--;
  if (i < size && d[i] == ',')
    at.end = i + 1;
  else if (j > 0 && d[j - 1] == ',')
    at.begin = j - 1;
  return put(d, size, size, at, "", 0);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
  state = seed * 2654435761u + 1;
  if (state == 0) state = 1;
  for (int i = 0; i < 4; i++) (void)below(1);
  if (below(5) == 0) return LLVMFuzzerMutate(data, size, max_size);
  for (uint32_t times = 1 + below(3); times > 0; times--) {
    size_t n = find_values(data, size);
    if (n == 0) return LLVMFuzzerMutate(data, size, max_size);
    span at = values[below((uint32_t)n)], by = values[below((uint32_t)n)];
    switch (below(8)) {
    case 0:
      size = put_telling(data, size, max_size, at);
      break;
    case 1:
      size = step(data, size, max_size, at);
      break;
    case 2:
    case 3:
      size = replace(data, size, max_size, at, by, false);
      break;
    case 4:
      size = replace(data, size, max_size, at, below(2) == 0 ? at : by, true);
      break;
    case 5:
    case 6:
      size = replace_all(data, size, max_size, n, at, by);
      break;
    default:
      size = drop(data, size, at);
    }
  }
  return size;
}
