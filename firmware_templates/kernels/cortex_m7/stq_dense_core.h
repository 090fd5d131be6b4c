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
// Two pairs of weights of each row times two pairs of levels, in the order that is fastest by LLVM's model of the core.
/* clang-format off: one line per instruction */
#define STQ_MULTIPLY_TWO_PAIRS(unpack, first, second)                                                                  \
    unpack(a, word0, first) "ldrd %[x0], %[x1], [%[column]], #8\n\t" unpack(                                           \
        b, word1,                                                                                                      \
        first) "smlad %[acc0], %[x0], %[a], %[acc0]\n\t" unpack(a, word0,                                              \
                                                                second) "smlad %[acc1], %[x0], %[b], "                 \
                                                                        "%[acc1]\n\t" unpack(b, word1,                 \
                                                                                             second) "smlad %[acc0], " \
                                                                                                     "%[x1], %[a], "   \
                                                                                                     "%[acc0]\n\t"     \
                                                                                                     "smlad %[acc1], " \
                                                                                                     "%[x1], %[b], "   \
                                                                                                     "%[acc1]\n\t"
#define STQ_MULTIPLY_S16_PAIR                                                                                          \
    "ldr %[x0], [%[column]], #4\n\t"                                                                                   \
    "smlad %[acc0], %[x0], %[word0], %[acc0]\n\t"                                                                      \
    "smlad %[acc1], %[x0], %[word1], %[acc1]\n\t"
#define STQ_MULTIPLY(code, counted, masked)                                                                            \
    __asm__(code                                                                                                       \
            : [acc0] "+r"(acc.row0), [acc1] "+r"(acc.row1), [column] "+r"(*column), [x0] "=&r"(x0), [x1] "=&r"(x1),    \
              [a] "=&r"(a), [b] "=&r"(b)counted                                                                        \
            : [word0] "r"(word0), [word1] "r"(word1)masked                                                             \
            : "memory", "cc")
/* clang-format on */
#endif

#define STQ_BLOCK stq_dense_block
#define STQ_ROWS(name) stq_dense_##name

/* See stq_nn_rows.h. */
STQ_INLINE stq_dense_block stq_dense_multiply_word(stq_dense_block acc, const stq_word **column, uint32_t word0,
                                                   uint32_t word1, int32_t bits, uint32_t mask, int32_t *steps)
{
#if STQ_HAND_WRITTEN
    uint32_t x0, x1, a, b;
    STQ_MULTIPLY_PAIRS_OF(bits);
#else
    const int32_t pairs = bits == 1 && *steps == 1 ? 8 : STQ_PAIRS_PER_WORD(bits);
    *steps -= bits == 1 ? 2 : 0;
    for (int32_t j = 0; j < pairs; j++) {
        const uint32_t levels = *(*column)++;
        acc.row0 = stq_smlad(levels, stq_weight_pair(word0, bits, mask, j), acc.row0);
        acc.row1 = stq_smlad(levels, stq_weight_pair(word1, bits, mask, j), acc.row1);
    }
#endif
    return acc;
}

#include "stq_nn_rows.h"
#undef STQ_MULTIPLY_TWO_PAIRS
#undef STQ_MULTIPLY_S16_PAIR
#undef STQ_MULTIPLY

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
