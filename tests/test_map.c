/* Files mapped read-only, and what cannot be. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim/base/bytes.h"
#include "sim/base/map.h"
#include "tests/suite.h"

static char dir[256], path[300];
static err fault;
static file_map m;

static void setup(void) {
  const char *tmp = getenv("TMPDIR");
  snprintf(dir, sizeof dir, "%s/llamasim-map-XXXXXX", tmp != NULL ? tmp : "/tmp");
  ck_assert_ptr_nonnull(mkdtemp(dir));
  snprintf(path, sizeof path, "%s/file", dir);
  fault = (err){0};
}

static void teardown(void) {
  unlink(path);
  rmdir(dir);
}

static void write_file(const void *data, size_t n) {
  FILE *f = fopen(path, "wb");
  ck_assert_ptr_nonnull(f);
  ck_assert_uint_eq(fwrite(data, 1, n, f), n);
  fclose(f);
}

static void refuses(const char *name, const char *say) {
  fault = (err){0};
  m = (file_map){(const unsigned char *)"x", 1};
  ck_assert_int_eq(map_open(name, &m, &fault), ERR_BAD);
  ck_assert_msg(strncmp(fault.msg, name, strlen(name)) == 0 && strstr(fault.msg, say) != NULL,
                "'%s' does not begin with '%s' and hold '%s'", fault.msg, name, say);
  ck_assert_ptr_null(m.data);
  map_close(&m);
}

START_TEST(map_open__a_file__its_bytes_until_it_is_closed) {
  unsigned char page[5000];
  for (size_t i = 0; i < sizeof page; i++) page[i] = (unsigned char)(i * 7);
  write_file(page, sizeof page);
  ck_assert_msg(map_open(path, &m, &fault) == ERR_OK, "%s", fault.msg);
  ck_assert_uint_eq(m.len, sizeof page);
  ck_assert_int_eq(memcmp(m.data, page, sizeof page), 0);
  unlink(path); /* the name goes, the bytes stay */
  ck_assert_int_eq(m.data[4999], page[4999]);
  map_close(&m);
  ck_assert_ptr_null(m.data);
  map_close(&m);
}
END_TEST

START_TEST(map_open__what_cannot_be_mapped__said) {
  refuses(path, "No such file or directory; check the name");
  refuses(dir, "is a directory; name a file");
  refuses("/dev/null", "is not a regular file");
  write_file("", 0);
  refuses(path, "is empty");
  unlink(path);
  ck_assert_int_eq(mkfifo(path, 0600), 0);
  refuses(path, "is not a regular file"); /* and does not wait for a writer */
}
END_TEST

START_TEST(cursor__at_the_end__gives_nothing_and_stays) {
  const unsigned char bytes[11] = {1, 2, 3, 4, 5, 6, 7, 0x88, 9, 10, 11};
  cursor c = {bytes, sizeof bytes};
  uint64_t v64 = 0;
  uint32_t v32 = 0;
  ck_assert(cursor_u64(&c, &v64));
  ck_assert_uint_eq(v64, 0x8807060504030201);
  ck_assert(!cursor_u32(&c, &v32));
  ck_assert(!cursor_skip(&c, UINT64_MAX));
  ck_assert_uint_eq(c.left, 3);
  ck_assert_ptr_eq(c.at, bytes + 8);
  ck_assert_uint_eq(bytes_u16(c.at + 1), 0x0b0a);
  ck_assert(cursor_skip(&c, 3));
  ck_assert(cursor_skip(&c, 0));
}
END_TEST

int main(void) {
  Suite *s = suite_create("map");
  TCase *t = tcase_create("map");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, map_open__a_file__its_bytes_until_it_is_closed);
  tcase_add_test(t, map_open__what_cannot_be_mapped__said);
  tcase_add_test(t, cursor__at_the_end__gives_nothing_and_stays);
  suite_add_tcase(s, t);
  return suite_run(s);
}
