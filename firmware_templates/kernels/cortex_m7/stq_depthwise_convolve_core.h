/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_depthwise_convolve_core.h - depthwise convolution for every weight width and input type;
 * STQ_DEFINE_DEPTHWISE_CONVOLVE makes the public names.
 *
 * Channels are processed in blocks, and the weights of a block are unpacked once per call. Within a block they are
 * processed in quads. One word of int8 levels (two of int16) and two words of weights give four products. Only taps
 * inside the image are visited, so padding costs nothing.
 */
#ifndef STQ_DEPTHWISE_CONVOLVE_CORE_H
#define STQ_DEPTHWISE_CONVOLVE_CORE_H

#include "internal/stq_nn_arguments.h"
#include "internal/stq_nn_define.h"
#include "internal/stq_nn_elements.h"
#include "stq_nn_pairs.h"
#include "internal/stq_nn_scratch.h"

/* Words of unpacked weights per tap: two channels each. */
#define STQ_BLOCK_WORDS (STQ_DEPTHWISE_BLOCK / 2)

/* The part of a window inside the image, for one output pixel. */
typedef struct {
    int32_t rows;
    int32_t columns;
    int32_t level; /* index of the first input element of the first tap */
    int32_t tap;   /* index of the first tap */
} stq_visible_window;

/* Values common to all pixels; steps are in elements of input or in taps. */
typedef struct {
    const void *input;
    stq_type input_type;
    uint32_t offsets;
    int32_t column_step;
    int32_t row_step;
    int32_t tap_row_step;
    const stq_word *weights;
} stq_depthwise_layer;

/* The taps first .. last - 1. */
typedef struct {
    int32_t first;
    int32_t last;
} stq_taps;

/* The taps, of `taps` taps `dilation` apart from `start`, that are in 0 .. size - 1. */
static inline stq_taps stq_visible_taps(int32_t start, int32_t dilation, int32_t taps, int32_t size)
{
    stq_taps visible = {0, taps};

    while (visible.first < visible.last && start + visible.first * dilation < 0) {
        visible.first++;
    }
    while (visible.last > visible.first && start + (visible.last - 1) * dilation >= size) {
        visible.last--;
    }
    return visible;
}

/* The visible part of the window at input row y and column x, whose visible rows are known. */
static inline stq_visible_window stq_find_visible(const stq_conv_params *params, const stq_dims *input_dims,
                                                  const stq_dims *filter_dims, int32_t y, stq_taps rows, int32_t x)
{
    const stq_taps columns = stq_visible_taps(x, params->dilation_w, filter_dims->w, input_dims->w);
    const int32_t top = y + rows.first * params->dilation_h;
    const int32_t left = x + columns.first * params->dilation_w;
    const stq_visible_window window = {
        .rows = rows.last - rows.first,
        .columns = columns.last - columns.first,
        .level = (top * input_dims->w + left) * input_dims->c,
        .tap = rows.first * filter_dims->w + columns.first,
    };
    return window;
}

/* The weights of a quad, channels 0 and 1 in `first`, 2 and 3 in `second`, as stq_unpack_block leaves them. */
STQ_INLINE void stq_put_quad(stq_word *unpacked, stq_type input_type, uint32_t first, uint32_t second)
{
    unpacked[0] = input_type == STQ_S8 ? stq_pack_low(first, second) : first;
    unpacked[1] = input_type == STQ_S8 ? stq_pack_high(first, second) : second;
}

STQ_INLINE void stq_unpack_row(const uint32_t *row, int32_t words, int32_t bits, int32_t weight_offset,
                               stq_type input_type, stq_word *unpacked)
{
    const uint32_t mask = stq_field_mask(bits, weight_offset);
    const uint32_t offsets = stq_pair(weight_offset, weight_offset);

    if (bits == 16) {
        for (int32_t i = 0; i < words; i += 2) {
            stq_put_quad(unpacked + i, input_type, row[i], i + 1 < words ? row[i + 1] : 0);
        }
        return;
    }
    for (int32_t i = 0; i < words; i++) {
        for (int32_t j = 0; j < STQ_PAIRS_PER_WORD(bits); j += 2) {
            const uint32_t first = stq_ssub16(stq_weight_pair(row[i], bits, mask, j), offsets);
            const uint32_t second = stq_ssub16(stq_weight_pair(row[i], bits, mask, j + 1), offsets);
            stq_put_quad(unpacked, input_type, first, second);
            unpacked += 2;
        }
    }
}

/*
 * A block's weights, weight_offset subtracted: STQ_BLOCK_WORDS words per tap. The four channels of a quad are in two
 * words, in the order in which levels are widened. For int16 it is (0, 1), (2, 3). For int8 it is (0, 2), (1, 3),
 * because SXTAB16 takes every second byte.
 */
STQ_INLINE void stq_unpack_block(const uint32_t *filter, int32_t bits, int32_t row_words, int32_t taps, int32_t block,
                                 int32_t count, int32_t weight_offset, stq_type input_type, stq_word *weights)
{
    for (int32_t tap = 0; tap < taps; tap++) {
        stq_unpack_row(filter + tap * row_words + block * bits / 32, stq_row_words(count, bits), bits, weight_offset,
                       input_type, weights + tap * STQ_BLOCK_WORDS);
    }
}

/* A copy of stq_unpack_block for these constants, which the kernels with them share. */
#define STQ_UNPACK_BLOCK(bits, suffix, input_type)                                                                     \
    STQ_ONE_OF_MANY void stq_unpack_block_##bits##_##suffix(const uint32_t *filter, int32_t row_words, int32_t taps,   \
                                                            int32_t block, int32_t count, int32_t weight_offset,       \
                                                            stq_word *weights)                                         \
    {                                                                                                                  \
        stq_unpack_block(filter, bits, row_words, taps, block, count, weight_offset, input_type, weights);             \
    }

STQ_UNPACK_BLOCK(1, s8, STQ_S8)
STQ_UNPACK_BLOCK(2, s8, STQ_S8)
STQ_UNPACK_BLOCK(4, s8, STQ_S8)
STQ_UNPACK_BLOCK(8, s8, STQ_S8)
STQ_UNPACK_BLOCK(16, s8, STQ_S8)
STQ_UNPACK_BLOCK(1, s16, STQ_S16)
STQ_UNPACK_BLOCK(2, s16, STQ_S16)
STQ_UNPACK_BLOCK(4, s16, STQ_S16)
STQ_UNPACK_BLOCK(8, s16, STQ_S16)
STQ_UNPACK_BLOCK(16, s16, STQ_S16)

/* stq_unpack_block in the copy for these bits and this type. */
STQ_INLINE void stq_unpack_block_of(const uint32_t *filter, int32_t bits, int32_t row_words, int32_t taps,
                                    int32_t block, int32_t count, int32_t weight_offset, stq_type input_type,
                                    stq_word *weights)
{
    if (input_type == STQ_S8) {
        if (bits == 1) {
            stq_unpack_block_1_s8(filter, row_words, taps, block, count, weight_offset, weights);
        } else if (bits == 2) {
            stq_unpack_block_2_s8(filter, row_words, taps, block, count, weight_offset, weights);
        } else if (bits == 4) {
            stq_unpack_block_4_s8(filter, row_words, taps, block, count, weight_offset, weights);
        } else if (bits == 8) {
            stq_unpack_block_8_s8(filter, row_words, taps, block, count, weight_offset, weights);
        } else {
            stq_unpack_block_16_s8(filter, row_words, taps, block, count, weight_offset, weights);
        }
    } else {
        if (bits == 1) {
            stq_unpack_block_1_s16(filter, row_words, taps, block, count, weight_offset, weights);
        } else if (bits == 2) {
            stq_unpack_block_2_s16(filter, row_words, taps, block, count, weight_offset, weights);
        } else if (bits == 4) {
            stq_unpack_block_4_s16(filter, row_words, taps, block, count, weight_offset, weights);
        } else if (bits == 8) {
            stq_unpack_block_8_s16(filter, row_words, taps, block, count, weight_offset, weights);
        } else {
            stq_unpack_block_16_s16(filter, row_words, taps, block, count, weight_offset, weights);
        }
    }
}

/* Weight of one channel of the block, as stq_unpack_block left it. */
STQ_INLINE int32_t stq_unpacked_weight(const stq_word *tap, stq_type input_type, int32_t channel)
{
    const int32_t in_quad = channel & 3;
    const int32_t word = input_type == STQ_S8 ? in_quad & 1 : in_quad >> 1;
    const int32_t half = input_type == STQ_S8 ? in_quad >> 1 : in_quad & 1;
    const uint32_t pair = tap[(channel >> 2) * 2 + word];

    return half == 0 ? stq_pair_low(pair) : stq_pair_high(pair);
}

/* Four accumulators over one row of taps, in the order of the halves of the two words of weights. */
typedef struct {
    int32_t a_low;
    int32_t a_high;
    int32_t b_low;
    int32_t b_high;
} stq_quad;

STQ_INLINE stq_quad stq_multiply_tap(stq_quad acc, const void *levels, stq_type type, uint32_t offsets,
                                     const stq_word *weights)
{
    uint32_t a, b;
    if (type == STQ_S8) {
        const uint32_t bytes = stq_load_unaligned(levels);
        a = stq_sxtab16(offsets, bytes);
        b = stq_sxtab16_ror8(offsets, bytes);
    } else {
        a = stq_sadd16(stq_load_unaligned(levels), offsets);
        b = stq_sadd16(stq_load_unaligned(stq_level_address(levels, type, 2)), offsets);
    }
    const stq_quad sum = {
        stq_smlabb(a, weights[0], acc.a_low),
        stq_smlatt(a, weights[0], acc.a_high),
        stq_smlabb(b, weights[1], acc.b_low),
        stq_smlatt(b, weights[1], acc.b_high),
    };
    return sum;
}

/*
 * `levels` advanced by `elements`. The asm makes this one addition; otherwise gcc keeps an address for every tap and
 * runs out of registers.
 */
STQ_INLINE const void *stq_move(const void *levels, stq_type type, int32_t elements)
{
    const void *moved = stq_level_address(levels, type, elements);
    __asm__("" : "+r"(moved));
    return moved;
}

/*
 * Accumulators of the first `count` (a multiple of four) channels of a block, which starts at `input_channel`.
 * `rows`, `columns` and the taps in a row of weights are constants for the commonest window, whose taps are unrolled.
 */
STQ_INLINE void stq_multiply_quads(const stq_depthwise_layer *layer, const stq_visible_window *window, int32_t rows,
                                   int32_t columns, int32_t tap_row_step, stq_type type, int32_t input_channel,
                                   int32_t count, int32_t *accumulators)
{
    const uint32_t offsets = layer->offsets;
    const int32_t column_step = layer->column_step;
    const int32_t row_advance = layer->row_step - columns * column_step;
    const void *quad_levels = stq_level_address(layer->input, type, window->level + input_channel);
    const stq_word *quad_weights = layer->weights + window->tap * STQ_BLOCK_WORDS;

    for (int32_t left = count; left > 0; left -= 4) {
        const void *levels = quad_levels;
        const stq_word *weights = quad_weights;
        stq_quad acc = {0, 0, 0, 0};

        STQ_UNROLL(3)
        for (int32_t row = 0; row < rows; row++) {
            STQ_UNROLL(3)
            for (int32_t column = 0; column < columns; column++) {
                acc = stq_multiply_tap(acc, levels, type, offsets, weights);
                levels = stq_move(levels, type, column_step);
                weights += STQ_BLOCK_WORDS;
            }
            levels = stq_move(levels, type, row_advance);
            weights += (tap_row_step - columns) * STQ_BLOCK_WORDS;
        }
        *accumulators++ = acc.a_low;
        *accumulators++ = type == STQ_S8 ? acc.b_low : acc.a_high;
        *accumulators++ = type == STQ_S8 ? acc.a_high : acc.b_low;
        *accumulators++ = acc.b_high;
        quad_levels = stq_level_address(quad_levels, type, 4);
        quad_weights += 2;
    }
}

#if STQ_HAND_WRITTEN
/*
 * Nine or six taps of a quad of int8 channels. One line for each cycle: the instructions in it start together
 * (docs/PROFILING.md has the rules). While the products of a tap's channels 0 and 2 are added, the levels of the next
 * tap are widened. `x` and `y` hold the levels by turns. Memory holds the step from row to row, so that 13 registers
 * do. A tap of weights takes 64 bytes (STQ_BLOCK_WORDS).
 */

/* Three rows of three columns. */
STQ_INLINE void stq_multiply_nine_taps(const stq_depthwise_layer *layer, const stq_word *weights, const int8_t *at,
                                       int32_t *accumulators)
{
    int32_t a = 0, b = 0, c = 0, d = 0;
    uint32_t x = (uint32_t)layer->row_step;
    uint32_t y, odd, w0, w1;

    // clang-format off
    __asm__ volatile(
        // Tap 0: the first levels and weights, and the products of its channels 1 and 3.
        "str %[x], [sp, #-8]!\n\t"
        "ldr %[y], [%[at]]\n\t"                             "ldr %[w1], [%[weights], #4]\n\t"
        "ldr %[x], [%[at], %[step]]\n\t"                    "ldr %[w0], [%[weights]]\n\t"
        "sxtab16 %[odd], %[offsets], %[y], ror #8\n\t"
        "sxtab16 %[y], %[offsets], %[y]\n\t"                "smlabb %[c], %[odd], %[w1], %[c]\n\t"
        "smlatt %[d], %[odd], %[w1], %[d]\n\t"              "ldr %[w1], [%[weights], #64 + 4]\n\t"
        // The levels of tap 1 are widened; the products of tap 0's channels 0 and 2 are added.
        "sxtab16 %[odd], %[offsets], %[x], ror #8\n\t"      "smlabb %[a], %[y], %[w0], %[a]\n\t"
        "sxtab16 %[x], %[offsets], %[x]\n\t"                "smlatt %[b], %[y], %[w0], %[b]\n\t"
        // The products of tap 1's channels 1 and 3; the next levels and weights are loaded.
        "smlabb %[c], %[odd], %[w1], %[c]\n\t"              "ldr %[y], [%[at], %[step], lsl #1]\n\t"
        "smlatt %[d], %[odd], %[w1], %[d]\n\t"              "ldr %[w0], [%[weights], #64 * 1]\n\t"
        "ldr %[w1], [%[weights], #64 * 2 + 4]\n\t"
        // The levels of tap 2 are widened; the products of tap 1's channels 0 and 2 are added.
        "sxtab16 %[odd], %[offsets], %[y], ror #8\n\t"      "smlabb %[a], %[x], %[w0], %[a]\n\t"
        "sxtab16 %[y], %[offsets], %[y]\n\t"                "smlatt %[b], %[x], %[w0], %[b]\n\t"
        // The products of tap 2's channels 1 and 3; the next tap is in the next row.
        "smlabb %[c], %[odd], %[w1], %[c]\n\t"              "ldr %[w0], [sp]\n\t"
        "smlatt %[d], %[odd], %[w1], %[d]\n\t"              "ldr %[w1], [%[weights], #64 * 3 + 4]\n\t"
        "add %[at], %[at], %[w0]\n\t"                       "ldr %[w0], [%[weights], #64 * 2]\n\t"
        "ldr %[x], [%[at]]\n\t"
        // The levels of tap 3 are widened; the products of tap 2's channels 0 and 2 are added.
        "sxtab16 %[odd], %[offsets], %[x], ror #8\n\t"      "smlabb %[a], %[y], %[w0], %[a]\n\t"
        "sxtab16 %[x], %[offsets], %[x]\n\t"                "smlatt %[b], %[y], %[w0], %[b]\n\t"
        // The products of tap 3's channels 1 and 3; the next levels and weights are loaded.
        "smlabb %[c], %[odd], %[w1], %[c]\n\t"              "ldr %[y], [%[at], %[step]]\n\t"
        "smlatt %[d], %[odd], %[w1], %[d]\n\t"              "ldr %[w0], [%[weights], #64 * 3]\n\t"
        "ldr %[w1], [%[weights], #64 * 4 + 4]\n\t"
        // The levels of tap 4 are widened; the products of tap 3's channels 0 and 2 are added.
        "sxtab16 %[odd], %[offsets], %[y], ror #8\n\t"      "smlabb %[a], %[x], %[w0], %[a]\n\t"
        "sxtab16 %[y], %[offsets], %[y]\n\t"                "smlatt %[b], %[x], %[w0], %[b]\n\t"
        // The products of tap 4's channels 1 and 3; the next levels and weights are loaded.
        "smlabb %[c], %[odd], %[w1], %[c]\n\t"              "ldr %[x], [%[at], %[step], lsl #1]\n\t"
        "smlatt %[d], %[odd], %[w1], %[d]\n\t"              "ldr %[w0], [%[weights], #64 * 4]\n\t"
        "ldr %[w1], [%[weights], #64 * 5 + 4]\n\t"
        // The levels of tap 5 are widened; the products of tap 4's channels 0 and 2 are added.
        "sxtab16 %[odd], %[offsets], %[x], ror #8\n\t"      "smlabb %[a], %[y], %[w0], %[a]\n\t"
        "sxtab16 %[x], %[offsets], %[x]\n\t"                "smlatt %[b], %[y], %[w0], %[b]\n\t"
        // The products of tap 5's channels 1 and 3; the next tap is in the next row.
        "smlabb %[c], %[odd], %[w1], %[c]\n\t"              "ldr %[w0], [sp]\n\t"
        "smlatt %[d], %[odd], %[w1], %[d]\n\t"              "ldr %[w1], [%[weights], #64 * 6 + 4]\n\t"
        "add %[at], %[at], %[w0]\n\t"                       "ldr %[w0], [%[weights], #64 * 5]\n\t"
        "ldr %[y], [%[at]]\n\t"
        // The levels of tap 6 are widened; the products of tap 5's channels 0 and 2 are added.
        "sxtab16 %[odd], %[offsets], %[y], ror #8\n\t"      "smlabb %[a], %[x], %[w0], %[a]\n\t"
        "sxtab16 %[y], %[offsets], %[y]\n\t"                "smlatt %[b], %[x], %[w0], %[b]\n\t"
        // The products of tap 6's channels 1 and 3; the next levels and weights are loaded.
        "smlabb %[c], %[odd], %[w1], %[c]\n\t"              "ldr %[x], [%[at], %[step]]\n\t"
        "smlatt %[d], %[odd], %[w1], %[d]\n\t"              "ldr %[w0], [%[weights], #64 * 6]\n\t"
        "ldr %[w1], [%[weights], #64 * 7 + 4]\n\t"
        // The levels of tap 7 are widened; the products of tap 6's channels 0 and 2 are added.
        "sxtab16 %[odd], %[offsets], %[x], ror #8\n\t"      "smlabb %[a], %[y], %[w0], %[a]\n\t"
        "sxtab16 %[x], %[offsets], %[x]\n\t"                "smlatt %[b], %[y], %[w0], %[b]\n\t"
        // The products of tap 7's channels 1 and 3; the next levels and weights are loaded.
        "smlabb %[c], %[odd], %[w1], %[c]\n\t"              "ldr %[y], [%[at], %[step], lsl #1]\n\t"
        "smlatt %[d], %[odd], %[w1], %[d]\n\t"              "ldr %[w0], [%[weights], #64 * 7]\n\t"
        "ldr %[w1], [%[weights], #64 * 8 + 4]\n\t"
        // The levels of tap 8 are widened; the products of tap 7's channels 0 and 2 are added.
        "sxtab16 %[odd], %[offsets], %[y], ror #8\n\t"      "smlabb %[a], %[x], %[w0], %[a]\n\t"
        "sxtab16 %[y], %[offsets], %[y]\n\t"                "smlatt %[b], %[x], %[w0], %[b]\n\t"
        // All products of tap 8 that are left: it is the last.
        "smlabb %[c], %[odd], %[w1], %[c]\n\t"              "ldr %[w0], [%[weights], #64 * 8]\n\t"
        "smlatt %[d], %[odd], %[w1], %[d]\n\t"              "add sp, sp, #8\n\t"
        "smlabb %[a], %[y], %[w0], %[a]\n\t"
        "smlatt %[b], %[y], %[w0], %[b]\n\t"
        : [at] "+r"(at), [x] "+r"(x), [y] "=&r"(y), [odd] "=&r"(odd), [w0] "=&r"(w0), [w1] "=&r"(w1),
          [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d)
        : [weights] "r"(weights), [step] "r"(layer->column_step), [offsets] "r"(layer->offsets)
        : "memory", "cc");
    // clang-format on
    accumulators[0] = a;
    accumulators[1] = c;
    accumulators[2] = b;
    accumulators[3] = d;
}

/* Three rows of two columns, at an edge of the image; the window has three. */
STQ_INLINE void stq_multiply_six_taps(const stq_depthwise_layer *layer, const stq_word *weights, const int8_t *at,
                                      int32_t *accumulators)
{
    int32_t a = 0, b = 0, c = 0, d = 0;
    uint32_t x = (uint32_t)layer->row_step;
    uint32_t y, odd, w0, w1;

    // clang-format off
    __asm__ volatile(
        // Tap 0: the first levels and weights, and the products of its channels 1 and 3.
        "str %[x], [sp, #-8]!\n\t"
        "ldr %[y], [%[at]]\n\t"                             "ldr %[w1], [%[weights], #4]\n\t"
        "ldr %[x], [%[at], %[step]]\n\t"                    "ldr %[w0], [%[weights]]\n\t"
        "sxtab16 %[odd], %[offsets], %[y], ror #8\n\t"
        "sxtab16 %[y], %[offsets], %[y]\n\t"                "smlabb %[c], %[odd], %[w1], %[c]\n\t"
        "smlatt %[d], %[odd], %[w1], %[d]\n\t"              "ldr %[w1], [%[weights], #64 + 4]\n\t"
        // The levels of tap 1 are widened; the products of tap 0's channels 0 and 2 are added.
        "sxtab16 %[odd], %[offsets], %[x], ror #8\n\t"      "smlabb %[a], %[y], %[w0], %[a]\n\t"
        "sxtab16 %[x], %[offsets], %[x]\n\t"                "smlatt %[b], %[y], %[w0], %[b]\n\t"
        // The products of tap 1's channels 1 and 3; the next tap is in the next row.
        "smlabb %[c], %[odd], %[w1], %[c]\n\t"              "ldr %[w0], [sp]\n\t"
        "smlatt %[d], %[odd], %[w1], %[d]\n\t"              "ldr %[w1], [%[weights], #64 * 3 + 4]\n\t"
        "add %[at], %[at], %[w0]\n\t"                       "ldr %[w0], [%[weights], #64 * 1]\n\t"
        "ldr %[y], [%[at]]\n\t"
        // The levels of tap 3 are widened; the products of tap 1's channels 0 and 2 are added.
        "sxtab16 %[odd], %[offsets], %[y], ror #8\n\t"      "smlabb %[a], %[x], %[w0], %[a]\n\t"
        "sxtab16 %[y], %[offsets], %[y]\n\t"                "smlatt %[b], %[x], %[w0], %[b]\n\t"
        // The products of tap 3's channels 1 and 3; the next levels and weights are loaded.
        "smlabb %[c], %[odd], %[w1], %[c]\n\t"              "ldr %[x], [%[at], %[step]]\n\t"
        "smlatt %[d], %[odd], %[w1], %[d]\n\t"              "ldr %[w0], [%[weights], #64 * 3]\n\t"
        "ldr %[w1], [%[weights], #64 * 4 + 4]\n\t"
        // The levels of tap 4 are widened; the products of tap 3's channels 0 and 2 are added.
        "sxtab16 %[odd], %[offsets], %[x], ror #8\n\t"      "smlabb %[a], %[y], %[w0], %[a]\n\t"
        "sxtab16 %[x], %[offsets], %[x]\n\t"                "smlatt %[b], %[y], %[w0], %[b]\n\t"
        // The products of tap 4's channels 1 and 3; the next tap is in the next row.
        "smlabb %[c], %[odd], %[w1], %[c]\n\t"              "ldr %[w0], [sp]\n\t"
        "smlatt %[d], %[odd], %[w1], %[d]\n\t"              "ldr %[w1], [%[weights], #64 * 6 + 4]\n\t"
        "add %[at], %[at], %[w0]\n\t"                       "ldr %[w0], [%[weights], #64 * 4]\n\t"
        "ldr %[y], [%[at]]\n\t"
        // The levels of tap 6 are widened; the products of tap 4's channels 0 and 2 are added.
        "sxtab16 %[odd], %[offsets], %[y], ror #8\n\t"      "smlabb %[a], %[x], %[w0], %[a]\n\t"
        "sxtab16 %[y], %[offsets], %[y]\n\t"                "smlatt %[b], %[x], %[w0], %[b]\n\t"
        // The products of tap 6's channels 1 and 3; the next levels and weights are loaded.
        "smlabb %[c], %[odd], %[w1], %[c]\n\t"              "ldr %[x], [%[at], %[step]]\n\t"
        "smlatt %[d], %[odd], %[w1], %[d]\n\t"              "ldr %[w0], [%[weights], #64 * 6]\n\t"
        "ldr %[w1], [%[weights], #64 * 7 + 4]\n\t"
        // The levels of tap 7 are widened; the products of tap 6's channels 0 and 2 are added.
        "sxtab16 %[odd], %[offsets], %[x], ror #8\n\t"      "smlabb %[a], %[y], %[w0], %[a]\n\t"
        "sxtab16 %[x], %[offsets], %[x]\n\t"                "smlatt %[b], %[y], %[w0], %[b]\n\t"
        // All products of tap 7 that are left: it is the last.
        "smlabb %[c], %[odd], %[w1], %[c]\n\t"              "ldr %[w0], [%[weights], #64 * 7]\n\t"
        "smlatt %[d], %[odd], %[w1], %[d]\n\t"              "add sp, sp, #8\n\t"
        "smlabb %[a], %[x], %[w0], %[a]\n\t"
        "smlatt %[b], %[x], %[w0], %[b]\n\t"
        : [at] "+r"(at), [x] "+r"(x), [y] "=&r"(y), [odd] "=&r"(odd), [w0] "=&r"(w0), [w1] "=&r"(w1),
          [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d)
        : [weights] "r"(weights), [step] "r"(layer->column_step), [offsets] "r"(layer->offsets)
        : "memory", "cc");
    // clang-format on
    accumulators[0] = a;
    accumulators[1] = c;
    accumulators[2] = b;
    accumulators[3] = d;
}

/* stq_multiply_quads for int8 and three visible rows of 3 or 2 columns of a 3 x 3 window. */
STQ_INLINE void stq_multiply_three_rows(const stq_depthwise_layer *layer, const stq_visible_window *window,
                                        int32_t columns, int32_t input_channel, int32_t count, int32_t *accumulators)
{
    const int8_t *levels = (const int8_t *)layer->input + window->level + input_channel;
    const stq_word *weights = layer->weights + window->tap * STQ_BLOCK_WORDS;

    for (const int8_t *end = levels + count; levels < end; levels += 4) {
        if (columns == 3) {
            stq_multiply_nine_taps(layer, weights, levels, accumulators);
        } else {
            stq_multiply_six_taps(layer, weights, levels, accumulators);
        }
        accumulators += 4;
        weights += 2;
    }
}
#else
STQ_INLINE void stq_multiply_three_rows(const stq_depthwise_layer *layer, const stq_visible_window *window,
                                        int32_t columns, int32_t input_channel, int32_t count, int32_t *accumulators)
{
    stq_multiply_quads(layer, window, 3, columns, 3, STQ_S8, input_channel, count, accumulators);
}
#endif

STQ_ONE_OF_MANY void stq_multiply_quads_3x3_s8(const stq_depthwise_layer *layer, const stq_visible_window *window,
                                               int32_t input_channel, int32_t count, int32_t *accumulators)
{
    stq_multiply_three_rows(layer, window, 3, input_channel, count, accumulators);
}

/* At the left and right edge of the image. */
STQ_ONE_OF_MANY void stq_multiply_quads_3x2_s8(const stq_depthwise_layer *layer, const stq_visible_window *window,
                                               int32_t input_channel, int32_t count, int32_t *accumulators)
{
    stq_multiply_three_rows(layer, window, 2, input_channel, count, accumulators);
}

STQ_ONE_OF_MANY void stq_multiply_quads_3x3_s16(const stq_depthwise_layer *layer, const stq_visible_window *window,
                                                int32_t input_channel, int32_t count, int32_t *accumulators)
{
    stq_multiply_quads(layer, window, 3, 3, 3, STQ_S16, input_channel, count, accumulators);
}

STQ_ONE_OF_MANY void stq_multiply_quads_any_s8(const stq_depthwise_layer *layer, const stq_visible_window *window,
                                               int32_t input_channel, int32_t count, int32_t *accumulators)
{
    stq_multiply_quads(layer, window, window->rows, window->columns, layer->tap_row_step, STQ_S8, input_channel, count,
                       accumulators);
}

STQ_ONE_OF_MANY void stq_multiply_quads_any_s16(const stq_depthwise_layer *layer, const stq_visible_window *window,
                                                int32_t input_channel, int32_t count, int32_t *accumulators)
{
    stq_multiply_quads(layer, window, window->rows, window->columns, layer->tap_row_step, STQ_S16, input_channel, count,
                       accumulators);
}

/* stq_multiply_quads in the copy for this window and this type. */
STQ_INLINE void stq_multiply_quads_of(const stq_depthwise_layer *layer, const stq_visible_window *window, int32_t taps,
                                      stq_type type, int32_t input_channel, int32_t count, int32_t *accumulators)
{
    if (taps == 9 && window->rows == 3 && window->columns == 3) {
        if (type == STQ_S8) {
            stq_multiply_quads_3x3_s8(layer, window, input_channel, count, accumulators);
        } else {
            stq_multiply_quads_3x3_s16(layer, window, input_channel, count, accumulators);
        }
    } else if (taps == 9 && layer->tap_row_step == 3 && window->rows == 3 && window->columns == 2 && type == STQ_S8) {
        stq_multiply_quads_3x2_s8(layer, window, input_channel, count, accumulators);
    } else if (type == STQ_S8) {
        stq_multiply_quads_any_s8(layer, window, input_channel, count, accumulators);
    } else {
        stq_multiply_quads_any_s16(layer, window, input_channel, count, accumulators);
    }
}

/* Accumulator of one channel of the block: for channels outside quads, and depth multipliers other than 1. */
static STQ_NOINLINE int32_t stq_depthwise_single(const stq_depthwise_layer *layer, const stq_visible_window *window,
                                                 int32_t input_channel, int32_t channel)
{
    const int32_t offset = stq_pair_low(layer->offsets);
    int32_t acc = 0;

    for (int32_t row = 0; row < window->rows; row++) {
        for (int32_t column = 0; column < window->columns; column++) {
            const int32_t index = window->level + row * layer->row_step + column * layer->column_step + input_channel;
            const int32_t tap = window->tap + row * layer->tap_row_step + column;
            acc += (stq_level(layer->input, layer->input_type, index) + offset) *
                   stq_unpacked_weight(layer->weights + tap * STQ_BLOCK_WORDS, layer->input_type, channel);
        }
    }
    return acc;
}

STQ_INLINE stq_status stq_depthwise_convolve(const stq_context *ctx, const stq_conv_params *params,
                                             const stq_requantize *rq, const stq_dims *input_dims, const void *input,
                                             stq_type input_type, const stq_dims *filter_dims, const uint32_t *filter,
                                             int32_t bits, const stq_dims *output_dims, void *output)
{
    if (!stq_window_valid(params, input_dims, filter_dims, output_dims) || output_dims->c % input_dims->c != 0 ||
        filter_dims->c != output_dims->c || rq == NULL || input == NULL || filter == NULL || output == NULL ||
        !stq_scratch_valid(ctx, stq_depthwise_convolve_buffer_size(filter_dims))) {
        return STQ_ARGUMENT_ERROR;
    }

    const int32_t channels = output_dims->c;
    const int32_t multiplier = channels / input_dims->c;
    const int32_t taps = filter_dims->h * filter_dims->w;
    stq_word *weights = ctx->buffer;
    int32_t *accumulators = (int32_t *)ctx->buffer + taps * STQ_BLOCK_WORDS;
    const stq_depthwise_layer layer = {
        .input = input,
        .input_type = input_type,
        .offsets = stq_pair(params->input_offset, params->input_offset),
        .column_step = params->dilation_w * input_dims->c,
        .row_step = params->dilation_h * input_dims->w * input_dims->c,
        .tap_row_step = filter_dims->w,
        .weights = weights,
    };

    for (int32_t block = 0; block < channels; block += STQ_DEPTHWISE_BLOCK) {
        const int32_t count = channels - block < STQ_DEPTHWISE_BLOCK ? channels - block : STQ_DEPTHWISE_BLOCK;
        const int32_t in_quads = multiplier == 1 ? count & ~3 : 0;

        stq_unpack_block_of(filter, bits, stq_row_words(channels, bits), taps, block, count, params->weight_offset,
                            input_type, weights);
        for (int32_t y = 0; y < output_dims->h; y++) {
            const int32_t input_y = y * params->stride_h - params->pad_top;
            const stq_taps rows = stq_visible_taps(input_y, params->dilation_h, filter_dims->h, input_dims->h);
            for (int32_t x = 0; x < output_dims->w; x++) {
                const int32_t input_x = x * params->stride_w - params->pad_left;
                const stq_visible_window window =
                    stq_find_visible(params, input_dims, filter_dims, input_y, rows, input_x);
                stq_multiply_quads_of(&layer, &window, taps, input_type, block, in_quads, accumulators);
                for (int32_t c = in_quads; c < count; c++) {
                    accumulators[c] = stq_depthwise_single(&layer, &window, (block + c) / multiplier, c);
                }
                stq_requantize_pixel(rq, accumulators, block, count,
                                     stq_output_pixel(output, rq->output_type, channels, y * output_dims->w + x));
            }
        }
    }
    return STQ_OK;
}

#endif /* STQ_DEPTHWISE_CONVOLVE_CORE_H */
