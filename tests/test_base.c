/* File reading and writing. What a test writes goes to a folder of its own, removed
 * afterwards. */
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "sim/base/file.h"
#include "tests/suite.h"

static char dir[256];
static arena mem;
static err fault;

static void setup(void) {
  const char *tmp = getenv("TMPDIR");
  snprintf(dir, sizeof dir, "%s/llamasim-test-XXXXXX", tmp != NULL ? tmp : "/tmp");
  ck_assert_ptr_nonnull(mkdtemp(dir));
  mem = (arena){0};
  fault = (err){0};
}

/* Entries of the test's folder; `remove` also removes them. */
static int entries(bool remove_them) {
  int n = 0;
  DIR *d = opendir(dir);
  ck_assert_ptr_nonnull(d);
  for (struct dirent *e; (e = readdir(d)) != NULL;) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    n++;
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
    if (remove_them && remove(path) != 0) perror(path);
  }
  closedir(d);
  return n;
}

static void teardown(void) {
  chmod(dir, 0700);
  entries(true);
  rmdir(dir);
  arena_free(&mem);
}

static const char *in_dir(const char *name) {
  return arena_printf(&mem, "%s/%s", dir, name);
}

static const char *text_of(const char *path) {
  file_bytes b;
  err e = {0};
  ck_assert_msg(file_read(path, 1 << 30, &b, &mem, &e) == ERR_OK, "%s", e.msg);
  return (const char *)b.data;
}

static void write_text(const char *path, const char *text) {
  out *o = out_open(path, &fault);
  ck_assert_msg(o != NULL, "%s", fault.msg);
  out_str(o, text);
  ck_assert_msg(out_close(o, &fault) == ERR_OK, "%s", fault.msg);
}

/* The message must hold every one of the '|'-separated parts. */
static void says(const err *e, int status, const char *parts) {
  ck_assert_int_eq(e->status, status);
  char *copy = arena_strdup(&mem, parts), *save = NULL;
  for (char *p = strtok_r(copy, "|", &save); p != NULL; p = strtok_r(NULL, "|", &save))
    ck_assert_msg(strstr(e->msg, p) != NULL, "'%s' is not in: %s", p, e->msg);
}

/* -- reading -- */

START_TEST(file_read__regular_file__bytes_and_final_nul) {
  const char *path = in_dir("a");
  write_text(path, "abc");
  file_bytes b;
  ck_assert_int_eq(file_read(path, 3, &b, &mem, &fault), ERR_OK);
  ck_assert_uint_eq(b.len, 3);
  ck_assert_mem_eq(b.data, "abc", 4);
}
END_TEST

START_TEST(file_read__size_not_known_before__read_to_the_end) {
  file_bytes b; /* files in /proc say that they have 0 bytes */
  ck_assert_int_eq(file_read("/proc/self/status", 1 << 20, &b, &mem, &fault), ERR_OK);
  ck_assert_ptr_nonnull(strstr((const char *)b.data, "Pid:"));
}
END_TEST

START_TEST(file_read__faults__named) {
  file_bytes b;
  err e = {0};
  ck_assert_int_eq(file_read(in_dir("none"), 10, &b, &mem, &e), ERR_BAD);
  says(&e, ERR_BAD, "/none: cannot read it: No such file");
  e = (err){0};
  ck_assert_int_eq(file_read(dir, 10, &b, &mem, &e), ERR_BAD);
  says(&e, ERR_BAD, "is a directory");
  e = (err){0};
  write_text(in_dir("big"), "0123456789");
  ck_assert_int_eq(file_read(in_dir("big"), 9, &b, &mem, &e), ERR_BAD);
  says(&e, ERR_BAD, "limit of 9 bytes");
  e = (err){0};
  ck_assert_int_eq(file_read("/dev/zero", 100000, &b, &mem, &e), ERR_BAD);
  says(&e, ERR_BAD, "limit of 100000 bytes");
}
END_TEST

START_TEST(file_find_data__environment__wins_and_lists_add_up) {
  char *sub = arena_printf(&mem, "%s/models", dir);
  ck_assert_int_eq(mkdir(sub, 0700), 0);
  const char *path = in_dir("models/llama-3.2-1b.json");
  const char *other = in_dir("models/zzz.json");
  write_text(path, "{}");
  write_text(other, "{}");
  setenv("LLAMASIM_DATA", dir, 1);
  const char *with = file_find_data("models", "llama-3.2-1b.json", ".json", &mem);
  const char *without = file_find_data("models", "models/llama-3.2-1b", ".json", &mem);
  const char *shipped = file_find_data("models", "llama-2-7b", ".json", &mem);
  char **names;
  size_t n = file_list_data("models", ".json", &names, &mem);
  unsetenv("LLAMASIM_DATA");
  unlink(path);
  unlink(other);
  rmdir(sub);

  ck_assert_str_eq(with, path);
  ck_assert_str_eq(without, path);
  ck_assert_ptr_nonnull(shipped);
  ck_assert_uint_ge(n, 3);
  ck_assert_str_eq(names[n - 1], "zzz");
  for (size_t i = 1; i < n; i++) ck_assert_str_lt(names[i - 1], names[i]);
  ck_assert_ptr_null(file_find_data("models", "none", ".json", &mem));
  ck_assert_ptr_null(file_find_data("models", "../models/llama-2-7b", ".json", &mem));
  ck_assert_ptr_null(file_find_data("models", "", ".json", &mem));
}
END_TEST

/* -- writing -- */

START_TEST(out_memory__numbers__same_text_as_printf) {
  out *o = out_memory();
  uint64_t x = 88172645463325252u;
  for (int i = 0; i < 20000; i++) {
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    uint64_t v = x >> (i % 64);
    int64_t ns = (int64_t)v / 2 * (i % 2 == 0 ? 1 : -1);
    char want[64];
    size_t before, after;
    out_text(o, &before);
    out_u64(o, v);
    out_char(o, ' ');
    out_us(o, ns);
    const char *got = out_text(o, &after) + before;
    uint64_t abs = (uint64_t)(ns < 0 ? -ns : ns);
    snprintf(want, sizeof want, "%" PRIu64 " %s%" PRIu64 ".%03" PRIu64, v, ns < 0 ? "-" : "",
             abs / 1000, abs % 1000);
    ck_assert_str_eq(got, want);
  }
  out_abort(o);
  o = out_memory();
  out_us(o, INT64_MIN);
  out_char(o, ' ');
  out_us(o, 0);
  out_char(o, ' ');
  out_us(o, -1);
  ck_assert_str_eq(out_text(o, NULL), "-9223372036854775.808 0.000 -0.001");
  ck_assert_int_eq(out_close(o, &fault), ERR_OK);
}
END_TEST

/* Lines of every length around the buffer's, by all means of writing; returns what was written. */
static out *pour(out *o) {
  out *copy = out_memory();
  char *block = arena_alloc(&mem, 600001, 1);
  for (size_t i = 0; i < 600000; i++) block[i] = (char)('a' + i * i % 23);
  static const size_t LENGTHS[] = {1, 262143, 262144, 262145, 100, 600000, 0, 70000};
  for (size_t k = 0; k < 2 * sizeof LENGTHS / sizeof *LENGTHS; k++) {
    size_t n = LENGTHS[k % 8];
    for (int i = 0; i < 2; i++) {
      out *to = i == 0 ? o : copy;
      if (k < 8)
        out_write(to, block, n);
      else
        out_printf(to, "%.*s", (int)n, block);
      out_u64(to, k);
      out_char(to, '\n');
      out_us(to, (int64_t)k);
      out_str(to, "\n");
    }
  }
  return copy;
}

START_TEST(out_write__any_length__file_has_the_same_bytes) {
  out *o = out_open(in_dir("a.txt"), &fault);
  out *copy = pour(o);
  ck_assert_int_eq(out_close(o, &fault), ERR_OK);
  size_t len;
  const char *want = out_text(copy, &len);
  const char *got = text_of(in_dir("a.txt"));
  ck_assert_uint_eq(strlen(got), len);
  ck_assert_mem_eq(got, want, len);
  out_abort(copy);
  ck_assert_int_eq(entries(false), 1);
}
END_TEST

static void gzip_to(const char *path) {
  out *o = out_open(path, &fault);
  out_abort(pour(o));
  ck_assert_int_eq(out_close(o, &fault), ERR_OK);
}

START_TEST(out_gzip__same_input__same_bytes_and_reads_back) {
  gzip_to(in_dir("a.gz"));
  gzip_to(in_dir("b.json.gz"));
  file_bytes a, b;
  ck_assert_int_eq(file_read(in_dir("a.gz"), 1 << 30, &a, &mem, &fault), ERR_OK);
  ck_assert_int_eq(file_read(in_dir("b.json.gz"), 1 << 30, &b, &mem, &fault), ERR_OK);
  ck_assert_uint_eq(a.len, b.len);
  ck_assert_mem_eq(a.data, b.data, a.len);
  ck_assert_mem_eq(a.data + 3, "\0\0\0\0", 5); /* no flags (name), no time */

  out *o = out_memory(), *want = pour(o);
  size_t len;
  const char *text = out_text(want, &len);
  char *back = arena_alloc(&mem, len + 2, 1);
  gzFile z = gzopen(in_dir("a.gz"), "rb");
  ck_assert_int_eq(gzread(z, back, (unsigned)len + 1), (int)len);
  ck_assert_int_eq(gzclose(z), Z_OK);
  ck_assert_mem_eq(back, text, len);
  out_abort(o);
  out_abort(want);
}
END_TEST

START_TEST(out_close__existing_file__replaced_only_then) {
  write_text(in_dir("a"), "old");
  chmod(in_dir("a"), 0640);
  out *o = out_open(in_dir("a"), &fault);
  out_str(o, "new");
  ck_assert_str_eq(text_of(in_dir("a")), "old");
  ck_assert_int_eq(entries(false), 2);
  ck_assert_int_eq(out_close(o, &fault), ERR_OK);
  ck_assert_str_eq(text_of(in_dir("a")), "new");
  ck_assert_int_eq(entries(false), 1);
  struct stat st;
  stat(in_dir("a"), &st);
  ck_assert_int_eq(st.st_mode & 0777, 0640);
}
END_TEST

START_TEST(out_open__new_file__mode_by_umask) {
  mode_t old = umask(027);
  write_text(in_dir("a"), "x");
  umask(old);
  struct stat st;
  stat(in_dir("a"), &st);
  ck_assert_int_eq(st.st_mode & 0777, 0640);
}
END_TEST

START_TEST(out_abort__half_written__old_file_and_nothing_else) {
  write_text(in_dir("a"), "old");
  out *o = out_open(in_dir("a"), &fault);
  out_abort(pour(o));
  out_abort(o);
  ck_assert_str_eq(text_of(in_dir("a")), "old");
  ck_assert_int_eq(entries(false), 1);
}
END_TEST

START_TEST(out_open__symbolic_link__target_replaced_and_link_kept) {
  write_text(in_dir("real"), "old");
  ck_assert_int_eq(symlink("real", in_dir("link")), 0);
  ck_assert_int_eq(symlink("link", in_dir("link2")), 0);
  ck_assert_int_eq(symlink("later", in_dir("dangling")), 0);
  write_text(in_dir("link2"), "new");
  write_text(in_dir("dangling"), "made");
  ck_assert_str_eq(text_of(in_dir("real")), "new");
  ck_assert_str_eq(text_of(in_dir("later")), "made");
  struct stat st;
  lstat(in_dir("link"), &st);
  ck_assert(S_ISLNK(st.st_mode));
  ck_assert_int_eq(entries(false), 5);
  ck_assert_int_eq(symlink("loop", in_dir("loop")), 0);
  ck_assert_ptr_null(out_open(in_dir("loop"), &fault));
  says(&fault, ERR_BAD, "/loop: cannot write it");
}
END_TEST

START_TEST(out_open__impossible_places__refused_with_cure) {
  err e = {0};
  ck_assert_ptr_null(out_open(in_dir("no/such/folder"), &e));
  says(&e, ERR_BAD, "no/such/folder: cannot write it|create the folder");
  e = (err){0};
  ck_assert_ptr_null(out_open(dir, &e));
  says(&e, ERR_BAD, "Is a directory");
  e = (err){0};
  ck_assert_ptr_null(out_open("", &e));
  says(&e, ERR_BAD, "cannot write");
  e = (err){0};
  write_text(in_dir("file"), "x");
  ck_assert_ptr_null(out_open(in_dir("file/below"), &e));
  says(&e, ERR_BAD, "not a folder");
}
END_TEST

START_TEST(out_open__no_permission__refused_and_file_kept) {
  write_text(in_dir("locked"), "old");
  chmod(in_dir("locked"), 0444);
  chmod(dir, 0755);
  bool root = geteuid() == 0; /* who may write anywhere */
  if (root) ck_assert_int_eq(seteuid(65534), 0);
  if (!root) chmod(dir, 0555);
  err a = {0}, b = {0};
  out *locked = out_open(in_dir("locked"), &a), *other = out_open(in_dir("new"), &b);
  if (root) ck_assert_int_eq(seteuid(0), 0);
  ck_assert_ptr_null(locked);
  ck_assert_ptr_null(other);
  says(&a, ERR_BAD, "locked: cannot write it: Permission denied|that you may write to");
  says(&b, ERR_BAD, "new: cannot write it: Permission denied");
  ck_assert_str_eq(text_of(in_dir("locked")), "old");
  ck_assert_int_eq(entries(false), 1);
}
END_TEST

START_TEST(out_close__device_full__said_once_at_the_end) {
  out *o = out_open("/dev/full", &fault);
  ck_assert_msg(o != NULL, "%s", fault.msg);
  out_abort(pour(o));
  ck_assert_int_eq(out_close(o, &fault), ERR_BAD);
  says(&fault, ERR_BAD, "/dev/full: cannot write it: No space left|free some space");
}
END_TEST

START_TEST(out_close__file_size_limit__no_partial_and_no_temporary_file) {
  write_text(in_dir("a"), "old");
  signal(SIGXFSZ, SIG_IGN); /* as main does */
  struct rlimit was, limit;
  getrlimit(RLIMIT_FSIZE, &was);
  limit = was;
  limit.rlim_cur = 300000;
  setrlimit(RLIMIT_FSIZE, &limit);
  out *o = out_open(in_dir("a"), &fault);
  out_abort(pour(o));
  int status = out_close(o, &fault);
  setrlimit(RLIMIT_FSIZE, &was);
  ck_assert_int_eq(status, ERR_BAD);
  says(&fault, ERR_BAD, "File too large|ulimit -f");
  ck_assert_str_eq(text_of(in_dir("a")), "old");
  ck_assert_int_eq(entries(false), 1);
}
END_TEST

START_TEST(out_close__reader_gone__ordinary_error) {
  signal(SIGPIPE, SIG_IGN); /* as main does */
  int ends[2];
  ck_assert_int_eq(pipe(ends), 0);
  out *o = out_open(arena_printf(&mem, "/dev/fd/%d", ends[1]), &fault);
  ck_assert_ptr_nonnull(o);
  close(ends[0]);
  out_str(o, "x");
  ck_assert_int_eq(out_close(o, &fault), ERR_BAD);
  says(&fault, ERR_BAD, "Broken pipe|reader has gone");
  close(ends[1]);
}
END_TEST

START_TEST(out_open__open_descriptor__appended_to_and_not_replaced) {
  int fd = open(in_dir("a"), O_WRONLY | O_CREAT, 0600);
  ck_assert_int_eq((int)write(fd, "first ", 6), 6);
  write_text(arena_printf(&mem, "/dev/fd/%d", fd), "second");
  ck_assert_int_eq((int)write(fd, " third", 6), 6); /* still open, still the same file */
  close(fd);
  ck_assert_str_eq(text_of(in_dir("a")), "first second third");
  ck_assert_int_eq(entries(false), 1);
}
END_TEST

static void on_signal(int number) {
  out_abort_all();
  _exit(number);
}

START_TEST(out_abort_all__killed_while_writing__nothing_left) {
  pid_t pid = fork();
  ck_assert_int_ge(pid, 0);
  if (pid == 0) {
    signal(SIGTERM, on_signal);
    out *a = out_open(in_dir("a"), &fault), *b = out_open(in_dir("b.gz"), &fault);
    out_abort(pour(a));
    out_abort(pour(b));
    if (entries(false) != 2) _exit(99);
    raise(SIGTERM);
    _exit(98);
  }
  int status;
  ck_assert_int_eq(waitpid(pid, &status, 0), pid);
  ck_assert(WIFEXITED(status));
  ck_assert_int_eq(WEXITSTATUS(status), SIGTERM);
  ck_assert_int_eq(entries(false), 0);
}
END_TEST

START_TEST(out_abort_all__in_a_forked_child__leaves_the_parents_files) {
  out *o = out_open(in_dir("a"), &fault);
  out_str(o, "mine");
  pid_t pid = fork();
  ck_assert_int_ge(pid, 0);
  if (pid == 0) {
    out_abort_all();
    _exit(0);
  }
  int status;
  ck_assert_int_eq(waitpid(pid, &status, 0), pid);
  ck_assert_int_eq(out_close(o, &fault), ERR_OK);
  ck_assert_str_eq(text_of(in_dir("a")), "mine");
}
END_TEST

int main(void) {
  Suite *s = suite_create("base");
  TCase *t = tcase_create("base");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 120); /* against hanging; nothing here is a measurement */
  tcase_add_test(t, file_read__regular_file__bytes_and_final_nul);
  tcase_add_test(t, file_read__size_not_known_before__read_to_the_end);
  tcase_add_test(t, file_read__faults__named);
  tcase_add_test(t, file_find_data__environment__wins_and_lists_add_up);
  tcase_add_test(t, out_memory__numbers__same_text_as_printf);
  tcase_add_test(t, out_write__any_length__file_has_the_same_bytes);
  tcase_add_test(t, out_gzip__same_input__same_bytes_and_reads_back);
  tcase_add_test(t, out_close__existing_file__replaced_only_then);
  tcase_add_test(t, out_open__new_file__mode_by_umask);
  tcase_add_test(t, out_abort__half_written__old_file_and_nothing_else);
  tcase_add_test(t, out_open__symbolic_link__target_replaced_and_link_kept);
  tcase_add_test(t, out_open__impossible_places__refused_with_cure);
  tcase_add_test(t, out_open__no_permission__refused_and_file_kept);
  tcase_add_test(t, out_close__device_full__said_once_at_the_end);
  tcase_add_test(t, out_close__file_size_limit__no_partial_and_no_temporary_file);
  tcase_add_test(t, out_close__reader_gone__ordinary_error);
  tcase_add_test(t, out_open__open_descriptor__appended_to_and_not_replaced);
  tcase_add_test(t, out_abort_all__killed_while_writing__nothing_left);
  tcase_add_test(t, out_abort_all__in_a_forked_child__leaves_the_parents_files);
  suite_add_tcase(s, t);
  return suite_run(s);
}
