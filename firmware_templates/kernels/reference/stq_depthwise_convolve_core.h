/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_depthwise_convolve_core.h - depthwise convolution for every weight width and input type;
 * STQ_DEFINE_DEPTHWISE_CONVOLVE makes the public names.
 */
#ifndef STQ_DEPTHWISE_CONVOLVE_CORE_H
#define STQ_DEPTHWISE_CONVOLVE_CORE_H

#include "internal/stq_nn_arguments.h"
#include "internal/stq_nn_define.h"
#include "internal/stq_nn_elements.h"
#include "internal/stq_nn_scratch.h"
#include "stq_nn_weight.h"

/* Sum of output channel `channel` over one pixel's window. Taps outside the image are real 0 and add nothing. */
static inline int32_t stq_depthwise_window(const stq_conv_params *params, const stq_dims *input_dims, const void *input,
                                           stq_type input_type, const stq_dims *filter_dims, const uint32_t *filter,
                                           int32_t bits, int32_t output_y, int32_t output_x, int32_t channel)
{
    const int32_t row_words = stq_row_words(filter_dims->c, bits);
    const int32_t input_channel = channel / (filter_dims->c / input_dims->c);
    int32_t acc = 0;

    for (int32_t ky = 0; ky < filter_dims->h; ky++) {
        for (int32_t kx = 0; kx < filter_dims->w; kx++) {
            const int32_t y = output_y * params->stride_h - params->pad_top + ky * params->dilation_h;
            const int32_t x = output_x * params->stride_w - params->pad_left + kx * params->dilation_w;
            if (y < 0 || y >= input_dims->h || x < 0 || x >= input_dims->w) {
                continue;
            }
            const int32_t index = (y * input_dims->w + x) * input_dims->c + input_channel;
            const uint32_t *row = filter + (ky * filter_dims->w + kx) * row_words;
            acc += (stq_level(input, input_type, index) + params->input_offset) *
                   stq_weight(row, bits, params->weight_offset, channel);
        }
    }
    return acc;
}

/* Every output channel of every pixel. */
static inline void stq_depthwise_channels(const stq_conv_params *params, const stq_requantize *rq,
                                          const stq_dims *input_dims, const void *input, stq_type input_type,
                                          const stq_dims *filter_dims, const uint32_t *filter, int32_t bits,
                                          const stq_dims *output_dims, void *output)
{
    for (int32_t y = 0; y < output_dims->h; y++) {
        for (int32_t x = 0; x < output_dims->w; x++) {
            void *pixel = stq_output_pixel(output, rq->output_type, output_dims->c, y * output_dims->w + x);
            for (int32_t channel = 0; channel < output_dims->c; channel++) {
                const int32_t acc = stq_depthwise_window(params, input_dims, input, input_type, filter_dims, filter,
                                                         bits, y, x, channel);
                stq_requantize_pixel(rq, &acc, channel, 1, pixel);
            }
        }
    }
}

static inline stq_status stq_depthwise_convolve(const stq_context *ctx, const stq_conv_params *params,
                                                const stq_requantize *rq, const stq_dims *input_dims, const void *input,
                                                stq_type input_type, const stq_dims *filter_dims,
                                                const uint32_t *filter, int32_t bits, const stq_dims *output_dims,
                                                void *output)
{
    if (!stq_window_valid(params, input_dims, filter_dims, output_dims) || output_dims->c % input_dims->c != 0 ||
        filter_dims->c != output_dims->c || rq == NULL || input == NULL || filter == NULL || output == NULL ||
        !stq_scratch_valid(ctx, stq_depthwise_convolve_buffer_size(filter_dims))) {
        return STQ_ARGUMENT_ERROR;
    }
    stq_depthwise_channels(params, rq, input_dims, input, input_type, filter_dims, filter, bits, output_dims, output);
    return STQ_OK;
}

#endif /* STQ_DEPTHWISE_CONVOLVE_CORE_H */
