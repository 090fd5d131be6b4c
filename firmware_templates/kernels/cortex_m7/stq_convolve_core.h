/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_convolve_core.h - convolution for every weight width and input type; STQ_DEFINE_CONVOLVE makes the public names.
 *
 * The windows of two neighbouring pixels are gathered as columns of int16. Then two pixels x two output channels are
 * summed at a time. So each unpacked pair of weights and each pair of levels is used twice.
 *
 * Windows below each other share most of their rows. So the columns are longer than a window where that fits: a strip,
 * in which the next window begins a few rows later. Few rows of weights at a time meet all windows of a strip, so that
 * weights in flash stay in the cache meanwhile.
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

/* `channels` channels of two pixels: all pairs of them at once; then an odd last one, which is done twice. */
STQ_INLINE void stq_multiply_columns(stq_rows *rows, int32_t bits, int32_t channels)
{
    for (int32_t left = channels; left > 0; left = left > 1 ? left & 1 : 0) {
        rows->pairs = left > 1 ? left >> 1 : 1;
        rows->pitch &= -(int32_t)(left > 1);
        stq_multiply_rows(rows, bits);
    }
}

/* A copy of stq_multiply_columns for this constant, which the kernels with it share. */
#define STQ_MULTIPLY_COLUMNS(bits)                                                                                     \
    STQ_ONE_OF_MANY void stq_multiply_columns_##bits(stq_rows *rows, int32_t channels)                                 \
    {                                                                                                                  \
        stq_multiply_columns(rows, bits, channels);                                                                    \
    }

STQ_MULTIPLY_COLUMNS(1)
STQ_MULTIPLY_COLUMNS(2)
STQ_MULTIPLY_COLUMNS(4)
STQ_MULTIPLY_COLUMNS(8)
STQ_MULTIPLY_COLUMNS(16)

/* stq_multiply_columns in the copy for these bits. */
STQ_INLINE void stq_multiply_columns_of(stq_rows *rows, int32_t bits, int32_t channels)
{
    if (bits == 1) {
        stq_multiply_columns_1(rows, channels);
    } else if (bits == 2) {
        stq_multiply_columns_2(rows, channels);
    } else if (bits == 4) {
        stq_multiply_columns_4(rows, channels);
    } else if (bits == 8) {
        stq_multiply_columns_8(rows, channels);
    } else {
        stq_multiply_columns_16(rows, channels);
    }
}

/*
 * Rows of weights that meet all windows of a strip before others do: few enough that a small cache keeps them. It is a
 * multiple of four, so that the levels of each requantization fill words.
 */
static inline int32_t stq_rows_at_once(int32_t words)
{
    const int32_t rows = 2048 / words & ~3;
    return rows > 4 ? rows : 4;
}

/* A convolution, or a group of one: `in.input` starts at its first input channel, `filter` at its first row. */
typedef struct {
    stq_convolve_input in;
    const stq_requantize *rq;
    const uint32_t *filter;
    int32_t words;     /* of a row of weights */
    int32_t at_once;   /* rows that meet all windows of a strip before others do */
    int32_t more_rows; /* the most rows of a strip beside those of its first window */
    int32_t channel;   /* the first output channel */
    const stq_dims *output_dims;
    void *output;
    int32_t parts;      /* of a window: its rows where windows share a strip */
    int32_t part_pairs; /* pairs of levels of a pixel in each part */
    stq_word *columns;
    stq_word *initial; /* for each part, what it adds to the sums' initial values: a word for each pixel */
    int32_t *accumulators;
} stq_convolution;

/* Windows below each other. */
typedef struct {
    stq_position at;   /* output pixel of the first window's first column */
    stq_position step; /* from there to that of the second column */
    int32_t windows;
    int32_t apart; /* strip rows from a window to the next */
} stq_strip;

/* Output channels first .. first + count - 1 of a strip that is gathered. */
STQ_INLINE void stq_multiply_strip(const stq_convolution *c, const stq_strip *strip, int32_t bits, int32_t first,
                                   int32_t count)
{
    const int32_t weight_offset = c->in.params->weight_offset;
    const uint32_t mask = stq_field_mask(bits, weight_offset);
    const int32_t even_count = count + count % 2;
    stq_position at = strip->at;
    int32_t part = 0;

    for (int32_t left = strip->windows; left > 0; left--) {
        stq_rows rows = {
            .columns = c->columns + 2 * c->part_pairs * part,
            .pitch = 4 * c->words,
            .row = c->filter + first * c->words,
            .end = c->filter + (first + 1) * c->words,
            .sums = {c->accumulators, c->accumulators + even_count},
            .mask = mask,
        };
        for (int32_t i = part; i < part + c->parts; i++) {
            rows.initial[0] += (int32_t)c->initial[2 * i];
            rows.initial[1] += (int32_t)c->initial[2 * i + 1];
        }
        stq_multiply_columns_of(&rows, bits, count);
        for (int32_t i = 0; i < 2 && at.y + i * strip->step.y < c->output_dims->h; i++) {
            const int32_t pixel = (at.y + i * strip->step.y) * c->output_dims->w + at.x + i * strip->step.x;
            stq_requantize_pixel(c->rq, c->accumulators + i * even_count, c->channel + first, count,
                                 stq_output_pixel(c->output, c->rq->output_type, c->output_dims->c, pixel));
        }
        at.y += 1 + strip->step.y;
        part += strip->apart;
    }
}

/* `count` output channels of a strip. */
STQ_INLINE void stq_convolve_strip(const stq_convolution *c, const stq_strip *strip, stq_type input_type, int32_t bits,
                                   int32_t count)
{
    const int32_t more = (strip->windows - 1) * strip->apart;
    const int32_t rows = c->in.filter_dims->h + more;

    if (input_type == STQ_S8) {
        stq_gather_strip_s8(&c->in, strip->at, strip->step, rows, c->columns);
    } else {
        stq_gather_strip_s16(&c->in, strip->at, strip->step, rows, c->columns);
    }
    for (int32_t i = 0; i < c->parts + more; i++) {
        const stq_two_words sums =
            stq_initial_sums(c->columns + 2 * c->part_pairs * i, c->part_pairs, c->in.params->weight_offset);
        c->initial[2 * i] = sums.first;
        c->initial[2 * i + 1] = sums.second;
    }

    for (int32_t first = 0; first < count; first += c->at_once) {
        stq_multiply_strip(c, strip, bits, first, count - first < c->at_once ? count - first : c->at_once);
    }
}

/* `count` output channels: strips of two columns of pixels; an odd last column alone, two rows of pixels at a time. */
STQ_INLINE void stq_convolve_group(const stq_convolution *c, stq_type input_type, int32_t bits, int32_t count)
{

    for (int32_t x = 0; x < c->output_dims->w; x += 2) {
        const int32_t alone = x + 1 == c->output_dims->w;
        const int32_t apart = c->in.params->stride_h << alone;
        const int32_t most = c->more_rows / apart + 1;

        for (int32_t y = 0; y < c->output_dims->h; y += most << alone) {
            const int32_t left = (c->output_dims->h - y + alone) >> alone;
            const stq_strip strip = {{y, x}, {alone, 1 - alone}, left < most ? left : most, apart};
            stq_convolve_strip(c, &strip, input_type, bits, count);
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

    const int is_shared = stq_strip_is_shared(filter_dims, bits);
    const int32_t strip_rows = stq_strip_rows(filter_dims, bits, output_dims);
    const int32_t strip_words = stq_row_elements(strip_rows * filter_dims->w * filter_dims->c, bits);
    const int32_t words = stq_row_words(filter_dims->h * filter_dims->w * filter_dims->c, bits);
    const int32_t count = output_dims->c / stq_groups(input_dims, filter_dims, output_dims);
    stq_word *columns = ctx->buffer;
    stq_convolution c = {
        // All taps at once without dilation and groups; otherwise one tap at a time.
        .in = {params, input_dims, input, filter_dims,
               params->dilation_w == 1 && input_dims->c == filter_dims->c ? filter_dims->w : 1},
        .rq = rq,
        .filter = filter,
        .words = words,
        .at_once = stq_rows_at_once(words),
        .more_rows = params->dilation_h == 1 ? strip_rows - filter_dims->h : 0,
        .output_dims = output_dims,
        .output = output,
        .parts = is_shared ? filter_dims->h : 1,
        .part_pairs = is_shared ? filter_dims->w * filter_dims->c / 2 : words * STQ_PAIRS_PER_WORD(bits),
        .columns = columns,
        .initial = columns + strip_words,
        .accumulators = (int32_t *)ctx->buffer + strip_words + 2 * strip_rows,
    };

    // Gathering never touches the padding at the columns' ends: it stays zero.
    stq_column_zero(columns, 1, 0, 2 * strip_words);
    for (; c.channel < output_dims->c; c.channel += count) {
        stq_convolve_group(&c, input_type, bits, count);
        c.in.input = stq_level_address(c.in.input, input_type, filter_dims->c);
        c.filter += count * words;
    }
    return STQ_OK;
}

#endif /* STQ_CONVOLVE_CORE_H */
