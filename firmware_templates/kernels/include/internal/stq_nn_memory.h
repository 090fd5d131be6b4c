/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_nn_memory.h - the memory functions of C, for kernels that move levels (internal).
 *
 * Declared here because a freestanding compiler may come without <string.h>; firmware has them from `runtime/`.
 */
#ifndef STQ_NN_MEMORY_H
#define STQ_NN_MEMORY_H

#include <stddef.h>

void *memcpy(void *restrict destination, const void *restrict source, size_t count);
void *memmove(void *destination, const void *source, size_t count);

#endif /* STQ_NN_MEMORY_H */
