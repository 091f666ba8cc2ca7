/* cli.h - the command line: one table of options and one of commands. An option has one meaning,
 * one default and one range, whichever commands take it; values are checked here, before anything
 * is read or run.
 *
 * `--opt value` and `--opt=value` are the same; `--` ends the options; an option stands once, but
 * for --set and --vary.
 */
#ifndef LS_CLI_H
#define LS_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/arena.h"
#include "sim/base/err.h"
#include "workloads/dag_format.h"

typedef enum cli_kind {
  CLI_FLAG,
  CLI_TEXT,   /* checked by whoever reads it */
  CLI_CHOICE, /* one of the words of `value`, parted by '|' */
  CLI_NUMBER  /* a whole number from lo to hi */
} cli_kind;

#define CLI_MAX_LENGTH ((uint64_t)1 << 24)
#define CLI_FORMAT_NAME(name, text) #name

/* id, name, kind, value, default, lo, hi, help */
#define CLI_OPTIONS(X)                                                                             \
  X(MODEL, "model", CLI_TEXT, "M", "llama-3.2-1b", 0, 0,                                           \
    "model: a built-in name, a config.json or params.json, a folder with one, or a checkpoint "    \
    "(.safetensors, .gguf, llama2.c .bin)")                                                        \
  X(PLATFORM, "platform", CLI_TEXT, "F", "platforms/npu4.xml", 0, 0,                               \
    "platform: an XML file, or the name of a shipped one")                                         \
  X(SET, "set", CLI_TEXT, "KEY=VALUE", "", 0, 0,                                                   \
    "changes the platform, e.g. engines=8, dram.bandwidth=102.4GBps; repeatable")                  \
  X(PHASE, "phase", CLI_CHOICE, "decode|prefill|hybrid", "decode", 0, 0,                           \
    "decode: new tokens after a cached past; prefill: a prompt; hybrid: a prompt, then --steps")   \
  X(PAST, "past", CLI_NUMBER, "N", "", 0, CLI_MAX_LENGTH,                                          \
    "rows in the KV cache before the step (default: 4; prefill: 0)")                               \
  X(TOKENS, "tokens", CLI_NUMBER, "T", "", 1, CLI_MAX_LENGTH,                                      \
    "new tokens of each sequence (default: 1; of a prompt: 512)")                                  \
  X(STEPS, "steps", CLI_NUMBER, "S", "1", 1, 65536,                                                \
    "decode steps: all of them, or those after the prefill (hybrid)")                              \
  X(BATCH, "batch", CLI_NUMBER, "B", "1", 1, 1024, "sequences")                                    \
  X(LAYERS, "layers", CLI_TEXT, "N", "1", 0, 0,                                                    \
    "blocks, one after the other; all: the whole model, with embedding, LM head and sampling")     \
  X(LAYER, "layer", CLI_NUMBER, "I", "0", 0, 1023, "the first of them")                            \
  X(DTYPE, "dtype", CLI_TEXT, "D", "bf16", 0, 0,                                                   \
    "f32 f16 bf16 int8 int4 for weights, activations and KV at once, or w8a8 w8a16 w4a16 w4a8")    \
  X(KV_DTYPE, "kv-dtype", CLI_TEXT, "D", "", 0, 0, "of the KV cache (default: as --dtype has it)") \
  X(SPLIT, "split", CLI_CHOICE, "none|op|head|tile", "head", 0, 0,                                 \
    "tasks: all on one engine; whole ops; by head and output columns; by two-dimensional tile")    \
  X(ATTENTION, "attention", CLI_CHOICE, "three-pass|flash", "three-pass", 0, 0,                    \
    "softmax in three tasks, or online over blocks of keys")                                       \
  X(FUSE, "fuse", CLI_CHOICE, "auto|none|all", "auto", 0, 0,                                       \
    "SiLU, RoPE and residual sums as part of the linear layers before them; auto: in steps of 16 " \
    "rows or more")                                                                                \
  X(KV_UPDATE, "kv-update", CLI_CHOICE, "smart-mask|shift-pointer", "smart-mask", 0, 0,            \
    "how new rows get into the KV cache: both copied, or K copied and V by pointer")               \
  X(KV, "kv", CLI_FLAG, "", "", 0, 0,                                                              \
    "the KV cache: what updating it costs, and its buffers, for each --kv-update")                 \
  X(TILE_BYTES, "tile-bytes", CLI_TEXT, "SIZE", "", 0, 0,                                          \
    "largest piece of weights that is loaded at once (default: from SRAM's size)")                 \
  X(SCHEDULER, "scheduler", CLI_TEXT, "NAME", "heft", 0, 0,                                        \
    "who decides what runs where; `llamasim schedulers` lists them; file:F: a schedule that "      \
    "--save-schedule or another program wrote")                                                    \
  X(SEARCH_BUDGET, "search-budget", CLI_NUMBER, "N", "1000", 1, 1000000000,                         \
    "simulations of --scheduler search beyond heft's")                                             \
  X(SAVE_SCHEDULE, "save-schedule", CLI_TEXT, "F", "", 0, 0,                                       \
    "writes engine and order of every task as JSON, for --scheduler file:F")                       \
  X(PREFETCH, "prefetch", CLI_NUMBER, "N", "2", 0, 1048576,                                        \
    "how many tasks ahead of an engine's present one may load their operands")                     \
  X(RESIDENT, "resident", CLI_CHOICE, "none|weights|kv|all", "none", 0, 0,                         \
    "what stays in SRAM between decode steps, as far as it fits")                                  \
  X(SEED, "seed", CLI_NUMBER, "N", "0", 0, UINT64_MAX, "seed of all randomness")                   \
  X(IDS, "ids", CLI_TEXT, "N,N,...", "", 0, 0,                                                     \
    "token ids to begin with; of a batch, sequences are parted by semicolons (default: seeded "    \
    "ones)")                                                                                       \
  X(IDS_FILE, "ids-file", CLI_TEXT, "F", "", 0, 0,                                                 \
    "the same from a file; ids may be parted by white space")                                      \
  X(GOLDEN, "golden", CLI_TEXT, "STEM[:NAME]", "", 0, 0,                                           \
    "also compares with the arrays of STEM.json and STEM.bin; array NAME stands for the logits")   \
  X(DUMP, "dump", CLI_TEXT, "STEM", "", 0, 0, "writes the points to STEM.json and STEM.bin")       \
  X(TOLERANCE, "tolerance", CLI_TEXT, "X", "", 0, 0,                                               \
    "largest max|d|/max|ref| that passes; softmax is allowed more (default: 5e-6 in f32)")         \
  X(FORMAT, "format", CLI_CHOICE, DAG_FORMATS(CLI_FORMAT_NAME, "|"), "json", 0, 0, "of the DAG")   \
  X(OUT, "out", CLI_TEXT, "F", "-", 0, 0,                                                          \
    "also -o F; where the result goes; - is standard output")                                      \
  X(REPORT, "report", CLI_TEXT, "F", "", 0, 0, "writes the report as JSON")                        \
  X(TRACE, "trace", CLI_TEXT, "F", "", 0, 0,                                                       \
    "writes a timeline for Perfetto (ui.perfetto.dev); gzipped where F ends in .gz")               \
  X(CSV, "csv", CLI_TEXT, "F", "", 0, 0,                                                           \
    "appends the report as a row; creates the file, with a header, where there is none")           \
  X(TIMELINE, "timeline", CLI_TEXT, "F", "", 0, 0,                                                 \
    "writes the schedule as CSV, a row a task: when, where, what it waited for")                   \
  X(EXPLAIN, "explain", CLI_FLAG, "", "", 0, 0,                                                    \
    "prints why it took that long and what would change it: re-simulates with one thing changed "  \
    "at "                                                                                          \
    "a time, on all cores")                                                                        \
  X(VARY, "vary", CLI_TEXT, "KEY=V1,V2,...", "", 0, 0,                                             \
    "an option or --set key, and its values or ranges START:STOP:xFACTOR, START:STOP:+STEP; "      \
    "repeatable, the first changes slowest")                                                       \
  X(POINTS, "points", CLI_TEXT, "FILE.csv", "", 0, 0,                                              \
    "the points instead: a header with the keys, a line a point")                                  \
  X(JOBS, "jobs", CLI_NUMBER, "N", "", 1, 1024,                                                    \
    "processes at once (default: cores); changes no result")                                       \
  X(RESUME, "resume", CLI_FLAG, "", "", 0, 0, "goes on where an interrupted sweep was stopped")    \
  X(SHARD, "shard", CLI_TEXT, "I/N", "1/1", 0, 0,                                                  \
    "only part I of N of the points; the parts' rows, one after the other, are the whole")         \
  X(QUIET, "quiet", CLI_FLAG, "", "", 0, 0, "no progress messages")                                \
  X(PROGRESS, "progress", CLI_FLAG, "", "", 0, 0,                                                  \
    "progress messages even where standard error is no terminal")                                  \
  X(HELP, "help", CLI_FLAG, "", "", 0, 0, "this text")

typedef enum cli_opt {
#define X(id, name, kind, value, standard, lo, hi, help) CLI_##id,
  CLI_OPTIONS(X)
#undef X
      CLI_OPT_COUNT
} cli_opt;

typedef struct cli_option {
  const char *name;
  cli_kind kind;
  const char *value, *standard; /* standard: the default; "" where there is none or it depends */
  uint64_t lo, hi;
  const char *help;
} cli_option;

const cli_option *cli_option_at(cli_opt o);

typedef struct cli cli;

typedef struct cli_command {
  const char *name;
  const char *operand; /* as in help: "DAG.json"; "" where it takes none; "[COMMAND]" where it may
                          have one; "A.json B.json ...": as many as there are */
  const char *text;    /* one line */
  const char *more;    /* what else help should say, or "" */
  const char *example;
  int (*run)(const cli *c, arena *a, err *e);
  cli_opt options[CLI_OPT_COUNT + 1]; /* ended by CLI_OPT_COUNT */
} cli_command;

/* Ended by one without a name. */
extern const cli_command CLI_COMMANDS[];
/* NULL where there is none of that name. */
const cli_command *cli_find_command(const char *name);

/* A command line that was understood. */
struct cli {
  const cli_command *command;
  const char *operand; /* NULL: none; the first */
  const char **operands;
  size_t n_operands, cap_operands;
  bool given[CLI_OPT_COUNT];
  const char *value[CLI_OPT_COUNT]; /* the default where not given; "" where there is none */
  uint64_t number[CLI_OPT_COUNT];   /* of CLI_NUMBER options that have a value */
  const char **set;                 /* --set, in order */
  size_t n_set, cap_set;
  const char **vary; /* --vary, in order */
  size_t n_vary, cap_vary;
};

/* argv without the program's name. Errors (ERR_BAD) say what is accepted, and what may have been
 * meant. */
ERR_CHECK int cli_parse(int argc, char **argv, cli *c, arena *a, err *e);

/* " (did you mean 'x'?)" for the nearest of n names, or "" where none is near. */
const char *cli_nearest(const char *got, const char *const *names, size_t n, arena *a);

#endif
