#ifdef __linux__
#define _GNU_SOURCE /* memfd_create */
#include <sys/mman.h>
#endif

#include "sim/exec_simgrid_load.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <simgrid/engine.h>
#include <simgrid/link.h>
#include <simgrid/version.h>
#include <xbt/config.h>

#if SIMGRID_VERSION >= 33400
#define TIMING_PRECISION "precision/timing"
#else
#define TIMING_PRECISION "surf/precision"
#endif

void exec_start(void) {
  static bool started;
  if (started) return;
  started = true;
  static char name[] = "llamasim", quiet[] = "--log=root.thresh:critical";
  static char *argv[] = {name, quiet, NULL};
  int argc = 2;
  struct sigaction
      interrupt; /* SimGrid takes SIGINT over, and would exit with 1 and leave files behind */
  sigaction(SIGINT, NULL, &interrupt);
  simgrid_init(&argc, argv);
  sigaction(SIGINT, &interrupt, NULL);
  sg_cfg_set_string("network/model", "CM02");
  sg_cfg_set_double("network/TCP-gamma", 0);
  sg_cfg_set_boolean("network/crosstraffic", "no");
  sg_cfg_set_double(TIMING_PRECISION, 1e-13);
}

/* A file without a name where the system has such, so that a kill leaves nothing behind; else one
 * in TMPDIR. Writes its path. */
static int temporary_file(char *path, size_t size, bool *named) {
#ifdef __linux__
  int hidden = memfd_create("llamasim-platform", MFD_CLOEXEC);
  snprintf(path, size, "/proc/self/fd/%d", hidden);
  *named = false;
  if (hidden >= 0 && access(path, R_OK) == 0) return hidden;
  if (hidden >= 0) close(hidden);
#endif
  const char *dir = getenv("TMPDIR");
  snprintf(path, size, "%s/llamasim-platform-XXXXXX", dir != NULL && *dir != 0 ? dir : "/tmp");
  *named = true;
  return mkstemp(path);
}

/* 17 digits: what is read is the same double. */
static void write_bare(const platform *p, out *o) {
  uint32_t n_hosts = plat_host_dma(p, 0) + (uint32_t)p->n_dmas;
  out_printf(o,
             "<?xml version=\"1.0\"?>\n"
             "<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">\n"
             "<platform version=\"4.1\"><zone id=\"%s\" routing=\"Full\">\n",
             p->name);
  for (uint32_t h = 0; h < n_hosts; h++)
    out_printf(o, "<host id=\"%s\" speed=\"1f\"/>\n", plat_host_name(p, h));
  for (size_t i = 0; i < p->n_links; i++)
    out_printf(o, "<link id=\"%s\" bandwidth=\"%.17gBps\" latency=\"0s\" sharing_policy=\"%s\"/>\n",
               p->links[i].name, p->links[i].bandwidth_Bps * EXEC_SCALE,
               p->links[i].fatpipe ? "FATPIPE" : "SHARED");
  for (size_t i = 0; i < p->n_routes; i++) {
    const plat_route *r = &p->routes[i];
    out_printf(o, "<route src=\"%s\" dst=\"%s\" symmetrical=\"%s\">", plat_host_name(p, r->src),
               plat_host_name(p, r->dst), r->symmetrical ? "YES" : "NO");
    for (uint32_t k = 0; k < r->n_links; k++)
      out_printf(o, "<link_ctn id=\"%s\"/>", p->links[r->link[k]].name);
    out_str(o, "</route>\n");
  }
  out_str(o, "</zone></platform>\n");
}

static bool write_all(int fd, const char *text, size_t len) {
  for (size_t done = 0; done < len;) {
    ssize_t n = write(fd, text + done, len - done);
    if (n <= 0) return false;
    done += (size_t)n;
  }
  return true;
}

int exec_load(const platform *p, err *e) {
  char path[4096];
  bool named;
  int fd = temporary_file(path, sizeof path, &named);
  if (fd < 0)
    return err_set(
        e, ERR_BAD,
        "%s: cannot create a temporary file: %s; set TMPDIR to a folder that can be written", path,
        strerror(errno));
  out *o = out_memory();
  write_bare(p, o);
  size_t len;
  const char *text = out_text(o, &len);
  if (write_all(fd, text, len)) {
    exec_start();
    simgrid_load_platform(path);
  } else {
    err_set(e, ERR_BAD, "%s: cannot write a temporary file: %s; set TMPDIR to a folder with room",
            path, strerror(errno));
  }
  out_abort(o);
  close(fd);
  if (named) unlink(path);
  return e->status;
}

void exec_load_bandwidths(const platform *p) {
  for (size_t i = 0; i < p->n_links; i++) {
    sg_link_t l = sg_link_by_name(p->links[i].name);
    double scaled = p->links[i].bandwidth_Bps * EXEC_SCALE;
    if (sg_link_get_bandwidth(l) != scaled) sg_link_set_bandwidth(l, scaled);
  }
}

/* simgrid::kernel::EngineImpl::now_, all that SimGrid knows of the time */
static double *clock_s(void) {
  static double *found;
  static bool looked;
  if (looked) return found;
  looked = true;
  void *program = dlopen(NULL, RTLD_LAZY);
  double *p = program == NULL ? NULL : dlsym(program, "_ZN7simgrid6kernel10EngineImpl4now_E");
  if (p != NULL && *p == simgrid_get_clock()) found = p;
  return found;
}

bool exec_can_rewind(void) {
  return clock_s() != NULL;
}

void exec_rewind(void) {
  *clock_s() = 0;
}
