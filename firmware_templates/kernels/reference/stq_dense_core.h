/* SPDX-License-Identifier: Apache-2.0 */
/* stq_dense_core.h - the dense layer for every weight width and input type; STQ_DEFINE_DENSE makes the public
 * names. */
#ifndef STQ_DENSE_CORE_H
#define STQ_DENSE_CORE_H

#include "internal/stq_nn_arguments.h"
#include "internal/stq_nn_define.h"
#include "internal/stq_nn_elements.h"
#include "internal/stq_nn_scratch.h"
#include "stq_nn_weight.h"

static inline stq_status stq_dense(const stq_context *ctx, const stq_dense_params *params, const stq_requantize *rq,
                                   int32_t inputs, const void *input, stq_type input_type, const uint32_t *filter,
                                   int32_t bits, int32_t outputs, void *output)
{
    if (params == NULL || rq == NULL || inputs <= 0 || outputs <= 0 || input == NULL || filter == NULL ||
        output == NULL || !stq_scratch_valid(ctx, stq_dense_buffer_size(inputs, bits, outputs))) {
        return STQ_ARGUMENT_ERROR;
    }

    const int32_t row_words = stq_row_words(inputs, bits);

    for (int32_t o = 0; o < outputs; o++) {
        int32_t acc = 0;
        for (int32_t i = 0; i < inputs; i++) {
            acc += (stq_level(input, input_type, i) + params->input_offset) *
                   stq_weight(filter + o * row_words, bits, params->weight_offset, i);
        }
        stq_requantize_pixel(rq, &acc, o, 1, output);
    }
    return STQ_OK;
}

#endif /* STQ_DENSE_CORE_H */
