/* Reading bad platforms: what is refused, and what is said then; and bytes at random. */
#include <dirent.h>
#include <time.h>
#include <unistd.h>

#include "tests/platform_rig.h"
#include "tests/suite.h"

/* What is replaced in GOOD, by what, the line that must be named, what must be said. */

/* clang-format off */
static const struct bad {
  const char *from, *to;
  int line;
  const char *say;
} BAD[] = {
    /* not well-formed */
    {"</zone>", "", 13, "not well-formed XML"},
    {"<zone id=\"z\"", "<zone id=z", 2, "not well-formed XML"},
    {"<zone id=\"z\"", "<zone id=\"z\" id=\"z\"", 2, "not well-formed XML"},
    {"</platform>", "</platform>x", 13, "not well-formed XML"},
    {"\"50GBps\"", "\"&speed;\"", 7, "not well-formed XML: Entity 'speed' not defined"},
    {"\"50GBps\"", "\"50GBps\x01\"", 7, "not well-formed XML"},
    /* DOCTYPE */
    {START, "<!DOCTYPE platform [\n<!ENTITY a \"x\">\n]>\n" START,
     2, "declarations inside DOCTYPE"},
    {START, "<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\" [\n"
     "<!ENTITY e SYSTEM \"file:///etc/passwd\">]>\n" START,
     2, "declarations inside DOCTYPE"},
    {START, "<!DOCTYPE platform [\n\n<!ENTITY % p SYSTEM \"http://192.0.2.1/x\"> %p; ]>\n" START,
     3, "declarations inside DOCTYPE"},
    {START, "<!DOCTYPE platform [\n<!ATTLIST link latency CDATA \"9s\">]>\n" START,
     2, "declarations inside DOCTYPE"},
    {START, "<!DOCTYPE platform [\n<!ELEMENT link ANY>]>\n" START,
     2, "declarations inside DOCTYPE"},
    {START, "<!DOCTYPE platform [\n<!NOTATION n SYSTEM \"x\">]>\n" START,
     2, "declarations inside DOCTYPE"},
    {START, "<!DOCTYPE html SYSTEM \"https://simgrid.org/simgrid.dtd\">\n" START,
     1, "DOCTYPE must be"},
    {START, "<!DOCTYPE platform SYSTEM \"other.dtd\">\n" START, 1, "DOCTYPE must be"},
    {"50GBps\" latency", "&e;\" latency", 7, "Entity 'e' not defined"},
    /* schema */
    {START, "<platform version=\"4\">\n", 1, "version of <platform> is '4'; allowed: 4.1"},
    {START, "<platform>\n", 1, "<platform> lacks the attribute 'version'; it needs: version"},
    {"bandwidth=\"50GBps\"", "bandwith=\"50GBps\"",
     7, "<link> has no attribute 'bandwith'; allowed: bandwidth id latency sharing_policy"},
    {"speed=\"4Tf\"", "speed=\"4Tf\" core=\"2\"",
     3, "<host> has no attribute 'core'; allowed: id speed"},
    {"<link id=\"sb\" bandwidth=\"200GBps\"/>", "<link id=\"sb\"/>",
     8, "<link> lacks the attribute 'bandwidth'; it needs: bandwidth id"},
    {"latency=\"100ns\"", "sharing_policy=\"SPLITDUPLEX\"",
     7, "sharing_policy of <link> is 'SPLITDUPLEX'; allowed: SHARED FATPIPE"},
    {"latency=\"100ns\"", "sharing_policy=\"SHARED FATPIPE\"",
     7, "sharing_policy of <link> is 'SHARED FATPIPE'; allowed: SHARED FATPIPE"},
    {"latency=\"100ns\"", "latency=\"100ns&#10;\" sharing_policy=\"&#10;\"",
     7, "sharing_policy of <link> is '?'; allowed: SHARED FATPIPE"},
    {BUS, "<foo/>", 7, "unknown element <foo> in <zone>; allowed: host link route"},
    {BUS, BUS "<link id=\"l\" bandwidth=\"1Bps\"><foo/></link>",
     7, "unknown element <foo> in <link>; allowed: prop"},
    {"<link_ctn id=\"db\"/>", "<link_ctn id=\"db\"><prop/></link_ctn>",
     10, "unknown element <prop> in <link_ctn>; allowed: nothing"},
    {"<link_ctn id=\"db\"/>", "<link_ctn id=\"db\" direction=\"UP\"/>",
     10, "<link_ctn> has no attribute 'direction'; allowed: id"},
    {"<link_ctn id=\"db\"/>", "<host/>",
     10, "unknown element <host> in <route>; allowed: link_ctn"},
    {ROUTE_DS, ROUTE_DS DRAM,
     11, "<host> comes too late in <zone>; it must stand before every: route"},
    {ROUTE_SE, "<route src=\"s0\" dst=\"e0\"/>\n",
     11, "<route> is incomplete; it needs at least one of: link_ctn"},
    {"</zone>", "</zone>\n<zone id=\"y\" routing=\"Full\">" DRAM "</zone>",
     13, "a second <zone> in <platform>; only one is allowed"},
    {DRAM, "<zone id=\"y\" routing=\"Full\"/>", 5, "unknown element <zone> in <zone>"},
    {"routing=\"Full\"", "routing=\"Floyd\"", 2, "routing of <zone> is 'Floyd'; allowed: Full"},
    {BUS, "50GBps", 2, "<zone> has text in it ('50GBps"},
    {"<zone id=\"z\"", "<zone xml:id=\"y\" id=\"z\"", 2, "<zone> has no attribute 'xml:id'"},
    {START, "<platform version=\"4.1\" xmlns=\"urn:x\">\n",
     1, "<platform> is in the namespace 'urn:x'; a platform has none: remove xmlns"},
    {"<link id=\"sb\"", "<link xmlns=\"urn:y\" id=\"sb\"", 8, "<link> is in the namespace 'urn:y'"},
    {GOOD, "<config/>", 1, "the outermost element is <config>; it must be <platform>"},
    /* hosts */
    {ENGINE(""), PROP("role", "gpu"),
     3, "host 'e0': unknown role 'gpu'; allowed: engine sram dram dma"},
    {ENGINE(""), "", 3, "host 'e0' has no role"},
    {ENGINE(""), ENGINE(PROP("role", "sram")), 3, "host 'e0': property 'role' is there twice"},
    {ENGINE(""), ENGINE(PROP("capacity", "1MiB")),
     3, "host 'e0': unknown property 'capacity' of engine; allowed: role native rate.<dtype> vector_rate"},
    {ENGINE(""), ENGINE("\n" PROP("efficiency.Add", "0.5")),
     4, "unknown property 'efficiency.Add' of engine"},
    {ENGINE(""), ENGINE(PROP("speed", "1Tf")), 3, "unknown property 'speed' of engine"},
    {ENGINE(""), ENGINE(PROP("rate.f64", "1Tf")), 3, "unknown property 'rate.f64' of engine"},
    {ENGINE(""), ENGINE(PROP("rate.bf16", "1Tf")),
     3, "host 'e0': rate.bf16 is the rate of the native dtype: set speed instead"},
    {ENGINE(""), ENGINE(PROP("native", "fp8")),
     3, "native is 'fp8'; allowed: f32 f16 bf16 int8 int4"},
    {ENGINE(""), ENGINE(PROP("native", "f16") PROP("native", "f16")),
     3, "property 'native' is there twice"},
    {ENGINE(""), ENGINE(PROP("rate.int8", "1Tf") "\n" PROP("rate.INT8", "1Tf")),
     4, "property 'rate.INT8' is there twice"},
    {ENGINE(""), ENGINE(PROP("efficiency.MatMul", "1.5")),
     3, "efficiency.MatMul is 1.5; it must be greater than 0 and at most 1"},
    {ENGINE(""), ENGINE(PROP("efficiency.MatMul", "0")),
     3, "it must be greater than 0 and at most 1"},
    {ENGINE(""), ENGINE(PROP("efficiency.MatMul", "1e-300")), 3, "it must be at least 0.0001"},
    {ENGINE(""), ENGINE(PROP("efficiency.MatMul", "nan")),
     3, "efficiency.MatMul: 'nan' is no number"},
    {ENGINE(""), ENGINE(PROP("task_overhead", "-1ns")),
     3, "task_overhead is -1e-09 s; it must not be negative"},
    {ENGINE(""), ENGINE(PROP("matrix_shape", "16,16")),
     3, "matrix_shape is '16,16'; it must be m,n,k"},
    {ENGINE(""), ENGINE(PROP("matrix_shape", "16,0,16")), 3, "matrix_shape is '16,0,16'"},
    {ENGINE(""), ENGINE(PROP("matrix_shape", "16,16,99999999999999999999")),
     3, "whole numbers from 1 to 65536"},
    {ENGINE(""), ENGINE(PROP("energy.bf16", "1W")), 3, "energy.bf16: '1W' is no energy"},
    {"speed=\"4Tf\"", "speed=\"0f\"", 3, "host 'e0': speed is 0 flop/s; it must be greater than 0"},
    {"speed=\"4Tf\"", "speed=\"-4Tf\"",
     3, "host 'e0': speed is -4e+12 flop/s; it must be greater than 0"},
    {"speed=\"4Tf\"", "speed=\"4\"", 3, "host 'e0': speed: '4' is no speed"},
    {"speed=\"4Tf\"", "speed=\"4GBps\"", 3, "host 'e0': speed: '4GBps' is no speed"},
    {"speed=\"4Tf\"", "speed=\"inf\"", 3, "host 'e0': speed: 'inf' is no speed"},
    {"speed=\"4Tf\"", "speed=\"1e308Tf\"", 3, "host 'e0': speed: '1e308Tf' is no speed"},
    {"speed=\"4Tf\"", "speed=\"1e300f\"",
     3, "host 'e0': speed is 1e+300 flop/s; it must be at most 1e+21"},
    {"speed=\"4Tf\"", "speed=\"\"", 3, "host 'e0': speed: '' is no speed"},
    {"<host id=\"s0\" speed=\"1f\"", "<host id=\"s0\" speed=\"2Gf\"",
     4, "host 's0': speed is '2Gf'; a host of role sram does not compute, write speed=\"1f\""},
    {PROP("capacity", "1MiB"), "", 4, "host 's0': a sram needs a capacity"},
    {PROP("capacity", "1MiB"), PROP("capacity", "0B"),
     4, "capacity is 0 B; it must be greater than 0"},
    {PROP("capacity", "1MiB"), PROP("capacity", "1048576"),
     4, "capacity: '1048576' is no size, its unit is missing"},
    {DMA, "<host id=\"x0\" speed=\"1f\"><prop id=\"role\" value=\"dma\"/>" PROP("channels", "1.5") "</host>",
     6, "host 'x0': channels: '1.5' is no whole number"},
    {DMA, "<host id=\"x0\" speed=\"1f\"><prop id=\"role\" value=\"dma\"/>" PROP("channels", "0") "</host>",
     6, "it must be a whole number from 1 to 256"},
    {DRAM, "<host id=\"d0\" speed=\"1f\">" PROP("role", "dram") PROP("efficiency", "-0.5") "</host>",
     5, "host 'd0': efficiency is -0.5; it must be greater than 0 and at most 1"},
    {DRAM, DRAM "\n<host id=\"d1\" speed=\"1f\">" PROP("role", "dram") "</host>",
     6, "host 'd1': a second host of role dram, after 'd0' (line 5)"},
    {HOST_E, "<host id=\"e0\" speed=\"1f\">" PROP("role", "sram") PROP("capacity", "1B") "</host>",
     2, "platform 'z' has no host of role engine"},
    {HOST_E, HOST_E "\n<host id=\"e1\" speed=\"1Tf\">" ENGINE("") "</host>",
     4, "no route from an sram to engine 'e1'; add one, as in <route src=\"s0\" dst=\"e1\">"},
    {"<prop id=\"role\" value=\"sram\"/>" PROP("capacity", "1MiB"), PROP("role", "dma"),
     2, "platform 'z' has no host of role sram"},
    {DRAM, "", 2, "platform 'z' has no host of role dram"},
    {DMA, "", 2, "platform 'z' has no host of role dma"},
    {"id=\"x0\"", "id=\"d0\"", 6, "host 'd0': that name is taken"},
    {"id=\"x0\"", "id=\"z\"", 6, "host 'z': that name is taken"},
    {"id=\"x0\"", "id=\"dma.0\"", 6, "host 'dma.0': a name is 1 to 63 letters"},
    {"id=\"x0\"", "id=\"\"", 6, "host '': a name is 1 to 63 letters"},
    {"id=\"x0\"", "id=\"port\"",
     6, "host 'port': that is the name of a role that it does not have"},
    /* links */
    {"\"50GBps\"", "\"-5Bps\"", 7, "link 'db': bandwidth is -5 B/s; it must be greater than 0"},
    {"\"50GBps\"", "\"0GBps\"", 7, "link 'db': bandwidth is 0 B/s; it must be greater than 0"},
    {"\"50GBps\"", "\"0.5Bps\"", 7, "link 'db': bandwidth is 0.5 B/s; it must be at least 1 B/s"},
    {"\"50GBps\"", "\"50\"", 7, "link 'db': bandwidth: '50' is no bandwidth, its unit is missing"},
    {"\"50GBps\"", "\"50ns\"", 7, "link 'db': bandwidth: '50ns' is no bandwidth"},
    {"\"100ns\"", "\"-100ns\"", 7, "link 'db': latency is -1e-07 s; it must not be negative"},
    {"\"100ns\"", "\"100\"", 7, "link 'db': latency: '100' is no time"},
    {"\"100ns\"/>", "\"100ns\">" PROP("role", "bus") "</link>",
     7, "link 'db': unknown role 'bus'; allowed: dram sram port"},
    {"\"100ns\"/>", "\"100ns\">" PROP("energy", "1pJ") "</link>",
     7, "link 'db': unknown property 'energy'; allowed: role"},
    {"\"100ns\"/>", "\"100ns\">" PROP("role", "dram") PROP("role", "dram") "</link>",
     7, "'role' is there twice"},
    {"<link id=\"sb\"", "<link id=\"db\"", 8, "link 'db': that name is taken"},
    {"<link id=\"sb\"", "<link id=\"e0\"", 8, "link 'e0': that name is taken"},
    {BUS, BUS "<link id=\"un\" bandwidth=\"1Bps\"/>", 7, "link 'un' is on no route"},
    {"\"100ns\"/>", "\"100ns\">" PROP("role", "dram") "</link>\n"
     "<link id=\"dram\" bandwidth=\"1Bps\">" PROP("role", "port") "</link>",
     8, "link 'dram': that is the name of a role"},
    /* routes */
    {"src=\"s0\"", "src=\"s9\"", 11, "route: src is 's9', and there is no host of that name"},
    {"dst=\"e0\"", "dst=\"db\"",
     11, "route: dst is 'db', and there is no host of that name (it is a link)"},
    {"<link_ctn id=\"p0\"/>", "\n<link_ctn id=\"p1\"/>",
     12, "route 's0' -> 'e0': there is no link 'p1'"},
    {"<link_ctn id=\"p0\"/>", "<link_ctn id=\"x0\"/>", 11, "there is no link 'x0' (it is a host"},
    {"<link_ctn id=\"p0\"/>", "<link_ctn id=\"p0\"/><link_ctn id=\"sb\"/>",
     11, "route 's0' -> 'e0' crosses link 'sb' twice"},
    {ROUTE_DS, "", 4, "no route from 'd0' to 's0'; loads and stores need both ways"},
    {"src=\"d0\" dst=\"s0\"", "src=\"d0\" dst=\"s0\" symmetrical=\"NO\"",
     4, "no route from 's0' to 'd0'"},
    {"src=\"d0\" dst=\"s0\"", "src=\"s0\" dst=\"d0\" symmetrical=\"no\"",
     4, "no route from 'd0' to 's0'"},
    {ROUTE_SE, "<route src=\"d0\" dst=\"d0\"><link_ctn id=\"p0\"/></route>\n",
     11, "route 'd0' -> 'd0': a host needs no route to itself"},
    {ROUTE_SE, "<route src=\"d0\" dst=\"e0\"><link_ctn id=\"p0\"/></route>\n",
     11, "route 'd0' -> 'e0' joins dram and engine; a route joins dram and sram"},
    {ROUTE_SE, ROUTE_SE "<route src=\"x0\" dst=\"s0\"><link_ctn id=\"p0\"/></route>\n",
     12, "route 'x0' -> 's0' joins dma and sram"},
    {"src=\"s0\" dst=\"e0\"", "src=\"e0\" dst=\"s0\" symmetrical=\"NO\"",
     11, "route 'e0' -> 's0': one way from an engine carries nothing"},
    {ROUTE_SE, ROUTE_SE "<route src=\"e0\" dst=\"s0\"><link_ctn id=\"p0\"/></route>\n",
     12, "route 'e0' -> 's0' is already given by route 's0' -> 'e0', which is symmetrical"},
    {ROUTE_SE, "<route src=\"s0\" dst=\"e0\" symmetrical=\"NO\"><link_ctn id=\"p0\"/></route>\n"
     "<route src=\"e0\" dst=\"s0\"><link_ctn id=\"p0\"/></route>\n",
     12, "route 'e0' -> 's0' is already given by route 's0' -> 'e0'"},
    {ROUTE_SE, ROUTE_SE ROUTE_SE, 12, "route 's0' -> 'e0' is already given"},
};
/* clang-format on */
enum { N_BAD = sizeof BAD / sizeof *BAD };

START_TEST(plat_parse_xml__bad_document__is_refused_with_line_and_reason) {
  const struct bad *b = &BAD[_i];
  arena a = {0};
  platform p = {.name = "untouched"};
  err e = {0};
  const char *text = changed(b->from, b->to, &a);
  char *place = arena_printf(&a, "t.xml:%d: ", b->line);
  ck_assert_msg(parse(text, &p, &a, &e) == ERR_BAD, "case %d was accepted:\n%s", _i, text);
  ck_assert_msg(strncmp(e.msg, place, strlen(place)) == 0, "case %d: line %d expected: %s", _i,
                b->line, e.msg);
  ck_assert_msg(strstr(e.msg, b->say) != NULL, "case %d: '%s' expected: %s", _i, b->say, e.msg);
  ck_assert_msg(strchr(e.msg, '\n') == NULL, "case %d: more than one line: %s", _i, e.msg);
  ck_assert_str_eq(p.name, "untouched");
  arena_free(&a);
}
END_TEST

START_TEST(plat_parse_xml__billion_laughs__is_refused_at_once) {
  arena a = {0};
  platform p = {0};
  err e = {0};
  char *text = arena_strdup(&a, "<!DOCTYPE platform [\n<!ENTITY l0 \"lol\">\n");
  for (int i = 1; i < 12; i++) {
    char *ten = arena_strdup(&a, "");
    for (int k = 0; k < 10; k++) ten = arena_printf(&a, "%s&l%d;", ten, i - 1);
    text = arena_printf(&a, "%s<!ENTITY l%d \"%s\">\n", text, i, ten);
  }
  text = arena_printf(&a, "%s]>\n<platform version=\"&l11;\">&l11;</platform>", text);
  clock_t start = clock();
  ck_assert_int_eq(parse(text, &p, &a, &e), ERR_BAD);
  /* 10^11 expansions would take minutes and gigabytes; the refusal is immediate, whatever the
   * machine */
  ck_assert(clock() - start < CLOCKS_PER_SEC);
  ck_assert_str_eq(e.msg,
                   "t.xml:2: declarations inside DOCTYPE (entities, elements, attributes) are not "
                   "allowed; remove [...]");
  arena_free(&a);
}
END_TEST

START_TEST(plat_parse_xml__faults__leave_standard_error_alone) {
  arena a = {0};
  fflush(stderr);
  int saved = dup(STDERR_FILENO);
  FILE *f = tmpfile();
  ck_assert_ptr_nonnull(f);
  dup2(fileno(f), STDERR_FILENO);
  int accepted = 0;
  for (size_t i = 0; i < N_BAD; i++) {
    platform p = {0};
    err e = {0};
    accepted += parse(changed(BAD[i].from, BAD[i].to, &a), &p, &a, &e) == ERR_OK;
  }
  fflush(stderr);
  dup2(saved, STDERR_FILENO);
  close(saved);
  ck_assert_int_eq(accepted, 0);
  fseek(f, 0, SEEK_END);
  ck_assert_int_eq(ftell(f), 0);
  fclose(f);
  arena_free(&a);
}
END_TEST

START_TEST(plat_parse_xml__long_file_and_long_tag__have_the_line_of_the_tag) {
  arena a = {0};
  platform p = {0};
  err e = {0};
  enum { LINES = 70000 }; /* libxml2 keeps 16 bits of a line number */
  char *blank = arena_alloc(&a, LINES + 1, 1);
  memset(blank, '\n', LINES);
  const char *tag = arena_printf(&a, "%s<link\n id=\"sb\"\n bandwidth=\"-1GBps\"\n/>", blank);
  ck_assert_int_eq(parse(changed("<link id=\"sb\" bandwidth=\"200GBps\"/>", tag, &a), &p, &a, &e),
                   ERR_BAD);
  ck_assert_str_eq(e.msg,
                   "t.xml:70008: link 'sb': bandwidth is -1e+09 B/s; it must be greater than 0");
  e = (err){0};
  tag = arena_printf(&a, "%s<link\n id=\"sb\"\n bandwidt=\"-1GBps\"\n/>", blank);
  ck_assert_int_eq(parse(changed("<link id=\"sb\" bandwidth=\"200GBps\"/>", tag, &a), &p, &a, &e),
                   ERR_BAD);
  ck_assert_msg(strncmp(e.msg, "t.xml:70008: <link> has no attribute", 36) == 0, "%s", e.msg);
  arena_free(&a);
}
END_TEST

START_TEST(plat_parse_xml__empty_oversized_or_binary__is_refused) {
  arena a = {0};
  platform p = {0};
  err e = {0};
  ck_assert_int_eq(parse("", &p, &a, &e), ERR_BAD);
  ck_assert_str_eq(e.msg, "t.xml: is empty");
  e = (err){0};
  const unsigned char zeros[64] = {0};
  ck_assert_int_eq(plat_parse_xml("t.xml", zeros, sizeof zeros, &p, &a, &e), ERR_BAD);
  e = (err){0};
  unsigned char *big = mem_alloc(PLAT_XML_MAX + 1, 1);
  memset(big, ' ', PLAT_XML_MAX + 1);
  ck_assert_int_eq(plat_parse_xml("t.xml", big, PLAT_XML_MAX + 1, &p, &a, &e), ERR_BAD);
  ck_assert_ptr_nonnull(strstr(e.msg, "larger than 16 MiB"));
  free(big);
  arena_free(&a);
}
END_TEST

START_TEST(plat_parse_xml__deep_nesting__is_refused) {
  arena a = {0};
  platform p = {0};
  err e = {0};
  out *o = out_memory();
  for (int i = 0; i < 100000; i++) out_str(o, "<zone>");
  size_t n = 0;
  const char *text = out_text(o, &n);
  ck_assert_int_eq(plat_parse_xml("t.xml", (const unsigned char *)text, n, &p, &a, &e), ERR_BAD);
  out_abort(o);
  arena_free(&a);
}
END_TEST

START_TEST(plat_parse_xml__too_many_of_a_kind__is_refused) {
  arena a = {0};
  platform p = {0};
  err e = {0};
  out *o = out_memory();
  out_str(o, HOST_E);
  for (int i = 0; i < PLAT_MAX_ENGINES; i++)
    out_printf(o, "<host id=\"m%d\" speed=\"1Tf\">" ENGINE("") "</host>", i);
  out_char(o, '\0');
  size_t n = 0;
  ck_assert_int_eq(parse(changed(HOST_E, out_text(o, &n), &a), &p, &a, &e), ERR_BAD);
  ck_assert_str_eq(e.msg, "t.xml:2: platform 'z' has more than 1024 of: host of role engine");
  out_abort(o);
  e = (err){0};
  char *ctns = arena_strdup(&a, ""), *links = arena_strdup(&a, "");
  for (int i = 0; i < PLAT_MAX_ROUTE; i++) {
    links = arena_printf(&a, "%s<link id=\"l%d\" bandwidth=\"1Bps\"/>", links, i);
    ctns = arena_printf(&a, "%s<link_ctn id=\"l%d\"/>", ctns, i);
  }
  links = arena_printf(&a, "%s<route src=\"d0\" dst=\"s0\">%s<link_ctn id=\"db\"/>", links, ctns);
  ck_assert_int_eq(parse(changed("<route src=\"d0\" dst=\"s0\">", links, &a), &p, &a, &e), ERR_BAD);
  ck_assert_str_eq(e.msg, "t.xml:10: route 'd0' -> 's0' crosses more than 16 links");
  arena_free(&a);
}
END_TEST

static size_t mutate(unsigned char *bytes, size_t n, uint64_t *seed) {
  for (uint64_t k = 1 + next_random(seed) % 3; k > 0; k--) {
    size_t at = next_random(seed) % n, len = next_random(seed) % 40;
    if (len > n - at) len = n - at;
    switch (next_random(seed) % 4) {
    case 0:
      bytes[at] = (unsigned char)next_random(seed);
      break;
    case 1:
      bytes[at] = (unsigned char)"<>\"&;-/ 0"[next_random(seed) % 9];
      break;
    case 2: /* cut */
      memmove(bytes + at, bytes + at + len, n - at - len);
      n -= len;
      break;
    default: /* copy something over */
      memmove(bytes + at, bytes + next_random(seed) % (n - len + 1), len);
    }
  }
  return n;
}

START_TEST(plat_parse_xml__random_mutations__never_crash) {
  arena a = {0};
  file_bytes file;
  err e = {0};
  char *path = file_find_data("platforms", "npu4", ".xml", &a);
  ck_assert_ptr_nonnull(path);
  ck_assert_int_eq(file_read(path, PLAT_XML_MAX, &file, &a, &e), ERR_OK);
  unsigned char *bytes = mem_alloc(file.len + 1, 1);
  uint64_t seed = 20240607;
  int good = 0, bad = 0;
  for (int i = 0; i < 5000; i++) {
    arena scratch = {0};
    platform p = {0};
    memcpy(bytes, file.data, file.len);
    size_t n = mutate(bytes, file.len, &seed);
    e = (err){0};
    int status = plat_parse_xml("m.xml", bytes, n, &p, &scratch, &e);
    if (status == ERR_OK) {
      ck_assert_int_eq(plat_check(&p, &e), ERR_OK);
      if (i % 8 == 0) round_trip(&p, &scratch);
      good++;
    } else {
      ck_assert_int_eq(status, ERR_BAD);
      ck_assert_msg(strncmp(e.msg, "m.xml:", 6) == 0, "%s", e.msg);
      bad++;
    }
    arena_free(&scratch);
  }
  ck_assert(bad > 1000 && good > 100); /* both ways were exercised */
  free(bytes);
  arena_free(&a);
}
END_TEST

START_TEST(plat_parse_xml__corpus__is_accepted_or_refused_with_a_message) {
  DIR *dir = opendir(TESTS_DIR "/corpus/platform");
  ck_assert_ptr_nonnull(dir);
  int good = 0, bad = 0;
  for (const struct dirent *d; (d = readdir(dir)) != NULL;) {
    arena a = {0};
    platform p = {0};
    err e = {0};
    file_bytes file;
    if (d->d_name[0] == '.') continue;
    const char *path = arena_printf(&a, TESTS_DIR "/corpus/platform/%s", d->d_name);
    ck_assert_int_eq(file_read(path, PLAT_XML_MAX, &file, &a, &e), ERR_OK);
    int status = plat_parse_xml(d->d_name, file.data, file.len, &p, &a, &e);
    ck_assert_msg((status == ERR_OK) == (strncmp(d->d_name, "good", 4) == 0), "%s: %s", d->d_name,
                  e.msg);
    ck_assert(status == ERR_OK || (status == ERR_BAD && e.msg[0] != '\0'));
    *(status == ERR_OK ? &good : &bad) += 1;
    arena_free(&a);
  }
  closedir(dir);
  ck_assert(good > 0 && bad > 0);
}
END_TEST

int main(void) {
  Suite *s = suite_create("platform_bad");
  TCase *t = tcase_create("platform_bad");
  tcase_set_timeout(t, 120);
  tcase_add_loop_test(t, plat_parse_xml__bad_document__is_refused_with_line_and_reason, 0, N_BAD);
  tcase_add_test(t, plat_parse_xml__billion_laughs__is_refused_at_once);
  tcase_add_test(t, plat_parse_xml__faults__leave_standard_error_alone);
  tcase_add_test(t, plat_parse_xml__long_file_and_long_tag__have_the_line_of_the_tag);
  tcase_add_test(t, plat_parse_xml__empty_oversized_or_binary__is_refused);
  tcase_add_test(t, plat_parse_xml__deep_nesting__is_refused);
  tcase_add_test(t, plat_parse_xml__too_many_of_a_kind__is_refused);
  tcase_add_test(t, plat_parse_xml__random_mutations__never_crash);
  tcase_add_test(t, plat_parse_xml__corpus__is_accepted_or_refused_with_a_message);
  suite_add_tcase(s, t);
  return suite_run(s);
}
