/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_convolve_core.h - convolution for every weight width and input type; STQ_DEFINE_CONVOLVE makes the public names.
 *
 * Two pixels' windows are gathered as columns of int16. Then two pixels x two output channels are summed at a time. So
 * each unpacked pair of weights and each pair of levels is used twice.
 */
#ifndef STQ_CONVOLVE_CORE_H
#define STQ_CONVOLVE_CORE_H

#include "stq_convolve_parts.h"
#include "stq_convolve_rows.h"
#include "internal/stq_nn_arguments.h"
#include "stq_nn_columns.h"
#include "internal/stq_nn_define.h"
#include "internal/stq_nn_elements.h"
#include "internal/stq_nn_scratch.h"

/*
 * All output channels of two pixels: `channels` accumulators of the first pixel, then those of the second, which start
 * at an even word.
 */
STQ_INLINE void stq_multiply_columns(const stq_word *columns, const uint32_t *filter, int32_t row_weights, int32_t bits,
                                     int32_t weight_offset, int32_t channels, int32_t *accumulators)
{
    const int32_t words = stq_row_words(row_weights, bits);
    const stq_two_words initial = stq_initial_sums(columns, words * STQ_PAIRS_PER_WORD(bits), weight_offset);
    stq_rows rows = {
        .columns = columns,
        .pitch = 4 * words,
        .row = filter,
        .end = filter + words,
        .initial = {(int32_t)initial.first, (int32_t)initial.second},
        .sums = {accumulators, accumulators + channels + channels % 2},
        .mask = stq_field_mask(bits, weight_offset),
    };

    // All pairs of channels at once; then an odd last channel, which is done twice.
    for (int32_t left = channels; left > 0; left = left > 1 ? left & 1 : 0) {
        rows.pairs = left > 1 ? left >> 1 : 1;
        rows.pitch &= -(int32_t)(left > 1);
        stq_multiply_rows(&rows, bits);
    }
}

/* A copy of stq_multiply_columns for these constants, which the kernels with them share. */
#define STQ_MULTIPLY_COLUMNS(bits)                                                                                     \
    STQ_ONE_OF_MANY void stq_multiply_columns_##bits(const stq_word *columns, const uint32_t *filter,                  \
                                                     int32_t row_weights, int32_t weight_offset, int32_t channels,     \
                                                     int32_t *accumulators)                                            \
    {                                                                                                                  \
        stq_multiply_columns(columns, filter, row_weights, bits, weight_offset, channels, accumulators);               \
    }

STQ_MULTIPLY_COLUMNS(1)
STQ_MULTIPLY_COLUMNS(2)
STQ_MULTIPLY_COLUMNS(4)
STQ_MULTIPLY_COLUMNS(8)
STQ_MULTIPLY_COLUMNS(16)

/* stq_multiply_columns in the copy for these bits. */
STQ_INLINE void stq_multiply_columns_of(const stq_word *columns, const uint32_t *filter, int32_t row_weights,
                                        int32_t bits, int32_t weight_offset, int32_t channels, int32_t *accumulators)
{
    if (bits == 1) {
        stq_multiply_columns_1(columns, filter, row_weights, weight_offset, channels, accumulators);
    } else if (bits == 2) {
        stq_multiply_columns_2(columns, filter, row_weights, weight_offset, channels, accumulators);
    } else if (bits == 4) {
        stq_multiply_columns_4(columns, filter, row_weights, weight_offset, channels, accumulators);
    } else if (bits == 8) {
        stq_multiply_columns_8(columns, filter, row_weights, weight_offset, channels, accumulators);
    } else {
        stq_multiply_columns_16(columns, filter, row_weights, weight_offset, channels, accumulators);
    }
}

/* One group of the channels: `in->input` starts at its first input channel, `filter` at its first row. */
STQ_INLINE void stq_convolve_group(const stq_convolve_input *in, stq_type input_type, const stq_requantize *rq,
                                   const uint32_t *filter, int32_t bits, int32_t row_weights,
                                   const stq_dims *output_dims, int32_t first, int32_t count, stq_word *columns,
                                   int32_t *accumulators, void *output)
{
    const int32_t pixels = output_dims->h * output_dims->w;
    stq_position position = {0, 0};

    for (int32_t pixel = 0; pixel < pixels; pixel += 2) {
        const int32_t gathered = pixel + 1 < pixels ? 2 : 1;

        if (input_type == STQ_S8) {
            stq_gather_windows_s8(in, position, gathered, output_dims->w, columns);
        } else {
            stq_gather_windows_s16(in, position, gathered, output_dims->w, columns);
        }
        for (int32_t i = 0; i < gathered; i++) {
            position = stq_next_position(position, output_dims->w);
        }
        stq_multiply_columns_of(columns, filter, row_weights, bits, in->params->weight_offset, count, accumulators);
        for (int32_t i = 0; i < gathered; i++) {
            stq_requantize_pixel(rq, accumulators + i * (count + count % 2), first, count,
                                 stq_output_pixel(output, rq->output_type, output_dims->c, pixel + i));
        }
    }
}

STQ_INLINE stq_status stq_convolve(const stq_context *ctx, const stq_conv_params *params, const stq_requantize *rq,
                                   const stq_dims *input_dims, const void *input, stq_type input_type,
                                   const stq_dims *filter_dims, const uint32_t *filter, int32_t bits,
                                   const stq_dims *output_dims, void *output)
{
    if (!stq_window_valid(params, input_dims, filter_dims, output_dims) ||
        stq_groups(input_dims, filter_dims, output_dims) == 0 || rq == NULL || input == NULL || filter == NULL ||
        output == NULL || !stq_scratch_valid(ctx, stq_convolve_buffer_size(filter_dims, bits, output_dims))) {
        return STQ_ARGUMENT_ERROR;
    }

    // All taps at once without dilation and groups; otherwise one tap at a time.
    const int32_t stretch = params->dilation_w == 1 && input_dims->c == filter_dims->c ? filter_dims->w : 1;
    stq_convolve_input in = {params, input_dims, input, filter_dims, stretch};
    const int32_t row_weights = filter_dims->h * filter_dims->w * filter_dims->c;
    const int32_t pairs = stq_row_words(row_weights, bits) * STQ_PAIRS_PER_WORD(bits);
    const int32_t count = output_dims->c / stq_groups(input_dims, filter_dims, output_dims);
    stq_word *columns = ctx->buffer;
    int32_t *accumulators = (int32_t *)ctx->buffer + 2 * pairs;

    // Gathering never touches the padding at the columns' ends: it stays zero. So does a missing second pixel.
    stq_column_zero(columns, 1, 0, 4 * pairs);
    for (int32_t first = 0; first < output_dims->c; first += count) {
        stq_convolve_group(&in, input_type, rq, filter, bits, row_weights, output_dims, first, count, columns,
                           accumulators, output);
        in.input = stq_level_address(in.input, input_type, filter_dims->c);
        filter += count * stq_row_words(row_weights, bits);
    }
    return STQ_OK;
}

#endif /* STQ_CONVOLVE_CORE_H */
