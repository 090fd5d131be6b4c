/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_nn_elements.h - activations of any type, by index (internal to the kernels).
 *
 * Types are compile-time constants in almost every caller, so each call compiles to the plain access.
 */
#ifndef STQ_NN_ELEMENTS_H
#define STQ_NN_ELEMENTS_H

#include "stq_nn.h"

/*
 * Levels in memory. Tensors of different types share the arena, and an op may write its output over its input. So a
 * store of one type must count as a change of any other, even if the optimizer sees both (inlined, or by -flto).
 */
typedef int16_t __attribute__((may_alias)) stq_level_s16;
typedef int32_t __attribute__((may_alias)) stq_level_s32;

static inline int32_t stq_type_bytes(stq_type type)
{
    return type == STQ_S8 ? 1 : type == STQ_S16 ? 2 : 4;
}

/* Element `index` of an array. */
static inline int32_t stq_level(const void *levels, stq_type type, int32_t index)
{
    return type == STQ_S8    ? ((const int8_t *)levels)[index]
           : type == STQ_S16 ? ((const stq_level_s16 *)levels)[index]
                             : ((const stq_level_s32 *)levels)[index];
}

/* Set element `index` of an array to a level that fits its type. */
static inline void stq_set_level(void *levels, stq_type type, int32_t index, int32_t level)
{
    if (type == STQ_S8) {
        ((int8_t *)levels)[index] = (int8_t)level;
    } else if (type == STQ_S16) {
        ((stq_level_s16 *)levels)[index] = (int16_t)level;
    } else {
        ((stq_level_s32 *)levels)[index] = level;
    }
}

/* Address of element `index` of an array. */
static inline const void *stq_level_address(const void *levels, stq_type type, int32_t index)
{
    return (const uint8_t *)levels + (int32_t)(index * stq_type_bytes(type));
}

/* The first output element of pixel `pixel`. */
static inline void *stq_output_pixel(void *output, stq_type type, int32_t channels, int32_t pixel)
{
    return (uint8_t *)output + (int32_t)(pixel * channels * stq_type_bytes(type));
}

#endif /* STQ_NN_ELEMENTS_H */
