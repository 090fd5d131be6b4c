/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_dense_core.h - the dense layer for every weight width and input type; STQ_DEFINE_DENSE makes the public names.
 *
 * The input is widened to int16 once; then two outputs are summed at a time.
 */
#ifndef STQ_DENSE_CORE_H
#define STQ_DENSE_CORE_H

#include "internal/stq_nn_arguments.h"
#include "stq_nn_columns.h"
#include "internal/stq_nn_define.h"
#include "internal/stq_nn_elements.h"
#include "stq_nn_pairs.h"
#include "internal/stq_nn_scratch.h"

/* Accumulators of two outputs (rows of weights). */
typedef struct {
    int32_t row0;
    int32_t row1;
} stq_dense_block;

#if STQ_HAND_WRITTEN
/*
 * A word of each row times as many pairs of levels, two pairs at a time. The order is the fastest by LLVM's model of the
 * core.
 */

/* 1-bit weights: 16 pairs in a word, which rotations bring to the mask; 8 pairs if `*steps` is 1. */
STQ_INLINE stq_dense_block stq_dense_multiply_word_b1(stq_dense_block acc, const stq_word **column, uint32_t word0,
                                                      uint32_t word1, uint32_t mask, int32_t *steps)
{
    uint32_t x0, x1, a, b;

    __asm__(
        // Pairs 0 and 1.
        "and %[a], %[mask], %[word0]\n\t"
        "ldrd %[x0], %[x1], [%[column]], #8\n\t"
        "and %[b], %[mask], %[word1]\n\t"
        "smlad %[acc0], %[x0], %[a], %[acc0]\n\t"
        "and %[a], %[mask], %[word0], ror #1\n\t"
        "smlad %[acc1], %[x0], %[b], %[acc1]\n\t"
        "and %[b], %[mask], %[word1], ror #1\n\t"
        "smlad %[acc0], %[x1], %[a], %[acc0]\n\t"
        "smlad %[acc1], %[x1], %[b], %[acc1]\n\t"
        // Pairs 2 and 3.
        "and %[a], %[mask], %[word0], ror #2\n\t"
        "ldrd %[x0], %[x1], [%[column]], #8\n\t"
        "and %[b], %[mask], %[word1], ror #2\n\t"
        "smlad %[acc0], %[x0], %[a], %[acc0]\n\t"
        "and %[a], %[mask], %[word0], ror #3\n\t"
        "smlad %[acc1], %[x0], %[b], %[acc1]\n\t"
        "and %[b], %[mask], %[word1], ror #3\n\t"
        "smlad %[acc0], %[x1], %[a], %[acc0]\n\t"
        "smlad %[acc1], %[x1], %[b], %[acc1]\n\t"
        // Pairs 4 and 5.
        "and %[a], %[mask], %[word0], ror #4\n\t"
        "ldrd %[x0], %[x1], [%[column]], #8\n\t"
        "and %[b], %[mask], %[word1], ror #4\n\t"
        "smlad %[acc0], %[x0], %[a], %[acc0]\n\t"
        "and %[a], %[mask], %[word0], ror #5\n\t"
        "smlad %[acc1], %[x0], %[b], %[acc1]\n\t"
        "and %[b], %[mask], %[word1], ror #5\n\t"
        "smlad %[acc0], %[x1], %[a], %[acc0]\n\t"
        "smlad %[acc1], %[x1], %[b], %[acc1]\n\t"
        // Pairs 6 and 7.
        "and %[a], %[mask], %[word0], ror #6\n\t"
        "ldrd %[x0], %[x1], [%[column]], #8\n\t"
        "and %[b], %[mask], %[word1], ror #6\n\t"
        "smlad %[acc0], %[x0], %[a], %[acc0]\n\t"
        "and %[a], %[mask], %[word0], ror #7\n\t"
        "smlad %[acc1], %[x0], %[b], %[acc1]\n\t"
        "and %[b], %[mask], %[word1], ror #7\n\t"
        "smlad %[acc0], %[x1], %[a], %[acc0]\n\t"
        "smlad %[acc1], %[x1], %[b], %[acc1]\n\t"
        // The second half-word, unless only one step is left.
        "subs %[steps], %[steps], #2\n\t"
        "bmi.w 1f\n\t"
        // Pairs 8 and 9.
        "and %[a], %[mask], %[word0], ror #8\n\t"
        "ldrd %[x0], %[x1], [%[column]], #8\n\t"
        "and %[b], %[mask], %[word1], ror #8\n\t"
        "smlad %[acc0], %[x0], %[a], %[acc0]\n\t"
        "and %[a], %[mask], %[word0], ror #9\n\t"
        "smlad %[acc1], %[x0], %[b], %[acc1]\n\t"
        "and %[b], %[mask], %[word1], ror #9\n\t"
        "smlad %[acc0], %[x1], %[a], %[acc0]\n\t"
        "smlad %[acc1], %[x1], %[b], %[acc1]\n\t"
        // Pairs 10 and 11.
        "and %[a], %[mask], %[word0], ror #10\n\t"
        "ldrd %[x0], %[x1], [%[column]], #8\n\t"
        "and %[b], %[mask], %[word1], ror #10\n\t"
        "smlad %[acc0], %[x0], %[a], %[acc0]\n\t"
        "and %[a], %[mask], %[word0], ror #11\n\t"
        "smlad %[acc1], %[x0], %[b], %[acc1]\n\t"
        "and %[b], %[mask], %[word1], ror #11\n\t"
        "smlad %[acc0], %[x1], %[a], %[acc0]\n\t"
        "smlad %[acc1], %[x1], %[b], %[acc1]\n\t"
        // Pairs 12 and 13.
        "and %[a], %[mask], %[word0], ror #12\n\t"
        "ldrd %[x0], %[x1], [%[column]], #8\n\t"
        "and %[b], %[mask], %[word1], ror #12\n\t"
        "smlad %[acc0], %[x0], %[a], %[acc0]\n\t"
        "and %[a], %[mask], %[word0], ror #13\n\t"
        "smlad %[acc1], %[x0], %[b], %[acc1]\n\t"
        "and %[b], %[mask], %[word1], ror #13\n\t"
        "smlad %[acc0], %[x1], %[a], %[acc0]\n\t"
        "smlad %[acc1], %[x1], %[b], %[acc1]\n\t"
        // Pairs 14 and 15.
        "and %[a], %[mask], %[word0], ror #14\n\t"
        "ldrd %[x0], %[x1], [%[column]], #8\n\t"
        "and %[b], %[mask], %[word1], ror #14\n\t"
        "smlad %[acc0], %[x0], %[a], %[acc0]\n\t"
        "and %[a], %[mask], %[word0], ror #15\n\t"
        "smlad %[acc1], %[x0], %[b], %[acc1]\n\t"
        "and %[b], %[mask], %[word1], ror #15\n\t"
        "smlad %[acc0], %[x1], %[a], %[acc0]\n\t"
        "smlad %[acc1], %[x1], %[b], %[acc1]\n\t"
        "1:\n\t"
        : [acc0] "+r"(acc.row0), [acc1] "+r"(acc.row1), [column] "+r"(*column), [x0] "=&r"(x0), [x1] "=&r"(x1),
          [a] "=&r"(a), [b] "=&r"(b), [steps] "+r"(*steps)
        : [word0] "r"(word0), [word1] "r"(word1), [mask] "r"(mask)
        : "memory", "cc");
    return acc;
}

/* 2-bit weights: 8 pairs in a word. */
STQ_INLINE stq_dense_block stq_dense_multiply_word_t2(stq_dense_block acc, const stq_word **column, uint32_t word0,
                                                      uint32_t word1, uint32_t mask)
{
    uint32_t x0, x1, a, b;

    __asm__(
        // Pairs 0 and 1.
        "and %[a], %[mask], %[word0]\n\t"
        "ldrd %[x0], %[x1], [%[column]], #8\n\t"
        "and %[b], %[mask], %[word1]\n\t"
        "smlad %[acc0], %[x0], %[a], %[acc0]\n\t"
        "and %[a], %[mask], %[word0], lsr #2\n\t"
        "smlad %[acc1], %[x0], %[b], %[acc1]\n\t"
        "and %[b], %[mask], %[word1], lsr #2\n\t"
        "smlad %[acc0], %[x1], %[a], %[acc0]\n\t"
        "smlad %[acc1], %[x1], %[b], %[acc1]\n\t"
        // Pairs 2 and 3.
        "and %[a], %[mask], %[word0], lsr #4\n\t"
        "ldrd %[x0], %[x1], [%[column]], #8\n\t"
        "and %[b], %[mask], %[word1], lsr #4\n\t"
        "smlad %[acc0], %[x0], %[a], %[acc0]\n\t"
        "and %[a], %[mask], %[word0], lsr #6\n\t"
        "smlad %[acc1], %[x0], %[b], %[acc1]\n\t"
        "and %[b], %[mask], %[word1], lsr #6\n\t"
        "smlad %[acc0], %[x1], %[a], %[acc0]\n\t"
        "smlad %[acc1], %[x1], %[b], %[acc1]\n\t"
        // Pairs 4 and 5.
        "and %[a], %[mask], %[word0], lsr #8\n\t"
        "ldrd %[x0], %[x1], [%[column]], #8\n\t"
        "and %[b], %[mask], %[word1], lsr #8\n\t"
        "smlad %[acc0], %[x0], %[a], %[acc0]\n\t"
        "and %[a], %[mask], %[word0], lsr #10\n\t"
        "smlad %[acc1], %[x0], %[b], %[acc1]\n\t"
        "and %[b], %[mask], %[word1], lsr #10\n\t"
        "smlad %[acc0], %[x1], %[a], %[acc0]\n\t"
        "smlad %[acc1], %[x1], %[b], %[acc1]\n\t"
        // Pairs 6 and 7.
        "and %[a], %[mask], %[word0], lsr #12\n\t"
        "ldrd %[x0], %[x1], [%[column]], #8\n\t"
        "and %[b], %[mask], %[word1], lsr #12\n\t"
        "smlad %[acc0], %[x0], %[a], %[acc0]\n\t"
        "and %[a], %[mask], %[word0], lsr #14\n\t"
        "smlad %[acc1], %[x0], %[b], %[acc1]\n\t"
        "and %[b], %[mask], %[word1], lsr #14\n\t"
        "smlad %[acc0], %[x1], %[a], %[acc0]\n\t"
        "smlad %[acc1], %[x1], %[b], %[acc1]\n\t"
        : [acc0] "+r"(acc.row0), [acc1] "+r"(acc.row1), [column] "+r"(*column), [x0] "=&r"(x0), [x1] "=&r"(x1),
          [a] "=&r"(a), [b] "=&r"(b)
        : [word0] "r"(word0), [word1] "r"(word1), [mask] "r"(mask)
        : "memory", "cc");
    return acc;
}

/* 4-bit weights: 4 pairs in a word. */
STQ_INLINE stq_dense_block stq_dense_multiply_word_s4(stq_dense_block acc, const stq_word **column, uint32_t word0,
                                                      uint32_t word1, uint32_t mask)
{
    uint32_t x0, x1, a, b;

    __asm__(
        // Pairs 0 and 1.
        "and %[a], %[mask], %[word0]\n\t"
        "ldrd %[x0], %[x1], [%[column]], #8\n\t"
        "and %[b], %[mask], %[word1]\n\t"
        "smlad %[acc0], %[x0], %[a], %[acc0]\n\t"
        "and %[a], %[mask], %[word0], lsr #4\n\t"
        "smlad %[acc1], %[x0], %[b], %[acc1]\n\t"
        "and %[b], %[mask], %[word1], lsr #4\n\t"
        "smlad %[acc0], %[x1], %[a], %[acc0]\n\t"
        "smlad %[acc1], %[x1], %[b], %[acc1]\n\t"
        // Pairs 2 and 3.
        "and %[a], %[mask], %[word0], lsr #8\n\t"
        "ldrd %[x0], %[x1], [%[column]], #8\n\t"
        "and %[b], %[mask], %[word1], lsr #8\n\t"
        "smlad %[acc0], %[x0], %[a], %[acc0]\n\t"
        "and %[a], %[mask], %[word0], lsr #12\n\t"
        "smlad %[acc1], %[x0], %[b], %[acc1]\n\t"
        "and %[b], %[mask], %[word1], lsr #12\n\t"
        "smlad %[acc0], %[x1], %[a], %[acc0]\n\t"
        "smlad %[acc1], %[x1], %[b], %[acc1]\n\t"
        : [acc0] "+r"(acc.row0), [acc1] "+r"(acc.row1), [column] "+r"(*column), [x0] "=&r"(x0), [x1] "=&r"(x1),
          [a] "=&r"(a), [b] "=&r"(b)
        : [word0] "r"(word0), [word1] "r"(word1), [mask] "r"(mask)
        : "memory", "cc");
    return acc;
}

/* 8-bit weights: 2 pairs in a word, which are sign-extended. */
STQ_INLINE stq_dense_block stq_dense_multiply_word_s8(stq_dense_block acc, const stq_word **column, uint32_t word0,
                                                      uint32_t word1)
{
    uint32_t x0, x1, a, b;

    __asm__("sxtb16 %[a], %[word0]\n\t"
            "ldrd %[x0], %[x1], [%[column]], #8\n\t"
            "sxtb16 %[b], %[word1]\n\t"
            "smlad %[acc0], %[x0], %[a], %[acc0]\n\t"
            "sxtb16 %[a], %[word0], ror #8\n\t"
            "smlad %[acc1], %[x0], %[b], %[acc1]\n\t"
            "sxtb16 %[b], %[word1], ror #8\n\t"
            "smlad %[acc0], %[x1], %[a], %[acc0]\n\t"
            "smlad %[acc1], %[x1], %[b], %[acc1]\n\t"
            : [acc0] "+r"(acc.row0), [acc1] "+r"(acc.row1), [column] "+r"(*column), [x0] "=&r"(x0), [x1] "=&r"(x1),
              [a] "=&r"(a), [b] "=&r"(b)
            : [word0] "r"(word0), [word1] "r"(word1)
            : "memory", "cc");
    return acc;
}

/* 16-bit weights: a word is a pair as it is. */
STQ_INLINE stq_dense_block stq_dense_multiply_word_s16(stq_dense_block acc, const stq_word **column, uint32_t word0,
                                                       uint32_t word1)
{
    uint32_t x0, x1, a, b;

    __asm__("ldr %[x0], [%[column]], #4\n\t"
            "smlad %[acc0], %[x0], %[word0], %[acc0]\n\t"
            "smlad %[acc1], %[x0], %[word1], %[acc1]\n\t"
            : [acc0] "+r"(acc.row0), [acc1] "+r"(acc.row1), [column] "+r"(*column), [x0] "=&r"(x0), [x1] "=&r"(x1),
              [a] "=&r"(a), [b] "=&r"(b)
            : [word0] "r"(word0), [word1] "r"(word1)
            : "memory", "cc");
    return acc;
}
#endif

#define STQ_BLOCK stq_dense_block
#define STQ_ROWS(name) stq_dense_##name

/* See stq_nn_rows.h. */
STQ_INLINE stq_dense_block stq_dense_multiply_word(stq_dense_block acc, const stq_word **column, uint32_t word0,
                                                   uint32_t word1, int32_t bits, uint32_t mask, int32_t *steps)
{
#if STQ_HAND_WRITTEN
    if (bits == 1) {
        return stq_dense_multiply_word_b1(acc, column, word0, word1, mask, steps);
    }
    if (bits == 2) {
        return stq_dense_multiply_word_t2(acc, column, word0, word1, mask);
    }
    if (bits == 4) {
        return stq_dense_multiply_word_s4(acc, column, word0, word1, mask);
    }
    if (bits == 8) {
        return stq_dense_multiply_word_s8(acc, column, word0, word1);
    }
    return stq_dense_multiply_word_s16(acc, column, word0, word1);
#else
    const int32_t pairs = bits == 1 && *steps == 1 ? 8 : STQ_PAIRS_PER_WORD(bits);
    *steps -= bits == 1 ? 2 : 0;
    for (int32_t j = 0; j < pairs; j++) {
        const uint32_t levels = *(*column)++;
        acc.row0 = stq_smlad(levels, stq_weight_pair(word0, bits, mask, j), acc.row0);
        acc.row1 = stq_smlad(levels, stq_weight_pair(word1, bits, mask, j), acc.row1);
    }
    return acc;
#endif
}

#include "stq_nn_rows.h"

/* Sum of a column of `pairs` pairs, an even number. */
static inline int32_t stq_column_sum(const stq_word *column, int32_t pairs)
{
    int32_t sum = 0;

    for (int32_t j = 0; j < pairs; j += 2) {
        const stq_two_words levels = stq_load_two(column + j);
        sum = stq_smlad(levels.first, 0x00010001U, sum);
        sum = stq_smlad(levels.second, 0x00010001U, sum);
    }
    return sum;
}

/* All outputs: as many accumulators, rounded up to even. */
STQ_INLINE void stq_multiply_column(const stq_word *column, const uint32_t *filter, int32_t inputs, int32_t bits,
                                    int32_t weight_offset, int32_t outputs, int32_t *accumulators)
{
    const uint32_t mask = stq_field_mask(bits, weight_offset);
    const int32_t words = stq_row_words(inputs, bits);
    const int32_t steps = stq_row_steps(inputs, bits);
    const int32_t sum = weight_offset != 0 ? stq_column_sum(column, words * STQ_PAIRS_PER_WORD(bits)) : 0;
    const int32_t initial = stq_initial_accumulator(weight_offset, sum);

    for (int32_t left = outputs; left > 0; left -= 2) {
        const uint32_t *next = left > 1 ? filter + words : filter; // an odd last output is done twice
        const stq_dense_block acc =
            stq_dense_multiply_rows((stq_dense_block){initial, initial}, column, filter, next, steps, bits, mask);

        *accumulators++ = acc.row0;
        *accumulators++ = acc.row1;
        filter += 2 * words;
    }
}

/* A copy of stq_multiply_column for these constants, which the kernels with them share. */
#define STQ_MULTIPLY_COLUMN(bits)                                                                                      \
    STQ_ONE_OF_MANY void stq_multiply_column_##bits(const stq_word *column, const uint32_t *filter, int32_t inputs,    \
                                                    int32_t weight_offset, int32_t outputs, int32_t *accumulators)     \
    {                                                                                                                  \
        stq_multiply_column(column, filter, inputs, bits, weight_offset, outputs, accumulators);                       \
    }

STQ_MULTIPLY_COLUMN(1)
STQ_MULTIPLY_COLUMN(2)
STQ_MULTIPLY_COLUMN(4)
STQ_MULTIPLY_COLUMN(8)
STQ_MULTIPLY_COLUMN(16)

/* stq_multiply_column in the copy for these bits. */
STQ_INLINE void stq_multiply_column_of(const stq_word *column, const uint32_t *filter, int32_t inputs, int32_t bits,
                                       int32_t weight_offset, int32_t outputs, int32_t *accumulators)
{
    if (bits == 1) {
        stq_multiply_column_1(column, filter, inputs, weight_offset, outputs, accumulators);
    } else if (bits == 2) {
        stq_multiply_column_2(column, filter, inputs, weight_offset, outputs, accumulators);
    } else if (bits == 4) {
        stq_multiply_column_4(column, filter, inputs, weight_offset, outputs, accumulators);
    } else if (bits == 8) {
        stq_multiply_column_8(column, filter, inputs, weight_offset, outputs, accumulators);
    } else {
        stq_multiply_column_16(column, filter, inputs, weight_offset, outputs, accumulators);
    }
}

STQ_INLINE stq_status stq_dense(const stq_context *ctx, const stq_dense_params *params, const stq_requantize *rq,
                                int32_t inputs, const void *input, stq_type input_type, const uint32_t *filter,
                                int32_t bits, int32_t outputs, void *output)
{
    if (params == NULL || rq == NULL || inputs <= 0 || outputs <= 0 || input == NULL || filter == NULL ||
        output == NULL || !stq_scratch_valid(ctx, stq_dense_buffer_size(inputs, bits, outputs))) {
        return STQ_ARGUMENT_ERROR;
    }

    const int32_t elements = stq_row_elements(inputs, bits);
    stq_word *column = ctx->buffer;
    int32_t *accumulators = (int32_t *)ctx->buffer + elements / 2;

    stq_column_widen(column, 1, 0, input, input_type, inputs, stq_pair(params->input_offset, params->input_offset));
    stq_column_zero(column, 1, inputs, elements - inputs);
    stq_multiply_column_of(column, filter, inputs, bits, params->weight_offset, outputs, accumulators);
    stq_requantize_pixel(rq, accumulators, 0, outputs, output);
    return STQ_OK;
}

#endif /* STQ_DENSE_CORE_H */
