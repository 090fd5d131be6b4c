/* SPDX-License-Identifier: Apache-2.0 */
/* stq_elementwise_core.h - ops on every element of two tensors, then requantization; STQ_DEFINE_ELEMENTWISE makes
 * the public names. */
#ifndef STQ_ELEMENTWISE_CORE_H
#define STQ_ELEMENTWISE_CORE_H

#include "internal/stq_nn_arguments.h"
#include "internal/stq_nn_define.h"
#include "internal/stq_nn_elements.h"
#include "internal/stq_nn_scratch.h"

typedef enum {
    STQ_ELEMENTWISE_ADD,
    STQ_ELEMENTWISE_MAXIMUM,
    STQ_ELEMENTWISE_MINIMUM,
    STQ_ELEMENTWISE_MULTIPLY,
} stq_elementwise_op;

/* Accumulator of levels whose offsets are added. */
static inline int32_t stq_combine(stq_elementwise_op op, const stq_elementwise_params *params, int32_t a, int32_t b)
{
    if (op == STQ_ELEMENTWISE_MULTIPLY) {
        return a * b;
    }
    const int32_t x = a * params->a_factor;
    const int32_t y = b * params->b_factor;
    if (op == STQ_ELEMENTWISE_ADD) {
        return x + y;
    }
    return (op == STQ_ELEMENTWISE_MAXIMUM) == (x > y) ? x : y;
}

static inline stq_status stq_elementwise(stq_elementwise_op op, const stq_context *ctx,
                                         const stq_elementwise_params *params, const stq_requantize *rq, int32_t pixels,
                                         int32_t channels, const void *a, const void *b, void *output)
{
    if (!stq_elementwise_valid(params, pixels, channels) || rq == NULL || a == NULL || b == NULL || output == NULL ||
        !stq_scratch_valid(ctx, stq_channel_block_buffer_size(channels))) {
        return STQ_ARGUMENT_ERROR;
    }

    for (int32_t pixel = 0; pixel < pixels; pixel++) {
        for (int32_t c = 0; c < channels; c++) {
            const int32_t x = stq_level(a, params->a_type, pixel * channels + c) + params->a_offset;
            const int32_t y = stq_level(b, params->b_type, pixel * channels + c) + params->b_offset;
            const int32_t acc = stq_combine(op, params, x, y);
            stq_requantize_pixel(rq, &acc, c, 1, stq_output_pixel(output, rq->output_type, channels, pixel));
        }
    }
    return STQ_OK;
}

#endif /* STQ_ELEMENTWISE_CORE_H */
