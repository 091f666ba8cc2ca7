/* ckpt_formats.h - inside the checkpoint readers: what a format is, and which files belong
 * together. A new format is a parser (raw.h) and a row in ckpt_formats.c. */
#ifndef LS_CKPT_FORMATS_H
#define LS_CKPT_FORMATS_H

#include "workloads/ckpt/ckpt.h"

struct ckpt_format {
  const char *name, *text; /* `text` is for the message that lists what there is */
  ckpt_naming naming;
  bool pairs;         /* rows of Q and K are stored in pairs */
  bool split;         /* a weight may be cut into parts, one a shard */
  const char *config; /* the JSON beside that has the hyper-parameters; NULL: the file has them */
  bool (*is)(const unsigned char *data, size_t len);
  int (*parse)(const char *where, const unsigned char *data, size_t len, raw_tensors *t, arena *a,
               err *e);
  /* where config is NULL */
  int (*model)(const char *where, const char *name, const unsigned char *data, size_t len, model *m,
               arena *a, err *e);
};

/* The format of these bytes; NULL where it is none. */
const ckpt_format *ckpt_format_of(const unsigned char *data, size_t len);

/* "safetensors (...), gguf (...)" */
const char *ckpt_format_list(arena *a);

/* Files that a spec stands for. */
typedef struct ckpt_files {
  const char *folder; /* where JSON beside them is looked for */
  const char *name;   /* for the model */
  const char *index;  /* the file that lists the shards, or NULL */
  const char **path;
  size_t n; /* 0: a description without weights, or nothing */
} ckpt_files;

ERR_CHECK int ckpt_locate(const char *spec, ckpt_files *f, arena *a, err *e);

/* Every tensor that the index names is in the shard that it names. Needs parsed shards. */
ERR_CHECK int ckpt_check_index(const ckpt *ck, const char *index, err *e);

/* Sorts the shards' tensors into ck->weights and checks them against ck->model, whose vocab_size is
 * taken from the tensors where the model leaves it open. */
ERR_CHECK int ckpt_assemble(ckpt *ck, err *e);

#endif
