/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_depthwise8_core.h - depthwise convolutions on lanes of bytes; STQ_DEFINE_DEPTHWISE8 makes the public names. All of
 * them share one function.
 */
#ifndef STQ_DEPTHWISE8_CORE_H
#define STQ_DEPTHWISE8_CORE_H

#include "internal/stq_nn_define.h"

/* The convolution of weights of `bits` bits. */
stq_status stq_depthwise8(const stq_context *ctx, const stq_gather_params *params, const stq_requantize *rq,
                          const stq_dims *input_dims, const int8_t *input, const stq_dims *filter_dims,
                          const uint32_t *filter, int32_t bits, const stq_dims *output_dims, void *output);

#endif /* STQ_DEPTHWISE8_CORE_H */
