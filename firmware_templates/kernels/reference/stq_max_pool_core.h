/* SPDX-License-Identifier: Apache-2.0 */
/* stq_max_pool_core.h - max pooling for every type; STQ_DEFINE_MAX_POOL makes the public names. */
#ifndef STQ_MAX_POOL_CORE_H
#define STQ_MAX_POOL_CORE_H

#include "internal/stq_nn_arguments.h"
#include "internal/stq_nn_define.h"
#include "internal/stq_nn_elements.h"

/* Largest level of one channel under one window; the padding is outside the image and is never read. */
static inline int32_t stq_window_maximum(const stq_pool_params *params, const stq_dims *input_dims, const void *input,
                                         stq_type type, int32_t output_y, int32_t output_x, int32_t channel)
{
    int32_t maximum = INT32_MIN;

    for (int32_t ky = 0; ky < params->window_h; ky++) {
        for (int32_t kx = 0; kx < params->window_w; kx++) {
            const int32_t y = output_y * params->stride_h - params->pad_top + ky;
            const int32_t x = output_x * params->stride_w - params->pad_left + kx;
            if (y < 0 || y >= input_dims->h || x < 0 || x >= input_dims->w) {
                continue;
            }
            const int32_t level = stq_level(input, type, (y * input_dims->w + x) * input_dims->c + channel);
            maximum = level > maximum ? level : maximum;
        }
    }
    return maximum;
}

static inline stq_status stq_max_pool(const stq_pool_params *params, const stq_dims *input_dims, const void *input,
                                      stq_type type, const stq_dims *output_dims, void *output)
{
    if (!stq_pool_valid(params, input_dims, output_dims) || input == NULL || output == NULL) {
        return STQ_ARGUMENT_ERROR;
    }

    for (int32_t y = 0; y < output_dims->h; y++) {
        for (int32_t x = 0; x < output_dims->w; x++) {
            for (int32_t c = 0; c < output_dims->c; c++) {
                stq_set_level(output, type, (y * output_dims->w + x) * output_dims->c + c,
                              stq_window_maximum(params, input_dims, input, type, y, x, c));
            }
        }
    }
    return STQ_OK;
}

#endif /* STQ_MAX_POOL_CORE_H */
