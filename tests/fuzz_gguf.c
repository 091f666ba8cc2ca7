/* libFuzzer: any bytes as a GGUF file. */
#include "tests/fuzz_ckpt.h"
#include "workloads/ckpt/gguf.h"

FUZZ_FORMAT(gguf_is)
