/* SPDX-License-Identifier: Apache-2.0 */
/* Any function of two int8 levels of few values, as a table. */
#include <stddef.h>

#include "stq_nn.h"

stq_status stq_pair_table_s8(const stq_pair_table_params *params, const int8_t *table, int32_t count, const int8_t *a,
                             const int8_t *b, int8_t *output)
{
    if (params == NULL || table == NULL || count < 0 || a == NULL || b == NULL || output == NULL) {
        return STQ_ARGUMENT_ERROR;
    }

    for (int32_t i = 0; i < count; i++) {
        output[i] = table[(a[i] - params->a_minimum) * params->b_levels + (b[i] - params->b_minimum)];
    }
    return STQ_OK;
}
