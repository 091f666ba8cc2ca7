/* platform_xml.h - reads a platform XML file into the plain table of platform.h.
 *
 * In three steps, each with file and line in its message, so that SimGrid (whose parser aborts the
 * process) never sees a bad file: libxml2 checks that it is well-formed (no network, no DTD
 * loading; any declaration inside the DOCTYPE is refused, and with it every entity but XML's own
 * five); a RELAX NG schema of our own (platforms/llamasim.rng, compiled into the program) checks
 * elements and attributes, and the message says what is allowed, as read from the schema itself;
 * then our rules check roles, properties, units, ranges, references, and all that plat_check does.
 * In XML every quantity needs a unit. The line is that of the start of the element's tag. */
#ifndef LS_PLATFORM_XML_H
#define LS_PLATFORM_XML_H

#include "sim/platform.h"

enum { PLAT_XML_MAX = 16 << 20 }; /* bytes */

/* (bytes, len) of an XML document; `where` is its name in messages. On an error (ERR_BAD) *p is
 * unchanged. */
ERR_CHECK int plat_parse_xml(const char *where, const unsigned char *data, size_t len, platform *p,
                             arena *a, err *e);

/* `spec` is a path, or the name of a shipped platform ("npu4", "platforms/npu4.xml"). A file of
 * that path comes first, but a bare word ("npu4") always means a shipped one. */
ERR_CHECK int plat_load(const char *spec, platform *p, arena *a, err *e);

#endif
