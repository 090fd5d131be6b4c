/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_convolve_core.h - convolution for every weight width and input type; STQ_DEFINE_CONVOLVE makes
 * the public names.
 *
 * One output channel at a time, so that its row of weights is unpacked once.
 */
#ifndef STQ_CONVOLVE_CORE_H
#define STQ_CONVOLVE_CORE_H

#include "internal/stq_nn_arguments.h"
#include "internal/stq_nn_define.h"
#include "internal/stq_nn_elements.h"
#include "internal/stq_nn_scratch.h"
#include "stq_nn_weight.h"

/*
 * Sum over one pixel's window, of the group that starts at input channel `first_channel`. Taps outside the image are
 * real 0 and add nothing.
 */
static inline int32_t stq_convolve_window(const stq_conv_params *params, const stq_dims *input_dims, const void *input,
                                          stq_type input_type, const stq_dims *filter_dims,
                                          const stq_level_s16 *weights, int32_t first_channel, int32_t output_y,
                                          int32_t output_x)
{
    int32_t acc = 0;

    for (int32_t ky = 0; ky < filter_dims->h; ky++) {
        const int32_t y = output_y * params->stride_h - params->pad_top + ky * params->dilation_h;
        if (y < 0 || y >= input_dims->h) {
            continue;
        }
        for (int32_t kx = 0; kx < filter_dims->w; kx++) {
            const int32_t x = output_x * params->stride_w - params->pad_left + kx * params->dilation_w;
            if (x < 0 || x >= input_dims->w) {
                continue;
            }
            const int32_t first = (y * input_dims->w + x) * input_dims->c + first_channel;
            const stq_level_s16 *tap = weights + (ky * filter_dims->w + kx) * filter_dims->c;
            for (int32_t c = 0; c < filter_dims->c; c++) {
                acc += (stq_level(input, input_type, first + c) + params->input_offset) * tap[c];
            }
        }
    }
    return acc;
}

/* One output channel, with its unpacked row of weights. */
static inline void stq_convolve_channel(const stq_conv_params *params, const stq_requantize *rq,
                                        const stq_dims *input_dims, const void *input, stq_type input_type,
                                        const stq_dims *filter_dims, const stq_level_s16 *weights, int32_t channel,
                                        const stq_dims *output_dims, void *output)
{
    const int32_t group_outputs = output_dims->c / stq_groups(input_dims, filter_dims, output_dims);
    const int32_t first_channel = channel / group_outputs * filter_dims->c;

    for (int32_t y = 0; y < output_dims->h; y++) {
        for (int32_t x = 0; x < output_dims->w; x++) {
            const int32_t acc =
                stq_convolve_window(params, input_dims, input, input_type, filter_dims, weights, first_channel, y, x);
            stq_requantize_pixel(rq, &acc, channel, 1,
                                 stq_output_pixel(output, rq->output_type, output_dims->c, y * output_dims->w + x));
        }
    }
}

/* All output channels; `weights` holds an unpacked row of weights. */
static inline void stq_convolve_channels(const stq_conv_params *params, const stq_requantize *rq,
                                         const stq_dims *input_dims, const void *input, stq_type input_type,
                                         const stq_dims *filter_dims, const uint32_t *filter, int32_t bits,
                                         stq_level_s16 *weights, const stq_dims *output_dims, void *output)
{
    const int32_t row_weights = filter_dims->h * filter_dims->w * filter_dims->c;
    const int32_t row_words = stq_row_words(row_weights, bits);

    for (int32_t channel = 0; channel < output_dims->c; channel++) {
        for (int32_t i = 0; i < row_weights; i++) {
            weights[i] = (int16_t)stq_weight(filter + channel * row_words, bits, params->weight_offset, i);
        }
        stq_convolve_channel(params, rq, input_dims, input, input_type, filter_dims, weights, channel, output_dims,
                             output);
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

    // The caller may have declared the scratch memory as any type.
    stq_convolve_channels(params, rq, input_dims, input, input_type, filter_dims, filter, bits, ctx->buffer,
                          output_dims, output);
    return STQ_OK;
}

#endif /* STQ_CONVOLVE_CORE_H */
