/* clones.h - one body, compiled for several instruction sets; the loader takes the widest that the
 * processor has.
 *
 * All clones give the same bits: vector lanes never exchange values except in the order that the C
 * text says, and the library is built with -ffp-contract=off (no fused multiply-add, which would
 * round once instead of twice) and without -ffast-math. So a result does not depend on the machine,
 * and no build needs -march=native. Compilers and builds without support (clang, sanitizers, other
 * processors) get the one default body, with the same bits again. */
#ifndef LS_KERNELS_CLONES_H
#define LS_KERNELS_CLONES_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) &&                             \
    !defined(__SANITIZE_ADDRESS__) && !defined(KERN_NO_CLONES)
#define KERN_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define KERN_CLONES
#endif

#endif
