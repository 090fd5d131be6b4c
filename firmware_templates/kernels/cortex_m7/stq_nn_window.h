/* SPDX-License-Identifier: Apache-2.0 */
/* stq_nn_window.h - the windows of the pooling kernels, cut to the image. */
#ifndef STQ_NN_WINDOW_H
#define STQ_NN_WINDOW_H

#include "stq_intrinsics.h"
#include "internal/stq_nn_elements.h"

/* The part of a window inside the image: its first level of channel 0, and its size. Steps are in elements. */
typedef struct {
    const void *first;
    int32_t rows;
    int32_t columns;
    int32_t row_step;
    int32_t column_step;
} stq_window;

/* The window of output pixel (y, x). */
STQ_INLINE stq_window stq_window_at(const stq_pool_params *params, const stq_dims *input_dims, const void *input,
                                    stq_type type, int32_t y, int32_t x)
{
    const int32_t start_y = y * params->stride_h - params->pad_top;
    const int32_t start_x = x * params->stride_w - params->pad_left;
    const int32_t top = start_y > 0 ? start_y : 0;
    const int32_t left = start_x > 0 ? start_x : 0;
    const int32_t end_y = start_y + params->window_h;
    const int32_t end_x = start_x + params->window_w;

    return (stq_window){
        .first = stq_level_address(input, type, (top * input_dims->w + left) * input_dims->c),
        .rows = (end_y < input_dims->h ? end_y : input_dims->h) - top,
        .columns = (end_x < input_dims->w ? end_x : input_dims->w) - left,
        .row_step = input_dims->w * input_dims->c,
        .column_step = input_dims->c,
    };
}

#endif /* STQ_NN_WINDOW_H */
