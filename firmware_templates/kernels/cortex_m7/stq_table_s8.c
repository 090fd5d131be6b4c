/* SPDX-License-Identifier: Apache-2.0 */
/* Any function of one int8 level, as a table of 256. Four levels are stored as one word: single bytes are slow. */
#include <stddef.h>

#include "stq_intrinsics.h"
#include "stq_nn.h"

stq_status stq_table_s8(const int8_t *table, int32_t count, const int8_t *input, int8_t *output)
{
    if (table == NULL || count < 0 || input == NULL || output == NULL) {
        return STQ_ARGUMENT_ERROR;
    }

    const int8_t *zero = table + 128;
    int32_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const uint32_t levels =
            stq_pack_bytes(zero[input[i]], zero[input[i + 1]], zero[input[i + 2]], zero[input[i + 3]]);
        stq_store_unaligned(output + i, levels);
    }
    for (; i < count; i++) {
        output[i] = zero[input[i]];
    }
    return STQ_OK;
}
