/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_nn_columns.h - activations as columns of pairs of int16, which SMLAD multiplies.
 *
 * A column is a row of activations as int16, input offset added, padded with zeros to whole words of weights. Pair j is
 * word j * stride, so that with stride 2 the columns of two pixels are interleaved, and one LDRD reads both. Strides
 * and element types are constants in every caller.
 */
#ifndef STQ_NN_COLUMNS_H
#define STQ_NN_COLUMNS_H

#include "stq_intrinsics.h"
#include "internal/stq_nn_elements.h"

STQ_INLINE void stq_column_put(stq_word *column, int32_t stride, int32_t element, int32_t value)
{
    ((stq_halfword *)(column + (element >> 1) * stride))[element & 1] = (int16_t)value;
}

/* Elements first .. first + count - 1 of the column = 0. */
void stq_column_zero(stq_word *column, int32_t stride, int32_t first, int32_t count);

/* Four levels plus offsets, as two pairs. */
STQ_INLINE stq_two_words stq_widen_four(const void *levels, stq_type type, uint32_t offsets)
{
    if (type == STQ_S8) {
        const uint32_t bytes = stq_load_unaligned(levels);
        const uint32_t even = stq_sxtab16(offsets, bytes);
        const uint32_t odd = stq_sxtab16_ror8(offsets, bytes);
        return (stq_two_words){stq_pack_low(even, odd), stq_pack_high(even, odd)};
    }
    return (stq_two_words){stq_sadd16(stq_load_unaligned(levels), offsets),
                           stq_sadd16(stq_load_unaligned(stq_level_address(levels, type, 2)), offsets)};
}

/* Elements first .. first + count - 1 of the column = levels + offset; `offsets` is the offset in both halves. */
STQ_INLINE void stq_column_widen(stq_word *column, int32_t stride, int32_t first, const void *levels, stq_type type,
                                 int32_t count, uint32_t offsets)
{
    const int32_t offset = stq_pair_low(offsets);
    int32_t element = first;
    int32_t left = count;

    if ((element & 1) != 0 && left > 0) {
        stq_column_put(column, stride, element++, stq_level(levels, type, 0) + offset);
        levels = stq_level_address(levels, type, 1);
        left--;
    }
    stq_word *pair = column + (element >> 1) * stride;
    for (; left >= 8; left -= 8) {
        // The second word is loaded before the first is stored, so that neither waits.
        const stq_two_words four = stq_widen_four(levels, type, offsets);
        const stq_two_words next = stq_widen_four(stq_level_address(levels, type, 4), type, offsets);
        pair[0] = four.first;
        pair[stride] = four.second;
        pair[2 * stride] = next.first;
        pair[3 * stride] = next.second;
        pair += 4 * stride;
        levels = stq_level_address(levels, type, 8);
        element += 8;
    }
    if (left >= 4) {
        const stq_two_words four = stq_widen_four(levels, type, offsets);
        pair[0] = four.first;
        pair[stride] = four.second;
        levels = stq_level_address(levels, type, 4);
        element += 4;
        left -= 4;
    }
    for (int32_t i = 0; i < left; i++) {
        stq_column_put(column, stride, element + i, stq_level(levels, type, i) + offset);
    }
}

/* The same for two columns of stride 2 at once, from an even element of each on; `count` is a multiple of four. */
STQ_INLINE void stq_column_widen_twice(stq_word *pair, stq_word *other, const void *levels, stq_type type,
                                       int32_t count, uint32_t offsets)
{
    for (int32_t left = count; left > 0; left -= 4) {
        const stq_two_words four = stq_widen_four(levels, type, offsets);
        pair[0] = four.first;
        pair[2] = four.second;
        other[0] = four.first;
        other[2] = four.second;
        pair += 4;
        other += 4;
        levels = stq_level_address(levels, type, 4);
    }
}

/*
 * The initial value of every accumulator. Fields are multiplied as stored, w + weight_offset, so the surplus
 * weight_offset * (sum of the column) is subtracted in advance. It may wrap; the finished sum is right modulo 2^32,
 * and is known to fit.
 */
STQ_INLINE int32_t stq_initial_accumulator(int32_t weight_offset, int32_t column_sum)
{
    return (int32_t)(0U - (uint32_t)weight_offset * (uint32_t)column_sum);
}

#endif /* STQ_NN_COLUMNS_H */
