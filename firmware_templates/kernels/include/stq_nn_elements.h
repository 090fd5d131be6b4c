/*
 * stq_nn_elements.h - activations of either type, by index (internal to the kernels).
 *
 * Types are compile-time constants in almost every caller, so each call compiles to the plain access.
 */
#ifndef STQ_NN_ELEMENTS_H
#define STQ_NN_ELEMENTS_H

#include "stq_nn.h"

/* Element `index` of an int8 or int16 array. */
static inline int32_t stq_level(const void *levels, stq_type type, int32_t index)
{
    return type == STQ_S8 ? ((const int8_t *)levels)[index] : ((const int16_t *)levels)[index];
}

/* Where element `index` of an array lies. */
static inline const void *stq_level_address(const void *levels, stq_type type, int32_t index)
{
    return type == STQ_S8 ? (const void *)((const int8_t *)levels + index)
                          : (const void *)((const int16_t *)levels + index);
}

/* The first output element of pixel `pixel`. */
static inline void *stq_output_pixel(void *output, stq_type type, int32_t channels, int32_t pixel)
{
    const int32_t bytes = type == STQ_S8 ? 1 : type == STQ_S16 ? 2 : 4;
    return (uint8_t *)output + (int32_t)(pixel * channels * bytes);
}

#endif /* STQ_NN_ELEMENTS_H */
