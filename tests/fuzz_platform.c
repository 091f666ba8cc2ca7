/* libFuzzer: any bytes as a platform file. What is accepted must survive being written, read again,
 * printed and overridden. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sim/platform_xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x)                                                                                 \
  do {                                                                                             \
    if (!(x)) abort();                                                                             \
  } while (0)

static out *write(const platform *p) {
  out *o = out_memory();
  plat_write_xml(p, false, o);
  return o;
}

static void reread(const platform *p, arena *a) {
  platform q = {0};
  err e = {0};
  size_t n = 0, n2 = 0;
  out *first = write(p);
  const char *text = out_text(first, &n);
  REQUIRE(plat_parse_xml("again.xml", (const unsigned char *)text, n, &q, a, &e) == ERR_OK);
  out *second = write(&q);
  const char *text2 = out_text(second, &n2);
  REQUIRE(n == n2 && memcmp(text, text2, n) == 0);
  out *print = out_memory();
  plat_print(p, print);
  out_abort(first);
  out_abort(second);
  out_abort(print);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  arena a = {0};
  platform p = {0};
  err e = {0};
  int status = plat_parse_xml("fuzz.xml", data, size, &p, &a, &e);
  REQUIRE(status == ERR_OK || (status == ERR_BAD && e.msg[0] != '\0'));
  if (status == ERR_OK) {
    reread(&p, &a);
    size_t n = p.n_engines;
    if (plat_set(&p, "engines=9", &a, &e) == ERR_OK) {
      REQUIRE(p.n_engines == 9);
      reread(&p, &a);
    } else {
      REQUIRE(p.n_engines == n);
    }
  }
  arena_free(&a);
  return 0;
}
