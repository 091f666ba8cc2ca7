#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sim/cmd.h"
#include "sim/design.h"
#include "sim/platform_xml.h"
#include "sim/base/text.h"
#include "sim/base/units.h"
#include "workloads/block.h"
#include "workloads/dag_room.h"
#include "workloads/model.h"
#include "workloads/place.h"

/* Progress of jobs smaller than this is over before it is read. */
enum { BIG_JOB = 20000 };

void cmd_progress(const cli *c, size_t tasks, const char *fmt, ...) {
  bool wanted = c->given[CLI_PROGRESS] || (tasks >= BIG_JOB && isatty(STDERR_FILENO));
  if (!wanted || c->given[CLI_QUIET]) return;
  va_list ap;
  va_start(ap, fmt);
  char text[1024];
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  text_clean(text, strlen(text), true);
  fprintf(stderr, "llamasim: %s\n", text);
}

int cmd_load_platform(const cli *c, platform *p, arena *a, err *e) {
  if (plat_load(c->value[CLI_PLATFORM], p, a, e)) return e->status;
  for (size_t i = 0; i < c->n_set; i++)
    if (plat_set(p, c->set[i], a, e)) return e->status;
  return ERR_OK;
}

int cmd_find_policy(const cli *c, const policy **p, arena *a, err *e) {
  const char *name = c->value[CLI_SCHEDULER], *all = "", *names[32];
  *p = pol_find(name);
  if (*p != NULL) return ERR_OK;
  if (strncmp(name, "file:", 5) == 0)
    return err_set(e, ERR_BAD,
                   "--scheduler: a schedule from a file is for a single `run`, "
                   "`simulate` or `verify`; name a scheduler");
  size_t n = pol_count() < 32 ? pol_count() : 32;
  for (size_t i = 0; i < n; i++) {
    names[i] = pol_at(i)->name;
    all = arena_printf(a, "%s %s", all, names[i]);
  }
  return err_set(e, ERR_BAD, "--scheduler: unknown scheduler '%s'%s; there are:%s", name,
                 cli_nearest(name, names, n, a), all);
}

/* --layers N or all, and --tile-bytes. */
static int sized_options(const cli *c, const model *m, wl_options *o, err *e) {
  o->all = strcmp(c->value[CLI_LAYERS], "all") == 0;
  o->layers = m->num_hidden_layers;
  if (!o->all && units_parse_u64(c->value[CLI_LAYERS], 1, MODEL_MAX_LAYERS, &o->layers, e))
    return err_prefix(e, "--layers");
  if (!c->given[CLI_TILE_BYTES]) return ERR_OK;
  double bytes;
  if (units_parse(UNITS_SIZE, c->value[CLI_TILE_BYTES], false, &bytes, e))
    return err_prefix(e, "--tile-bytes");
  if (!(bytes >= 1 && bytes <= 1e15))
    return err_set(e, ERR_BAD, "--tile-bytes is %s; it must be from 1 B to 1 PB",
                   c->value[CLI_TILE_BYTES]);
  o->tile_B = (uint64_t)bytes;
  return ERR_OK;
}

int cmd_dtypes(const cli *c, wl_options *o, err *e) {
  if (wl_dtype_parse(c->value[CLI_DTYPE], &o->weight_dtype, &o->act_dtype, &o->kv_dtype, e))
    return err_prefix(e, "--dtype");
  if (!c->given[CLI_KV_DTYPE]) return ERR_OK;
  dtype weight, act;
  dtype known = dtype_parse(c->value[CLI_KV_DTYPE]);
  if (known == DT_COUNT || known == DT_INT32)
    return err_set(e, ERR_BAD,
                   "--kv-dtype: unknown dtype '%s'; write one of f32 f16 bf16 int8 int4",
                   c->value[CLI_KV_DTYPE]);
  return wl_dtype_parse(c->value[CLI_KV_DTYPE], &weight, &act, &o->kv_dtype, e);
}

int cmd_workload(const cli *c, const model *m, wl_options *o, err *e) {
  *o = wl_defaults();
  bool prefill = strcmp(c->value[CLI_PHASE], "decode") != 0;
  o->phase = c->value[CLI_PHASE];
  o->past = c->given[CLI_PAST] ? c->number[CLI_PAST] : prefill ? 0 : 4;
  o->tokens = c->given[CLI_TOKENS] ? c->number[CLI_TOKENS] : prefill ? 512 : 1;
  o->batch = c->number[CLI_BATCH];
  o->steps = c->number[CLI_STEPS];
  o->flash = strcmp(c->value[CLI_ATTENTION], "flash") == 0;
  if (sized_options(c, m, o, e)) return e->status;
  o->first_layer = c->number[CLI_LAYER];
  o->split = wl_split_parse(c->value[CLI_SPLIT]);
  o->kv_update = wl_kv_update_parse(c->value[CLI_KV_UPDATE]);
  o->resident = wl_resident_parse(c->value[CLI_RESIDENT]);
  o->fuse = wl_fuse_parse(c->value[CLI_FUSE]);
  return cmd_dtypes(c, o, e);
}

static uint64_t whole_bytes(double bytes) {
  return bytes < 9e18 ? (uint64_t)bytes : (uint64_t)9e18;
}

/* The scratchpads that weights can live in: one an engine, the first that data gets into. */
static wl_pads find_pads(const platform *p, arena *a) {
  wl_pad *pad = ARENA_NEW(a, wl_pad, p->n_srams);
  bool *has = ARENA_NEW(a, bool, p->n_engines);
  wl_pads pads = {.pad = pad};
  uint32_t shared = plat_host_sram(p, 0);
  for (size_t e = 0; e < p->n_engines; e++)
    pads.shared |= plat_find_route(p, shared, plat_host_engine(p, e)) != NULL;
  for (size_t s = 1; s < p->n_srams; s++) {
    uint32_t host = plat_host_sram(p, s), engine = plat_pad_of(p, s);
    if (engine == PLAT_NONE || has[engine]) continue;
    bool beside = plat_find_route(p, shared, plat_host_engine(p, engine)) != NULL;
    bool in = plat_find_route(p, shared, host) != NULL;
    bool back = plat_find_route(p, host, shared) != NULL;
    bool from_dram = plat_find_route(p, plat_host_dram(p), host) != NULL;
    if (beside ? !in && !from_dram : !in || !back) continue;
    has[engine] = true;
    pad[pads.n++] = (wl_pad){.space = (dag_space)(DAG_SRAM + s),
                             .capacity_B = whole_bytes(p->srams[s].capacity_B),
                             .from_dram = from_dram,
                             .beside_shared = beside};
  }
  return pads;
}

static void find_target(const platform *p, cmd_work *w, arena *a) {
  w->target = (wl_target){.engines = (uint32_t)p->n_engines,
                          .sram_B = whole_bytes(p->srams[0].capacity_B),
                          .sram_name = p->srams[0].name};
  w->pads = find_pads(p, a);
  wl_pads_target(&w->pads, &w->target);
}

int cmd_find_work(const cli *c, const platform *p, const model *m, cmd_work *w, arena *a, err *e) {
  *w = (cmd_work){.model = m, .plat = p};
  if (cmd_workload(c, m, &w->options, e)) return e->status;
  find_target(p, w, a);
  return ERR_OK;
}

static int finish(const cmd_work *w, dag **d, arena *a, err *e) {
  *d = wl_place(*d, &w->pads, a);
  if (dag_check(*d, w->model->name, e)) return e->status;
  dag_keep_rooms(*d);
  return ERR_OK;
}

int cmd_compile_work(const cmd_work *w, dag **d, arena *a, err *e) {
  if (design_compile(w->model, &w->options, &w->target, w->plat, d, a, e)) return e->status;
  return finish(w, d, a, e);
}

int cmd_compile_first(const cmd_work *w, design_start *first, arena *a, err *e) {
  if (design_first(w->model, &w->options, &w->target, first, a, e)) return e->status;
  return finish(w, &first->dag, a, e);
}

int cmd_settle_work(const cmd_work *w, const design_start *first, const dag **d, pol_known *known,
                    arena *a, err *e) {
  dag *other;
  *d = first == NULL ? NULL : first->dag;
  if (design_settle(w->model, &w->options, &w->target, w->plat, first, &other, known, a, e))
    return e->status;
  if (other == NULL) return ERR_OK;
  if (finish(w, &other, a, e)) return e->status;
  *d = other;
  return ERR_OK;
}

int cmd_compile_model(const model *m, const wl_options *o, const platform *p, dag **d, arena *a,
                      err *e) {
  cmd_work w = {.model = m, .plat = p, .options = *o};
  find_target(p, &w, a);
  return cmd_compile_work(&w, d, a, e);
}

int cmd_compile_dag(const cli *c, const platform *p, dag **d, arena *a, err *e) {
  model *m = ARENA_NEW(a, model, 1);
  wl_options o;
  if (model_load(c->value[CLI_MODEL], m, a, e) || cmd_workload(c, m, &o, e)) return e->status;
  return cmd_compile_model(m, &o, p, d, a, e);
}

int cmd_compile(const cli *c, arena *a, err *e) {
  platform p;
  dag *d;
  const policy *pol;
  if (cmd_find_policy(c, &pol, a, e) || cmd_load_platform(c, &p, a, e)) return e->status;
  if (cmd_check_output(c, CLI_OUT, c->value[CLI_OUT], a, e)) return e->status;
  out *o = out_open(c->value[CLI_OUT], e);
  if (o == NULL) return e->status;
  if (cmd_compile_dag(c, &p, &d, a, e)) {
    out_abort(o);
    return e->status;
  }
  cmd_progress(c, d->n_tasks, "compiled %zu tasks; writing %s", d->n_tasks, c->value[CLI_OUT]);
  dag_format_find(c->value[CLI_FORMAT])->write(d, o);
  return out_close(o, e);
}
