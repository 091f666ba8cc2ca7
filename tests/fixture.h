/* fixture.h - what several suites need: small platforms and DAGs made from numbers, one run of the
 * machine on either backend, a deterministic random source. */
#ifndef LS_TESTS_FIXTURE_H
#define LS_TESTS_FIXTURE_H

#include "sim/exec.h"
#include "sim/platform_xml.h"
#include "sim/timeline.h"

/* A platform from numbers; 0 takes the value in brackets. All engines alike. */
typedef struct fx_chip {
  uint32_t engines;                      /* [1] */
  double speed, vector_rate, overhead_s; /* flop/s [1e12, 1e11], s [0] */
  double port_Bps, port_latency_s;       /* [1e12], [0]; engine i's port has i * port_latency_s */
  double bus_Bps;                        /* SRAM bus [1e12] */
  uint64_t sram_B;                       /* [1 GiB] */
  double dram_Bps, dram_latency_s, dram_efficiency; /* [1e9], [0], [1] */
  double write_Bps;         /* a link of its own for sram -> dram, where not 0 */
  uint64_t dram_B;          /* DRAM capacity, where not 0 */
  bool dram_fatpipe, apart; /* apart: DRAM transfers do not cross the SRAM bus */
  uint32_t channels;        /* [1] */
  double setup_s;           /* [0] */
  const char *matrix_shape; /* ["1,1,1"] */
  /* A scratchpad an engine, where pad_B is not 0: moves between any two SRAMs cross the bus. */
  uint64_t pad_B;
  double pad_Bps, pad_latency_s; /* its port [1e12], [0] */
  bool pad_from_dram;            /* loads and stores reach it, over the DRAM's link and the bus */
  bool pad_by_port;              /* its stream crosses the engine's port, too */
  bool pads_only;                /* engines do not reach the shared SRAM */
  double side_Bps;               /* where not 0: a link that moves and the scratchpads' loads cross
                                    instead of the bus */
} fx_chip;

platform fx_platform(const fx_chip *c, arena *a);

/* Tasks of a chosen size. Tensors are int8, so that elements are bytes. */
uint32_t fx_load(dag *d,
                 uint64_t bytes); /* DRAM -> a new SRAM tensor (1, bytes); returns the tensor */
uint32_t fx_store(dag *d, uint32_t tensor); /* the tensor -> DRAM; returns the task */
/* The tensor to DRAM and back, into a new SRAM tensor, which it returns. */
uint32_t fx_round_trip(dag *d, uint32_t tensor);
/* MatMul of x (1,K) (a new tensor where `x` is OBS_NONE: written by a load of K bytes) with w (N,K)
 * -> (1,N). Returns the output tensor. */
uint32_t fx_matmul(dag *d, uint32_t x, uint32_t w, uint64_t N, uint64_t K, uint32_t group);
uint32_t fx_weight(dag *d, uint64_t N, uint64_t K); /* DRAM -> a new SRAM tensor (N,K) */

/* The same in another space: a load that goes there; a copy of the tensor, moved there; and a
 * MatMul whose output goes there. */
uint32_t fx_weight_in(dag *d, int space, uint64_t N, uint64_t K);
uint32_t fx_move(dag *d, uint32_t tensor, int space);
uint32_t fx_matmul_in(dag *d, int space, uint32_t x, uint32_t w, uint64_t N, uint64_t K,
                      uint32_t group);

typedef enum fx_backend { FX_FLUID, FX_SIMGRID, FX_BACKENDS } fx_backend;
extern const int fx_backends; /* 1 where SimGrid is not linked (sanitizers), else FX_BACKENDS */

/* Runs and fails the test on any error. */
timeline *fx_run(fx_backend b, const dag *d, const platform *p, const char *policy_name,
                 uint32_t prefetch, bool log, arena *a);
int fx_try(fx_backend b, const dag *d, const platform *p, const char *policy_name,
           uint32_t prefetch, bool log, timeline **tl, arena *a, err *e);

/* splitmix64 */
typedef struct fx_random {
  uint64_t state;
} fx_random;
uint64_t fx_next(fx_random *r);
uint64_t fx_range(fx_random *r, uint64_t lo, uint64_t hi); /* inclusive */
double fx_unit(fx_random *r);                              /* [0,1) */

#endif
