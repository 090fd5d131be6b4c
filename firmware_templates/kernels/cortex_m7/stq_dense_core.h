/*
 * stq_dense_core.h - the dense layer for every weight width and input type; each public name is one small file.
 *
 * The input is widened to int16 once; then two outputs are summed at a time.
 */
#ifndef STQ_DENSE_CORE_H
#define STQ_DENSE_CORE_H

#include "stq_nn_arguments.h"
#include "stq_nn_columns.h"
#include "stq_nn_define.h"
#include "stq_nn_elements.h"
#include "stq_nn_pairs.h"
#include "stq_nn_scratch.h"

/* Accumulators of two outputs (rows of weights). */
typedef struct {
    int32_t row0;
    int32_t row1;
} stq_two_rows;

/* A column times two rows of weights. */
static STQ_NOINLINE stq_two_rows stq_multiply_rows(stq_two_rows acc, const stq_word *column, const uint32_t *row0,
                                                   const uint32_t *row1, int32_t words, int32_t bits)
{
    const uint32_t mask = stq_field_mask(bits);
    const uint32_t *end = row0 + words;

    do {
        const uint32_t word0 = *row0++;
        const uint32_t word1 = *row1++;
        STQ_UNROLL(4)
        for (int32_t j = 0; j < STQ_PAIRS_PER_WORD(bits); j += 2) {
            const stq_two_words levels = stq_load_two(column + j);
            acc.row0 = stq_smlad(levels.first, stq_weight_pair(word0, bits, mask, j), acc.row0);
            acc.row1 = stq_smlad(levels.first, stq_weight_pair(word1, bits, mask, j), acc.row1);
            acc.row0 = stq_smlad(levels.second, stq_weight_pair(word0, bits, mask, j + 1), acc.row0);
            acc.row1 = stq_smlad(levels.second, stq_weight_pair(word1, bits, mask, j + 1), acc.row1);
        }
        column += STQ_PAIRS_PER_WORD(bits);
    } while (row0 < end);
    return acc;
}

/* Sum of a column of `pairs` pairs. */
static inline int32_t stq_column_sum(const stq_word *column, int32_t pairs)
{
    int32_t sum = 0;

    for (int32_t j = 0; j < pairs; j++) {
        sum = stq_smlad(column[j], 0x00010001U, sum);
    }
    return sum;
}

static inline stq_status stq_dense(const stq_context *ctx, const stq_dense_params *params, const stq_requantize *rq,
                                   int32_t inputs, const void *input, stq_type input_type, const uint32_t *filter,
                                   int32_t bits, int32_t outputs, void *output)
{
    if (params == NULL || rq == NULL || inputs <= 0 || outputs <= 0 || input == NULL || filter == NULL ||
        output == NULL || !stq_scratch_valid(ctx, stq_dense_buffer_size(inputs, bits, outputs))) {
        return STQ_ARGUMENT_ERROR;
    }

    const int32_t words = stq_row_words(inputs, bits);
    const int32_t pairs = words * STQ_PAIRS_PER_WORD(bits);
    stq_word *column = ctx->buffer;
    int32_t *accumulators = (int32_t *)ctx->buffer + pairs;

    stq_column_widen(column, 1, 0, input, input_type, inputs, stq_pair(params->input_offset, params->input_offset));
    stq_column_zero(column, 1, inputs, 2 * pairs - inputs);
    const int32_t initial = stq_initial_accumulator(params->weight_offset, stq_column_sum(column, pairs));

    for (int32_t o = 0; o < outputs; o += 2) {
        const uint32_t *row = filter + o * words;
        const uint32_t *next = o + 1 < outputs ? row + words : row; // an odd last output is done twice
        const stq_two_rows acc =
            stq_multiply_rows((stq_two_rows){initial, initial}, column, row, next, words, bits);

        accumulators[o] = acc.row0;
        accumulators[o + 1] = acc.row1;
    }
    stq_requantize_pixel(rq, accumulators, 0, outputs, output);
    return STQ_OK;
}

#endif /* STQ_DENSE_CORE_H */
