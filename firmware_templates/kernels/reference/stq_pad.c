/* SPDX-License-Identifier: Apache-2.0 */
/* Rows and columns of one level around an image. */
#include "internal/stq_nn_arguments.h"
#include "internal/stq_nn_elements.h"
#include "internal/stq_nn_memory.h"

/* `count` levels from element `first` on; returns the element after them. */
static int32_t fill(void *output, const stq_pad_params *params, int32_t first, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        stq_set_level(output, params->type, first + i, params->level);
    }
    return first + count;
}

stq_status stq_pad(const stq_pad_params *params, const stq_dims *input_dims, const void *input,
                   const stq_dims *output_dims, void *output)
{
    if (params == NULL || !stq_type_valid(params->type) ||
        !stq_inset_valid(input_dims, output_dims, params->top, params->left) || input == NULL || output == NULL) {
        return STQ_ARGUMENT_ERROR;
    }

    const int32_t bytes = stq_type_bytes(params->type);
    const int32_t row = input_dims->w * input_dims->c;
    const int32_t left = params->left * output_dims->c;
    const int32_t right = output_dims->w * output_dims->c - left - row;
    const int32_t bottom = output_dims->h - params->top - input_dims->h;

    // The right margin of a row and the left one of the next are one stretch.
    int32_t next = fill(output, params, 0, params->top * output_dims->w * output_dims->c + left);
    for (int32_t y = 0; y < input_dims->h; y++) {
        const int32_t margin = y + 1 < input_dims->h ? right + left : right;
        (void)memcpy((uint8_t *)output + next * bytes, (const uint8_t *)input + y * row * bytes, (size_t)(row * bytes));
        next = fill(output, params, next + row, margin);
    }
    (void)fill(output, params, next, bottom * output_dims->w * output_dims->c);
    return STQ_OK;
}
