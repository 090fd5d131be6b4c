/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any function of two int8 levels of few values, as a table.
 *
 * Four levels are processed as one word: bytes are slow. One multiplication gives two indices, as halfwords: a table has
 * at most 256 x 256 entries, so none leaves its half.
 */
#include <stddef.h>

#include "stq_intrinsics.h"
#include "stq_nn.h"

stq_status stq_pair_table_s8(const stq_pair_table_params *params, const int8_t *table, int32_t count, const int8_t *a,
                             const int8_t *b, int8_t *output)
{
    if (params == NULL || table == NULL || count < 0 || a == NULL || b == NULL || output == NULL) {
        return STQ_ARGUMENT_ERROR;
    }

    const int32_t stride = params->b_levels;
    const int32_t base = params->a_minimum * stride + params->b_minimum;
    const uint32_t a_minima = ((uint32_t)params->a_minimum & 0xFFU) * 0x01010101U;
    const uint32_t b_minima = ((uint32_t)params->b_minimum & 0xFFU) * 0x01010101U;
    const uint8_t *levels = (const uint8_t *)table;
    int32_t i = 0;

    for (; i + 4 <= count; i += 4) {
        const uint32_t four_a = stq_sub_bytes(stq_load_unaligned(a + i), a_minima);
        const uint32_t four_b = stq_sub_bytes(stq_load_unaligned(b + i), b_minima);
        const uint32_t even = stq_uxtb16(four_a) * (uint32_t)stride + stq_uxtb16(four_b);
        const uint32_t odd = stq_uxtb16_ror8(four_a) * (uint32_t)stride + stq_uxtb16_ror8(four_b);
        const uint32_t first = levels[even & 0xFFFFU] | ((uint32_t)levels[odd & 0xFFFFU] << 8);
        const uint32_t second = levels[even >> 16] | ((uint32_t)levels[odd >> 16] << 8);

        stq_store_unaligned(output + i, first | (second << 16));
    }
    for (; i < count; i++) {
        output[i] = table[a[i] * stride + b[i] - base];
    }
    return STQ_OK;
}
