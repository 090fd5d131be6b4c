/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_nn_arguments.h - the cheap checks every kernel makes before it writes anything (internal to the kernels).
 *
 * They catch a caller that passes wrong arguments, not a malformed network, which conversion refuses.
 */
#ifndef STQ_NN_ARGUMENTS_H
#define STQ_NN_ARGUMENTS_H

#include <stddef.h>

#include "stq_nn.h"
#include "internal/stq_nn_depthwise8.h"
#include "internal/stq_nn_gather.h"

static inline int stq_dims_valid(const stq_dims *dims)
{
    return dims != NULL && dims->h > 0 && dims->w > 0 && dims->c > 0;
}

static inline int stq_scratch_valid(const stq_context *ctx, int32_t needed)
{
    return ctx != NULL && ctx->buffer != NULL && ((uintptr_t)ctx->buffer & 3U) == 0 && ctx->size >= needed;
}

/* The checks common to convolve and depthwise_convolve; the caller also compares the channels. */
static inline int stq_window_valid(const stq_conv_params *params, const stq_dims *input_dims,
                                   const stq_dims *filter_dims, const stq_dims *output_dims)
{
    return params != NULL && params->stride_h > 0 && params->stride_w > 0 && params->dilation_h > 0 &&
           params->dilation_w > 0 && params->pad_top >= 0 && params->pad_left >= 0 && stq_dims_valid(input_dims) &&
           stq_dims_valid(filter_dims) && stq_dims_valid(output_dims);
}

/* Groups of a convolution whose sizes are all positive; 0 if the channels do not form equal groups. */
static inline int32_t stq_groups(const stq_dims *input_dims, const stq_dims *filter_dims, const stq_dims *output_dims)
{
    const int32_t groups = input_dims->c / filter_dims->c;
    return groups * filter_dims->c == input_dims->c && output_dims->c % groups == 0 ? groups : 0;
}

/* The arguments of a gather convolution, and its scratch memory. */
static inline int stq_gather_valid(const stq_context *ctx, const stq_gather_params *params, const stq_dims *input_dims,
                                   const stq_dims *filter_dims, const stq_dims *output_dims, stq_packing packing,
                                   int32_t lane_bytes, stq_type input_type)
{
    if (params == NULL || !stq_window_valid(&params->window, input_dims, filter_dims, output_dims) ||
        stq_groups(input_dims, filter_dims, output_dims) == 0 || params->minimum > params->maximum ||
        (lane_bytes == 1 && params->maximum - params->minimum > 255)) {
        return 0;
    }
    const stq_gather_shape shape = stq_gather_shape_of(&params->window, input_dims, filter_dims, output_dims);
    const int32_t input_bytes = input_type == STQ_S8 ? 1 : 2;
    return stq_gather_offsets_fit(&shape, filter_dims, packing, lane_bytes) &&
           stq_scratch_valid(ctx, stq_gather_buffer_size(params, input_dims, filter_dims, output_dims, packing,
                                                         lane_bytes, input_bytes));
}

/* The arguments of a depthwise convolution on lanes of bytes, and its scratch memory. */
static inline int stq_depthwise8_valid(const stq_context *ctx, const stq_gather_params *params,
                                       const stq_dims *input_dims, const stq_dims *filter_dims,
                                       const stq_dims *output_dims)
{
    return params != NULL && stq_window_valid(&params->window, input_dims, filter_dims, output_dims) &&
           input_dims->c == output_dims->c && filter_dims->c == output_dims->c && params->minimum <= params->maximum &&
           params->maximum - params->minimum <= 255 &&
           stq_scratch_valid(ctx, stq_depthwise8_buffer_size(params, filter_dims, output_dims));
}

static inline int stq_pool_valid(const stq_pool_params *params, const stq_dims *input_dims, const stq_dims *output_dims)
{
    return params != NULL && params->window_h > 0 && params->window_w > 0 && params->stride_h > 0 &&
           params->stride_w > 0 && params->pad_top >= 0 && params->pad_left >= 0 && stq_dims_valid(input_dims) &&
           stq_dims_valid(output_dims) && input_dims->c == output_dims->c;
}

static inline int stq_type_valid(stq_type type)
{
    return type == STQ_S8 || type == STQ_S16 || type == STQ_S32;
}

static inline int stq_elementwise_valid(const stq_elementwise_params *params, int32_t pixels, int32_t channels)
{
    return params != NULL && stq_type_valid(params->a_type) && stq_type_valid(params->b_type) && pixels > 0 &&
           channels > 0;
}

/* An image within a larger one, `top` rows and `left` columns from its corner. */
static inline int stq_inset_valid(const stq_dims *inner, const stq_dims *outer, int32_t top, int32_t left)
{
    return stq_dims_valid(inner) && stq_dims_valid(outer) && inner->c == outer->c && top >= 0 && left >= 0 &&
           top <= outer->h - inner->h && left <= outer->w - inner->w;
}

#endif /* STQ_NN_ARGUMENTS_H */
