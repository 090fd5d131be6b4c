/* SPDX-License-Identifier: Apache-2.0 */
/* One tensor, shifted by an integer and requantized. */
#include "internal/stq_nn_arguments.h"
#include "internal/stq_nn_elements.h"
#include "internal/stq_nn_scratch.h"

stq_status stq_rescale(const stq_context *ctx, const stq_rescale_params *params, const stq_requantize *rq,
                       int32_t pixels, int32_t channels, const void *input, void *output)
{
    if (params == NULL || !stq_type_valid(params->input_type) || rq == NULL || pixels <= 0 || channels <= 0 ||
        input == NULL || output == NULL || !stq_scratch_valid(ctx, stq_channel_block_buffer_size(channels))) {
        return STQ_ARGUMENT_ERROR;
    }

    for (int32_t pixel = 0; pixel < pixels; pixel++) {
        for (int32_t c = 0; c < channels; c++) {
            const int32_t acc = stq_level(input, params->input_type, pixel * channels + c) + params->input_offset;
            stq_requantize_pixel(rq, &acc, c, 1, stq_output_pixel(output, rq->output_type, channels, pixel));
        }
    }
    return STQ_OK;
}

int32_t stq_rescale_get_buffer_size(int32_t channels)
{
    return stq_channel_block_buffer_size(channels);
}
