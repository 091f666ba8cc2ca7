/* Scratchpads in the platform table: whose they are, what a chip with them must satisfy, and that
 * they come and go with their engines. */
#include "tests/platform_rig.h"
#include "tests/suite.h"

START_TEST(npu4_pads__as_shipped__a_scratchpad_an_engine_beside_the_shared_sram) {
  arena a = {0};
  platform p = load("npu4-pads", &a);
  ck_assert_uint_eq(p.n_srams, 5);
  ck_assert_uint_eq(plat_pad_of(&p, 0), PLAT_NONE);
  ck_assert(p.srams[0].capacity_B == 8. * 1024 * 1024);
  uint32_t sram = plat_host_sram(&p, 0), dram = plat_host_dram(&p);
  for (uint32_t i = 0; i < 4; i++) {
    uint32_t pad = plat_host_sram(&p, i + 1);
    ck_assert_uint_eq(plat_pad_of(&p, i + 1), i);
    ck_assert(p.srams[i + 1].capacity_B == 1024. * 1024);
    ck_assert(plat_find_route(&p, pad, plat_host_engine(&p, i))->bandwidth_Bps == 128e9);
    ck_assert(plat_find_route(&p, sram, plat_host_engine(&p, i))->bandwidth_Bps == 64e9);
    ck_assert(plat_find_route(&p, sram, pad)->bandwidth_Bps == 256e9);
    ck_assert_ptr_null(plat_find_route(&p, dram, pad));
  }
  arena_free(&a);
}
END_TEST

START_TEST(npu4_pads_direct__as_shipped__dram_feeds_scratchpads_past_the_bus) {
  arena a = {0};
  platform p = load("npu4-pads-direct", &a);
  ck_assert_uint_eq(p.n_srams, 5);
  for (uint32_t i = 0; i < 4; i++) {
    uint32_t pad = plat_host_sram(&p, i + 1);
    const plat_route *in = plat_find_route(&p, plat_host_dram(&p), pad);
    ck_assert_uint_eq(in->n_links, 1);
    ck_assert_str_eq(p.links[in->link[0]].name, "dram_bus");
    ck_assert_ptr_null(plat_find_route(&p, plat_host_sram(&p, 0), pad));
    ck_assert_ptr_nonnull(plat_find_route(&p, plat_host_sram(&p, 0), plat_host_engine(&p, i)));
  }
  arena_free(&a);
}
END_TEST

/* Scratchpads aside, both chips are npu4: what differs is what scratchpads do. */
START_TEST(npu4_pads__as_shipped__is_npu4_but_for_the_scratchpads) {
  arena a = {0};
  platform base = load("npu4", &a);
  static const char *const WITH_PADS[] = {"npu4-pads", "npu4-pads-direct"};
  for (int i = 0; i < 2; i++) {
    platform p = load(WITH_PADS[i], &a);
    ck_assert(p.srams[0].capacity_B == base.srams[0].capacity_B);
    ck_assert_uint_eq(p.n_engines, base.n_engines);
    for (size_t e = 0; e < base.n_engines; e++) {
      ck_assert_mem_eq(p.engines[e].rate_flops, base.engines[e].rate_flops,
                       sizeof base.engines[e].rate_flops);
      ck_assert(p.engines[e].vector_rate_flops == base.engines[e].vector_rate_flops);
      ck_assert(p.engines[e].overhead_s == base.engines[e].overhead_s);
    }
    for (size_t l = 0; l < base.n_links; l++) {
      ck_assert_str_eq(p.links[l].name, base.links[l].name);
      ck_assert(p.links[l].bandwidth_Bps == base.links[l].bandwidth_Bps);
      ck_assert(p.links[l].latency_s == base.links[l].latency_s);
    }
  }
  arena_free(&a);
}
END_TEST

static void has_pads(const platform *p, size_t n) {
  ck_assert_uint_eq(p->n_engines, n);
  ck_assert_uint_eq(p->n_srams, n + 1);
  ck_assert_uint_eq(p->n_links, 2 + 2 * n);
  ck_assert_uint_eq(p->n_routes, 1 + 3 * n);
  for (uint32_t i = 0; i < n; i++) {
    uint32_t pad = plat_host_sram(p, i + 1), e = plat_host_engine(p, i);
    char want[32];
    snprintf(want, sizeof want, "pad%u", i);
    ck_assert_str_eq(p->srams[i + 1].name, want);
    ck_assert_uint_eq(plat_pad_of(p, i + 1), i);
    snprintf(want, sizeof want, "pad_port%u", i);
    ck_assert_str_eq(p->links[plat_find_route(p, pad, e)->link[0]].name, want);
    snprintf(want, sizeof want, "port%u", i);
    ck_assert_str_eq(p->links[plat_find_route(p, plat_host_sram(p, 0), e)->link[1]].name, want);
    ck_assert_str_eq(p->links[plat_find_route(p, plat_host_sram(p, 0), pad)->link[0]].name,
                     "sram_bus");
  }
  ck_assert_ptr_nonnull(plat_find_route(p, plat_host_dram(p), plat_host_sram(p, 0)));
  ck_assert_str_eq(plat_host_name(p, plat_host_dram(p)), "dram");
  ck_assert_str_eq(plat_host_name(p, plat_host_dma(p, 0)), "dma0");
}

START_TEST(plat_set__engines__scratchpads_come_and_go_with_them) {
  arena a = {0};
  platform p = load("npu4-pads", &a);
  static const size_t N[] = {6, 3, 1, 2, 64, 4};
  for (size_t i = 0; i < sizeof N / sizeof *N; i++) {
    set(&p, arena_printf(&a, "engines=%zu", N[i]), &a);
    has_pads(&p, N[i]);
    round_trip(&p, &a);
  }
  err e = {0};
  ck_assert_int_eq(plat_set(&p, "engines=1024", &a, &e), ERR_BAD);
  ck_assert_ptr_nonnull(strstr(e.msg, "that makes 1025 srams; at most 1024 are supported"));
  set(&p, "pad1.capacity=2MiB", &a);
  ck_assert(p.srams[2].capacity_B == 2. * 1024 * 1024 && p.srams[3].capacity_B == 1024. * 1024);
  arena_free(&a);
}
END_TEST

/* GOOD with a second sram s1; routes as given */
#define S1                                                                                         \
  "<host id=\"s1\" speed=\"1f\"><prop id=\"role\" value=\"sram\"/><prop id=\"capacity\" "          \
  "value=\"1B\"/></host>"
#define ROUTE(src, dst) "<route src=\"" src "\" dst=\"" dst "\"><link_ctn id=\"sb\"/></route>\n"
#define ONE_WAY(src, dst)                                                                          \
  "<route src=\"" src "\" dst=\"" dst "\" symmetrical=\"NO\"><link_ctn id=\"sb\"/></route>\n"

static const struct {
  const char *routes, *want;
} REACH[] = {
    {ROUTE_DS ROUTE("s0", "s1") ROUTE("s1", "e0"), ""}, /* no route from the dram: moves feed it */
    {ROUTE_DS ONE_WAY("s0", "s1") ROUTE("s1", "e0"), ""},
    {ROUTE_DS ROUTE("d0", "s1"), ""}, /* reaches no engine, but stores leave it */
    {ROUTE("d0", "s1") ROUTE("s0", "s1") ROUTE_DS, ""},
    {ROUTE_DS, "t.xml:4: no route into sram 's1'"},
    {ROUTE_DS ROUTE("s1", "e0"), "t.xml:4: no route into sram 's1'; data comes in from the dram"},
    {ROUTE_DS ONE_WAY("s0", "s1"), "t.xml:4: no route out of sram 's1'"},
    {ROUTE("s0", "s1"), "no route from 'd0' to 's1'; loads and stores need both ways, to and from"},
};

START_TEST(plat_check__what_reaches_a_second_sram__as_the_rules_say) {
  arena a = {0};
  platform p = {0};
  err e = {0};
  char *text = changed(ROUTE_DS, REACH[_i].routes, &a);
  const char *at = strstr(text, "<host id=\"s0\"");
  text = arena_printf(&a, "%.*s" S1 "%s", (int)(at - text), text, at);
  int status = parse(text, &p, &a, &e);
  ck_assert_msg((status == ERR_OK) == (*REACH[_i].want == '\0'), "%s", e.msg);
  ck_assert_msg(strstr(e.msg, REACH[_i].want) != NULL, "want '%s', got %s", REACH[_i].want, e.msg);
  arena_free(&a);
}
END_TEST

int main(void) {
  Suite *s = suite_create("platform_pads");
  TCase *t = tcase_create("pads");
  tcase_add_test(t, npu4_pads__as_shipped__a_scratchpad_an_engine_beside_the_shared_sram);
  tcase_add_test(t, npu4_pads_direct__as_shipped__dram_feeds_scratchpads_past_the_bus);
  tcase_add_test(t, npu4_pads__as_shipped__is_npu4_but_for_the_scratchpads);
  tcase_add_test(t, plat_set__engines__scratchpads_come_and_go_with_them);
  tcase_add_loop_test(t, plat_check__what_reaches_a_second_sram__as_the_rules_say, 0,
                      sizeof REACH / sizeof *REACH);
  suite_add_tcase(s, t);
  return suite_run(s);
}
