/* SPDX-License-Identifier: Apache-2.0 */
/* stq_average_pool_core.h - average pooling for every input type; STQ_DEFINE_AVERAGE_POOL makes the public
 * names. */
#ifndef STQ_AVERAGE_POOL_CORE_H
#define STQ_AVERAGE_POOL_CORE_H

#include "internal/stq_nn_arguments.h"
#include "internal/stq_nn_define.h"
#include "internal/stq_nn_elements.h"
#include "internal/stq_nn_scratch.h"

/* Accumulator of one channel under one window; the padding is outside the image and is not counted. */
static inline int32_t stq_window_mean(const stq_pool_params *params, const stq_dims *input_dims, const void *input,
                                      stq_type type, int32_t output_y, int32_t output_x, int32_t channel)
{
    int32_t sum = 0;
    int32_t count = 0;

    for (int32_t ky = 0; ky < params->window_h; ky++) {
        for (int32_t kx = 0; kx < params->window_w; kx++) {
            const int32_t y = output_y * params->stride_h - params->pad_top + ky;
            const int32_t x = output_x * params->stride_w - params->pad_left + kx;
            if (y < 0 || y >= input_dims->h || x < 0 || x >= input_dims->w) {
                continue;
            }
            sum += stq_level(input, type, (y * input_dims->w + x) * input_dims->c + channel) + params->input_offset;
            count++;
        }
    }
    return sum * (params->multiple / count);
}

static inline stq_status stq_average_pool(const stq_context *ctx, const stq_pool_params *params,
                                          const stq_requantize *rq, const stq_dims *input_dims, const void *input,
                                          stq_type type, const stq_dims *output_dims, void *output)
{
    if (!stq_pool_valid(params, input_dims, output_dims) || params->multiple <= 0 || rq == NULL || input == NULL ||
        output == NULL || !stq_scratch_valid(ctx, stq_channel_block_buffer_size(output_dims->c))) {
        return STQ_ARGUMENT_ERROR;
    }

    for (int32_t y = 0; y < output_dims->h; y++) {
        for (int32_t x = 0; x < output_dims->w; x++) {
            for (int32_t c = 0; c < output_dims->c; c++) {
                const int32_t acc = stq_window_mean(params, input_dims, input, type, y, x, c);
                void *pixel = stq_output_pixel(output, rq->output_type, output_dims->c, y * output_dims->w + x);
                stq_requantize_pixel(rq, &acc, c, 1, pixel);
            }
        }
    }
    return STQ_OK;
}

#endif /* STQ_AVERAGE_POOL_CORE_H */
