/* SPDX-License-Identifier: Apache-2.0 */
/* A part of a column of activations set to zero. */
#include "stq_nn_columns.h"

void stq_column_zero(stq_word *column, int32_t stride, int32_t first, int32_t count)
{
    int32_t element = first;
    const int32_t end = first + count;

    if ((element & 1) != 0 && element < end) {
        stq_column_put(column, stride, element++, 0);
    }
    stq_word *pair = column + (element >> 1) * stride;
    for (; element + 2 <= end; element += 2) {
        *pair = 0;
        pair += stride;
    }
    if (element < end) {
        stq_column_put(column, stride, element, 0);
    }
}
