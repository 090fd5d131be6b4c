/* Product of two tensors, each shifted by an integer, then requantised. */
#include "stq_elementwise_core.h"

stq_status stq_multiply(const stq_context *ctx, const stq_elementwise_params *params, const stq_requantize *rq,
                        int32_t pixels, int32_t channels, const void *a, const void *b, void *output)
{
    return stq_elementwise(STQ_ELEMENTWISE_MULTIPLY, ctx, params, rq, pixels, channels, a, b, output);
}

int32_t stq_multiply_get_buffer_size(int32_t channels)
{
    return stq_elementwise_buffer_size(channels);
}
