/* libFuzzer: any bytes as a llama2.c file. */
#include "tests/fuzz_ckpt.h"
#include "workloads/ckpt/l2c.h"

FUZZ_FORMAT(l2c_is)
