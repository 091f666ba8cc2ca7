/* .pth files that lie, in their pickles and as legacy files: each is refused, by name and offset.
 * What is wrong with an archive is for test_zipdir.c. */
#include <check.h>

#include "tests/pth_rig.h"
#include "tests/suite.h"
#include "workloads/ckpt/pickle.h"

#define W PW_F32_0 PW_DENSE_4 PW_END

/* -- pickles -- */

typedef struct bad_case {
  const char *words, *says;
} bad_case;

static const bad_case PICKLES[] = {
    /* code: by name, before anything is made of it */
    {"p cos/system ( 'echo~pwned' t R .", "data.pkl: offset 2: GLOBAL names os.system, which is "
                                          "not allowed and was not run; allowed are "
                                          "collections.OrderedDict, torch._utils._rebuild_tensor_"},
    {"p cposix/system 'id' t1 R .", "GLOBAL names posix.system"},
    {"p cbuiltins/eval '1' t1 R .", "GLOBAL names builtins.eval"},
    {"p 'os' 'system' x93 'id' t1 R .", "STACK_GLOBAL names os.system"},
    {"p ctorch/load 'x' t1 R .", "GLOBAL names torch.load"},
    {"p ctorch._utils/_rebuild_tensor .", "GLOBAL names torch._utils._rebuild_tensor,"},
    {"p ctorch/LongStorage .", "GLOBAL names torch.LongStorage"},
    {"p ccollections/OrderedDict\\x .", "GLOBAL names collections.OrderedDict\\x"},
    {"p ctorch/Float\x1b[2JStorage .", "GLOBAL names torch.Float?[2JStorage"},
    {"p } 'w' i1 'x' x93 .", "STACK_GLOBAL wants two strings, not an integer and a string"},
    /* opcodes that no checkpoint needs */
    {"( \"ios x0a \"system x0a .", "offset 1: INST is an opcode that no checkpoint needs"},
    {"p } ( 'os' o .", "OBJ is an opcode that no checkpoint needs; it is refused and was not run"},
    {"p ccollections/OrderedDict ) x81 .", "NEWOBJ is an opcode"},
    {"p ccollections/OrderedDict ) } x92 .", "NEWOBJ_EX is an opcode"},
    {"p x82 x01 .", "EXT1 is an opcode"},
    {"p P \"0 x0a .", "PERSID is an opcode"},
    {"p S \"'a' x0a .", "STRING is an opcode"},
    {"p N 2 .", "DUP is an opcode"},
    {"p N 0 .", "POP is an opcode"},
    {"p x97 .", "NEXT_BUFFER is an opcode"},
    {"p xff .", "offset 2: the byte 0xff is no pickle opcode"},
    {"x80 x01 N .", "PROTO is 1; protocols 2 to 5"},
    {"x80 x09 N .", "PROTO is 9; protocols 2 to 5"},
    /* the stack */
    {"p .", "STOP finds no value on the stack"},
    {"p ( .", "STOP finds no value on the stack above its mark"},
    {"p N N .", "STOP leaves 1 values on the stack"},
    {"p t .", "TUPLE finds no mark"},
    {"p N t3 .", "TUPLE3 wants 3 values; the stack has 1"},
    {"p N ( N t2 .", "TUPLE2 wants 2 values above the mark"},
    {"p ( N N u .", "SETITEMS finds nothing on the stack to put values into"},
    {"p N ( N N u .", "SETITEMS wants a dict below its values, not None"},
    {"p } ( N u .", "SETITEMS has a key without a value"},
    {"p } N a .", "APPEND wants a list below its values, not a dict"},
    {"p a .", "APPEND finds nothing"},
    {"p ] ( a .", "APPEND wants 1 values above the mark"},
    {"p } ( N s .", "SETITEM wants 2 values above the mark"},
    {"p } N ( s .", "SETITEM wants 2 values above the mark"},
    {"p ] s .", "SETITEM finds nothing"},
    {"p Q .", "BINPERSID wants 1 values; the stack has 0"},
    {"p N ( Q .", "BINPERSID wants 1 values above the mark"},
    {"p ccollections/OrderedDict N R .", "REDUCE calls a global name with None"},
    {"p 'x' ) R .", "REDUCE calls a string with a tuple"},
    {"p ccollections/OrderedDict N t1 R .",
     "REDUCE calls collections.OrderedDict with 1 arguments"},
    {"p ctorch/FloatStorage ) R .", "REDUCE calls torch.FloatStorage with 0 arguments"},
    {"p N N b .", "BUILD sets the state of None to None"},
    {"p N b .", "BUILD sets the state of nothing to None"},
    /* the memo */
    {"p h0 .", "BINGET wants the value remembered under 0; there is none"},
    {"p N q0 h1 .", "BINGET wants the value remembered under 1"},
    {"p j4294967295 .", "LONG_BINGET wants the value remembered under 4294967295"},
    {"p q0 .", "BINPUT finds no value on the stack to remember"},
    {"p N r4294967295 .", "LONG_BINPUT remembers a value under the number 4294967295; the limit"},
    {"p N r9 .", "LONG_BINPUT remembers a value under the number 9; the limit here is 3"},
    /* cycles: a value that contains itself, at once, through another, through a tuple */
    {"p ] q0 h0 a .",
     "APPEND changes the list made at offset 2 after it was fetched from the memo; that is how"},
    {"p } q0 'a' h0 s .", "SETITEM changes the dict made at offset 2 after it was fetched"},
    {"p ] q0 ( h0 e .", "APPENDS changes the list made at offset 2"},
    {"p ] q0 h0 t1 a .", "APPEND changes the list made at offset 2"},
    {"p ] q0 ] h0 a a .", "APPEND changes the list made at offset 2"},
    {"p } q0 ( 'a' ] h0 a u .", "SETITEMS changes the dict made at offset 2"},
    {"p ccollections/OrderedDict ) R q0 'a' h0 s .", "SETITEM changes the dict made at offset 28"},
    /* lengths */
    {"p X xff xff xff xff .", "BINUNICODE wants 4294967295 more bytes, of which 1 are there"},
    {"p X x10 .", "BINUNICODE wants 4 more bytes, of which 2 are there"},
    {"p x8c xff .", "SHORT_BINUNICODE wants 255 more bytes"},
    {"p x8a xff .", "LONG1 wants 255 more bytes"},
    {"p x95 xff xff xff xff xff xff xff xff .",
     "FRAME claims 18446744073709551615 bytes, of which"},
    {"p c", "GLOBAL has a name without an end"},
    {"p N", "the pickle has no STOP within 3 bytes; it is cut short"},
    {"", "the pickle has no STOP within 0 bytes"},
    /* the object */
    {"p N .", "data.pkl: the object is None; it must be a dict of names to tensors"},
    {"p ] .", "the object is a list;"},
    {"p } .", "there are no tensors in the object"},
    {"p } 'model' } s .", "there are no tensors in the object"},
    {"p } ( 'a' } 'w'" W "s 'b' } 'w'" W "s u .", "there are no tensors in the object"},
    {"p } 'model' } 'model' } 'model' } 'model' } 'model' } 'w'" W "s s s s s s .",
     "there are no tensors in the object"},
    {"p } i7" W "s .", "a tensor in the dict that begins here is named by an integer; it must be"},
    {"p } ''" W "s .", "is named ''; it must be 1 to 512 printable"},
    {"p } 'a~b'" W "s .", "is named 'a b'; it must be"},
    {"p } 'a\nb'" W "s .", "is named 'a?b'; it must be"},
    {"p } ( 'w'" W "'v'" W "'w'" W "u .", "tensor 'w' is there twice"},
};

START_TEST(pth_parse__bad_pickle__refused_by_name_and_offset) {
  refused_words(PICKLES[_i].words, PICKLES[_i].says);
}
END_TEST

/* Storages and tensors. `T` is a tensor of storage '0', of four f32. */
#define T(rest) "p } 'w'" PW_F32_0 rest PW_END "s ."
#define ID(id) "p } 'w' ctorch._utils/_rebuild_tensor_v2 ( " id " Q " PW_DENSE_4 " F N t R s ."
#define SIXTY_FOUR "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
static const bad_case TENSORS[] = {
    {T("i1 i4 t1 i1 t1"), "tensor 'w' reaches beyond its storage '0', which has 4 elements; the "
                          "view begins at element 1"},
    {T("i0 i5 t1 i1 t1"), "reaches beyond its storage"},
    {T("i0 i2 i2 t2 i3 i1 t2"), "reaches beyond its storage"},
    {T("i0 i2 i2 t2 i2 i2 t2"), "reaches beyond its storage"},
    {T("i5 i0 t1 i1 t1"), "reaches beyond its storage"},
    {T("i4 i1 t1 i1 t1"), "reaches beyond its storage"},
    {T("i4 t0 t0"), "reaches beyond its storage"},
    {T("l9223372036854775807 i4 t1 i1 t1"), "reaches beyond its storage"},
    {T("i0 i4 t1 l9223372036854775807 t1"), "reaches beyond its storage"},
    {T("i0 i3 i3 t2 l9223372036854775807 l9223372036854775807 t2"), "reaches beyond its storage"},
    {T("i-1 i4 t1 i1 t1"), "offset, shape and strides must be whole numbers from 0"},
    {T("i0 i-4 t1 i1 t1"), "offset, shape and strides must be whole numbers from 0"},
    {T("i3 i4 t1 i-1 t1"), "offset, shape and strides must be whole numbers from 0"},
    {T("x8a x01 xff i4 t1 i1 t1"), "offset, shape and strides must be whole numbers from 0"},
    {T("i0 G x00 x00 x00 x00 x00 x00 x00 x00 t1 i1 t1"), "must be whole numbers from 0"},
    {T("i0 l9223372036854775807 l9223372036854775807 t2 i0 i0 t2"), "with 2^40 elements at most"},
    {T("i0 l1099511627777 t1 i0 t1"), "with 2^40 elements at most"},
    {T("i0 ( i1 i1 i1 i1 i1 t ( i1 i1 i1 i1 i1 t"), "has 5 dimensions; the limit is 4"},
    {T("i0 i4 t1 i1 i1 t2"), "the arguments of _rebuild_tensor_v2 are not those"},
    {T("N i4 t1 i1 t1"), "the arguments of _rebuild_tensor_v2 are not those"},
    {T("i0 i4 i1 t1"), "the arguments of _rebuild_tensor_v2 are not those"},
    {"p } 'w' ctorch._utils/_rebuild_tensor_v2 ) R s .", "the arguments of _rebuild_tensor_v2"},
    {"p } 'w' ctorch._utils/_rebuild_parameter ) R s .", "there are no tensors"},
    {"p } 'w' ctorch._utils/_rebuild_tensor_v2 ( N " PW_DENSE_4 " F N t R s .", "the arguments of"},
    /* metadata can make numbers others than those stored (conjugate, negative) */
    {"p } 'w' ctorch._utils/_rebuild_tensor_v2 ( ( 'storage' ctorch/FloatStorage '0' 'cpu' i4 t "
     "Q " PW_DENSE_4 " F N } 'neg' T s t R s .",
     "the arguments of _rebuild_tensor_v2"},
    {"p } 'w' ctorch._utils/_rebuild_tensor_v3 ( ( 'storage' ctorch/FloatStorage '0' 'cpu' i4 t "
     "Q " PW_DENSE_4 " F N ctorch/float32 t R s .",
     "the arguments of _rebuild_tensor_v3"},
    {"p } 'w' ctorch._utils/_rebuild_tensor_v3 ( ( 'storage' ctorch.storage/UntypedStorage '0' "
     "'cpu' i16 t Q " PW_DENSE_4 " F N ctorch/float64 t R s .",
     "names torch.float64"},
    {"p } 'w' ctorch._utils/_rebuild_tensor_v3 ( ( 'storage' ctorch.storage/UntypedStorage '0' "
     "'cpu' i16 t Q i0 i5 t1 i1 t1 F N ctorch/float32 t R s .",
     "which has 4 elements"},
    {"p } 'w' ctorch._utils/_rebuild_tensor_v3 ( ( 'storage' ctorch.storage/UntypedStorage '0' "
     "'cpu' i16 t Q " PW_DENSE_4 " F N ctorch.storage/UntypedStorage t R s .",
     "the arguments of"},
    {ID("i1"), "the persistent id is not ('storage', type, key, location, elements), as"},
    {ID("( 'module' ctorch/FloatStorage '0' 'cpu' i4 t"), "the persistent id is not"},
    {ID("( 'storage' 'FloatStorage' '0' 'cpu' i4 t"), "the persistent id is not"},
    {ID("( 'storage' ccollections/OrderedDict '0' 'cpu' i4 t"), "the persistent id is not"},
    {ID("( 'storage' ctorch/FloatStorage i0 'cpu' i4 t"), "the persistent id is not"},
    {ID("( 'storage' ctorch/FloatStorage '0' 'cpu' i-4 t"), "the persistent id is not"},
    {ID("( 'storage' ctorch/FloatStorage '0' 'cpu' i4 N t"), "the persistent id is not"},
    {ID("( 'storage' ctorch/FloatStorage '0' 'cpu' t"), "the persistent id is not"},
    {ID("( 'storage' ctorch/FloatStorage '0' 'cpu' l9223372036854775807 t"),
     "claims 9223372036854"},
    {ID("( 'storage' ctorch/FloatStorage '" SIXTY_FOUR "' 'cpu' i4 t"),
     "there is no entry 'x/data/0"},
    {ID("( 'storage' ctorch/FloatStorage '" SIXTY_FOUR "0' 'cpu' i4 t"), "key of 64 bytes at most"},
    {ID("( 'storage' ctorch/FloatStorage '2' 'cpu' i4 t"), "there is no entry 'x/data/2'"},
    {ID("( 'storage' ctorch/FloatStorage '' 'cpu' i4 t"), "there is no entry 'x/data/'"},
    {ID("( 'storage' ctorch/FloatStorage '0' 'cpu' i5 t"), "the entry 'x/data/0' has 16 bytes; the "
                                                           "5 elements of this storage need 20"},
    {ID("( 'storage' ctorch/FloatStorage '0' 'cpu' i3 t"), "the entry 'x/data/0' has 16 bytes"},
    {ID("( 'storage' ctorch/HalfStorage '0' 'cpu' i4 t"), "the entry 'x/data/0' has 16 bytes"},
    {"p } ( 'w'" W "'v'" PW_REBUILD
     "( 'storage' ctorch/HalfStorage '0' 'cpu' i8 t Q i0 i8 t1 i1 t1" PW_END "u .",
     "storage '0' has another type or size than at offset"},
};

START_TEST(pth_parse__bad_tensor__refused_by_name_and_offset) {
  refused_words(TENSORS[_i].words, TENSORS[_i].says);
}
END_TEST

/* -- bounds -- */

/* `n` times the same byte between two others, as a pickle. */
static void refused_bulk(const char *before, char c, size_t n, const char *after,
                         const char *says) {
  out *object = out_memory(), *o = out_memory();
  pw_assemble(before, object);
  for (size_t i = 0; i < n; i++) out_char(object, c);
  pw_assemble(after, object);
  size_t len = 0;
  const char *bytes = out_text(object, &len);
  pw_archive(&(pw_entry){"x/data.pkl", bytes, len}, 1, PW_TORCH, o);
  out_abort(object);
  refused_out(o, says);
}

START_TEST(pickle_read__too_much__refused) {
  refused_bulk("p", '}', PICKLE_MAX_VALUES + 1, ".", "EMPTY_DICT makes more than 2097152 values");
  refused_bulk("p", '(', PICKLE_MAX_VALUES + 1, ".", "MARK makes more than 2097152 values");
  refused_bulk("p N", '\x85', PICKLE_MAX_DEPTH + 1, ".", "TUPLE1 nests values more than 32 deep");
  refused_bulk("p ", ']', 40, "a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a .",
               "APPEND nests values more than 32 deep");
  refused_bulk("p N", '\x94', PICKLE_MAX_MEMO + 1, ".",
               "MEMOIZE remembers a value under the number "
               "1048576; the limit here is 1048575");
  refused_bulk("p N X x00 x00 x00 x01", 'a', PICKLE_MAX_BYTES, "t2 .",
               "BINUNICODE wants 16777216 "
               "more bytes, of which");
}
END_TEST

/* Deep enough to see that no recursion is on the way; the value itself is fine. */
START_TEST(pickle_read__shared_values__no_explosion) {
  /* t1 = (t0, t0), t2 = (t1, t1), ...: 2^30 leaves if it were walked as a tree */
  out *o = out_memory(), *words = out_memory();
  out_str(words, "p } ( 'w'" W "'x' N q0 ");
  for (int i = 0; i < 30; i++) out_printf(words, "h%d t2 q%d ", i, i + 1);
  out_str(words, "u .");
  pw_small(out_text(words, NULL), "little", PW_TORCH, o);
  size_t len = 0;
  const char *data = out_text(o, &len);
  ck_assert_msg(parse(data, len) == ERR_OK, "%s", fault.msg);
  out_abort(words);
  out_abort(o);
}
END_TEST

START_TEST(pth_parse__long_name__limit_and_one_more) {
  for (size_t n = PTH_MAX_NAME; n <= PTH_MAX_NAME + 1; n++) {
    out *o = out_memory(), *object = out_memory();
    out_write(object, "\x80\x02}X", 4);
    out_char(object, (char)(n & 255));
    out_char(object, (char)(n >> 8));
    out_write(object, "\0\0", 2);
    for (size_t i = 0; i < n; i++) out_char(object, 'n');
    pw_assemble(W "s .", object);
    size_t len = 0;
    const char *bytes = out_text(object, &len);
    pw_zip(&(pw_file){"x", &(pw_storage){"0", RAW_F32, PW_NUMBERS, 4}, 1, NULL, 0}, bytes, len, o);
    if (n > PTH_MAX_NAME)
      refused_out(o, "it must be 1 to 512 printable");
    else {
      const char *data = out_text(o, &len);
      ck_assert_msg(parse(data, len) == ERR_OK, "%s", fault.msg);
      out_abort(o);
    }
    out_abort(object);
  }
}
END_TEST

/* -- every cut, every damaged byte -- */

static file legacy(const char *words) {
  static const pw_storage STORAGES[] = {{"10", RAW_F32, PW_NUMBERS, 4},
                                        {"20", RAW_F16, PW_NUMBERS, 8}};
  static const pw_tensor TENSOR_LIST[] = {
      {.name = "a", .storage = 0, .rank = 2, .dim = {2, 2}, .stride = {2, 1}},
      {.name = "b", .storage = 1, .rank = 1, .dim = {8}, .stride = {1}}};
  out *o = out_memory(), *object = out_memory();
  file f;
  size_t n = 0;
  if (words != NULL) pw_assemble(words, object);
  const char *bytes = out_text(object, &n);
  pw_legacy(&(pw_file){"", STORAGES, 2, TENSOR_LIST, 2}, words != NULL ? bytes : NULL, n, o);
  const char *text = out_text(o, &f.len);
  f.data = malloc(f.len + 64);
  ck_assert_ptr_nonnull(f.data);
  memcpy(f.data, text, f.len);
  out_abort(o);
  out_abort(object);
  return f;
}

static file any_form(int form) {
  return form == 0 ? small(PW_TORCH) : form == 1 ? small(PW_PLAIN) : legacy(NULL);
}

START_TEST(pth_parse__cut_at_every_byte__refused) {
  file f = any_form(_i);
  ck_assert_msg(parse(f.data, f.len) == ERR_OK, "%s", fault.msg);
  for (size_t n = 0; n < f.len; n++)
    if (parse(f.data, n) == ERR_OK) ck_abort_msg("taken with %zu of %zu bytes", n, f.len);
  free(f.data);
}
END_TEST

/* Taken or refused: but no read beyond, no view beyond (parse() checks both). */
START_TEST(pth_parse__every_byte_damaged__no_harm) {
  static const unsigned char FLIPS[] = {0x01, 0x80, 0xFF, 0x10};
  file f = any_form(_i);
  size_t refusals = 0;
  for (size_t n = 0; n < f.len; n++)
    for (size_t k = 0; k < sizeof FLIPS; k++) {
      f.data[n] ^= FLIPS[k];
      refusals += parse(f.data, f.len) != ERR_OK;
      f.data[n] ^= FLIPS[k];
    }
  ck_assert_uint_gt(refusals, f.len); /* most of a small file is structure */
  free(f.data);
}
END_TEST

/* -- legacy -- */

#define L2(key, n, type)                                                                           \
  " ctorch._utils/_rebuild_tensor_v2 ( ( 'storage' ctorch/" type " '" key "' 'cpu' i" #n           \
  " N t Q i0 i4 t1 i1 t1 F N t R "

START_TEST(pth_parse__bad_legacy__refused) {
  file f = legacy(NULL);
  f.data[f.len] = 0;
  refused(f.data, f.len + 1, "f.pth: 1 bytes follow the last storage, which ends at offset");
  f.data[18] ^= 1; /* 1001: PROTO 2, BININT2 */
  refused(f.data, f.len, "f.pth: protocol: is not 1001");
  free(f.data);
  static const bad_case OBJECTS[] = {
      {"p } ( 'a'" L2("10", 4, "FloatStorage") "'b'" L2("20", 4, "HalfStorage") "u .",
       "storage '20' should have 4 elements (8 bytes) here; the file says 8"},
      {"p } ( 'a'" L2("10", 8, "FloatStorage") "'b'" L2("20", 8, "HalfStorage") "u .",
       "storage '10' should have 8 elements (32 bytes) here; the file says 4"},
      {"p } 'a'" L2("10", 4, "FloatStorage") "s .",
       "storage keys: key 2 of 2, '20', is no storage of the object"},
      {"p } ( 'a'" L2("10", 4, "FloatStorage") "'b'" L2("20", 8, "HalfStorage") "'c'" L2(
           "30", 4, "FloatStorage") "u .",
       "storage keys: storage '30', of the object's offset"},
      {"p } 'a' ctorch._utils/_rebuild_tensor_v2 ( ( 'storage' ctorch/FloatStorage '10' 'cpu' i4 "
       "( '9' i0 i4 t t Q i0 i4 t1 i1 t1 F N t R s .",
       "the persistent id is not ('storage', type, key, location, elements, None)"},
      {"p cos/system 'id' t1 R .", "f.pth: object: offset 139: GLOBAL names os.system"},
  };
  for (size_t i = 0; i < sizeof OBJECTS / sizeof *OBJECTS; i++) {
    f = legacy(OBJECTS[i].words);
    refused(f.data, f.len, OBJECTS[i].says);
    free(f.data);
  }
}
END_TEST

START_TEST(pth_parse__legacy_from_a_big_endian_machine__refused) {
  file f = legacy(NULL);
  unsigned char *p = f.data; /* NEWTRUE behind 'little_endian' and its BINPUT */
  while (memcmp(p, "little_endian", 13) != 0) p++;
  ck_assert_uint_eq(p[15], 0x88);
  p[15] = 0x89;
  refused(f.data, f.len, "f.pth: system facts: does not say that little_endian is true");
  free(f.data);
}
END_TEST

START_TEST(pth_parse__legacy_keys__each_storage_once_in_a_list) {
  file f = legacy(NULL);
  unsigned char *p = f.data + f.len - 2 * (8 + 16) - 1; /* STOP of the list "10", "20" */
  ck_assert(memcmp(p - 5, "20q\2e.", 6) == 0);
  p[-5] = '1';
  refused(f.data, f.len, "storage keys: key 2 of 2, '10', is listed twice");
  while (*p != ']') p--;
  *p = '}';
  refused(f.data, f.len, "f.pth: storage keys: offset");
  out *o = out_memory(); /* the same beginning, another object, no list */
  out_write(o, f.data, 137);
  pw_assemble("p } . p N .", o);
  refused_out(o, "f.pth: storage keys: are None; they must be a list");
  free(f.data);
}
END_TEST

START_TEST(pth_parse__nothing_of_torchs__refused) {
  refused("", 0, "begins neither as a zip archive nor with torch's magic number");
  refused("PK", 2, "begins neither");
  refused("PK\3\4", 4, "has no end of a zip archive in its 4 bytes");
  refused("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15,
          "f.pth: protocol: offset 15: the pickle has no STOP within 0 bytes");
}
END_TEST

#define LOOP(t, name, table) tcase_add_loop_test(t, name, 0, (int)(sizeof table / sizeof *table))

int main(void) {
  Suite *s = suite_create("pth_bad");
  TCase *t = tcase_create("all");
  tcase_set_timeout(t, 60);
  LOOP(t, pth_parse__bad_pickle__refused_by_name_and_offset, PICKLES);
  LOOP(t, pth_parse__bad_tensor__refused_by_name_and_offset, TENSORS);
  tcase_add_test(t, pickle_read__too_much__refused);
  tcase_add_test(t, pickle_read__shared_values__no_explosion);
  tcase_add_test(t, pth_parse__long_name__limit_and_one_more);
  tcase_add_loop_test(t, pth_parse__cut_at_every_byte__refused, 0, 3);
  tcase_add_loop_test(t, pth_parse__every_byte_damaged__no_harm, 0, 3);
  tcase_add_test(t, pth_parse__bad_legacy__refused);
  tcase_add_test(t, pth_parse__legacy_from_a_big_endian_machine__refused);
  tcase_add_test(t, pth_parse__legacy_keys__each_storage_once_in_a_list);
  tcase_add_test(t, pth_parse__nothing_of_torchs__refused);
  suite_add_tcase(s, t);
  return suite_run(s);
}
