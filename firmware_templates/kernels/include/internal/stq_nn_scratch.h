/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_nn_scratch.h - how many bytes of scratch each kernel needs (internal to the kernels).
 *
 * One formula for both implementations, so that the choice of implementation never moves memory. The families of
 * stq_deploy/program/kernels/ have the same formulas in Python; a test compares them.
 */
#ifndef STQ_NN_SCRATCH_H
#define STQ_NN_SCRATCH_H

#include "stq_nn.h"

/* Channels that a depthwise convolution processes at a time; their unpacked weights are in scratch. */
#define STQ_DEPTHWISE_BLOCK 32

/* Channels that average pooling and the elementwise kernels process at a time. */
#define STQ_CHANNEL_BLOCK 64

/* 32-bit words of a row of `count` weights of `bits` bits. */
static inline int32_t stq_row_words(int32_t count, int32_t bits)
{
    const int32_t per_word = 32 / bits;
    return (count + per_word - 1) / per_word;
}

/* Elements of a row of `count` weights of `bits` bits, padded to whole words. */
static inline int32_t stq_row_elements(int32_t count, int32_t bits)
{
    return stq_row_words(count, bits) * (32 / bits);
}

/* Bytes that a convolution spends on a strip, unless a single window takes more. */
#define STQ_STRIP_BYTES 8192

/*
 * Whether windows that overlap can share the rows of a strip. A row of a window is then whole fours of levels, and no
 * padding follows the last row.
 */
static inline int stq_strip_is_shared(const stq_dims *filter_dims, int32_t bits)
{
    const int32_t row = filter_dims->w * filter_dims->c;
    return row % 4 == 0 && filter_dims->h * row % (32 / bits) == 0;
}

/* Rows of a strip: those of a window, or of several that begin a row of the image apart. */
static inline int32_t stq_strip_rows(const stq_dims *filter_dims, int32_t bits, const stq_dims *output_dims)
{
    if (!stq_strip_is_shared(filter_dims, bits)) {
        return filter_dims->h;
    }
    const int32_t fit = STQ_STRIP_BYTES / 4 / (filter_dims->w * filter_dims->c);
    const int32_t wanted = filter_dims->h - 1 + (output_dims->h < 8 ? output_dims->h : 8);
    const int32_t most = fit < wanted ? fit : wanted;
    return most > filter_dims->h ? most : filter_dims->h;
}

/*
 * Three parts, each for two pixels: strips of int16 levels, an initial sum for each row, and int32 accumulators of an
 * even number of channels.
 */
static inline int32_t stq_convolve_buffer_size(const stq_dims *filter_dims, int32_t bits, const stq_dims *output_dims)
{
    const int32_t rows = stq_strip_rows(filter_dims, bits, output_dims);
    const int32_t strip = stq_row_elements(rows * filter_dims->w * filter_dims->c, bits);
    return 2 * 2 * strip + 2 * 4 * rows + 2 * 4 * (output_dims->c + output_dims->c % 2);
}

/* A block's int16 weights for every tap, then its int32 accumulators. */
static inline int32_t stq_depthwise_convolve_buffer_size(const stq_dims *filter_dims)
{
    return 2 * STQ_DEPTHWISE_BLOCK * filter_dims->h * filter_dims->w + 4 * STQ_DEPTHWISE_BLOCK;
}

/* The input as int16, then an even number of int32 accumulators. */
static inline int32_t stq_dense_buffer_size(int32_t inputs, int32_t bits, int32_t outputs)
{
    return 2 * stq_row_elements(inputs, bits) + 4 * (outputs + outputs % 2);
}

/* int32 accumulators of a block of one pixel's channels. */
static inline int32_t stq_channel_block_buffer_size(int32_t channels)
{
    return 4 * (channels < STQ_CHANNEL_BLOCK ? channels : STQ_CHANNEL_BLOCK);
}

#endif /* STQ_NN_SCRATCH_H */
