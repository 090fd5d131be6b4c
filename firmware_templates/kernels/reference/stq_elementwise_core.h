/* stq_elementwise_core.h - addition and multiplication: every element of two tensors, then requantisation. */
#ifndef STQ_ELEMENTWISE_CORE_H
#define STQ_ELEMENTWISE_CORE_H

#include "stq_nn_arguments.h"
#include "stq_nn_elements.h"
#include "stq_nn_scratch.h"

typedef enum {
    STQ_ELEMENTWISE_ADD,
    STQ_ELEMENTWISE_MULTIPLY,
} stq_elementwise_op;

static inline stq_status stq_elementwise(stq_elementwise_op op, const stq_context *ctx,
                                         const stq_elementwise_params *params, const stq_requantize *rq, int32_t pixels,
                                         int32_t channels, const void *a, const void *b, void *output)
{
    if (!stq_elementwise_valid(params, pixels, channels) || rq == NULL || a == NULL || b == NULL || output == NULL ||
        !stq_scratch_valid(ctx, stq_elementwise_buffer_size(channels))) {
        return STQ_ARGUMENT_ERROR;
    }

    int32_t *acc = ctx->buffer;
    for (int32_t pixel = 0; pixel < pixels; pixel++) {
        for (int32_t c = 0; c < channels; c++) {
            const int32_t x = stq_level(a, params->a_type, pixel * channels + c) + params->a_offset;
            const int32_t y = stq_level(b, params->b_type, pixel * channels + c) + params->b_offset;
            acc[c] = op == STQ_ELEMENTWISE_ADD ? x * params->a_factor + y * params->b_factor : x * y;
        }
        stq_requantize_pixel(rq, acc, 0, channels, stq_output_pixel(output, rq->output_type, channels, pixel));
    }
    return STQ_OK;
}

#endif /* STQ_ELEMENTWISE_CORE_H */
