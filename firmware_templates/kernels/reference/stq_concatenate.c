/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors side by side, row by row, rescaled to one scale where theirs differ. */
#include "internal/stq_nn_arguments.h"
#include "internal/stq_nn_elements.h"
#include "internal/stq_nn_memory.h"

static int parts_valid(const stq_concatenate_params *params, const stq_concatenate_part *parts)
{
    for (int32_t i = 0; i < params->parts; i++) {
        if (parts[i].levels == NULL || !stq_type_valid(parts[i].type) || parts[i].elements <= 0) {
            return 0;
        }
    }
    return 1;
}

/* Whether the levels of a part stay unchanged. */
static int copies(const stq_concatenate_params *params, const stq_concatenate_part *part)
{
    return part->type == params->output_type && part->factor == 1 && part->input_offset == -params->output_offset;
}

static void convert(const stq_concatenate_params *params, const stq_concatenate_part *part, int32_t row, uint8_t *to)
{
    for (int32_t i = 0; i < part->elements; i++) {
        const int32_t level = stq_level(part->levels, part->type, row * part->elements + i);
        const int32_t scaled = (level + part->input_offset) * part->factor + params->output_offset;
        stq_set_level(to, params->output_type, i, scaled);
    }
}

stq_status stq_concatenate(const stq_concatenate_params *params, const stq_concatenate_part *parts, void *output)
{
    if (params == NULL || params->parts <= 0 || params->rows <= 0 || !stq_type_valid(params->output_type) ||
        parts == NULL || !parts_valid(params, parts) || output == NULL) {
        return STQ_ARGUMENT_ERROR;
    }

    uint8_t *to = output;
    for (int32_t row = 0; row < params->rows; row++) {
        for (int32_t i = 0; i < params->parts; i++) {
            const stq_concatenate_part *part = &parts[i];
            const int32_t bytes = part->elements * stq_type_bytes(params->output_type);
            if (copies(params, part) != 0) {
                (void)memcpy(to, (const uint8_t *)part->levels + row * bytes, (size_t)bytes);
            } else {
                convert(params, part, row, to);
            }
            to += bytes;
        }
    }
    return STQ_OK;
}
