/* SPDX-License-Identifier: Apache-2.0 */
/* A part of an image. */
#include "internal/stq_nn_arguments.h"
#include "internal/stq_nn_elements.h"
#include "internal/stq_nn_memory.h"

stq_status stq_crop(const stq_crop_params *params, const stq_dims *input_dims, const void *input,
                    const stq_dims *output_dims, void *output)
{
    if (params == NULL || !stq_type_valid(params->type) ||
        !stq_inset_valid(output_dims, input_dims, params->top, params->left) || input == NULL || output == NULL) {
        return STQ_ARGUMENT_ERROR;
    }

    const int32_t pixel = input_dims->c * stq_type_bytes(params->type);
    const int32_t row = output_dims->w * pixel;
    for (int32_t y = 0; y < output_dims->h; y++) {
        // In place, a row may overlap itself; it never starts before its own place.
        const int32_t first = ((params->top + y) * input_dims->w + params->left) * pixel;
        memmove((uint8_t *)output + y * row, (const uint8_t *)input + first, (size_t)row);
    }
    return STQ_OK;
}
