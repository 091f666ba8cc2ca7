#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sim/cmd.h"
#include "sim/schedule_file.h"

static const size_t SCHEDULE_LIMIT = (size_t)1 << 30;

int cmd_check_budget(const cli *c, err *e) {
  const char *name = c->value[CLI_SCHEDULER];
  if (!c->given[CLI_SEARCH_BUDGET] || strcmp(name, "search") == 0) return ERR_OK;
  return err_set(e, ERR_BAD,
                 "--search-budget goes with --scheduler search; '%s' makes no use of it", name);
}

int cmd_policy_find(const cli *c, cmd_policy *p, arena *a, err *e) {
  const char *name = c->value[CLI_SCHEDULER];
  *p = (cmd_policy){.cli = c};
  if (cmd_check_budget(c, e)) return e->status;
  if (strncmp(name, "file:", 5) == 0) {
    p->file = name + 5;
    if (*p->file == '\0')
      return err_set(e, ERR_BAD, "--scheduler file: lacks a file; write file:F");
    return ERR_OK;
  }
  if (cmd_find_policy(c, &p->run, a, e)) return e->status;
  p->name = p->run->name;
  return ERR_OK;
}

/* A line a tenth of the way, at most. */
static void progress(void *self, uint64_t done, uint64_t budget, double best_s) {
  const cmd_policy *p = self;
  if (done * 10 / budget == (done - 1) * 10 / budget) return;
  cmd_progress(p->cli, SIZE_MAX, "search: %llu of %llu simulations, best %.6g s",
               (unsigned long long)done, (unsigned long long)budget, best_s);
}

/* What a policy has found out: to standard error, but for --quiet. */
static void say(void *self, const char *text) {
  const cmd_policy *p = self;
  if (!p->cli->given[CLI_QUIET]) fprintf(stderr, "llamasim: %s\n", text);
}

static int read_file(cmd_policy *p, const dag *d, const platform *plat, arena *a, err *e) {
  arena scratch = {0};
  file_bytes b;
  reach within;
  int status = reach_make(&within, plat, d, &scratch, e);
  if (status == ERR_OK) status = file_read(p->file, SCHEDULE_LIMIT, &b, &scratch, e);
  if (status == ERR_OK)
    status = schedule_file_read(p->file, b.data, b.len, d, plat, &within, &p->given, a, e);
  arena_free(&scratch);
  if (status != ERR_OK) return status;
  p->run = pol_replay_of(&p->given);
  p->name = p->given.scheduler;
  return ERR_OK;
}

int cmd_policy_ready(cmd_policy *p, const dag *d, const platform *plat, machine_options *opt,
                     arena *a, err *e) {
  if (p->file != NULL && read_file(p, d, plat, a, e)) return e->status;
  if (p->file != NULL) opt->given = &p->given;
  p->host = evaluate_host(p->cli->number[CLI_SEARCH_BUDGET]);
  p->host.self = p;
  p->host.progress = progress;
  p->host.say = say;
  opt->host = &p->host;
  if (!p->cli->given[CLI_SAVE_SCHEDULE]) return ERR_OK;
  p->recorder = (pol_recorder){.p = p->run, .out = &p->made, .mem = a};
  p->run = pol_recording_of(p->run);
  opt->recorder = &p->recorder;
  return ERR_OK;
}
