/* units.h - quantities with units, read and printed.
 *
 * Reading follows the contract and SimGrid: sizes B KB MB GB TB (powers of 1000) KiB MiB GiB TiB
 * (powers of 1024); bandwidth the same with `ps` (GBps, MiBps; and Gbps, Mbps ... in bits); speeds
 * f Kf Mf Gf Tf Pf; times ps ns us ms s; energy pJ nJ uJ mJ J; power uW mW W kW. A number without a
 * unit is in base units (B, B/s, flop/s, s, J, W) unless `need_unit` is set (0 needs none, as in
 * SimGrid). White space between number and unit, and around both, is allowed; so is SimGrid's small
 * k for K. The value is the double nearest to what the text says: "100ns" is 1e-7. */
#ifndef LS_UNITS_H
#define LS_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/err.h"

#define UNITS_KINDS(X)                                                                             \
  X(SIZE, "size", "8MiB")                                                                          \
  X(BANDWIDTH, "bandwidth", "51.2GBps")                                                            \
  X(SPEED, "speed", "4Tf")                                                                         \
  X(TIME, "time", "100ns")                                                                         \
  X(ENERGY, "energy", "20pJ")                                                                      \
  X(POWER, "power", "50mW")                                                                        \
  X(NUMBER, "number", "0.9")

typedef enum units_kind {
#define X(id, name, example) UNITS_##id,
  UNITS_KINDS(X)
#undef X
      UNITS_KIND_COUNT
} units_kind;

/* Parses all of `text` as a finite quantity (sign allowed: the caller checks the range). On a fault
 * the message is `'8 MiBs' is no size; write a number with one of B KB MB ...` (ERR_BAD), without a
 * place: prefix it. */
ERR_CHECK int units_parse(units_kind kind, const char *text, bool need_unit, double *value, err *e);

/* A whole number from lo to hi, decimal digits only. */
ERR_CHECK int units_parse_u64(const char *text, uint64_t lo, uint64_t hi, uint64_t *value, err *e);

/* For people: "2.378 ms", "121.6 MB", "51.2 GB/s", "8 MiB", "4 Tflop/s". The text is exact where
 * the value has few digits and rounded to 4 significant digits otherwise. `buf` is returned. */
enum { UNITS_TEXT = 32 };
char *units_time(char buf[UNITS_TEXT], double seconds);
char *units_size(char buf[UNITS_TEXT], double bytes);    /* binary: KiB MiB GiB */
char *units_size_si(char buf[UNITS_TEXT], double bytes); /* decimal: kB MB GB */
char *units_bandwidth(char buf[UNITS_TEXT], double Bps);
char *units_speed(char buf[UNITS_TEXT], double flops);

#endif
