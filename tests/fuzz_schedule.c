/* libFuzzer: whatever schedule the reader accepts for a small DAG with a group and a round trip
 * through DRAM runs to its end on a small chip, static or dynamic, and what is recorded of it is
 * accepted again. */
#include <stdlib.h>
#include <string.h>

#include "sim/exec.h"
#include "sim/platform_xml.h"
#include "sim/schedule_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x)                                                                                 \
  do {                                                                                             \
    if (!(x)) abort();                                                                             \
  } while (0)

/* SRAM holds the operands of one task at a time and little more. */
static const char CHIP[] =
    "<?xml version='1.0'?><platform version='4.1'><zone id='chip' routing='Full'>"
    "<host id='e0' speed='1Gf'><prop id='role' value='engine'/></host>"
    "<host id='e1' speed='3Gf'><prop id='role' value='engine'/></host>"
    "<host id='sram' speed='1f'><prop id='role' value='sram'/><prop id='capacity' "
    "value='700B'/></host>"
    "<host id='dram' speed='1f'><prop id='role' value='dram'/></host>"
    "<host id='dma' speed='1f'><prop id='role' value='dma'/><prop id='channels' value='2'/></host>"
    "<link id='bus' bandwidth='1GBps' latency='0s'/><link id='p0' bandwidth='1GBps' latency='0s'/>"
    "<link id='p1' bandwidth='1GBps' latency='0s'/>"
    "<route src='dram' dst='sram'><link_ctn id='bus'/></route>"
    "<route src='sram' dst='e0'><link_ctn id='p0'/></route>"
    "<route src='sram' dst='e1'><link_ctn id='p1'/></route></zone></platform>";

enum { SIDE = 16, PRODUCTS = 5 };

static uint32_t tensor(dag *d, dag_space space, dag_role role, uint64_t rows) {
  return dag_add_tensor(d, "x", space, role, DT_INT8, 2, (uint64_t[]){rows, SIDE});
}

static void add(dag *d, op o, const char *name, uint32_t group, const uint32_t *in, size_t n,
                uint32_t to) {
  dag_task t = {.name = name, .group = group, .op = (uint8_t)o};
  dag_view reads[2] = {dag_all(d, in[0]), dag_all(d, in[n - 1])}, write = dag_all(d, to);
  dag_add_task(d, &t, reads, n, &write, 1);
}

/* A chain of products, each with its own weights; the third is stored and loaded again, and the
 * first two are a group. */
static dag *make_dag(arena *a) {
  static const char *const NAME[PRODUCTS] = {"a", "b", "c", "d", "d"};
  dag *d = dag_new(a);
  d->n_groups = 1;
  uint32_t home = tensor(d, DAG_DRAM, DAG_ACT, 1), x = tensor(d, DAG_SRAM, DAG_ACT, 1);
  add(d, OP_LOAD_ACT, "x", DAG_NO_GROUP, &home, 1, x);
  for (int i = 0; i < PRODUCTS; i++) {
    uint32_t weights = tensor(d, DAG_DRAM, DAG_WEIGHT, SIDE),
             tile = tensor(d, DAG_SRAM, DAG_WEIGHT, SIDE);
    add(d, OP_LOAD_WEIGHT, "w", DAG_NO_GROUP, &weights, 1, tile);
    uint32_t y = tensor(d, DAG_SRAM, DAG_ACT, 1);
    add(d, OP_MATMUL, NAME[i], i < 2 ? 0 : DAG_NO_GROUP, (uint32_t[]){x, tile}, 2, y);
    if (i != 0 && i != 3) x = y; /* b and d's second do not wait for their neighbours */
    if (i != 2) continue;
    uint32_t stored = tensor(d, DAG_DRAM, DAG_ACT, 1), back = tensor(d, DAG_SRAM, DAG_ACT, 1);
    add(d, OP_STORE_ACT, "s", DAG_NO_GROUP, &y, 1, stored);
    add(d, OP_LOAD_ACT, "l", DAG_NO_GROUP, &stored, 1, back);
    x = back;
  }
  return d;
}

/* What every input is read against: made once, since reading XML costs more than all the rest. */
typedef struct fixed {
  arena a;
  dag *d;
  platform p;
  reach within;
} fixed;

static const fixed *given(void) {
  static fixed f;
  err e = {0};
  if (f.d != NULL) return &f;
  f.d = make_dag(&f.a);
  REQUIRE(dag_check(f.d, "fuzz", &e) == ERR_OK);
  REQUIRE(plat_parse_xml("chip", (const unsigned char *)CHIP, strlen(CHIP), &f.p, &f.a, &e) ==
          ERR_OK);
  REQUIRE(reach_make(&f.within, &f.p, f.d, &f.a, &e) == ERR_OK);
  return &f;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const fixed *f = given();
  const dag *d = f->d;
  arena a = {0};
  err e = {0};
  pol_schedule s, made = {0}, again;
  if (schedule_file_read("fuzz", data, size, d, &f->p, &f->within, &s, &a, &e) == ERR_OK) {
    pol_recorder r = {.p = pol_replay_of(&s), .out = &made, .mem = &a};
    machine_options opt = {.prefetch = 2, .given = &s, .recorder = &r};
    REQUIRE(exec_fluid(d, &f->p, pol_recording_of(r.p), &opt, NULL, &a, &e) == ERR_OK);
    out *o = out_memory();
    size_t len;
    schedule_file_write(d, &f->p, &made, "again", o);
    const char *text = out_text(o, &len);
    REQUIRE(schedule_file_read("again", (const unsigned char *)text, len, d, &f->p, &f->within,
                               &again, &a, &e) == ERR_OK);
    out_abort(o);
  } else {
    REQUIRE(e.status == ERR_BAD && e.msg[0] != '\0');
  }
  arena_free(&a);
  return 0;
}
