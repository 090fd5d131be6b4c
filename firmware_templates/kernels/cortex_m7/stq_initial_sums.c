/* SPDX-License-Identifier: Apache-2.0 */
/* Initial accumulators of two pixels of a convolution. */
#include "stq_convolve_parts.h"
#include "stq_nn_columns.h"
#include "stq_nn_pairs.h"

stq_two_words stq_initial_sums(const stq_word *columns, int32_t pairs, int32_t weight_offset)
{
    int32_t sum0 = 0;
    int32_t sum1 = 0;

    if (weight_offset != 0) {
        // There is an even number of pairs in a word of weights that have an offset.
        for (int32_t j = 0; j < pairs; j += 2) {
            const stq_two_words first = stq_load_two(columns + 2 * j);
            const stq_two_words second = stq_load_two(columns + 2 * j + 2);
            sum0 = stq_smlad(first.first, 0x00010001U, sum0);
            sum1 = stq_smlad(first.second, 0x00010001U, sum1);
            sum0 = stq_smlad(second.first, 0x00010001U, sum0);
            sum1 = stq_smlad(second.second, 0x00010001U, sum1);
        }
    }
    return (stq_two_words){(uint32_t)stq_initial_accumulator(weight_offset, sum0),
                           (uint32_t)stq_initial_accumulator(weight_offset, sum1)};
}
