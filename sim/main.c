/* llamasim: reads the command line, runs the command, prints its error, exits with its status. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sim/base/file.h"
#include "sim/base/text.h"
#include "sim/cli.h"
#include "sim/cmd.h"

#ifndef LLAMASIM_VERSION
#define LLAMASIM_VERSION "unknown"
#endif

/* A run that is stopped from outside leaves no temporary files. */
static void stopped(int sig) {
  out_abort_all();
  _exit(128 + sig);
}

static void catch (int sig, void (*handler)(int)) {
  struct sigaction old, now;
  memset(&now, 0, sizeof now);
  now.sa_handler = handler;
  sigemptyset(&now.sa_mask);
  /* what the caller has chosen to ignore (nohup) stays ignored */
  if (sigaction(sig, NULL, &old) == 0 && old.sa_handler != SIG_IGN) sigaction(sig, &now, NULL);
}

static void prepare_process(void) {
  catch (SIGINT, stopped);
  catch (SIGTERM, stopped);
  catch (SIGHUP, stopped);
  /* a reader that has gone and a full quota are write errors, which out_close reports */
  catch (SIGPIPE, SIG_IGN);
  catch (SIGXFSZ, SIG_IGN);
  /* Where a standard stream is closed, no result file may take its number. Read-only: writing still
   * fails. */
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd) _exit(ERR_INTERNAL);
}

static int run(int argc, char **argv, arena *a, err *e) {
  if (argc > 0 && strcmp(argv[0], "--version") == 0)
    CMD_PRINT(out_str(o, "llamasim " LLAMASIM_VERSION "\n"));
  cli c;
  if (cli_parse(argc, argv, &c, a, e)) return e->status;
  return c.given[CLI_HELP] ? cmd_help(&c, a, e) : c.command->run(&c, a, e);
}

int main(int argc, char **argv) {
  prepare_process();
  arena a = {0};
  static err e;
  int status = run(argc - 1, argv + 1, &a, &e);
  text_clean(e.msg, strlen(e.msg), true);
  if (status != ERR_OK) fprintf(stderr, "llamasim: %s\n", e.msg);
  arena_free(&a);
  return status;
}
