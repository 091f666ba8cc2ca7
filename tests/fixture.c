#include "tests/fixture.h"

#include <check.h>
#include <inttypes.h>
#include <stdlib.h>

#ifdef TESTS_WITH_SIMGRID
const int fx_backends = FX_BACKENDS;
#else
const int fx_backends = 1;
#endif

static double or_else(double v, double other) {
  return v == 0 ? other : v;
}

static const char *dram_capacity(const fx_chip *c, arena *a) {
  if (c->dram_B == 0) return "";
  return arena_printf(a, "<prop id=\"capacity\" value=\"%" PRIu64 "B\"/>", c->dram_B);
}

static void put_pad_hosts(const fx_chip *c, uint32_t engines, out *o) {
  for (uint32_t i = 0; i < engines && c->pad_B > 0; i++)
    out_printf(o,
               "<host id=\"pad%u\" speed=\"1f\"><prop id=\"role\" value=\"sram\"/>"
               "<prop id=\"capacity\" value=\"%" PRIu64 "B\"/></host>\n",
               i, c->pad_B);
}

static void put_pad_routes(const fx_chip *c, uint32_t engines, out *o) {
  const char *way = c->side_Bps > 0 ? "side" : "sram_bus";
  for (uint32_t i = 0; i < engines && c->pad_B > 0; i++) {
    out_printf(o, "<route src=\"pad%u\" dst=\"engine%u\"><link_ctn id=\"pad_port%u\"/>", i, i, i);
    if (c->pad_by_port) out_printf(o, "<link_ctn id=\"port%u\"/>", i);
    out_printf(o, "</route>\n<route src=\"sram\" dst=\"pad%u\"><link_ctn id=\"%s\"/></route>\n", i,
               way);
    if (c->pad_from_dram)
      out_printf(o,
                 "<route src=\"dram\" dst=\"pad%u\"><link_ctn id=\"dram_bus\"/><link_ctn "
                 "id=\"%s\"/></route>\n",
                 i, way);
    for (uint32_t k = 0; k < i; k++)
      out_printf(o, "<route src=\"pad%u\" dst=\"pad%u\"><link_ctn id=\"%s\"/></route>\n", k, i,
                 way);
  }
}

static void put_pad_links(const fx_chip *c, uint32_t engines, out *o) {
  if (c->side_Bps > 0)
    out_printf(o, "<link id=\"side\" bandwidth=\"%.17gBps\" latency=\"0s\"/>\n", c->side_Bps);
  for (uint32_t i = 0; i < engines && c->pad_B > 0; i++)
    out_printf(o, "<link id=\"pad_port%u\" bandwidth=\"%.17gBps\" latency=\"%.17gs\"/>\n", i,
               or_else(c->pad_Bps, 1e12), c->pad_latency_s);
}

platform fx_platform(const fx_chip *c, arena *a) {
  uint32_t engines = c->engines == 0 ? 1 : c->engines;
  out *o = out_memory();
  out_printf(
      o, "<?xml version='1.0'?>\n<platform version=\"4.1\"><zone id=\"fx\" routing=\"Full\">\n");
  for (uint32_t i = 0; i < engines; i++)
    out_printf(
        o,
        "<host id=\"engine%u\" speed=\"%.17gf\"><prop id=\"role\" value=\"engine\"/>"
        "<prop id=\"vector_rate\" value=\"%.17gf\"/><prop id=\"task_overhead\" value=\"%.17gs\"/>"
        "<prop id=\"matrix_shape\" value=\"%s\"/></host>\n",
        i, or_else(c->speed, 1e12), or_else(c->vector_rate, 1e11), c->overhead_s,
        c->matrix_shape != NULL ? c->matrix_shape : "1,1,1");
  out_printf(o,
             "<host id=\"sram\" speed=\"1f\"><prop id=\"role\" value=\"sram\"/>"
             "<prop id=\"capacity\" value=\"%" PRIu64 "B\"/></host>\n"
             "<host id=\"dram\" speed=\"1f\"><prop id=\"role\" value=\"dram\"/>%s"
             "<prop id=\"efficiency\" value=\"%.17g\"/></host>\n"
             "<host id=\"dma0\" speed=\"1f\"><prop id=\"role\" value=\"dma\"/>"
             "<prop id=\"channels\" value=\"%u\"/><prop id=\"setup\" value=\"%.17gs\"/></host>\n",
             c->sram_B == 0 ? (uint64_t)1 << 30 : c->sram_B, dram_capacity(c, a),
             or_else(c->dram_efficiency, 1), c->channels == 0 ? 1 : c->channels, c->setup_s);
  put_pad_hosts(c, engines, o);
  out_printf(o, "<link id=\"dram_bus\" bandwidth=\"%.17gBps\" latency=\"%.17gs\"%s/>\n",
             or_else(c->dram_Bps, 1e9), c->dram_latency_s,
             c->dram_fatpipe ? " sharing_policy=\"FATPIPE\"" : "");
  out_printf(o, "<link id=\"sram_bus\" bandwidth=\"%.17gBps\" latency=\"0s\"/>\n",
             or_else(c->bus_Bps, 1e12));
  for (uint32_t i = 0; i < engines && (!c->pads_only || c->pad_by_port); i++)
    out_printf(o, "<link id=\"port%u\" bandwidth=\"%.17gBps\" latency=\"%.17gs\"/>\n", i,
               or_else(c->port_Bps, 1e12), i * c->port_latency_s);
  put_pad_links(c, engines, o);
  const char *bus = c->apart ? "" : "<link_ctn id=\"sram_bus\"/>";
  if (c->write_Bps > 0)
    out_printf(o,
               "<link id=\"dram_write\" bandwidth=\"%.17gBps\" latency=\"%.17gs\"/>\n"
               "<route src=\"sram\" dst=\"dram\" symmetrical=\"NO\"><link_ctn "
               "id=\"dram_write\"/>%s</route>\n",
               c->write_Bps, c->dram_latency_s, bus);
  out_printf(o, "<route src=\"dram\" dst=\"sram\"%s><link_ctn id=\"dram_bus\"/>%s</route>\n",
             c->write_Bps > 0 ? " symmetrical=\"NO\"" : "", bus);
  for (uint32_t i = 0; i < engines && !c->pads_only; i++)
    out_printf(o,
               "<route src=\"sram\" dst=\"engine%u\"><link_ctn id=\"sram_bus\"/><link_ctn "
               "id=\"port%u\"/></route>\n",
               i, i);
  put_pad_routes(c, engines, o);
  out_printf(o, "</zone></platform>\n");
  size_t len;
  const char *text = out_text(o, &len);
  platform p;
  err e = {0};
  int status = plat_parse_xml("fixture.xml", (const unsigned char *)text, len, &p, a, &e);
  ck_assert_msg(status == ERR_OK, "%s", e.msg);
  out_abort(o);
  return p;
}

static uint32_t transfer(dag *d, op o, dag_view from, dag_view to) {
  dag_task t = {.name = op_kind_name(op_kind_of(o)), .group = DAG_NO_GROUP, .op = (uint8_t)o};
  return dag_add_task(d, &t, &from, 1, &to, 1);
}

uint32_t fx_weight_in(dag *d, int space, uint64_t N, uint64_t K) {
  uint64_t dim[2] = {N, K};
  uint32_t home = dag_add_tensor(d, "home", DAG_DRAM, DAG_WEIGHT, DT_INT8, 2, dim);
  uint32_t tile = dag_add_tensor(d, "tile", (dag_space)space, DAG_WEIGHT, DT_INT8, 2, dim);
  transfer(d, OP_LOAD_WEIGHT, dag_all(d, home), dag_all(d, tile));
  return tile;
}

uint32_t fx_weight(dag *d, uint64_t N, uint64_t K) {
  return fx_weight_in(d, DAG_SRAM, N, K);
}

uint32_t fx_load(dag *d, uint64_t bytes) {
  return fx_weight(d, 1, bytes);
}

uint32_t fx_move(dag *d, uint32_t tensor, int space) {
  const dag_tensor t = d->tensors[tensor];
  uint32_t there =
      dag_add_tensor(d, "there", (dag_space)space, (dag_role)t.role, (dtype)t.dtype, t.rank, t.dim);
  transfer(d, OP_MOVE_SRAM, dag_all(d, tensor), dag_all(d, there));
  return there;
}

uint32_t fx_store(dag *d, uint32_t tensor) {
  uint32_t home = dag_add_tensor(d, "out", DAG_DRAM, DAG_ACT, (dtype)d->tensors[tensor].dtype,
                                 d->tensors[tensor].rank, d->tensors[tensor].dim);
  return transfer(d, OP_STORE_ACT, dag_all(d, tensor), dag_all(d, home));
}

uint32_t fx_round_trip(dag *d, uint32_t tensor) {
  uint32_t store = fx_store(d, tensor);
  dag_view home = dag_writes(d, &d->tasks[store])[0];
  const dag_tensor *t = &d->tensors[tensor];
  uint32_t back = dag_add_tensor(d, "back", DAG_SRAM, DAG_ACT, (dtype)t->dtype, t->rank, t->dim);
  transfer(d, OP_LOAD_WEIGHT, home, dag_all(d, back));
  return back;
}

uint32_t fx_matmul_in(dag *d, int space, uint32_t x, uint32_t w, uint64_t N, uint64_t K,
                      uint32_t group) {
  if (x == OBS_NONE) x = fx_load(d, K);
  uint32_t y = dag_add_tensor(d, "y", (dag_space)space, DAG_ACT, DT_INT8, 2, (uint64_t[]){1, N});
  dag_task t = {.name = "mm", .group = group, .op = OP_MATMUL};
  dag_view reads[2] = {dag_all(d, x), dag_all(d, w)}, writes = dag_all(d, y);
  dag_add_task(d, &t, reads, 2, &writes, 1);
  return y;
}

uint32_t fx_matmul(dag *d, uint32_t x, uint32_t w, uint64_t N, uint64_t K, uint32_t group) {
  return fx_matmul_in(d, DAG_SRAM, x, w, N, K, group);
}

int fx_try(fx_backend b, const dag *d, const platform *p, const char *policy_name,
           uint32_t prefetch, bool log, timeline **tl, arena *a, err *e) {
  const policy *pol = pol_find(policy_name);
  ck_assert_ptr_nonnull(pol);
  machine_options opt = {.prefetch = prefetch};
  *tl = tl_new(d, p, policy_name, log, a);
  observer obs = tl_observer(*tl);
#ifdef TESTS_WITH_SIMGRID
  if (b == FX_SIMGRID) return exec_simgrid(d, p, pol, &opt, &obs, a, e);
#endif
  ck_assert_int_eq(b, FX_FLUID);
  return exec_fluid(d, p, pol, &opt, &obs, a, e);
}

timeline *fx_run(fx_backend b, const dag *d, const platform *p, const char *policy_name,
                 uint32_t prefetch, bool log, arena *a) {
  err e = {0};
  timeline *tl;
  int status = fx_try(b, d, p, policy_name, prefetch, log, &tl, a, &e);
  ck_assert_msg(status == ERR_OK, "%s", e.msg);
  return tl;
}

uint64_t fx_next(fx_random *r) {
  uint64_t z = r->state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

uint64_t fx_range(fx_random *r, uint64_t lo, uint64_t hi) {
  return lo + fx_next(r) % (hi - lo + 1);
}

double fx_unit(fx_random *r) {
  return (double)(fx_next(r) >> 11) * 0x1p-53;
}
