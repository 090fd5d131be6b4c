/* SPDX-License-Identifier: Apache-2.0 */
/* One tensor, shifted by an integer and requantized. */
#include "stq_intrinsics.h"
#include "internal/stq_nn_arguments.h"
#include "internal/stq_nn_elements.h"
#include "internal/stq_nn_scratch.h"

/* `type` is a constant in every call. */
static inline void accumulate(const void *levels, stq_type type, int32_t offset, int32_t count, int32_t *acc)
{
    STQ_UNROLL(4)
    for (int32_t i = 0; i < count; i++) {
        acc[i] = stq_level(levels, type, i) + offset;
    }
}

static void accumulate_block(const stq_rescale_params *params, const void *levels, int32_t count, int32_t *acc)
{
    if (params->input_type == STQ_S8) {
        accumulate(levels, STQ_S8, params->input_offset, count, acc);
    } else if (params->input_type == STQ_S16) {
        accumulate(levels, STQ_S16, params->input_offset, count, acc);
    } else {
        accumulate(levels, STQ_S32, params->input_offset, count, acc);
    }
}

stq_status stq_rescale(const stq_context *ctx, const stq_rescale_params *params, const stq_requantize *rq,
                       int32_t pixels, int32_t channels, const void *input, void *output)
{
    if (params == NULL || !stq_type_valid(params->input_type) || rq == NULL || pixels <= 0 || channels <= 0 ||
        input == NULL || output == NULL || !stq_scratch_valid(ctx, stq_channel_block_buffer_size(channels))) {
        return STQ_ARGUMENT_ERROR;
    }

    int32_t *acc = ctx->buffer;
    for (int32_t pixel = 0; pixel < pixels; pixel++) {
        void *output_pixel = stq_output_pixel(output, rq->output_type, channels, pixel);
        for (int32_t first = 0; first < channels; first += STQ_CHANNEL_BLOCK) {
            const int32_t left = channels - first;
            const int32_t count = left < STQ_CHANNEL_BLOCK ? left : STQ_CHANNEL_BLOCK;
            const void *levels = stq_level_address(input, params->input_type, pixel * channels + first);
            accumulate_block(params, levels, count, acc);
            stq_requantize_pixel(rq, acc, first, count, output_pixel);
        }
    }
    return STQ_OK;
}

int32_t stq_rescale_get_buffer_size(int32_t channels)
{
    return stq_channel_block_buffer_size(channels);
}
