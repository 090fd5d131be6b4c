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
#include "internal/stq_nn_arguments.h"
#include "stq_nn_columns.h"
#include "internal/stq_nn_define.h"
#include "internal/stq_nn_elements.h"
#include "stq_nn_pairs.h"
#include "internal/stq_nn_scratch.h"

static inline stq_position stq_next_position(stq_position at, int32_t width)
{
    const stq_position next = {at.x + 1 < width ? at.y : at.y + 1, at.x + 1 < width ? at.x + 1 : 0};
    return next;
}

#if STQ_HAND_WRITTEN
// Pairs of weights of each row times pairs of levels of each pixel. Written out, because gcc moves the loads and
// unpacks more pairs ahead than it has registers for. The order is the fastest by LLVM's model of the core.
/* clang-format off: one line per instruction */
#define STQ_MULTIPLY_TWO_PAIRS(unpack, first, second) STQ_MULTIPLY_PAIR(unpack, first) STQ_MULTIPLY_PAIR(unpack, second)
#define STQ_MULTIPLY_PAIR(unpack, from)                                                                                \
    unpack(a, word0, from) STQ_LOAD_LEVELS unpack(b, word1, from) STQ_MULTIPLY_LEVELS(a, b)
#define STQ_LOAD_LEVELS "ldrd %[x0], %[x1], [%[columns]], #8\n\t"
#define STQ_MULTIPLY_LEVELS(weights0, weights1)                                                                        \
    "smlad %[acc00], %[x0], %[" #weights0 "], %[acc00]\n\t"                                                            \
    "smlad %[acc01], %[x1], %[" #weights0 "], %[acc01]\n\t"                                                            \
    "smlad %[acc10], %[x0], %[" #weights1 "], %[acc10]\n\t"                                                            \
    "smlad %[acc11], %[x1], %[" #weights1 "], %[acc11]\n\t"
#define STQ_MULTIPLY_S16_PAIR STQ_LOAD_LEVELS STQ_MULTIPLY_LEVELS(word0, word1)
#define STQ_MULTIPLY(code, counted, masked)                                                                            \
    __asm__(code                                                                                                       \
            : [acc00] "+r"(acc.row0_pixel0), [acc01] "+r"(acc.row0_pixel1), [acc10] "+r"(acc.row1_pixel0),             \
              [acc11] "+r"(acc.row1_pixel1), [columns] "+r"(*columns), [x0] "=&r"(x0), [x1] "=&r"(x1), [a] "=&r"(a),   \
              [b] "=&r"(b)counted                                                                                      \
            : [word0] "r"(word0), [word1] "r"(word1)masked                                                             \
            : "memory", "cc")
/* clang-format on */
#endif

#define STQ_BLOCK stq_block
#define STQ_ROWS(name) stq_convolve_##name

/* See stq_nn_rows.h. */
STQ_INLINE stq_block stq_convolve_multiply_word(stq_block acc, const stq_word **columns, uint32_t word0, uint32_t word1,
                                                int32_t bits, uint32_t mask, int32_t *steps)
{
#if STQ_HAND_WRITTEN
    uint32_t x0, x1, a, b;
    STQ_MULTIPLY_PAIRS_OF(bits);
#else
    const int32_t pairs = bits == 1 && *steps == 1 ? 8 : STQ_PAIRS_PER_WORD(bits);
    *steps -= bits == 1 ? 2 : 0;
    for (int32_t j = 0; j < pairs; j++) {
        const uint32_t weights0 = stq_weight_pair(word0, bits, mask, j);
        const uint32_t weights1 = stq_weight_pair(word1, bits, mask, j);
        acc.row0_pixel0 = stq_smlad((*columns)[0], weights0, acc.row0_pixel0);
        acc.row0_pixel1 = stq_smlad((*columns)[1], weights0, acc.row0_pixel1);
        acc.row1_pixel0 = stq_smlad((*columns)[0], weights1, acc.row1_pixel0);
        acc.row1_pixel1 = stq_smlad((*columns)[1], weights1, acc.row1_pixel1);
        *columns += 2;
    }
#endif
    return acc;
}

#include "stq_nn_rows.h"
#undef STQ_MULTIPLY_TWO_PAIRS
#undef STQ_MULTIPLY_S16_PAIR
#undef STQ_MULTIPLY

/*
 * All output channels of two pixels: `channels` accumulators of the first pixel, then those of the second, which start
 * at an even word.
 */
STQ_INLINE void stq_multiply_columns(const stq_word *columns, const uint32_t *filter, int32_t row_weights, int32_t bits,
                                     int32_t weight_offset, int32_t channels, int32_t *accumulators)
{
    const uint32_t mask = stq_field_mask(bits, weight_offset);
    const int32_t words = stq_row_words(row_weights, bits);
    const int32_t steps = stq_row_steps(row_weights, bits);
    const stq_block initial = stq_initial_block(columns, words * STQ_PAIRS_PER_WORD(bits), weight_offset);
    int32_t *second_pixel = accumulators + channels + channels % 2;

    for (int32_t left = channels; left > 0; left -= 2) {
        const uint32_t *next = left > 1 ? filter + words : filter; // an odd last channel is done twice
        const stq_block acc = stq_convolve_multiply_rows(initial, columns, filter, next, steps, bits, mask);

        *accumulators++ = acc.row0_pixel0;
        *accumulators++ = acc.row1_pixel0;
        *second_pixel++ = acc.row0_pixel1;
        *second_pixel++ = acc.row1_pixel1;
        filter += 2 * words;
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

        for (int32_t i = 0; i < gathered; i++) {
            if (input_type == STQ_S8) {
                stq_gather_window_s8(in, position, columns + i);
            } else {
                stq_gather_window_s16(in, position, columns + i);
            }
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
