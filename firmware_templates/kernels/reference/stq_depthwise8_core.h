/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_depthwise8_core.h - the contract of the depthwise convolutions on lanes of bytes in portable C: a plain depthwise
 * convolution of the same weights. STQ_DEFINE_DEPTHWISE8 makes the public names.
 */
#ifndef STQ_DEPTHWISE8_CORE_H
#define STQ_DEPTHWISE8_CORE_H

#include "internal/stq_nn_arguments.h"
#include "internal/stq_nn_define.h"
#include "stq_depthwise_convolve_core.h"

static inline stq_status stq_depthwise8(const stq_context *ctx, const stq_gather_params *params,
                                        const stq_requantize *rq, const stq_dims *input_dims, const int8_t *input,
                                        const stq_dims *filter_dims, const uint32_t *filter, int32_t bits,
                                        const stq_dims *output_dims, void *output)
{
    if (!stq_depthwise8_valid(ctx, params, input_dims, filter_dims, output_dims) || rq == NULL || input == NULL ||
        filter == NULL || output == NULL) {
        return STQ_ARGUMENT_ERROR;
    }
    stq_depthwise_channels(&params->window, rq, input_dims, input, STQ_S8, filter_dims, filter, bits, output_dims,
                           output);
    return STQ_OK;
}

#endif /* STQ_DEPTHWISE8_CORE_H */
