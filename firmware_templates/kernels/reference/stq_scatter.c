/* SPDX-License-Identifier: Apache-2.0 */
/* Computed elements of an output to their places, and constants to the others. */
#include "internal/stq_nn_arguments.h"
#include "internal/stq_nn_elements.h"

stq_status stq_scatter(const stq_scatter_params *params, const int32_t *places, const void *constants, void *output)
{
    if (params == NULL || !stq_type_valid(params->type) || params->count <= 0 || params->count > params->elements ||
        places == NULL || constants == NULL || output == NULL) {
        return STQ_ARGUMENT_ERROR;
    }

    // From the last one down: an element's place is never before the element, so none is overwritten unread.
    int32_t left = params->count;
    for (int32_t i = params->elements - 1; i >= 0; i--) {
        const int32_t computed = left > 0 && places[left - 1] == i;
        left -= computed;
        const int32_t level =
            computed != 0 ? stq_level(output, params->type, left) : stq_level(constants, params->type, i);
        stq_set_level(output, params->type, i, level);
    }
    return STQ_OK;
}
