/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_gather_core.h - the gather convolutions' contract in portable C: a plain convolution of the same weights.
 * STQ_DEFINE_GATHER and STQ_DEFINE_CODED_GATHER make the public names.
 *
 * Lanes and lists are means of speed. Here every weight is multiplied, so this is what the others are compared with.
 */
#ifndef STQ_GATHER_CORE_H
#define STQ_GATHER_CORE_H

#include "internal/stq_nn_arguments.h"
#include "internal/stq_nn_define.h"
#include "internal/stq_nn_gather.h"
#include "stq_coded_weights.h"
#include "stq_convolve_core.h"

static inline stq_status stq_gather(const stq_context *ctx, const stq_gather_params *params, const stq_requantize *rq,
                                    const stq_dims *input_dims, const void *input, stq_type input_type,
                                    const stq_dims *filter_dims, const stq_coded_weights *filter, stq_packing packing,
                                    int32_t lane_bytes, const stq_dims *output_dims, void *output)
{
    if (!stq_gather_valid(ctx, params, input_dims, filter_dims, output_dims, packing, lane_bytes, input_type) ||
        rq == NULL || input == NULL || output == NULL || !stq_coded_valid(packing, filter, filter_dims, output_dims)) {
        return STQ_ARGUMENT_ERROR;
    }

    const int32_t input_bytes = input_type == STQ_S8 ? 1 : 2;
    const stq_gather_shape shape = stq_gather_shape_of(&params->window, input_dims, filter_dims, output_dims);
    const stq_gather_parts parts =
        stq_gather_parts_of(&shape, &params->window, filter_dims, packing, lane_bytes, input_bytes);
    uint8_t *table = ctx->buffer;
    const void *levels = input;

    if (input == output) {
        // What will be written over is read from a copy, in the memory of the table.
        const uint8_t *bytes = input;
        for (int32_t i = 0; i < input_dims->h * input_dims->w * input_dims->c * input_bytes; i++) {
            table[i] = bytes[i];
        }
        levels = table;
    }
    // The memory for a row of offsets holds a row of weights.
    stq_level_s16 *weights = (stq_level_s16 *)(void *)(table + 4 * parts.offsets);
    if (packing != STQ_TRITS && packing != STQ_GAPS) {
        stq_convolve_channels(&params->window, rq, input_dims, levels, input_type, filter_dims, filter->words,
                              (int32_t)packing, weights, output_dims, output);
        return STQ_OK;
    }
    stq_code_reader reader = {filter, packing, 0, 0, 0};
    const int32_t row_weights = filter_dims->h * filter_dims->w * filter_dims->c;
    for (int32_t channel = 0; channel < output_dims->c; channel++) {
        stq_unpack_row(&reader, row_weights, weights);
        stq_convolve_channel(&params->window, rq, input_dims, levels, input_type, filter_dims, weights, channel,
                             output_dims, output);
    }
    return STQ_OK;
}

#endif /* STQ_GATHER_CORE_H */
