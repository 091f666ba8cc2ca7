/* Reading good platforms. Everything is exact: no tolerance. */
#include "tests/platform_rig.h"
#include "tests/suite.h"

START_TEST(plat_load__shipped_file__is_valid_and_named_after_it) {
  arena a = {0};
  platform p = load(SHIPPED[_i], &a);
  ck_assert_str_eq(p.name, SHIPPED[_i]);
  platform q = load(arena_printf(&a, "platforms/%s.xml", SHIPPED[_i]), &a);
  same_platform(&p, &q);
  round_trip(&p, &a);
  arena_free(&a);
}
END_TEST

START_TEST(plat_load__npu4__has_the_documented_numbers) {
  arena a = {0};
  platform p = load("npu4", &a);
  ck_assert_uint_eq(p.n_engines, 4);
  ck_assert_uint_eq(p.n_srams, 1);
  ck_assert_uint_eq(p.n_dmas, 1);
  ck_assert_uint_eq(p.n_links, 6);
  ck_assert_uint_eq(p.n_routes, 5);
  for (uint32_t i = 0; i < 4; i++) {
    const plat_engine *e = &p.engines[i];
    ck_assert_str_eq(e->name, arena_printf(&a, "engine%u", i));
    ck_assert_int_eq(e->native, DT_BF16);
    ck_assert(e->speed_flops == 4e12 && e->rate_flops[DT_BF16] == 4e12);
    ck_assert(e->rate_flops[DT_INT8] == 8e12 && e->rate_flops[DT_F32] == 4e12);
    ck_assert(e->vector_rate_flops == 128e9 && e->overhead_s == 500e-9);
    ck_assert(e->efficiency[OP_MATMUL] == 1 && e->matrix_shape[0] == 1);
    const plat_route *r = plat_find_route(&p, plat_host_sram(&p, 0), plat_host_engine(&p, i));
    ck_assert_ptr_nonnull(r);
    ck_assert_uint_eq(r->n_links, 2);
    ck_assert_str_eq(p.links[r->link[0]].name, "sram_bus");
    ck_assert_str_eq(p.links[r->link[1]].name, arena_printf(&a, "port%u", i));
    ck_assert(r->bandwidth_Bps == 64e9 && r->latency_s == 0);
    ck_assert_int_eq(p.links[r->link[1]].role, PLAT_LINK_PORT);
  }
  ck_assert(p.srams[0].capacity_B == 8. * 1024 * 1024);
  ck_assert(p.dram.capacity_B == 0 && p.dram.efficiency == 1);
  ck_assert_uint_eq(p.dmas[0].channels, 2);
  ck_assert(p.dmas[0].setup_s == 200e-9);
  const plat_route *r = plat_find_route(&p, plat_host_sram(&p, 0), plat_host_dram(&p));
  ck_assert_ptr_nonnull(r);
  ck_assert_str_eq(p.links[r->link[0]].name, "dram_bus");
  ck_assert_str_eq(p.links[r->link[1]].name, "sram_bus");
  ck_assert(r->bandwidth_Bps == 51.2e9 && r->latency_s == 100e-9);
  ck_assert_str_eq(plat_host_name(&p, plat_host_dma(&p, 0)), "dma0");
  ck_assert_str_eq(plat_host_name(&p, plat_host_dram(&p)), "dram");
  arena_free(&a);
}
END_TEST

START_TEST(plat_load__variants__differ_in_what_they_teach) {
  arena a = {0};
  ck_assert_uint_eq(load("npu1", &a).n_engines, 1);
  ck_assert_uint_eq(load("npu16", &a).n_engines, 16);
  ck_assert(load("npu4-sram1m", &a).srams[0].capacity_B == 1024. * 1024);
  platform hbm = load("npu4-hbm", &a);
  ck_assert(hbm.links[0].bandwidth_Bps == 819.2e9 && hbm.links[1].bandwidth_Bps == 2e12);
  ck_assert(hbm.links[2].bandwidth_Bps == 256e9);
  arena_free(&a);
}
END_TEST

START_TEST(plat_load__unknown_name__lists_what_is_shipped) {
  arena a = {0};
  platform p = {0};
  err e = {0};
  ck_assert_int_eq(plat_load("npu5", &p, &a, &e), ERR_BAD);
  ck_assert_ptr_nonnull(strstr(e.msg, "'npu5': no such file"));
  for (size_t i = 0; i < N_SHIPPED; i++) ck_assert_ptr_nonnull(strstr(e.msg, SHIPPED[i]));
  e = (err){0};
  ck_assert_int_eq(plat_load("/nowhere/npu4.xml", &p, &a, &e), ERR_BAD);
  e = (err){0};
  ck_assert_int_eq(plat_load("/", &p, &a, &e), ERR_BAD);
  arena_free(&a);
}
END_TEST

START_TEST(plat_parse_xml__defaults__as_documented) {
  arena a = {0};
  platform p = {0};
  err e = {0};
  ck_assert_msg(parse(GOOD, &p, &a, &e) == ERR_OK, "%s", e.msg);
  const plat_engine *g = &p.engines[0];
  ck_assert_int_eq(g->native, DT_BF16);
  ck_assert(g->rate_flops[DT_INT8] == 4e12 && g->vector_rate_flops == 4e12 / 32);
  ck_assert(g->overhead_s == 0 && g->idle_W == 0 && g->energy_J[DT_BF16] == 0 &&
            g->vector_energy_J == 0);
  ck_assert(p.dram.capacity_B == 0 && p.dram.efficiency == 1 && p.dram.energy_J == 0);
  ck_assert(p.srams[0].efficiency == 1 && p.srams[0].energy_J == 0);
  ck_assert(p.dmas[0].channels == 1 && p.dmas[0].setup_s == 0);
  ck_assert(p.links[1].latency_s == 0 && !p.links[1].fatpipe);
  ck_assert_int_eq(p.links[0].role, PLAT_LINK_DRAM); /* on the dram's route alone */
  ck_assert_int_eq(p.links[1].role, PLAT_LINK_SRAM); /* shared with an engine's route */
  ck_assert_int_eq(p.links[2].role, PLAT_LINK_PORT); /* one engine's alone */
  ck_assert_uint_eq(p.n_overrides, 0);
  round_trip(&p, &a);
  arena_free(&a);
}
END_TEST

START_TEST(plat_parse_xml__every_property__is_read_and_written_back) {
  arena a = {0};
  platform p = {0};
  err e = {0};
  char *text = changed(
      "<host id=\"e0\" speed=\"4Tf\"><prop id=\"role\" value=\"engine\"/></host>",
      "<host id=\"e0\" speed=\"1.5Pf\"><prop id=\"rate.f32\" value=\"100Gf\"/>"
      "<prop id=\"native\" value=\"int8\"/><prop id=\"role\" value=\"engine\"/>"
      "<prop id=\"vector_rate\" value=\"7Mf\"/><prop id=\"task_overhead\" value=\"3us\"/>"
      "<prop id=\"matrix_shape\" value=\"16,8,64\"/>"
      "<prop id=\"efficiency.matmul\" value=\"0.75\"/><prop id=\"efficiency.QK\" value=\"0.1\"/>"
      "<prop id=\"power.idle\" value=\"2W\"/><prop id=\"energy.int8\" value=\"0.3pJ\"/>"
      "<prop id=\"energy.vector\" value=\"9nJ\"/></host>",
      &a);
  ck_assert_msg(parse(text, &p, &a, &e) == ERR_OK, "%s", e.msg);
  const plat_engine *g = &p.engines[0];
  ck_assert(g->speed_flops == 1.5e15 && g->rate_flops[DT_INT8] == 1.5e15 &&
            g->rate_flops[DT_F32] == 1e11);
  ck_assert(g->vector_rate_flops == 7e6 && g->overhead_s == 3e-6);
  ck_assert_uint_eq(g->matrix_shape[0], 16);
  ck_assert_uint_eq(g->matrix_shape[1], 8);
  ck_assert_uint_eq(g->matrix_shape[2], 64);
  ck_assert(g->efficiency[OP_MATMUL] == 0.75 && g->efficiency[OP_QK] == 0.1 &&
            g->efficiency[OP_PV] == 1);
  ck_assert(g->idle_W == 2 && g->energy_J[DT_INT8] == 0.3e-12 && g->vector_energy_J == 9e-9);
  round_trip(&p, &a);
  text = changed("<link id=\"p0\" bandwidth=\"60GBps\" latency=\"1ns\"/>",
                 "<link id=\"p0\" bandwidth=\"60GBps\" sharing_policy=\"FATPIPE\">"
                 "<prop id=\"role\" value=\"sram\"/></link>",
                 &a);
  ck_assert_msg(parse(text, &p, &a, &e) == ERR_OK, "%s", e.msg);
  ck_assert(p.links[2].fatpipe && p.links[2].role == PLAT_LINK_SRAM);
  round_trip(&p, &a);
  arena_free(&a);
}
END_TEST

START_TEST(plat_parse_xml__doctype__is_accepted_and_never_fetched) {
  arena a = {0};
  platform p = {0};
  err e = {0};
  ck_assert_int_eq(parse(changed("<platform version",
                                 "<?xml version=\"1.0\"?>\n<!DOCTYPE platform SYSTEM "
                                 "\"http://192.0.2.1/simgrid/simgrid.dtd\">\n<platform version",
                                 &a),
                         &p, &a, &e),
                   ERR_OK);
  arena_free(&a);
}
END_TEST

START_TEST(plat_parse_xml__symmetrical__in_either_case) {
  static const char *const YES[] = {"YES", "yes", "NO", "no"};
  arena a = {0};
  for (int i = 0; i < 4; i++) {
    platform p = {0};
    err e = {0};
    char *tag = arena_printf(&a, "<route src=\"s0\" dst=\"e0\" symmetrical=\"%s\">", YES[i]);
    ck_assert_int_eq(parse(changed("<route src=\"s0\" dst=\"e0\">", tag, &a), &p, &a, &e), ERR_OK);
    ck_assert_int_eq(p.routes[1].symmetrical, i < 2);
  }
  arena_free(&a);
}
END_TEST

START_TEST(plat_parse_xml__one_way_route__is_found_one_way_only) {
  arena a = {0};
  platform p = {0};
  err e = {0};
  ck_assert_msg(parse(changed("<route src=\"s0\" dst=\"e0\">",
                              "<route src=\"s0\" dst=\"e0\" symmetrical=\"NO\">", &a),
                      &p, &a, &e) == ERR_OK,
                "%s", e.msg);
  ck_assert_ptr_nonnull(plat_find_route(&p, plat_host_sram(&p, 0), plat_host_engine(&p, 0)));
  ck_assert_ptr_null(plat_find_route(&p, plat_host_engine(&p, 0), plat_host_sram(&p, 0)));
  round_trip(&p, &a);
  arena_free(&a);
}
END_TEST

int main(void) {
  Suite *s = suite_create("platform");
  TCase *t = tcase_create("platform");
  tcase_set_timeout(t, 120);
  tcase_add_loop_test(t, plat_load__shipped_file__is_valid_and_named_after_it, 0, N_SHIPPED);
  tcase_add_test(t, plat_load__npu4__has_the_documented_numbers);
  tcase_add_test(t, plat_load__variants__differ_in_what_they_teach);
  tcase_add_test(t, plat_load__unknown_name__lists_what_is_shipped);
  tcase_add_test(t, plat_parse_xml__defaults__as_documented);
  tcase_add_test(t, plat_parse_xml__every_property__is_read_and_written_back);
  tcase_add_test(t, plat_parse_xml__doctype__is_accepted_and_never_fetched);
  tcase_add_test(t, plat_parse_xml__symmetrical__in_either_case);
  tcase_add_test(t, plat_parse_xml__one_way_route__is_found_one_way_only);
  suite_add_tcase(s, t);
  return suite_run(s);
}
