/* SPDX-License-Identifier: Apache-2.0 */
/* Any function of one int8 level, as a table of 256. */
#include <stddef.h>

#include "stq_nn.h"

stq_status stq_table_s8(const int8_t *table, int32_t count, const int8_t *input, int8_t *output)
{
    if (table == NULL || count < 0 || input == NULL || output == NULL) {
        return STQ_ARGUMENT_ERROR;
    }

    for (int32_t i = 0; i < count; i++) {
        output[i] = table[input[i] + 128];
    }
    return STQ_OK;
}
