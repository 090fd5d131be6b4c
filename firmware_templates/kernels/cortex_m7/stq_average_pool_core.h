/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_average_pool_core.h - average pooling for every input type; STQ_DEFINE_AVERAGE_POOL makes the public
 * names.
 *
 * A window is summed a word of channels at a time; a block of channels is then requantized together.
 */
#ifndef STQ_AVERAGE_POOL_CORE_H
#define STQ_AVERAGE_POOL_CORE_H

#include "stq_intrinsics.h"
#include "internal/stq_nn_arguments.h"
#include "internal/stq_nn_define.h"
#include "internal/stq_nn_scratch.h"
#include "stq_nn_window.h"

/* sums += the levels of a word. Sums wrap; with the offsets added they are right modulo 2^32, and known to fit. */
STQ_INLINE void stq_sum_word(uint32_t word, stq_type type, uint32_t *sums)
{
    if (type == STQ_S8) {
        sums[0] = stq_sxtab(sums[0], word);
        sums[1] = stq_sxtab_ror8(sums[1], word);
        sums[2] = stq_sxtab_ror16(sums[2], word);
        sums[3] += (uint32_t)((int32_t)word >> 24);
    } else if (type == STQ_S16) {
        sums[0] += (uint32_t)stq_pair_low(word);
        sums[1] += (uint32_t)stq_pair_high(word);
    } else {
        sums[0] += word;
    }
}

/* Sums over a window of the channels of one word, from `channel` on. */
STQ_INLINE void stq_window_sums(const stq_window *w, stq_type type, int32_t channel, uint32_t *sums)
{
    const int32_t per_word = 4 / stq_type_bytes(type);
    uint32_t word_sums[4] = {0, 0, 0, 0};

    for (int32_t row = 0; row < w->rows; row++) {
        const uint8_t *level = stq_level_address(w->first, type, row * w->row_step + channel);
        for (int32_t column = w->columns; column > 0; column--) {
            stq_sum_word(stq_load_unaligned(level), type, word_sums);
            level += w->column_step * stq_type_bytes(type);
        }
    }
    for (int32_t i = 0; i < per_word; i++) {
        sums[i] = word_sums[i];
    }
}

STQ_INLINE uint32_t stq_window_sum(const stq_window *w, stq_type type, int32_t channel)
{
    uint32_t sum = 0;

    for (int32_t row = 0; row < w->rows; row++) {
        for (int32_t column = 0; column < w->columns; column++) {
            sum += (uint32_t)stq_level(w->first, type, row * w->row_step + column * w->column_step + channel);
        }
    }
    return sum;
}

/* Accumulators of channels first .. first + count - 1 under a window. */
STQ_INLINE void stq_window_means(const stq_pool_params *params, const stq_window *w, stq_type type, int32_t first,
                                 int32_t count, int32_t *acc)
{
    const int32_t per_word = 4 / stq_type_bytes(type);
    const int32_t levels = w->rows * w->columns;
    const uint32_t weight = (uint32_t)(params->multiple / levels);
    const uint32_t offset = (uint32_t)levels * (uint32_t)params->input_offset;
    uint32_t sums[4];
    int32_t i = 0;

    for (; i + per_word <= count; i += per_word) {
        stq_window_sums(w, type, first + i, sums);
        for (int32_t j = 0; j < per_word; j++) {
            acc[i + j] = (int32_t)((sums[j] + offset) * weight);
        }
    }
    for (; i < count; i++) {
        acc[i] = (int32_t)((stq_window_sum(w, type, first + i) + offset) * weight);
    }
}

/* A copy of stq_window_means for these constants, which the kernels with them share. */
#define STQ_WINDOW_MEANS(suffix, type)                                                                                 \
    STQ_ONE_OF_MANY void stq_window_means_##suffix(const stq_pool_params *params, const stq_window *w, int32_t first,  \
                                                   int32_t count, int32_t *acc)                                        \
    {                                                                                                                  \
        stq_window_means(params, w, type, first, count, acc);                                                          \
    }

STQ_WINDOW_MEANS(s8, STQ_S8)
STQ_WINDOW_MEANS(s16, STQ_S16)
STQ_WINDOW_MEANS(s32, STQ_S32)

/* stq_window_means in the copy for this type. */
STQ_INLINE void stq_window_means_of(const stq_pool_params *params, const stq_window *w, stq_type type, int32_t first,
                                    int32_t count, int32_t *acc)
{
    if (type == STQ_S8) {
        stq_window_means_s8(params, w, first, count, acc);
    } else if (type == STQ_S16) {
        stq_window_means_s16(params, w, first, count, acc);
    } else {
        stq_window_means_s32(params, w, first, count, acc);
    }
}

STQ_INLINE stq_status stq_average_pool(const stq_context *ctx, const stq_pool_params *params, const stq_requantize *rq,
                                       const stq_dims *input_dims, const void *input, stq_type type,
                                       const stq_dims *output_dims, void *output)
{
    if (!stq_pool_valid(params, input_dims, output_dims) || params->multiple <= 0 || rq == NULL || input == NULL ||
        output == NULL || !stq_scratch_valid(ctx, stq_channel_block_buffer_size(output_dims->c))) {
        return STQ_ARGUMENT_ERROR;
    }

    const int32_t channels = output_dims->c;
    int32_t *acc = ctx->buffer;
    for (int32_t y = 0; y < output_dims->h; y++) {
        for (int32_t x = 0; x < output_dims->w; x++) {
            const stq_window w = stq_window_at(params, input_dims, input, type, y, x);
            void *pixel = stq_output_pixel(output, rq->output_type, channels, y * output_dims->w + x);
            for (int32_t first = 0; first < channels; first += STQ_CHANNEL_BLOCK) {
                const int32_t left = channels - first;
                const int32_t count = left < STQ_CHANNEL_BLOCK ? left : STQ_CHANNEL_BLOCK;
                stq_window_means_of(params, &w, type, first, count, acc);
                stq_requantize_pixel(rq, acc, first, count, pixel);
            }
        }
    }
    return STQ_OK;
}

#endif /* STQ_AVERAGE_POOL_CORE_H */
