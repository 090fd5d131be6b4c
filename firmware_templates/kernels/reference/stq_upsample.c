/* SPDX-License-Identifier: Apache-2.0 */
/* Nearest-neighbour upsampling. */
#include "internal/stq_nn_arguments.h"
#include "internal/stq_nn_elements.h"
#include "internal/stq_nn_memory.h"

stq_status stq_upsample(const stq_upsample_params *params, const stq_dims *input_dims, const void *input, void *output)
{
    if (params == NULL || !stq_type_valid(params->type) || params->size_h <= 0 || params->size_w <= 0 ||
        !stq_dims_valid(input_dims) || input == NULL || output == NULL) {
        return STQ_ARGUMENT_ERROR;
    }

    const int32_t pixel = input_dims->c * stq_type_bytes(params->type);
    const int32_t row = input_dims->w * params->size_w * pixel;
    const uint8_t *from = input;
    uint8_t *to = output;

    for (int32_t y = 0; y < input_dims->h; y++) {
        const uint8_t *first_row = to;
        for (int32_t x = 0; x < input_dims->w; x++) {
            for (int32_t i = 0; i < params->size_w; i++) {
                (void)memcpy(to, from, (size_t)pixel);
                to += pixel;
            }
            from += pixel;
        }
        for (int32_t i = 1; i < params->size_h; i++) {
            (void)memcpy(to, first_row, (size_t)row);
            to += row;
        }
    }
    return STQ_OK;
}
