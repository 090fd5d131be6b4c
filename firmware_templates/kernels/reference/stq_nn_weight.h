/* stq_nn_weight.h - one packed weight by its index. */
#ifndef STQ_NN_WEIGHT_H
#define STQ_NN_WEIGHT_H

#include <stdint.h>

/* Weight `index` of a packed row: see "Packed weights" in stq_nn.h. */
static inline int32_t stq_weight(const uint32_t *row, int32_t bits, int32_t weight_offset, int32_t index)
{
    const int32_t per_word = 32 / bits;
    const int32_t element = index % per_word;
    const int32_t shift = (element & 1) * 16 + (element >> 1) * bits;
    const int32_t field = (int32_t)((row[index / per_word] >> shift) & ((1U << bits) - 1U));

    return (bits == 8 && field >= 128 ? field - 256 : field) - weight_offset;
}

#endif /* STQ_NN_WEIGHT_H */
