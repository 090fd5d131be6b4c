/* SPDX-License-Identifier: Apache-2.0 */
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
    const uint32_t word = row[index / per_word];

    if (bits == 1) {
        const uint32_t bit = (word >> ((shift + weight_offset) % 32)) & 1U;
        return (int32_t)(bit << weight_offset) - weight_offset;
    }
    const int32_t field = (int32_t)((word >> shift) & ((1U << bits) - 1U));
    const int32_t sign = bits >= 8 ? 1 << (bits - 1) : 0;
    return (field ^ sign) - sign - weight_offset;
}

#endif /* STQ_NN_WEIGHT_H */
