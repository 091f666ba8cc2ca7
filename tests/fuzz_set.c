/* libFuzzer: lines of overrides (--set KEY=VALUE), one after the other, on a small platform with
 * two SRAMs. One that is taken leaves a platform that can be written, read again and printed; one
 * that is refused has a message and leaves the platform as it was. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sim/platform_xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_LINES = 8, MAX_LINE = 200, MAX_ENGINES = 100 /* beyond, runs take too long */ };

#define REQUIRE(x)                                                                                 \
  do {                                                                                             \
    if (!(x)) abort();                                                                             \
  } while (0)

static const char CHIP[] =
    "<?xml version='1.0'?><platform version='4.1'><zone id='chip' routing='Full'>"
    "<host id='e0' speed='1Gf'><prop id='role' value='engine'/></host>"
    "<host id='e1' speed='3Gf'><prop id='role' value='engine'/>"
    "<prop id='rate.int8' value='9Gf'/><prop id='matrix_shape' value='4,4,4'/></host>"
    "<host id='s0' speed='1f'><prop id='role' value='sram'/>"
    "<prop id='capacity' value='64KiB'/></host>"
    "<host id='s1' speed='1f'><prop id='role' value='sram'/>"
    "<prop id='capacity' value='1MiB'/></host>"
    "<host id='dram0' speed='1f'><prop id='role' value='dram'/></host>"
    "<host id='d' speed='1f'><prop id='role' value='dma'/></host>"
    "<link id='bus' bandwidth='1GBps' latency='50ns'/>"
    "<link id='a' bandwidth='2GBps' latency='0s'/><link id='b' bandwidth='2GBps' latency='0s'/>"
    "<link id='p0' bandwidth='1GBps' latency='0s'/>"
    "<link id='p1' bandwidth='1GBps' latency='10ns' sharing_policy='FATPIPE'/>"
    "<route src='dram0' dst='s0'><link_ctn id='bus'/><link_ctn id='a'/></route>"
    "<route src='dram0' dst='s1'><link_ctn id='bus'/><link_ctn id='b'/></route>"
    "<route src='s0' dst='s1'><link_ctn id='a'/><link_ctn id='b'/></route>"
    "<route src='s0' dst='e0'><link_ctn id='a'/><link_ctn id='p0'/></route>"
    "<route src='s1' dst='e1'><link_ctn id='b'/><link_ctn id='p1'/></route>"
    "</zone></platform>";

/* The platform as text, with its overrides. */
static out *text_of(const platform *p) {
  out *o = out_memory();
  plat_write_xml(p, false, o);
  for (size_t i = 0; i < p->n_overrides; i++)
    out_printf(o, "%s=%s\n", p->overrides[i].key, p->overrides[i].value);
  return o;
}

static bool same(const out *a, const out *b) {
  size_t n, m;
  const char *x = out_text(a, &n), *y = out_text(b, &m);
  return n == m && memcmp(x, y, n) == 0;
}

static void check_taken(const platform *p, arena *a) {
  platform q = {0};
  err e = {0};
  size_t n = 0;
  out *first = out_memory(), *second = out_memory(), *print = out_memory();
  plat_write_xml(p, false, first);
  const char *text = out_text(first, &n);
  REQUIRE(plat_parse_xml("again.xml", (const unsigned char *)text, n, &q, a, &e) == ERR_OK);
  plat_write_xml(&q, false, second);
  REQUIRE(same(first, second));
  plat_print(p, print);
  out_abort(first);
  out_abort(second);
  out_abort(print);
}

/* Read once: to check it against the schema takes longer than all the rest. */
static const platform *the_chip(void) {
  static platform p;
  static arena mem;
  err e = {0};
  if (p.name == NULL)
    REQUIRE(plat_parse_xml("chip", (const unsigned char *)CHIP, strlen(CHIP), &p, &mem, &e) ==
            ERR_OK);
  return &p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const out *chip_is; /* its text: nothing may change it */
  arena a = {0};
  err e = {0};
  platform p = *the_chip();
  const char *at = (const char *)data, *end = at + size;
  out *is = text_of(&p);
  if (chip_is == NULL) chip_is = text_of(&p);
  REQUIRE(same(is, chip_is));
  bool taken = false;
  for (int i = 0; i < MAX_LINES && at < end && p.n_engines <= MAX_ENGINES; i++) {
    char line[MAX_LINE];
    size_t n = 0;
    while (at < end && *at != '\n' && *at != '\0' && n + 1 < sizeof line) line[n++] = *at++;
    line[n] = '\0';
    at++;
    e = (err){0};
    bool ok = plat_set(&p, arena_strdup(&a, line), &a, &e) == ERR_OK;
    out *now = text_of(&p);
    REQUIRE(ok || (e.status == ERR_BAD && e.msg[0] != '\0' && same(is, now)));
    out_abort(is);
    is = now;
    taken = taken || ok;
  }
  out_abort(is);
  if (taken && p.n_engines <= MAX_ENGINES) check_taken(&p, &a);
  arena_free(&a);
  return 0;
}
