/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_runtime.h - the memory functions that compilers call by themselves, for programs without a C library.
 *
 * They are the C standard's functions. Regions are plain memory (not device registers).
 */
#ifndef STQ_RUNTIME_H
#define STQ_RUNTIME_H

#include <stddef.h>

/* Under -flto, calls of these appear after the compiler has dropped every function that nothing calls. */
#define STQ_KEPT __attribute__((used))

STQ_KEPT void *memcpy(void *restrict destination, const void *restrict source, size_t count);
STQ_KEPT void *memmove(void *destination, const void *source, size_t count);
STQ_KEPT void *memset(void *destination, int value, size_t count);
STQ_KEPT int memcmp(const void *a, const void *b, size_t count);

/* gcc recognizes the loops in these functions and would replace them by calls to the functions themselves. */
#if defined(__GNUC__) && !defined(__clang__)
#define STQ_NOT_BY_ITSELF __attribute__((optimize("no-tree-loop-distribute-patterns")))
#else
#define STQ_NOT_BY_ITSELF /* clang refrains under -ffreestanding */
#endif

#endif /* STQ_RUNTIME_H */
