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

/* Accumulators of one pixel. `op` and the types are constants in each call, so that the loop has no branches. */
static inline void stq_accumulate(stq_elementwise_op op, const stq_elementwise_params *params, stq_type a_type,
                                  const void *a, stq_type b_type, const void *b, int32_t channels, int32_t *acc)
{
    const int32_t a_offset = params->a_offset;
    const int32_t b_offset = params->b_offset;
    const int32_t a_factor = params->a_factor;
    const int32_t b_factor = params->b_factor;

    for (int32_t c = 0; c < channels; c++) {
        const int32_t x = stq_level(a, a_type, c) + a_offset;
        const int32_t y = stq_level(b, b_type, c) + b_offset;
        acc[c] = op == STQ_ELEMENTWISE_ADD ? x * a_factor + y * b_factor : x * y;
    }
}

static inline void stq_accumulate_pixel(stq_elementwise_op op, const stq_elementwise_params *params, const void *a,
                                        const void *b, int32_t channels, int32_t *acc)
{
    if (params->a_type == STQ_S8 && params->b_type == STQ_S8) {
        stq_accumulate(op, params, STQ_S8, a, STQ_S8, b, channels, acc);
    } else if (params->a_type == STQ_S8) {
        stq_accumulate(op, params, STQ_S8, a, STQ_S16, b, channels, acc);
    } else if (params->b_type == STQ_S8) {
        stq_accumulate(op, params, STQ_S16, a, STQ_S8, b, channels, acc);
    } else {
        stq_accumulate(op, params, STQ_S16, a, STQ_S16, b, channels, acc);
    }
}

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
        stq_accumulate_pixel(op, params, stq_level_address(a, params->a_type, pixel * channels),
                             stq_level_address(b, params->b_type, pixel * channels), channels, acc);
        stq_requantize_pixel(rq, acc, 0, channels, stq_output_pixel(output, rq->output_type, channels, pixel));
    }
    return STQ_OK;
}

#endif /* STQ_ELEMENTWISE_CORE_H */
