/* Zip archives that lie, as .pth files: each is refused, and says where. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/pth_rig.h"
#include "tests/suite.h"
#include "workloads/ckpt/zipdir.h"

static uint32_t get32(const unsigned char *p) {
  return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put32(unsigned char *p, uint32_t v) {
  for (size_t i = 0; i < 4; i++) p[i] = (unsigned char)(v >> (8 * i));
}

static void put64(unsigned char *p, uint64_t v) {
  put32(p, (uint32_t)v);
  put32(p + 4, (uint32_t)(v >> 32));
}

/* The i-th record of the directory: data.pkl, data/0, data/1, byteorder. */
static unsigned char *central(file f, size_t i) {
  unsigned char *p = f.data + get32(f.data + f.len - 22 + 16);
  for (; i > 0; i--) p += 46 + p[28] + p[30];
  return p;
}

static unsigned char *local(file f, size_t i) {
  return f.data + get32(central(f, i) + 42);
}

/* One field of a good archive changed. */
static void patched(pw_form form, size_t at_end, size_t at_central, size_t at_local, uint32_t v,
                    const char *says) {
  file f = small(form);
  unsigned char *p = at_end > 0       ? f.data + (f.len - at_end)
                     : at_central > 0 ? central(f, 1) + at_central
                                      : local(f, 1) + at_local;
  put32(p, v);
  refused(f.data, f.len, says);
  free(f.data);
}

START_TEST(zipdir_read__lying_end__refused) {
  patched(PW_PLAIN, 22, 0, 0, 0, "has no end of a zip archive");
  patched(PW_PLAIN, 18, 0, 0, 1, "is one of several volumes");
  patched(PW_PLAIN, 14, 0, 0, 0x00030004, "is one of several volumes"); /* 4 here, 3 in all */
  patched(PW_PLAIN, 14, 0, 0, 0x00030003, "its zip directory has");     /* one fewer than there */
  patched(PW_PLAIN, 14, 0, 0, 0x00050005, "claims 5 entries; its 221 bytes have room for 4");
  patched(PW_PLAIN, 14, 0, 0, 0xFFFFFFFF, "claims 65535 entries; its");
  patched(PW_PLAIN, 10, 0, 0, 0xFFFFFFFF, "its zip directory claims offset");
  patched(PW_PLAIN, 6, 0, 0, 0xFFFFFFFF, "its zip directory claims offset 4294967295");
  patched(PW_PLAIN, 6, 0, 0, 0, "its zip directory claims offset 0");
  /* the zip64 record of 56 bytes and its locator of 20 lie before the end record of 22 */
  patched(PW_TORCH, 22 + 20 - 8, 0, 0, 0xFFFFFFFF, "its zip64 locator points to offset 4294967295");
  patched(PW_TORCH, 22 + 20 - 12, 0, 0, 0xFFFFFFFF, "its zip64 locator points to offset 184467");
  patched(PW_TORCH, 22 + 20 - 8, 0, 0, 1, "its zip64 locator points to offset 1,");
  patched(PW_TORCH, 22 + 20 + 56 - 24, 0, 0, 9, "its two end records");
  patched(PW_TORCH, 22 + 20 + 56 - 32, 0, 0, 9, "its two end records");
  patched(PW_TORCH, 22 + 20 + 56 - 44, 0, 0, 9, "its two end records");
  patched(PW_TORCH, 22 + 20 + 56 - 52, 0, 0, 1, "its two end records");
}
END_TEST

START_TEST(zipdir_read__zip64_record_inside_its_locator__refused) {
  file f = small(PW_TORCH);
  const size_t locator = f.len - 22 - 20, at = locator - 55; /* a byte less than a record has */
  put32(f.data + at, 0x06064b50);
  put32(f.data + locator + 8, (uint32_t)at);
  refused(f.data, f.len, "where there is no zip64 end record");
  free(f.data);
}
END_TEST

START_TEST(zipdir_read__lying_entry__refused) {
  patched(PW_TORCH, 0, 8, 0, 1, "the zip entry 'x/data/0' is encrypted");
  patched(PW_TORCH, 0, 8, 0, 0x00080000,
          "the zip entry 'x/data/0' is compressed (method 8, 16 "
          "bytes for 16); weights are mapped, not unpacked");
  patched(PW_TORCH, 0, 24, 0, 0xFFFFFFFE, "is compressed (method 0, 16 bytes for 4294967294)");
  patched(PW_TORCH, 0, 20, 0, 15, "is compressed");
  patched(PW_TORCH, 0, 28, 0, 0xFFFF, "its zip directory is damaged at offset");
  patched(PW_TORCH, 0, 28, 0, 7, "has another name or method");
  patched(PW_TORCH, 0, 30, 0, 0xFFFF, "its zip directory is damaged at offset");
  patched(PW_TORCH, 0, 42, 0, 0xFFFFFF, "claims to begin at offset 16777215");
  patched(PW_TORCH, 0, 42, 0, 1, "claims to begin at offset 1, where no entry begins");
  patched(PW_TORCH, 0, 42, 0, 0, "the zip entry 'x/data/0' has another name");
  patched(PW_TORCH, 0, 0, 26, 0xFFFF, "has another name or method");
  patched(PW_TORCH, 0, 0, 28, 0xFFFFFFFF, "has another name or method");
  patched(PW_TORCH, 0, 0, 30, 0x41414141, "has another name or method");
  patched(PW_TORCH, 0, 0, 8, 8, "has another name or method");
  patched(PW_PLAIN, 0, 0, 22, 17, "claims 16 bytes; there are");
}
END_TEST

START_TEST(zipdir_read__size_beyond_the_directory__refused) {
  file f = small(PW_TORCH);
  put32(central(f, 3) + 20, 4000);
  put32(central(f, 3) + 24, 4000);
  refused(f.data, f.len, "the zip entry 'x/byteorder' claims 4000 bytes; there are");
  free(f.data);
}
END_TEST

START_TEST(zipdir_read__overlapping_entries__refused) {
  file f = small(PW_TORCH);
  put32(central(f, 1) + 20, 200); /* over the local header that follows */
  put32(central(f, 1) + 24, 200);
  refused(f.data, f.len, "the zip entries 'x/data/0' and 'x/data/1' overlap at offset");
  free(f.data);
  f = small(PW_TORCH); /* many names for the same bytes: how a zip bomb saves space */
  memcpy(central(f, 2), central(f, 1), 46 + 8);
  refused(f.data, f.len, "the zip entries 'x/data/0' and 'x/data/0' overlap at offset");
  free(f.data);
}
END_TEST

START_TEST(zipdir_read__one_name_twice__refused) {
  static const pw_entry ENTRIES[] = {{"x/data.pkl", "N.", 2}, {"x/a", "1", 1}, {"x/a", "2", 1}};
  out *o = out_memory();
  pw_archive(ENTRIES, 3, PW_TORCH, o);
  refused_out(o, "the zip entry 'x/a' is there twice");
}
END_TEST

START_TEST(pth_parse__archive_without_or_with_two_objects__refused) {
  static const pw_entry NONE[] = {{"x/data", "N.", 2}, {"xdata.pkl", "N.", 2}};
  static const pw_entry TWO[] = {{"x/data.pkl", "N.", 2}, {"y/data.pkl", "N.", 2}};
  out *o = out_memory();
  pw_archive(NONE, 2, PW_TORCH, o);
  refused_out(o, "is a zip archive without a data.pkl; it is nothing that torch.save wrote");
  o = out_memory();
  pw_archive(TWO, 2, PW_TORCH, o);
  refused_out(o, "has two objects, 'x/data.pkl' and 'y/data.pkl'");
  o = out_memory();
  pw_archive(NONE, 0, PW_PLAIN, o);
  refused_out(o, "begins neither as a zip archive nor with torch's magic number");
}
END_TEST

START_TEST(pth_parse__big_endian__refused) {
  static const char *const ORDERS[] = {"big", "littl", "little\n"};
  for (size_t i = 0; i < 3; i++) {
    out *o = out_memory();
    pw_small(PTH_GOOD, ORDERS[i], PW_TORCH, o);
    refused_out(o, "only 'little' can be read");
  }
}
END_TEST

/* A zip64 entry: the directory's 32-bit fields say that the numbers are in the extra field. */
START_TEST(zipdir_read__zip64_entry__read_or_refused) {
  static const unsigned char EXTRA[28] = {1, 0, 24, 0, 16, 0, 0, 0, 0, 0, 0, 0, 16};
  for (int damage = 0; damage < 5; damage++) {
    file f = small(PW_PLAIN);
    unsigned char *p = central(f, 1), *behind = p + 46 + p[28];
    uint32_t at = get32(p + 42);
    memmove(behind + sizeof EXTRA, behind, (size_t)(f.data + f.len - behind));
    memcpy(behind, EXTRA, sizeof EXTRA);
    put32(behind + 20, at);
    f.len += sizeof EXTRA;
    put32(p + 20, 0xFFFFFFFF);
    put32(p + 24, 0xFFFFFFFF);
    put32(p + 42, 0xFFFFFFFF);
    p[30] = sizeof EXTRA;
    put32(f.data + f.len - 10, get32(f.data + f.len - 10) + (uint32_t)sizeof EXTRA);
    if (damage == 0) ck_assert_msg(parse(f.data, f.len) == ERR_OK, "%s", fault.msg);
    if (damage == 1) { /* too short for three numbers */
      behind[2] = 16;
      refused(f.data, f.len, "the zip entry 'x/data/0' has a damaged zip64 field at offset");
    }
    if (damage == 2) { /* 2^64 - 1 bytes */
      memset(behind + 4, 0xFF, 16);
      refused(f.data, f.len, "claims 18446744073709551615 bytes; there are");
    }
    if (damage == 3) { /* longer than what holds it */
      behind[2] = sizeof EXTRA;
      refused(f.data, f.len, "the zip entry 'x/data/0' has a damaged zip64 field at offset");
    }
    if (damage == 4) { /* of another kind: then the numbers are meant as they stand */
      behind[0] = 2;
      refused(f.data, f.len, "claims to begin at offset 4294967295, where no entry begins");
    }
    free(f.data);
  }
}
END_TEST

START_TEST(zipdir_read__bytes_before_or_after__refused_or_a_comment) {
  file f = small(PW_TORCH);
  f.data[f.len] = 0;
  refused(f.data, f.len + 1, "has no end of a zip archive");
  f.data[f.len - 2] = 1; /* now the byte is the archive's comment */
  ck_assert_msg(parse(f.data, f.len + 1) == ERR_OK, "%s", fault.msg);
  refused(f.data + 1, f.len, "begins neither");
  free(f.data);
}
END_TEST

/* As a 7B checkpoint has it: an entry of more than 4 GiB, and one that begins behind 4 GiB. The
 * pages between are never touched. */
START_TEST(zipdir_read__more_than_4_GiB__views_at_64_bit_offsets) {
  const uint64_t more = (uint64_t)1 << 32, room = more + (1 << 20);
  file f = small(PW_TORCH);
  unsigned char *big =
      mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ck_assert(big != MAP_FAILED);
  /* entry 1 grows to 4 GiB + 16; all that follows its data moves up */
  const uint64_t cut = (uint64_t)(local(f, 2) - f.data), dir = (uint64_t)(central(f, 0) - f.data);
  memcpy(big, f.data, cut);
  memcpy(big + more + cut, f.data + cut, dir - cut);
  uint64_t at = more + dir;
  for (size_t i = 0; i < 4; i++) {
    unsigned char *p = central(f, i), *to = big + at;
    size_t n = 46 + (size_t)p[28], extra = 0;
    memcpy(to, p, n);
    uint64_t size = get32(p + 24) + (i == 1 ? more : 0);
    uint64_t header = get32(p + 42) + (i >= 2 ? more : 0);
    unsigned char *field = to + n + 4;
    if (i == 1) {
      put32(to + 20, 0xFFFFFFFF), put32(to + 24, 0xFFFFFFFF);
      for (size_t k = 0; k < 2; k++, extra += 8) put64(field + extra, size);
    }
    if (i >= 2) {
      put32(to + 42, 0xFFFFFFFF);
      put64(field + extra, header), extra += 8;
    }
    if (extra > 0) put32(to + n, 1 | (uint32_t)extra << 16), to[30] = (unsigned char)(extra + 4);
    at += n + (extra > 0 ? extra + 4 : 0);
  }
  const unsigned char *end = f.data + f.len - 22 - 20 - 56;
  memcpy(big + at, end, 22 + 20 + 56);
  put64(big + at + 40, at - (more + dir)), put64(big + at + 48, more + dir);
  put64(big + at + 56 + 8, at);
  put32(big + at + 76 + 12, (uint32_t)(at - (more + dir))), put32(big + at + 76 + 16, 0xFFFFFFFF);
  arena a = {0};
  zip_dir d;
  err e = {0};
  ck_assert_msg(zipdir_read("big", big, at + 98, &d, &a, &e) == ERR_OK, "%s", e.msg);
  const zip_entry *one = zipdir_find(&d, "x/data/0", 8), *two = zipdir_find(&d, "x/data/1", 8);
  ck_assert(one != NULL && two != NULL && zipdir_find(&d, "x/data/2", 8) == NULL);
  ck_assert_uint_eq(one->size, more + 16);
  ck_assert_uint_gt(two->header, more);
  ck_assert_uint_eq(two->size, sizeof PW_NUMBERS);
  ck_assert_mem_eq(two->data, PW_NUMBERS, sizeof PW_NUMBERS);
  arena_free(&a);
  munmap(big, room);
  free(f.data);
}
END_TEST

int main(void) {
  Suite *s = suite_create("zipdir");
  TCase *t = tcase_create("all");
  tcase_set_timeout(t, 60);
  tcase_add_test(t, zipdir_read__lying_end__refused);
  tcase_add_test(t, zipdir_read__zip64_record_inside_its_locator__refused);
  tcase_add_test(t, zipdir_read__lying_entry__refused);
  tcase_add_test(t, zipdir_read__size_beyond_the_directory__refused);
  tcase_add_test(t, zipdir_read__overlapping_entries__refused);
  tcase_add_test(t, zipdir_read__one_name_twice__refused);
  tcase_add_test(t, pth_parse__archive_without_or_with_two_objects__refused);
  tcase_add_test(t, pth_parse__big_endian__refused);
  tcase_add_test(t, zipdir_read__zip64_entry__read_or_refused);
  tcase_add_test(t, zipdir_read__bytes_before_or_after__refused_or_a_comment);
  tcase_add_test(t, zipdir_read__more_than_4_GiB__views_at_64_bit_offsets);
  suite_add_tcase(s, t);
  return suite_run(s);
}
