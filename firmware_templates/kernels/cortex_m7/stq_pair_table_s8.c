/* SPDX-License-Identifier: Apache-2.0 */
/* Any function of two int8 levels of few values, as a table. Four levels are stored as one word: bytes are slow. */
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
    int32_t i = 0;
    for (; i + 4 <= count; i += 4) {
        int32_t levels[4];
        STQ_UNROLL(4)
        for (int32_t j = 0; j < 4; j++) {
            levels[j] = table[a[i + j] * stride + b[i + j] - base];
        }
        stq_store_unaligned(output + i, stq_pack_bytes(levels[0], levels[1], levels[2], levels[3]));
    }
    for (; i < count; i++) {
        output[i] = table[a[i] * stride + b[i] - base];
    }
    return STQ_OK;
}
