#include "workloads/ckpt/ckpt_formats.h"

#include "workloads/ckpt/gguf.h"
#include "workloads/ckpt/l2c.h"
#include "workloads/ckpt/pth.h"
#include "workloads/ckpt/safetensors.h"

/* The surest magic first; llama2.c's version 0 has none and comes last. */
static const ckpt_format FORMATS[] = {
    {"gguf", "GGUF version 2 or 3", CKPT_GGUF, true, false, NULL, gguf_is, gguf_parse, gguf_model},
    {"safetensors", "HF safetensors", CKPT_HF, false, false, "config.json", st_is, st_parse, NULL},
    {"pth", "PyTorch .pth", CKPT_META, true, true, "params.json", pth_is, pth_parse, NULL},
    {"llama2.c", "llama2.c .bin version 0 or 2", CKPT_META, true, false, NULL, l2c_is, l2c_parse,
     l2c_model},
};
enum { N_FORMATS = sizeof FORMATS / sizeof *FORMATS };

const ckpt_format *ckpt_format_of(const unsigned char *data, size_t len) {
  for (size_t i = 0; i < N_FORMATS; i++)
    if (FORMATS[i].is(data, len)) return &FORMATS[i];
  return NULL;
}

const char *ckpt_format_list(arena *a) {
  const char *list = "";
  for (size_t i = 0; i < N_FORMATS; i++)
    list = arena_printf(a, "%s%s%s", list,
                        i == 0              ? ""
                        : i + 1 < N_FORMATS ? ", "
                                            : " or ",
                        FORMATS[i].text);
  return list;
}

const char *ckpt_format_name(const ckpt *ck) {
  return ck->format->name;
}
