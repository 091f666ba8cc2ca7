/* sha256.h - SHA-256 of bytes in memory (FIPS 180-4), for comparing with published sums. */
#ifndef LS_TESTS_SHA256_H
#define LS_TESTS_SHA256_H

#include <stddef.h>

/* Writes 64 hexadecimal digits and a NUL; returns `hex`. */
char *sha256_hex(const void *data, size_t len, char hex[65]);

#endif
