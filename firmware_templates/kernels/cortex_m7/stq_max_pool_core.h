/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_max_pool_core.h - max pooling for every type; STQ_DEFINE_MAX_POOL makes the public names.
 *
 * All channels of an output pixel are compared with two pixels of the window at a time, a word of levels at once.
 */
#ifndef STQ_MAX_POOL_CORE_H
#define STQ_MAX_POOL_CORE_H

#include "stq_intrinsics.h"
#include "internal/stq_nn_arguments.h"
#include "internal/stq_nn_define.h"
#include "stq_nn_window.h"

/* The larger levels of two words. */
STQ_INLINE uint32_t stq_max_word(uint32_t a, uint32_t b, stq_type type)
{
    if (type == STQ_S8) {
        return stq_max_bytes(a, b);
    }
    if (type == STQ_S16) {
        return stq_max_pair(a, b);
    }
    return (int32_t)a > (int32_t)b ? a : b;
}

STQ_INLINE int32_t stq_max_level(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

/* output = the largest of three pixels, channel by channel; output may be one of them. */
STQ_INLINE void stq_max_of_three(const void *a, const void *b, const void *c, stq_type type, int32_t channels,
                                 void *output)
{
    const int32_t per_word = 4 / stq_type_bytes(type);
    int32_t i = 0;

    for (; i + per_word <= channels; i += per_word) {
        uint32_t word = stq_load_unaligned(stq_level_address(a, type, i));
        word = stq_max_word(word, stq_load_unaligned(stq_level_address(b, type, i)), type);
        word = stq_max_word(word, stq_load_unaligned(stq_level_address(c, type, i)), type);
        stq_store_unaligned(stq_output_pixel(output, type, 1, i), word);
    }
    for (; i < channels; i++) {
        const int32_t level = stq_max_level(stq_level(a, type, i), stq_level(b, type, i));
        stq_set_level(output, type, i, stq_max_level(level, stq_level(c, type, i)));
    }
}

STQ_INLINE stq_status stq_max_pool(const stq_pool_params *params, const stq_dims *input_dims, const void *input,
                                   stq_type type, const stq_dims *output_dims, void *output)
{
    if (!stq_pool_valid(params, input_dims, output_dims) || input == NULL || output == NULL) {
        return STQ_ARGUMENT_ERROR;
    }

    const int32_t channels = output_dims->c;
    for (int32_t y = 0; y < output_dims->h; y++) {
        for (int32_t x = 0; x < output_dims->w; x++) {
            const stq_window w = stq_window_at(params, input_dims, input, type, y, x);
            void *pixel = stq_output_pixel(output, type, channels, y * output_dims->w + x);
            const void *so_far = w.first;
            for (int32_t row = 0; row < w.rows; row++) {
                for (int32_t column = 0; column < w.columns; column += 2) {
                    const int32_t next = column + 1 < w.columns ? column + 1 : column; // an odd last one is done twice
                    const int32_t first = row * w.row_step;
                    stq_max_of_three(so_far, stq_level_address(w.first, type, first + column * w.column_step),
                                     stq_level_address(w.first, type, first + next * w.column_step), type, channels,
                                     pixel);
                    so_far = pixel;
                }
            }
        }
    }
    return STQ_OK;
}

#endif /* STQ_MAX_POOL_CORE_H */
