/* json.h - reading JSON (the only module that sees cJSON) and writing it as a stream.
 *
 * Reading: a parsed document is a tree of opaque values; accessors check type and range and fill
 * `err` with the place as a path of keys (`config.json: .num_attention_heads: is -3; it must be
 * from 1 to 4096`). A syntax error names line and column. Duplicate keys, NaN and Infinity, and
 * anything after the document are refused. Numbers are doubles: integers are exact up to 2^53;
 * larger ones may come as strings.
 *
 * Writing: jw_* write straight to an `out`, commas and nesting kept by the writer; nothing is built
 * in memory. Keys come in the order of the calls. Doubles are printed with the fewest of 15, 16 or
 * 17 digits that read back to the same value; NaN and infinities are a programmer fault. */
#ifndef LS_JSON_H
#define LS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/arena.h"
#include "sim/base/err.h"
#include "sim/base/file.h"

typedef struct json json; /* a value */
typedef struct json_doc {
  const char *where; /* file name, for messages */
  json *root;
} json_doc;

/* Parses (bytes, len). `where` is kept by pointer. json_free gives the tree back; NULL root is
 * fine. */
ERR_CHECK int json_parse(const char *where, const unsigned char *data, size_t len, json_doc *doc,
                         err *e);
void json_free(json_doc *doc);

/* Checks the syntax alone (RFC 8259; at most 500 levels, numbers of at most 63 characters, no
 * \u0000): NULL where it is right, else what should stand at byte `at` ("a value"). json_parse does
 * this by itself. */
const char *json_scan(const unsigned char *data, size_t len, size_t *at);

bool json_is_object(const json *v);
bool json_is_array(const json *v);
bool json_is_string(const json *v);
bool json_is_number(const json *v);
bool json_is_bool(const json *v);
bool json_is_null(const json *v);

/* Member of an object, or NULL (also where v is no object). Iteration: children in file order. */
const json *json_get(const json *v, const char *key);
const json *json_first(const json *v); /* first child of an object or array, or NULL */
const json *json_next(const json *v);  /* next sibling, or NULL */
const char *json_key(const json *v);   /* this child's key in its object, or NULL */
size_t json_count(const json *v);

/* Unchecked values, for where the type was checked. */
const char *json_str(const json *v);
double json_num(const json *v);
bool json_true(const json *v);

/* What a value is, for messages: `-3`, `"abc"` (cut and without control characters), `an array`,
 * `missing` where v is NULL. Returns buf. */
enum { JSON_DESCRIBE = 64 };
const char *json_describe(const json *v, char buf[JSON_DESCRIBE]);

/* Checked access: `ctx` is the path so far (".model"), for the message. `json_need_*` refuse a
 * missing key. */
ERR_CHECK int json_need_u64(const json_doc *d, const json *obj, const char *ctx, const char *key,
                            uint64_t lo, uint64_t hi, uint64_t *v, err *e);
ERR_CHECK int json_need_f64(const json_doc *d, const json *obj, const char *ctx, const char *key,
                            double lo, double hi, double *v, err *e);
ERR_CHECK int json_need_str(const json_doc *d, const json *obj, const char *ctx, const char *key,
                            const char **v, err *e);
/* As above, but a missing or null key leaves *v as it is. */
ERR_CHECK int json_opt_u64(const json_doc *d, const json *obj, const char *ctx, const char *key,
                           uint64_t lo, uint64_t hi, uint64_t *v, err *e);
ERR_CHECK int json_opt_f64(const json_doc *d, const json *obj, const char *ctx, const char *key,
                           double lo, double hi, double *v, err *e);
ERR_CHECK int json_opt_bool(const json_doc *d, const json *obj, const char *ctx, const char *key,
                            bool *v, err *e);
ERR_CHECK int json_opt_str(const json_doc *d, const json *obj, const char *ctx, const char *key,
                           const char **v, err *e);

enum { JW_DEPTH = 32 };

typedef struct jw {
  out *o;
  int depth;
  int indent;           /* spaces a level for the outer `pretty` levels; 0 = one line */
  int pretty;           /* levels deeper than this stay on one line */
  bool first[JW_DEPTH]; /* no member written yet at this level */
  bool is_array[JW_DEPTH];
} jw;

jw jw_new(out *o, int indent, int pretty);
/* `key` is NULL inside an array and at the top. */
void jw_object(jw *w, const char *key);
void jw_array(jw *w, const char *key);
void jw_end(jw *w); /* ends the innermost object or array; ending the outermost writes a newline */
void jw_str(jw *w, const char *key, const char *v);
void jw_u64(jw *w, const char *key, uint64_t v);
void jw_i64(jw *w, const char *key, int64_t v);
void jw_f64(jw *w, const char *key, double v);
void jw_bool(jw *w, const char *key, bool v);
void jw_null(jw *w, const char *key);

/* The pieces, for writers that stream records of a fixed form (trace): a quoted, escaped string; a
 * double. */
void out_json_str(out *o, const char *s);
void out_json_f64(out *o, double v);

#endif
