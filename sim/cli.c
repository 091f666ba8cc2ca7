#include "sim/cli.h"

#include <string.h>

#include "sim/base/units.h"
#include "sim/cmd.h"

static const cli_option OPTIONS[CLI_OPT_COUNT] = {
#define X(id, name, kind, value, standard, lo, hi, help)                                    \
  [CLI_##id] = {name, kind, value, standard, lo, hi, help},
    CLI_OPTIONS(X)
#undef X
};

#define WORKLOAD_OPTIONS                                                                           \
  CLI_MODEL, CLI_PLATFORM, CLI_SET, CLI_PHASE, CLI_PAST, CLI_TOKENS, CLI_STEPS, CLI_BATCH,         \
      CLI_LAYERS, CLI_LAYER, CLI_DTYPE, CLI_KV_DTYPE, CLI_SPLIT, CLI_ATTENTION, CLI_FUSE, CLI_KV_UPDATE, CLI_RESIDENT, CLI_TILE_BYTES
#define RUN_OPTIONS CLI_SCHEDULER, CLI_SEARCH_BUDGET, CLI_PREFETCH, CLI_SEED
#define FILE_OPTIONS CLI_REPORT, CLI_TRACE, CLI_CSV, CLI_TIMELINE, CLI_SAVE_SCHEDULE
#define COMMON_OPTIONS CLI_QUIET, CLI_PROGRESS, CLI_HELP, CLI_OPT_COUNT

#define FORMAT_LINE(name, text) "\n  " #name ": " text

const cli_command CLI_COMMANDS[] = {
    {"run",
     "",
     "compiles a step of a model, simulates it on a platform, and prints a summary",
     "With --report -, --trace -, --csv - or --timeline - that result goes to standard output,\n"
     "and no summary is printed.",
     "llamasim run --model llama-3.2-1b --platform npu4 --past 512 --trace block.json.gz",
     cmd_run,
     {WORKLOAD_OPTIONS, RUN_OPTIONS, FILE_OPTIONS, CLI_EXPLAIN, COMMON_OPTIONS}},
    {"compile",
     "",
     "writes the task DAG of a step",
     "The platform matters: ops divide into as many parts as it has engines, and into pieces that\n"
     "its SRAM can hold. Options that only concern the run are checked and change nothing here.\n"
     "Formats:" DAG_FORMATS(FORMAT_LINE, ),
     "llamasim compile --split head --out block.dag.json",
     cmd_compile,
     {WORKLOAD_OPTIONS, RUN_OPTIONS, CLI_FORMAT, CLI_OUT, COMMON_OPTIONS}},
    {"simulate",
     "DAG.json",
     "simulates a task DAG, as `run` does",
     "DAG.json is what `llamasim compile` writes, or written by hand; - is standard input.",
     "llamasim compile | llamasim simulate - --scheduler serial",
     cmd_simulate,
     {CLI_PLATFORM, CLI_SET, RUN_OPTIONS, FILE_OPTIONS, CLI_EXPLAIN, COMMON_OPTIONS}},
    {"verify",
     "",
     "executes the simulated tasks on real numbers and compares every named point",
     "A prefill of --ids and --steps greedy decode steps (--phase hybrid, the default here), of all\n"
     "layers, in the order that the simulation chose; against a straight-line reference in f64.\n"
     "--phase decode: the ids go in one by one, those before --past are in the cache (default: 0);\n"
     "--phase prefill: no steps follow. --layers N: the ids' embeddings go into N layers alone.\n"
     "Other defaults here: --fuse none, so that every point is computed; --tokens 12, where there\n"
     "are no --ids; --batch: as many as --ids has sequences, of which each has its own tables and\n"
     "files of points (STEM.b0, STEM.b1, ...); --dtype: activations and KV in f32, weights as they\n"
     "are stored where all are bf16, f16 or f32, else (GGUF's and llama2.c's quantised ones) in f32.\n"
     "Without a checkpoint weights are made from --seed. Exit status 1: something differs, and the\n"
     "last line says what.",
     "llamasim verify --model llama-3.2-1b --layers 1",
     cmd_verify,
     {WORKLOAD_OPTIONS, CLI_IDS, CLI_IDS_FILE, CLI_GOLDEN, CLI_DUMP, CLI_TOLERANCE, RUN_OPTIONS,
      COMMON_OPTIONS}},
    {"sweep",
     "",
     "runs many points, on all cores, to CSV",
     "KEY is an option of `run` or a --set key. A row is what `run --csv` writes for its point;\n"
     "rows are in the order of points at any --jobs. A point that fails is a row with its reason\n"
     "as `error`. Until all rows are there they stand in FILE.part; --resume goes on with it,\n"
     "whatever ended the sweep.",
     "llamasim sweep --vary engines=1:16:x2 --vary past=0:4096:+512 --out sweep.csv",
     cmd_sweep,
     {WORKLOAD_OPTIONS, RUN_OPTIONS, CLI_VARY, CLI_POINTS, CLI_OUT, CLI_JOBS, CLI_RESUME, CLI_SHARD,
      COMMON_OPTIONS}},
    {"inspect",
     "MODEL|PLATFORM.xml",
     "prints the structure of a model or of a platform",
     "A model: every tensor with shape, dtype and bytes, as the checkpoint stores it, or as "
     "--dtype "
     "says.\nWith --kv, of a model: what the KV cache of --past rows and --tokens new ones costs.\n"
     "A platform: every resource, with --set applied.",
     "llamasim inspect npu4.xml --set engines=8",
     cmd_inspect,
     {CLI_SET, CLI_DTYPE, CLI_KV, CLI_PAST, CLI_TOKENS, CLI_BATCH, CLI_KV_DTYPE, CLI_HELP,
      CLI_OPT_COUNT}},
    {"compare",
     "A.json B.json [...]",
     "prints runs side by side, with what differs and where the makespan moved",
     "The files are reports (run --report) or traces (run --trace), which also know single tasks:\n"
     "those of one id and name are compared. --trace puts all runs into one Perfetto file, as\n"
     "processes A, B, ...; a report's run is simulated again for that (built-in models and shipped\n"
     "platforms). The exit status is 1 where the runs differ. With --trace - the trace goes to\n"
     "standard output and nothing is printed.",
     "llamasim compare serial.json heft.json --trace both.json.gz",
     cmd_compare,
     {CLI_TRACE, COMMON_OPTIONS}},
    {"models",
     "",
     "lists the built-in models",
     "",
     "llamasim models",
     cmd_models,
     {CLI_HELP, CLI_OPT_COUNT}},
    {"schedulers",
     "",
     "lists the schedulers",
     "",
     "llamasim schedulers",
     cmd_schedulers,
     {CLI_HELP, CLI_OPT_COUNT}},
    {"ops",
     "",
     "lists the operations that tasks consist of",
     "",
     "llamasim ops",
     cmd_ops,
     {CLI_HELP, CLI_OPT_COUNT}},
    {"help",
     "[COMMAND]",
     "prints the commands, or the options of one",
     "",
     "llamasim help run",
     cmd_help,
     {CLI_HELP, CLI_OPT_COUNT}},
    {0}};

const cli_option *cli_option_at(cli_opt o) {
  return &OPTIONS[o];
}

const cli_command *cli_find_command(const char *name) {
  for (const cli_command *k = CLI_COMMANDS; k->name != NULL; k++)
    if (strcmp(k->name, name) == 0) return k;
  return NULL;
}

/* ---- names that may have been meant -----------------------------------------------------------
 */

enum { MAX_WORD = 32 };

/* Levenshtein distance: insertions, deletions and replacements. */
static size_t distance(const char *a, const char *b) {
  size_t n = strlen(a), m = strlen(b), row[MAX_WORD + 1];
  if (n > MAX_WORD || m > MAX_WORD) return SIZE_MAX;
  for (size_t j = 0; j <= m; j++) row[j] = j;
  for (size_t i = 1; i <= n; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= m; j++) {
      size_t best = diagonal + (a[i - 1] != b[j - 1]);
      if (row[j] + 1 < best) best = row[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      diagonal = row[j];
      row[j] = best;
    }
  }
  return row[m];
}

const char *cli_nearest(const char *got, const char *const *names, size_t n, arena *a) {
  size_t best = SIZE_MAX, at = 0, len = strlen(got);
  for (size_t i = 0; i < n; i++) {
    size_t d = distance(got, names[i]);
    /* a beginning counts as a single slip */
    if (len >= 3 && strncmp(got, names[i], len) == 0) d = 1;
    if (d < best) best = d, at = i;
  }
  size_t near = len / 3 < 2 ? 2 : len / 3;
  if (best > near || best >= len) return "";
  return arena_printf(a, " (did you mean '%s'?)", names[at]);
}

static const char *nearest_command(const char *got, arena *a) {
  const char *names[16];
  size_t n = 0;
  for (const cli_command *k = CLI_COMMANDS; k->name != NULL; k++) names[n++] = k->name;
  return cli_nearest(got, names, n, a);
}

static const char *command_names(arena *a) {
  const char *text = "";
  for (const cli_command *k = CLI_COMMANDS; k->name != NULL; k++)
    text = arena_printf(a, "%s %s", text, k->name);
  return text;
}

static const char *nearest_option(const cli_command *k, const char *got, arena *a) {
  const char *names[CLI_OPT_COUNT];
  size_t n = 0;
  for (const cli_opt *o = k->options; *o != CLI_OPT_COUNT; o++)
    names[n++] = arena_printf(a, "--%s", OPTIONS[*o].name);
  return cli_nearest(got, names, n, a);
}

/* ---- values -----------------------------------------------------------------------------------
 */

/* Is it one of the words, parted by '|'? */
static bool is_among(const char *words, const char *word) {
  size_t n = strlen(word);
  for (const char *p = words; *p != '\0'; p += strcspn(p, "|"), p += *p == '|')
    if (strcspn(p, "|") == n && strncmp(p, word, n) == 0 && n > 0) return true;
  return false;
}

static int check_value(cli *c, cli_opt o, err *e) {
  const cli_option *x = &OPTIONS[o];
  const char *v = c->value[o];
  if (x->kind == CLI_CHOICE && is_among(x->value, v)) return ERR_OK;
  if (x->kind == CLI_CHOICE)
    return err_set(e, ERR_BAD, "--%s: '%s' is none of its values: %s", x->name, v, x->value);
  if (*v == '\0' && x->kind != CLI_FLAG)
    return err_set(e, ERR_BAD, "--%s: its value %s is empty", x->name, x->value);
  if (x->kind == CLI_NUMBER && units_parse_u64(v, x->lo, x->hi, &c->number[o], e))
    return err_prefix(e, "--%s", x->name);
  return ERR_OK;
}

static int set_defaults(cli *c, err *e) {
  for (int o = 0; o < CLI_OPT_COUNT; o++) {
    c->value[o] = OPTIONS[o].standard;
    if (*c->value[o] != '\0' && check_value(c, (cli_opt)o, e)) return e->status;
  }
  return ERR_OK;
}

/* ---- parsing ----------------------------------------------------------------------------------
 */

/* The option of that name, with its dashes, that the command takes; CLI_OPT_COUNT and a message
 * where there is none. */
static cli_opt find_option(const cli *c, const char *name, arena *a, err *e) {
  if (strcmp(name, "-h") == 0) name = "--help";
  if (strcmp(name, "-o") == 0) name = "--out";
  bool elsewhere = false;
  for (int o = 0; o < CLI_OPT_COUNT; o++)
    elsewhere =
        elsewhere || (strncmp(name, "--", 2) == 0 && strcmp(OPTIONS[o].name, name + 2) == 0);
  for (const cli_opt *o = c->command->options; elsewhere && *o != CLI_OPT_COUNT; o++)
    if (strcmp(OPTIONS[*o].name, name + 2) == 0) return *o;
  const char *k = c->command->name;
  if (elsewhere)
    err_set(e, ERR_BAD, "%s is no option of '%s'; `llamasim help %s` lists its options", name, k,
            k);
  else
    err_set(e, ERR_BAD, "unknown option '%s' of '%s'%s; `llamasim help %s` lists its options", name,
            k, nearest_option(c->command, name, a), k);
  return CLI_OPT_COUNT;
}

/* One option at argv[*i]; moves *i to the last argument that it takes. */
static int take_option(int argc, char **argv, int *i, cli *c, arena *a, err *e) {
  const char *arg = argv[*i], *equals = strchr(arg, '=');
  const char *name = equals == NULL ? arg : arena_strndup(a, arg, (size_t)(equals - arg));
  cli_opt o = find_option(c, name, a, e);
  if (o == CLI_OPT_COUNT) return e->status;
  const cli_option *x = &OPTIONS[o];
  if (c->given[o] && o != CLI_SET && o != CLI_VARY)
    return err_set(e, ERR_BAD, "--%s stands there twice; give it once", x->name);
  c->given[o] = true;
  if (x->kind == CLI_FLAG) {
    if (equals == NULL) return ERR_OK;
    return err_set(e, ERR_BAD, "--%s takes no value, but got '%s'", x->name, equals + 1);
  }
  if (equals != NULL) {
    c->value[o] = equals + 1;
  } else {
    if (*i + 1 >= argc || strncmp(argv[*i + 1], "--", 2) == 0)
      return err_set(e, ERR_BAD, "--%s needs a value: --%s %s", x->name, x->name, x->value);
    c->value[o] = argv[++*i];
  }
  if (o == CLI_VARY) ARENA_PUSH(a, c->vary, c->n_vary, c->cap_vary, c->value[o]);
  if (o == CLI_SET) ARENA_PUSH(a, c->set, c->n_set, c->cap_set, c->value[o]);
  return check_value(c, o, e);
}

static int take_operand(const char *arg, cli *c, arena *a, err *e) {
  const cli_command *k = c->command;
  if (*k->operand == '\0')
    return err_set(e, ERR_BAD, "'%s' takes options only, but got '%s'; see `llamasim help %s`",
                   k->name, arg, k->name);
  bool many = strstr(k->operand, "...") != NULL;
  if (c->operand != NULL && !many)
    return err_set(e, ERR_BAD, "'%s' takes one %s, but got '%s' and '%s'", k->name, k->operand,
                   c->operand, arg);
  if (c->operand == NULL) c->operand = arg;
  ARENA_PUSH(a, c->operands, c->n_operands, c->cap_operands, arg);
  return ERR_OK;
}

int cli_parse(int argc, char **argv, cli *c, arena *a, err *e) {
  *c = (cli){0};
  if (set_defaults(c, e)) return e->status;
  if (argc < 1)
    return err_set(e, ERR_BAD, "no command; there are:%s (`llamasim help` says more)",
                   command_names(a));
  const char *first = argv[0];
  if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0) first = "help";
  c->command = cli_find_command(first);
  if (c->command == NULL)
    return err_set(e, ERR_BAD, "unknown command '%s'%s; there are:%s", first,
                   nearest_command(first, a), command_names(a));
  bool options = true;
  for (int i = 1; i < argc; i++) {
    if (options && strcmp(argv[i], "--") == 0)
      options = false;
    else if (options && argv[i][0] == '-' && argv[i][1] != '\0') {
      if (take_option(argc, argv, &i, c, a, e)) return e->status;
    } else if (take_operand(argv[i], c, a, e)) {
      return e->status;
    }
  }
  bool needs = *c->command->operand != '\0' && *c->command->operand != '[';
  if (needs && c->operand == NULL && !c->given[CLI_HELP])
    return err_set(e, ERR_BAD, "'%s' needs a %s: %s", c->command->name, c->command->operand,
                   c->command->example);
  return ERR_OK;
}
