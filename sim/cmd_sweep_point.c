#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim/cmd_sweep.h"
#include "sim/platform_xml.h"

/* ---- keys ---- */

static bool of_sweep_alone(cli_opt o) {
  switch (o) {
  case CLI_SET:
  case CLI_VARY:
  case CLI_POINTS:
  case CLI_OUT:
  case CLI_JOBS:
  case CLI_RESUME:
  case CLI_SHARD:
  case CLI_QUIET:
  case CLI_PROGRESS:
  case CLI_HELP:
    return true;
  default:
    return false;
  }
}

/* Is the key set by a --set? Up to the '=' it is the same text. */
static bool is_set(const cli *c, const char *key) {
  size_t n = strlen(key);
  for (size_t i = 0; i < c->n_set; i++)
    if (strncmp(c->set[i], key, n) == 0 && c->set[i][n] == '=') return true;
  return false;
}

static int find_key(const sweep_source *s, const char *key, cli_opt *found, err *e) {
  const cli *c = s->c;
  *found = CLI_SET;
  for (int o = 0; o < CLI_OPT_COUNT; o++)
    if (strcmp(cli_option_at((cli_opt)o)->name, key) == 0) *found = (cli_opt)o;
  if (*found == CLI_SET && strcmp(key, "set") != 0) {
    if (is_set(c, key))
      return err_set(e, ERR_BAD, "'%s' varies, and --set gives it a value, too; leave one out",
                     key);
    return ERR_OK; /* whether the platform has it is seen at the first point */
  }
  bool taken = false;
  for (const cli_opt *o = c->command->options; *o != CLI_OPT_COUNT; o++) taken |= *o == *found;
  if (!taken || of_sweep_alone(*found) || cli_option_at(*found)->kind == CLI_FLAG)
    return err_set(
        e, ERR_BAD,
        "'%s' cannot vary; what can: options of `run` that change its result, and --set keys", key);
  if (c->given[*found])
    return err_set(e, ERR_BAD, "'%s' varies, and --%s gives it a value, too; leave one out", key,
                   key);
  return ERR_OK;
}

/* --search-budget with a scheduler that varies, and never is search. */
static int check_budget(const sweep_source *s, err *e) {
  for (size_t k = 0; k < s->plan.n_keys && s->c->given[CLI_SEARCH_BUDGET]; k++) {
    if (s->option[k] != CLI_SCHEDULER || s->plan.axes == NULL) continue;
    const sweep_axis *x = &s->plan.axes[k];
    bool any = false;
    for (size_t i = 0; i < x->n; i++) any |= strcmp(x->value[i], "search") == 0;
    if (!any)
      return err_set(e, ERR_BAD,
                     "--search-budget goes with --scheduler search, which no point has");
  }
  return ERR_OK;
}

int sweep_source_open(sweep_source *s, const cli *c, arena *a, err *e) {
  *s = (sweep_source){.c = c, .mem = a};
  if (c->given[CLI_POINTS] == c->given[CLI_VARY])
    return err_set(e, ERR_BAD,
                   "'sweep' needs --vary KEY=V1,V2,... or --points FILE.csv, and not both");
  int status = c->given[CLI_POINTS] ? sweep_plan_file(c->value[CLI_POINTS], &s->plan, a, e)
                                    : sweep_plan_vary(c->vary, c->n_vary, &s->plan, a, e);
  if (status != ERR_OK) return status;
  cli_opt *option = ARENA_NEW(a, cli_opt, s->plan.n_keys);
  s->option = option;
  s->cursor.plan = &s->plan;
  s->counts = ARENA_NEW(a, sweep_count, SWEEP_COUNTED);
  for (size_t k = 0; k < s->plan.n_keys; k++)
    if (find_key(s, s->plan.key[k], &option[k], e))
      return c->given[CLI_POINTS] ? err_prefix(e, "%s", s->plan.path) : err_prefix(e, "--vary");
  return check_budget(s, e);
}

static void drop_dag(sweep_dag *x) {
  arena_free(&x->mem);
  free(x->key);
  free(x);
}

void sweep_source_close(sweep_source *s) {
  sweep_cursor_free(&s->cursor);
  for (size_t i = 0; i < s->n_dags; i++) drop_dag(s->dags[i]);
  s->n_dags = 0;
}

/* ---- points ---- */

static void add_argument(sweep_run *x, char *text) {
  x->argv[x->argc++] = text;
}

/* "unknown key": a key that is neither of the platform's nor an option may be a slip of either. */
static int unknown_key(const sweep_source *s, const char *key, arena *a, err *e) {
  const char *names[CLI_OPT_COUNT];
  size_t n = 0;
  for (const cli_opt *o = s->c->command->options; *o != CLI_OPT_COUNT; o++)
    if (!of_sweep_alone(*o)) names[n++] = cli_option_at(*o)->name;
  const char *hint = cli_nearest(key, names, n, a);
  return *hint == '\0' ? e->status
                       : err_prefix(e, "'%s' is no option%s; as a --set key", key, hint);
}

/* --search-budget of the whole sweep is for the points that have --scheduler search. */
static bool budget_for_others(const sweep_source *s, const char *const *value, cli_opt o) {
  if (o != CLI_SEARCH_BUDGET) return false;
  for (size_t k = 0; k < s->plan.n_keys; k++)
    if (s->option[k] == CLI_SCHEDULER && *value[k] != '\0') return strcmp(value[k], "search") != 0;
  return false;
}

static void write_command_line(const sweep_source *s, const char *const *value, sweep_run *x) {
  const cli *c = s->c;
  arena *a = &x->mem;
  x->argv = ARENA_NEW(a, char *, 3 + CLI_OPT_COUNT + c->n_set + s->plan.n_keys);
  add_argument(x, arena_strdup(a, "run"));
  add_argument(x, arena_strdup(a, "--quiet"));
  for (const cli_opt *o = c->command->options; *o != CLI_OPT_COUNT; o++) {
    const cli_option *y = cli_option_at(*o);
    if (!c->given[*o] || of_sweep_alone(*o) || budget_for_others(s, value, *o)) continue;
    add_argument(x, y->kind == CLI_FLAG ? arena_printf(a, "--%s", y->name)
                                        : arena_printf(a, "--%s=%s", y->name, c->value[*o]));
  }
  for (size_t i = 0; i < c->n_set; i++) add_argument(x, arena_printf(a, "--set=%s", c->set[i]));
  x->text = arena_strdup(a, "");
  for (size_t k = 0; k < s->plan.n_keys; k++) {
    if (*value[k] == '\0') continue;
    const char *set = s->option[k] == CLI_SET ? "set=" : "", *key = s->plan.key[k];
    x->text = arena_printf(a, "%s%s%s=%s", x->text, *x->text == '\0' ? "" : ", ", key, value[k]);
    add_argument(x, arena_printf(a, "--%s%s=%s", set, key, value[k]));
  }
}

static int find_platform(sweep_source *s, const char *name, platform *p, err *e) {
  for (size_t i = 0; i < s->n_plats; i++)
    if (strcmp(s->plats[i].name, name) == 0) {
      *p = s->plats[i].plat;
      return ERR_OK;
    }
  if (plat_load(name, p, s->mem, e)) return e->status;
  sweep_named x = {.name = arena_strdup(s->mem, name), .plat = *p};
  ARENA_PUSH(s->mem, s->plats, s->n_plats, s->cap_plats, x);
  return ERR_OK;
}

/* DAGs point to the model: where the array grows, the old one stays in the arena. */
static int find_model(sweep_source *s, const char *name, const model **m, err *e) {
  for (size_t i = 0; i < s->n_models; i++)
    if (strcmp(s->models[i].name, name) == 0) {
      *m = &s->models[i].model;
      return ERR_OK;
    }
  sweep_named x = {.name = arena_strdup(s->mem, name)};
  if (model_load(name, &x.model, s->mem, e)) return e->status;
  ARENA_PUSH(s->mem, s->models, s->n_models, s->cap_models, x);
  *m = &s->models[s->n_models - 1].model;
  return ERR_OK;
}

static int understand(sweep_source *s, sweep_run *x, err *e) {
  arena *a = &x->mem;
  const model *m;
  if (cli_parse(x->argc, x->argv, &x->c, a, e) || cmd_check_budget(&x->c, e) ||
      cmd_find_policy(&x->c, &x->policy, a, e) ||
      find_platform(s, x->c.value[CLI_PLATFORM], &x->plat, e))
    return e->status;
  for (size_t i = 0; i < x->c.n_set; i++) {
    if (plat_set(&x->plat, x->c.set[i], a, e) == ERR_OK) continue;
    const char *key = arena_strndup(a, x->c.set[i], strcspn(x->c.set[i], "="));
    return strchr(key, '.') != NULL ? e->status : unknown_key(s, key, a, e);
  }
  if (find_model(s, x->c.value[CLI_MODEL], &m, e) ||
      cmd_find_work(&x->c, &x->plat, m, &x->work, a, e))
    return e->status;
  return wl_check(m, &x->work.options, &x->work.target, e);
}

int sweep_read_point(sweep_source *s, uint64_t i, sweep_run *x, err *e) {
  const char *const *value;
  *x = (sweep_run){0};
  if (sweep_point(&s->cursor, i, &value, e)) return e->status;
  write_command_line(s, value, x);
  if (understand(s, x, e) == ERR_OK) return ERR_OK;
  err_prefix(e, "point %" PRIu64 " (%s)", i + 1, x->text);
  arena_free(&x->mem);
  return e->status;
}

report sweep_inputs(const sweep_run *x, arena *a) {
  dag *d = dag_new(a);
  d->workload = wl_describe(x->work.model, &x->work.options);
  timeline *tl = tl_new(d, &x->plat, x->policy->name, false, a);
  tl->prefetch = (uint32_t)x->c.number[CLI_PREFETCH];
  tl->seed = x->c.number[CLI_SEED];
  bounds b = {.link_s = ARENA_NEW(a, double, x->plat.n_links),
              .link_around_s = ARENA_NEW(a, double, x->plat.n_links),
              .binding = ""};
  return report_make(tl, &b, a);
}

/* ---- DAGs ---- */

/* Options that concern the run alone do not count; one that this list does not know does, and costs
 * a compilation at most. */
static bool concerns_work(cli_opt o) {
  return o != CLI_PLATFORM && o != CLI_SET && o != CLI_SCHEDULER && o != CLI_PREFETCH &&
         o != CLI_SEED;
}

static char *work_key(const sweep_run *x) {
  out *o = out_memory();
  for (const cli_opt *k = x->c.command->options; *k != CLI_OPT_COUNT; k++)
    if (concerns_work(*k)) out_printf(o, "%c%s\n", x->c.given[*k] ? '=' : '-', x->c.value[*k]);
  const wl_target *t = &x->work.target;
  const wl_pads *p = &x->work.pads;
  out_printf(o, "%u %" PRIu64 " %" PRIu64 " %d %u %d", t->engines, t->sram_B, t->pad_B,
             t->pads_only, p->n, p->shared);
  for (size_t i = 0; i < p->n; i++)
    out_printf(o, " %d %" PRIu64 " %d %d", (int)p->pad[i].space, p->pad[i].capacity_B,
               p->pad[i].from_dram, p->pad[i].beside_shared);
  size_t len;
  const char *text = out_text(o, &len);
  char *key = mem_alloc(len + 1, 1);
  memcpy(key, text, len + 1);
  out_abort(o);
  return key;
}

static size_t tasks_of(const sweep_dag *x) {
  return x->first.dag != NULL ? x->first.dag->n_tasks : 0;
}

/* The slot of that work, taken or to be taken; NULL where the table is full. */
static sweep_count *find_count(sweep_source *s, const char *key) {
  uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
  for (const char *p = key; *p != '\0'; p++) h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
  if (h == 0) h = 1;
  for (size_t i = h % SWEEP_COUNTED;; i = (i + 1) % SWEEP_COUNTED) {
    if (s->counts[i].hash == h) return &s->counts[i];
    if (s->counts[i].hash != 0) continue;
    if (s->n_counts >= SWEEP_COUNTED / 2) return NULL;
    s->n_counts++;
    s->counts[i].hash = h;
    return &s->counts[i];
  }
}

void sweep_count_work(sweep_source *s, const sweep_run *x) {
  char *key = work_key(x);
  sweep_count *n = find_count(s, key);
  if (n != NULL) n->left++;
  free(key);
}

static void drop(sweep_source *s, size_t i) {
  s->kept_tasks -= tasks_of(s->dags[i]);
  drop_dag(s->dags[i]);
  s->n_dags--;
  memmove(&s->dags[i], &s->dags[i + 1], (s->n_dags - i) * sizeof(sweep_dag *));
}

void sweep_begin_batch(sweep_source *s) {
  s->batch++;
  for (size_t i = s->n_dags; i-- > 0;)
    if (s->dags[i]->left == 0) drop(s, i);
}

static bool is_over(const sweep_source *s) {
  return s->n_dags > 0 && s->kept_tasks + s->n_dags > SWEEP_KEPT_TASKS;
}

bool sweep_is_full(const sweep_source *s) {
  return is_over(s) && s->dags[0]->batch == s->batch;
}

/* Room for another one; the batch's own stay. */
static void make_room(sweep_source *s) {
  for (size_t i = s->n_dags; is_over(s) && i-- > 0;)
    if (s->dags[i]->batch != s->batch) drop(s, i);
}

static const sweep_dag *use(sweep_source *s, size_t i, uint64_t left) {
  sweep_dag *x = s->dags[i];
  memmove(&s->dags[i], &s->dags[i + 1], (s->n_dags - 1 - i) * sizeof x);
  s->dags[s->n_dags - 1] = x;
  x->left = left;
  x->batch = s->batch;
  return x;
}

const sweep_dag *sweep_find_dag(sweep_source *s, const sweep_run *x, bool again) {
  char *key = work_key(x);
  sweep_count *count = find_count(s, key);
  uint64_t left = 1;
  if (count != NULL && count->left > 0 && !again) count->left--;
  if (count != NULL) left = count->left;
  for (size_t i = s->n_dags; i-- > 0;) {
    if (strcmp(s->dags[i]->key, key) != 0) continue;
    free(key);
    return use(s, i, left);
  }
  s->compiled++;
  if (count != NULL && left == 0) {
    free(key);
    return NULL;
  }
  make_room(s);
  sweep_dag *new = mem_alloc(1, sizeof *new);
  *new = (sweep_dag){.key = key};
  err ignored = {0};
  if (cmd_compile_first(&x->work, &new->first, &new->mem, &ignored)) new->first.dag = NULL;
  s->kept_tasks += tasks_of(new);
  ARENA_PUSH(s->mem, s->dags, s->n_dags, s->cap_dags, new);
  return use(s, s->n_dags - 1, left);
}
