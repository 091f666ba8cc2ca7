/* A platform in memory: overrides, checks, routes, writing. Everything is exact: no tolerance. */
#include "tests/platform_rig.h"
#include "tests/suite.h"

/* overrides */

static const struct {
  const char *assignment, *key; /* and the key as plat_key_find knows it */
  plat_obj obj;
  double value;
} SETS[] = {{"engine.speed=8Tf", "speed", PLAT_OBJ_ENGINE, 8e12},
            {"engine.speed=8e12", "speed", PLAT_OBJ_ENGINE, 8e12},
            {"engine.rate.f32=1Tf", "rate.f32", PLAT_OBJ_ENGINE, 1e12},
            {"engine.vector_rate=64Gf", "vector_rate", PLAT_OBJ_ENGINE, 64e9},
            {"engine.task_overhead=2us", "task_overhead", PLAT_OBJ_ENGINE, 2e-6},
            {"engine.task_overhead=0", "task_overhead", PLAT_OBJ_ENGINE, 0},
            {"engine.efficiency.matmul=0.5", "efficiency.MatMul", PLAT_OBJ_ENGINE, 0.5},
            {"engine.efficiency.PV=0.25", "efficiency.PV", PLAT_OBJ_ENGINE, 0.25},
            {"engine.power.idle=1W", "power.idle", PLAT_OBJ_ENGINE, 1},
            {"engine.energy.bf16=2pJ", "energy.bf16", PLAT_OBJ_ENGINE, 2e-12},
            {"engine.energy.vector=3pJ", "energy.vector", PLAT_OBJ_ENGINE, 3e-12},
            {"sram.capacity=4MiB", "capacity", PLAT_OBJ_SRAM, 4194304},
            {"sram.capacity=4MB", "capacity", PLAT_OBJ_SRAM, 4e6},
            {"sram.energy=1pJ", "energy", PLAT_OBJ_SRAM, 1e-12},
            {"dram.capacity=16GiB", "capacity", PLAT_OBJ_DRAM, 17179869184.},
            {"dram.efficiency=0.8", "efficiency", PLAT_OBJ_DRAM, 0.8},
            {"dram.energy=1nJ", "energy", PLAT_OBJ_DRAM, 1e-9},
            {"dma.setup=1us", "setup", PLAT_OBJ_DMA, 1e-6}};

START_TEST(plat_set__property_of_a_role__sets_all_hosts) {
  arena a = {0};
  platform p = load("npu4", &a);
  set(&p, SETS[_i].assignment, &a);
  plat_key k = plat_key_find(SETS[_i].obj, SETS[_i].key);
  ck_assert_ptr_nonnull(k.prop);
  for (size_t i = 0; SETS[_i].obj == PLAT_OBJ_ENGINE && i < p.n_engines; i++)
    ck_assert(plat_key_get(k, &p.engines[i]) == SETS[_i].value);
  if (SETS[_i].obj == PLAT_OBJ_SRAM) ck_assert(plat_key_get(k, &p.srams[0]) == SETS[_i].value);
  if (SETS[_i].obj == PLAT_OBJ_DRAM) ck_assert(plat_key_get(k, &p.dram) == SETS[_i].value);
  if (SETS[_i].obj == PLAT_OBJ_DMA) ck_assert(plat_key_get(k, &p.dmas[0]) == SETS[_i].value);
  ck_assert_uint_eq(p.n_overrides, 1);
  ck_assert_str_eq(arena_printf(&a, "%s=%s", p.overrides[0].key, p.overrides[0].value),
                   SETS[_i].assignment);
  round_trip(&p, &a);
  arena_free(&a);
}
END_TEST

START_TEST(plat_set__integers__are_set) {
  arena a = {0};
  platform p = load("npu4", &a);
  set(&p, "dma.channels=4", &a);
  ck_assert_uint_eq(p.dmas[0].channels, 4);
  set(&p, "engine2.matrix_shape=16,32,8", &a);
  ck_assert_uint_eq(p.engines[2].matrix_shape[1], 32);
  ck_assert_uint_eq(p.engines[1].matrix_shape[1], 1);
  round_trip(&p, &a);
  arena_free(&a);
}
END_TEST

START_TEST(plat_set__speed__takes_unstated_rates_along) {
  arena a = {0};
  platform p = load("npu4", &a);
  set(&p, "engine.speed=10Tf", &a);
  ck_assert(p.engines[3].rate_flops[DT_F32] == 10e12); /* not stated: follows */
  ck_assert(p.engines[3].rate_flops[DT_INT8] == 8e12); /* stated: stays */
  ck_assert(p.engines[3].vector_rate_flops == 128e9);  /* stated: stays */
  set(&p, "engine.rate.f32=1Tf", &a);
  set(&p, "engine.speed=20Tf", &a);
  ck_assert(p.engines[3].rate_flops[DT_F32] == 1e12);
  arena_free(&a);
}
END_TEST

START_TEST(plat_set__links__by_role_and_by_name_refresh_routes) {
  arena a = {0};
  platform p = load("npu4", &a);
  uint32_t dram = plat_host_dram(&p), sram = plat_host_sram(&p, 0);
  set(&p, "dram.bandwidth=102.4GBps", &a);
  ck_assert(plat_find_route(&p, dram, sram)->bandwidth_Bps == 102.4e9);
  set(&p, "sram.bandwidth=60GBps", &a); /* now the narrowest of both kinds of route */
  ck_assert(plat_find_route(&p, dram, sram)->bandwidth_Bps == 60e9);
  ck_assert(plat_find_route(&p, sram, 2)->bandwidth_Bps == 60e9);
  set(&p, "port.latency=5ns", &a);
  set(&p, "sram_bus.latency=2ns", &a);
  ck_assert(plat_find_route(&p, sram, 3)->latency_s == 2e-9 + 5e-9);
  ck_assert(plat_find_route(&p, dram, sram)->latency_s == 100e-9 + 2e-9);
  set(&p, "port2.bandwidth=1GBps", &a);
  ck_assert(plat_find_route(&p, sram, 2)->bandwidth_Bps == 1e9);
  ck_assert(plat_find_route(&p, sram, 1)->bandwidth_Bps == 60e9);
  set(&p, "engine1.speed=1Tf", &a);
  ck_assert(p.engines[1].speed_flops == 1e12 && p.engines[0].speed_flops == 4e12);
  ck_assert_uint_eq(p.n_overrides, 6);
  set(&p, "dram.bandwidth=1GBps", &a); /* said again: it moves to the end */
  ck_assert_uint_eq(p.n_overrides, 6);
  ck_assert_str_eq(p.overrides[5].key, "dram.bandwidth");
  ck_assert_str_eq(p.overrides[5].value, "1GBps");
  arena_free(&a);
}
END_TEST

static const struct {
  const char *assignment, *say;
} WRONG[] = {
    {"engines", "it must be KEY=VALUE"},
    {"=3", "it must be KEY=VALUE"},
    {"engines=", "it must be KEY=VALUE"},
    {"engines=0", "engines: '0' is out of range; it must be a whole number from 1 to 1024"},
    {"engines=1025", "from 1 to 1024"},
    {"engines=-1", "'-1' is no whole number"},
    {"engines=4.5", "'4.5' is no whole number"},
    {"foo.bar=1", "no such key; this platform has: engines, engine.{speed,rate.<dtype>,"},
    {"foo.bar=1", "port.{bandwidth,latency}; and by name: engine0, engine1"},
    {"foo=1", "no such key"},
    {".speed=1", "no such key"},
    {"engine=1", "no such key"},
    {"engine.=1", "'engine' has no ''; it has: speed rate.<dtype>"},
    {"engine.capacity=1", "'engine' has no 'capacity'; it has: speed"},
    {"engine.native=f32", "'engine' has no 'native'"},
    {"engine.rate.bf16=1Tf", "rate.bf16 is the rate of the native dtype: set speed instead"},
    {"engine9.speed=1Tf", "no such key"},
    {"engine.speed=-1", "speed is -1 flop/s; it must be greater than 0"},
    {"engine.speed=8GBps", "speed: '8GBps' is no speed"},
    {"engine.speed=nan", "speed: 'nan' is no speed"},
    {"engine.efficiency.RMSNorm=0.5", "has no 'efficiency.RMSNorm'; it has: speed"},
    {"sram.capacity=0", "capacity is 0 B; it must be greater than 0"},
    {"dram.capacity=0", "capacity is 0 B; it must be greater than 0"},
    {"dram.efficiency=1.01", "efficiency is 1.01; it must be greater than 0 and at most 1"},
    {"dram.bandwidth=0", "bandwidth is 0 B/s; it must be greater than 0"},
    {"dram_bus.latency=-1ns", "latency is -1e-09 s; it must not be negative"},
    {"dram_bus.capacity=1", "'dram_bus' has no 'capacity'; it has: bandwidth latency"},
    {"dma.channels=257", "it must be a whole number from 1 to 256"},
    {"dma.channels=2.0", "'2.0' is no whole number"},
};

START_TEST(plat_set__wrong__says_why_and_changes_nothing) {
  arena a = {0};
  err e = {0};
  platform p = load("npu4", &a), before = load("npu4", &a);
  ck_assert_int_eq(plat_set(&p, WRONG[_i].assignment, &a, &e), ERR_BAD);
  char *start = arena_printf(&a, "--set %s: ", WRONG[_i].assignment);
  ck_assert_msg(strncmp(e.msg, start, strlen(start)) == 0, "%s", e.msg);
  ck_assert_msg(strstr(e.msg, WRONG[_i].say) != NULL, "'%s' expected: %s", WRONG[_i].say, e.msg);
  same_platform(&p, &before);
  ck_assert_uint_eq(p.n_overrides, 0);
  arena_free(&a);
}
END_TEST

START_TEST(plat_set__wrong_for_one_of_many__changes_none) {
  arena a = {0};
  platform p = {0};
  err e = {0};
  /* e1's native dtype is f32, whose rate is not to be set: e0, before it, must not change either */
  char *text = changed(ROUTE_SE,
                       ROUTE_SE "<route src=\"s0\" dst=\"e1\"><link_ctn id=\"sb\"/></route>\n", &a);
  char *host = strstr(text, "<host");
  text = arena_printf(
      &a, "%.*s" HOST_E "<host id=\"e1\" speed=\"1Tf\">" ENGINE(PROP("native", "f32")) "</host>%s",
      (int)(host - text), text, host + strlen(HOST_E));
  ck_assert_msg(parse(text, &p, &a, &e) == ERR_OK, "%s", e.msg);
  ck_assert_int_eq(plat_set(&p, "engine.rate.f32=2Tf", &a, &e), ERR_BAD);
  ck_assert(p.engines[0].rate_flops[DT_F32] == 4e12);
  arena_free(&a);
}
END_TEST

START_TEST(plat_set__a_copy_of_the_table__keeps_its_values) {
  arena a = {0};
  platform p = load("npu4", &a), copy = p, before = load("npu4", &a);
  set(&p, "engine.speed=1Tf", &a);
  set(&p, "dram.bandwidth=1GBps", &a);
  set(&p, "engines=1", &a);
  same_platform(&copy, &before);
  arena_free(&a);
}
END_TEST

START_TEST(plat_set__engines__clones_the_last_with_its_port) {
  arena a = {0};
  platform p = load(SHIPPED[_i], &a);
  set(&p, "engine.efficiency.QK=0.5", &a);
  set(&p, "engines=64", &a);
  ck_assert_uint_eq(p.n_engines, 64);
  ck_assert_uint_eq(p.n_links, 2 + 64);
  ck_assert_uint_eq(p.n_routes, 1 + 64);
  for (uint32_t i = 0; i < 64; i++) {
    ck_assert_str_eq(p.engines[i].name, arena_printf(&a, "engine%u", i));
    ck_assert(p.engines[i].efficiency[OP_QK] == 0.5 && p.engines[i].rate_flops[DT_INT8] == 8e12);
    const plat_route *r = plat_find_route(&p, plat_host_sram(&p, 0), plat_host_engine(&p, i));
    ck_assert_ptr_nonnull(r);
    ck_assert_str_eq(p.links[r->link[0]].name, "sram_bus");
    ck_assert_str_eq(p.links[r->link[1]].name, arena_printf(&a, "port%u", i));
  }
  ck_assert_ptr_nonnull(plat_find_route(&p, plat_host_dram(&p), plat_host_sram(&p, 0)));
  ck_assert_str_eq(plat_host_name(&p, plat_host_dma(&p, 0)), "dma0");
  round_trip(&p, &a);
  arena_free(&a);
}
END_TEST

START_TEST(plat_set__engines_down_and_up__gives_the_same_platform) {
  arena a = {0};
  platform p = load("npu4", &a), before = load("npu4", &a);
  set(&p, "engines=1", &a);
  ck_assert_uint_eq(p.n_engines, 1);
  ck_assert_uint_eq(p.n_links, 3); /* the ports of those who left are gone */
  ck_assert_int_eq(p.links[1].role, PLAT_LINK_SRAM);
  round_trip(&p, &a);
  set(&p, "engines=4", &a);
  set(&p, "engines=4", &a);
  same_platform(&p, &before);
  ck_assert_uint_eq(p.n_overrides, 1);
  set(&p, "engines=1024", &a);
  ck_assert_uint_eq(p.n_links, 2 + 1024);
  set(&p, "engines=4", &a);
  same_platform(&p, &before);
  arena_free(&a);
}
END_TEST

START_TEST(plat_set__engines__without_port_share_the_bus) {
  arena a = {0};
  platform p = {0};
  err e = {0};
  ck_assert_msg(parse(changed("<link_ctn id=\"sb\"/><link_ctn id=\"p0\"/></route>",
                              "<link_ctn id=\"p0\"/></route>", &a),
                      &p, &a, &e) == ERR_OK,
                "%s", e.msg);
  ck_assert_int_eq(p.links[2].role, PLAT_LINK_SRAM); /* the only engine's only link: a bus */
  set(&p, "engines=3", &a);
  ck_assert_uint_eq(p.n_links, 3);
  ck_assert_uint_eq(plat_find_route(&p, plat_host_sram(&p, 0), 2)->link[0], 2);
  arena_free(&a);
}
END_TEST

START_TEST(plat_set__engines__skip_taken_names_and_keep_width) {
  arena a = {0};
  platform p = {0};
  err e = {0};
  char *text = changed("id=\"x0\"", "id=\"e1\"", &a);
  ck_assert_msg(parse(text, &p, &a, &e) == ERR_OK, "%s", e.msg);
  set(&p, "engines=3", &a);
  ck_assert_str_eq(p.engines[1].name, "e2"); /* e1 is the dma */
  ck_assert_str_eq(p.engines[2].name, "e3");
  ck_assert_str_eq(p.links[4].name, "p2");
  text = changed("<host id=\"e0\"", "<host id=\"npu-07\"", &a);
  char *route = strstr(text, "dst=\"e0\"");
  text = arena_printf(&a, "%.*sdst=\"npu-07\"%s", (int)(route - text), text,
                      route + strlen("dst=\"e0\""));
  ck_assert_msg(parse(text, &p, &a, &e) == ERR_OK, "%s", e.msg);
  set(&p, "engines=4", &a);
  ck_assert_str_eq(p.engines[1].name, "npu-08");
  ck_assert_str_eq(p.engines[3].name, "npu-10");
  arena_free(&a);
}
END_TEST

/* Two srams, e0 on both, each way with a link of its own. */
static const char TWO_SRAMS[] =
    "<platform version=\"4.1\"><zone id=\"two\" routing=\"Full\">"
    "<host id=\"e0\" speed=\"1Tf\">" ENGINE(
        "") "</host>"
            "<host id=\"e1\" speed=\"1Tf\">" ENGINE(
                "") "</host>"
                    "<host id=\"s0\" speed=\"1f\">" PROP("role", "sram")
                        PROP("capacity",
                             "1MiB") "</host>"
                                     "<host id=\"s1\" speed=\"1f\">" PROP("role", "sram")
                                         PROP("capacity",
                                              "2MiB") "</host>" DRAM DMA
                                                      "<link id=\"db\" bandwidth=\"1GBps\"/><link "
                                                      "id=\"noc\" bandwidth=\"3GBps\"/>"
                                                      "<link id=\"a0\" bandwidth=\"4GBps\"/><link "
                                                      "id=\"a1\" bandwidth=\"5GBps\"/><link "
                                                      "id=\"b1\" bandwidth=\"6GBps\"/>"
                                                      "<route src=\"d0\" dst=\"s0\"><link_ctn "
                                                      "id=\"db\"/></route>"
                                                      "<route src=\"s1\" dst=\"d0\"><link_ctn "
                                                      "id=\"db\"/></route>"
                                                      "<route src=\"s0\" dst=\"s1\"><link_ctn "
                                                      "id=\"noc\"/></route>"
                                                      "<route src=\"s0\" dst=\"e0\"><link_ctn "
                                                      "id=\"a0\"/></route>"
                                                      "<route src=\"s0\" dst=\"e1\"><link_ctn "
                                                      "id=\"a1\"/></route>"
                                                      "<route src=\"e1\" dst=\"s1\"><link_ctn "
                                                      "id=\"noc\"/><link_ctn id=\"b1\"/></route>"
                                                      "</zone></platform>";

START_TEST(plat_set__engines__clone_reaches_every_sram) {
  arena a = {0};
  platform p = {0};
  err e = {0};
  ck_assert_msg(parse(TWO_SRAMS, &p, &a, &e) == ERR_OK, "%s", e.msg);
  ck_assert_int_eq(p.links[0].role, PLAT_LINK_DRAM);
  ck_assert_int_eq(p.links[1].role, PLAT_LINK_PORT); /* of e1's routes alone, among engines */
  set(&p, "engines=3", &a);
  const plat_route *r = plat_find_route(&p, plat_host_sram(&p, 1), 2);
  ck_assert_ptr_nonnull(r);
  ck_assert_str_eq(p.links[r->link[0]].name, "noc"); /* used between srams as well: not cloned */
  ck_assert_str_eq(p.links[r->link[1]].name, "b2");
  ck_assert_str_eq(p.links[plat_find_route(&p, plat_host_sram(&p, 0), 2)->link[0]].name, "a2");
  round_trip(&p, &a);
  set(&p, "engines=1", &a); /* e1's links go, noc stays for the srams */
  ck_assert_uint_eq(p.n_links, 3);
  ck_assert_ptr_null(plat_find_route(&p, plat_host_sram(&p, 1), 0));
  ck_assert_ptr_nonnull(plat_find_route(&p, plat_host_sram(&p, 1), plat_host_sram(&p, 0)));
  round_trip(&p, &a);
  arena_free(&a);
}
END_TEST

/* routes */

START_TEST(plat_find_route__every_pair__agrees_with_a_search) {
  arena a = {0};
  platform p = {0};
  err e = {0};
  ck_assert_int_eq(parse(TWO_SRAMS, &p, &a, &e), ERR_OK);
  set(&p, "engines=37", &a);
  uint32_t hosts = plat_host_dma(&p, p.n_dmas);
  size_t found = 0;
  for (uint32_t src = 0; src < hosts; src++)
    for (uint32_t dst = 0; dst < hosts; dst++) {
      const plat_route *want = NULL;
      for (size_t i = 0; i < p.n_routes; i++) {
        const plat_route *r = &p.routes[i];
        if ((r->src == src && r->dst == dst) || (r->symmetrical && r->src == dst && r->dst == src))
          want = r;
      }
      ck_assert_ptr_eq(plat_find_route(&p, src, dst), want);
      found += want != NULL;
    }
  ck_assert_uint_eq(found, 2 * p.n_routes);
  arena_free(&a);
}
END_TEST

START_TEST(plat_check__table_without_file__names_the_thing) {
  arena a = {0};
  err e = {0};
  platform p = load("npu4", &a);
  p.engines[2].speed_flops = 0;
  ck_assert_int_eq(plat_check(&p, &e), ERR_BAD);
  ck_assert_str_eq(e.msg, "host 'engine2': speed is 0 flop/s; it must be greater than 0");
  p = load("npu4", &a);
  p.links[1].bandwidth_Bps = 0. / 0.;
  e = (err){0};
  ck_assert_int_eq(plat_check(&p, &e), ERR_BAD);
  ck_assert_ptr_nonnull(strstr(e.msg, "link 'sram_bus': bandwidth is"));
  ck_assert_ptr_nonnull(strstr(e.msg, "it must be finite"));
  p = load("npu4", &a);
  p.n_dmas = 0;
  e = (err){0};
  ck_assert_int_eq(plat_check(&p, &e), ERR_BAD);
  ck_assert_str_eq(e.msg, "platform 'npu4' has no host of role dma; it needs at least one");
  arena_free(&a);
}
END_TEST

/* writing */

START_TEST(plat_write_xml__numbers__are_plain_and_exact) {
  arena a = {0};
  platform p = load("npu4", &a), q = {0};
  err e = {0};
  const char *text = written(&p, false, &a);
  ck_assert_ptr_nonnull(
      strstr(text, "<link id=\"dram_bus\" bandwidth=\"51200000000Bps\" latency=\"0.0000001s\""));
  ck_assert_ptr_nonnull(strstr(text, "<host id=\"sram\" speed=\"1f\">"));
  ck_assert_ptr_nonnull(strstr(text, "<prop id=\"capacity\" value=\"8388608B\"/>"));
  text = written(&p, true, &a);
  ck_assert_ptr_null(strstr(text, "latency=\"0.0"));
  ck_assert_int_eq(parse(text, &q, &a, &e), ERR_OK);
  for (size_t i = 0; i < q.n_links; i++) ck_assert(q.links[i].latency_s == 0);
  set(&p, "dram.bandwidth=0.1GBps", &a);
  set(&p, "sram_bus.bandwidth=123456789.123456789", &a);
  set(&p, "port0.latency=3.3333333333333333e-7", &a);
  set(&p, "port1.latency=5e-324", &a);
  set(&p, "engine.speed=1e21", &a);
  set(&p, "dram.efficiency=0.3333333333333333", &a);
  round_trip(&p, &a);
  arena_free(&a);
}
END_TEST

START_TEST(plat_num__random_doubles__read_back_to_the_same) {
  char buf[PLAT_NUM_TEXT];
  uint64_t seed = 7;
  ck_assert_str_eq(plat_num(buf, 0), "0");
  ck_assert_str_eq(plat_num(buf, 1e-7), "0.0000001");
  ck_assert_str_eq(plat_num(buf, 51.2e9), "51200000000");
  ck_assert_str_eq(plat_num(buf, 0.1), "0.1");
  for (int i = 0; i < 20000; i++) {
    uint64_t bits = next_random(&seed);
    double v;
    bits &= ~(1ull << 63);
    memcpy(&v, &bits, sizeof v);
    if (!(v < 1e21)) continue;
    plat_num(buf, v);
    ck_assert_msg(strtod(buf, NULL) == v &&
                      (v < 1e-80 || strspn(buf, "0123456789.") == strlen(buf)),
                  "%a: %s", v, buf);
  }
}
END_TEST

START_TEST(plat_print__npu4__names_every_resource) {
  static const char *const WORDS[] = {"npu4: 4 engines",
                                      "engine0..engine3",
                                      "4 Tflop/s bf16",
                                      "8 Tflop/s int8",
                                      "8 MiB",
                                      "2 channels",
                                      "51.2 GB/s; latency 100 ns; dram",
                                      "port0..port3",
                                      "dram <-> sram",
                                      "312.5 FLOP/B",
                                      "with dma.channels=2"};
  arena a = {0};
  err e = {0};
  size_t n = 0;
  platform p = load("npu4", &a);
  set(&p, "dma.channels=2", &a);
  out *o = out_memory();
  plat_print(&p, o);
  const char *text = out_text(o, &n);
  text = arena_strndup(&a, text, n);
  ck_assert_int_eq(out_close(o, &e), ERR_OK);
  for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++)
    ck_assert_msg(strstr(text, WORDS[i]) != NULL, "'%s' is missing in\n%s", WORDS[i], text);
  arena_free(&a);
}
END_TEST

int main(void) {
  Suite *s = suite_create("platform_set");
  TCase *t = tcase_create("platform_set");
  tcase_set_timeout(t, 120);
  tcase_add_loop_test(t, plat_set__property_of_a_role__sets_all_hosts, 0,
                      sizeof SETS / sizeof *SETS);
  tcase_add_test(t, plat_set__integers__are_set);
  tcase_add_test(t, plat_set__speed__takes_unstated_rates_along);
  tcase_add_test(t, plat_set__links__by_role_and_by_name_refresh_routes);
  tcase_add_loop_test(t, plat_set__wrong__says_why_and_changes_nothing, 0,
                      sizeof WRONG / sizeof *WRONG);
  tcase_add_test(t, plat_set__wrong_for_one_of_many__changes_none);
  tcase_add_test(t, plat_set__a_copy_of_the_table__keeps_its_values);
  tcase_add_loop_test(t, plat_set__engines__clones_the_last_with_its_port, 0, N_SHARED);
  tcase_add_test(t, plat_set__engines_down_and_up__gives_the_same_platform);
  tcase_add_test(t, plat_set__engines__without_port_share_the_bus);
  tcase_add_test(t, plat_set__engines__skip_taken_names_and_keep_width);
  tcase_add_test(t, plat_set__engines__clone_reaches_every_sram);
  tcase_add_test(t, plat_find_route__every_pair__agrees_with_a_search);
  tcase_add_test(t, plat_check__table_without_file__names_the_thing);
  tcase_add_test(t, plat_write_xml__numbers__are_plain_and_exact);
  tcase_add_test(t, plat_num__random_doubles__read_back_to_the_same);
  tcase_add_test(t, plat_print__npu4__names_every_resource);
  suite_add_tcase(s, t);
  return suite_run(s);
}
