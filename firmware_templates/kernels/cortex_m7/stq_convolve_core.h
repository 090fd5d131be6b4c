/*
 * stq_convolve_core.h - convolution for every weight width and input type; each public name is one small file.
 *
 * Two pixels' windows are gathered as columns of int16; then two pixels x two output channels are summed at a time, so
 * that each unpacked pair of weights and each pair of levels is used twice.
 */
#ifndef STQ_CONVOLVE_CORE_H
#define STQ_CONVOLVE_CORE_H

#include "stq_nn_arguments.h"
#include "stq_nn_columns.h"
#include "stq_nn_define.h"
#include "stq_nn_elements.h"
#include "stq_nn_pairs.h"
#include "stq_nn_scratch.h"

typedef struct {
    const stq_conv_params *params;
    const stq_dims *input_dims;
    const void *input;
    const stq_dims *filter_dims;
    int32_t stretch; /* taps of a kernel row that lie side by side in memory */
} stq_convolve_input;

/* An output pixel. */
typedef struct {
    int32_t y;
    int32_t x;
} stq_position;

static inline stq_position stq_next_position(stq_position at, int32_t width)
{
    const stq_position next = {at.x + 1 < width ? at.y : at.y + 1, at.x + 1 < width ? at.x + 1 : 0};
    return next;
}

static inline int32_t stq_clamp(int32_t value, int32_t low, int32_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* The window of output pixel `at` as a column of stride 2; taps outside the image are zero. */
static STQ_NOINLINE void stq_gather_window(const stq_convolve_input *in, stq_type type, stq_position at,
                                           stq_word *column)
{
    const stq_conv_params *params = in->params;
    const int32_t channels = in->input_dims->c;
    const int32_t depth = in->filter_dims->c;
    const int32_t width = in->input_dims->w;
    const int32_t kernel_width = in->filter_dims->w;
    const uint32_t offsets = stq_pair(params->input_offset, params->input_offset);
    const int32_t taps = in->stretch;

    for (int32_t kx = 0; kx < kernel_width; kx += taps) {
        const int32_t x = at.x * params->stride_w - params->pad_left + kx * params->dilation_w;
        const int32_t first = stq_clamp(-x, 0, taps);
        const int32_t last = stq_clamp(width - x, first, taps);
        const int32_t before = first * depth;
        const int32_t visible = (last - first) * depth;
        const int32_t after = (taps - last) * depth;
        int32_t y = at.y * params->stride_h - params->pad_top;
        int32_t level = (y * width + x + first) * channels;
        int32_t element = kx * depth;

        for (int32_t ky = in->filter_dims->h; ky > 0; ky--) {
            if (y < 0 || y >= in->input_dims->h) {
                stq_column_zero(column, 2, element, taps * depth);
            } else {
                if (before > 0) {
                    stq_column_zero(column, 2, element, before);
                }
                const void *levels = stq_level_address(in->input, type, level);
                stq_column_widen(column, 2, element + before, levels, type, visible, offsets);
                if (after > 0) {
                    stq_column_zero(column, 2, element + before + visible, after);
                }
            }
            y += params->dilation_h;
            level += params->dilation_h * width * channels;
            element += kernel_width * depth;
        }
    }
}

/* Accumulators of two output channels (rows of weights) x two pixels. */
typedef struct {
    int32_t row0_pixel0;
    int32_t row0_pixel1;
    int32_t row1_pixel0;
    int32_t row1_pixel1;
} stq_block;

#if STQ_HAND_WRITTEN
// Pairs of weights of each row times pairs of levels of each pixel. Written out, since gcc moves the loads, and unpacks
// more pairs ahead than it has registers for. The order is the fastest by LLVM's model of the core.
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
              [b] "=&r"(b) counted                                                                                     \
            : [word0] "r"(word0), [word1] "r"(word1) masked                                                            \
            : "memory", "cc")
#endif

/* See stq_nn_rows.h. */
static inline stq_block stq_multiply_word(stq_block acc, const stq_word **columns, uint32_t word0, uint32_t word1,
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

/* What the accumulators of two interleaved columns start from. */
static STQ_NOINLINE stq_block stq_initial_block(const stq_word *columns, int32_t pairs, int32_t weight_offset)
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
    const int32_t initial0 = stq_initial_accumulator(weight_offset, sum0);
    const int32_t initial1 = stq_initial_accumulator(weight_offset, sum1);
    const stq_block block = {initial0, initial1, initial0, initial1};
    return block;
}

/*
 * All output channels of two pixels: `channels` accumulators of the first, then, after an even number of words, of the
 * second.
 */
static STQ_NOINLINE void stq_multiply_columns(const stq_word *columns, const uint32_t *filter, int32_t row_weights,
                                              int32_t bits, int32_t weight_offset, int32_t channels,
                                              int32_t *accumulators)
{
    const uint32_t mask = stq_field_mask(bits, weight_offset);
    const int32_t words = stq_row_words(row_weights, bits);
    const int32_t steps = stq_row_steps(row_weights, bits);
    const stq_block initial = stq_initial_block(columns, words * STQ_PAIRS_PER_WORD(bits), weight_offset);
    int32_t *second_pixel = accumulators + channels + channels % 2;

    for (int32_t left = channels; left > 0; left -= 2) {
        const uint32_t *next = left > 1 ? filter + words : filter; // an odd last channel is done twice
        const stq_block acc = stq_multiply_rows(initial, columns, filter, next, steps, bits, mask);

        *accumulators++ = acc.row0_pixel0;
        *accumulators++ = acc.row1_pixel0;
        *second_pixel++ = acc.row0_pixel1;
        *second_pixel++ = acc.row1_pixel1;
        filter += 2 * words;
    }
}

/* One group of the channels: `in->input` starts at its first input channel, `filter` at its first row. */
static inline void stq_convolve_group(const stq_convolve_input *in, stq_type input_type, const stq_requantize *rq,
                                      const uint32_t *filter, int32_t bits, int32_t row_weights,
                                      const stq_dims *output_dims, int32_t first, int32_t count, stq_word *columns,
                                      int32_t *accumulators, void *output)
{
    const int32_t pixels = output_dims->h * output_dims->w;
    stq_position position = {0, 0};

    for (int32_t pixel = 0; pixel < pixels; pixel += 2) {
        const int32_t gathered = pixel + 1 < pixels ? 2 : 1;

        for (int32_t i = 0; i < gathered; i++) {
            stq_gather_window(in, input_type, position, columns + i);
            position = stq_next_position(position, output_dims->w);
        }
        stq_multiply_columns(columns, filter, row_weights, bits, in->params->weight_offset, count, accumulators);
        for (int32_t i = 0; i < gathered; i++) {
            stq_requantize_pixel(rq, accumulators + i * (count + count % 2), first, count,
                                 stq_output_pixel(output, rq->output_type, output_dims->c, pixel + i));
        }
    }
}

static inline stq_status stq_convolve(const stq_context *ctx, const stq_conv_params *params, const stq_requantize *rq,
                                      const stq_dims *input_dims, const void *input, stq_type input_type,
                                      const stq_dims *filter_dims, const uint32_t *filter, int32_t bits,
                                      const stq_dims *output_dims, void *output)
{
    if (!stq_window_valid(params, input_dims, filter_dims, output_dims) ||
        stq_groups(input_dims, filter_dims, output_dims) == 0 || rq == NULL || input == NULL || filter == NULL ||
        output == NULL || !stq_scratch_valid(ctx, stq_convolve_buffer_size(filter_dims, bits, output_dims))) {
        return STQ_ARGUMENT_ERROR;
    }

    // Without dilation and groups, all taps; with them, each by itself.
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
