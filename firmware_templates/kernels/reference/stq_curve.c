/* SPDX-License-Identifier: Apache-2.0 */
/* A smooth function of one level, by a table and a parabola between its entries. */
#include "internal/stq_nn_arguments.h"
#include "internal/stq_nn_elements.h"

/* Entry k; after the last one the straight line continues. */
static inline int64_t stq_curve_entry(const int32_t *table, int32_t entries, int32_t k)
{
    if (k < entries) {
        return table[k];
    }
    const int64_t last = table[entries - 1];
    const int64_t step = entries > 1 ? last - table[entries - 2] : 0;
    return last + step * (k - entries + 1);
}

static inline int32_t stq_curve_value(const stq_curve_params *params, const int32_t *table, int32_t level)
{
    const int32_t shift = params->shift;
    const int64_t last = (int64_t)(params->entries - 1) << shift;
    int64_t u = (int64_t)level - params->base;

    u = u < 0 ? 0 : u > last ? last : u;
    const int32_t k = (int32_t)(u >> shift);
    const int64_t f = u & (((int64_t)1 << shift) - 1);
    int64_t value = table[k];
    if (f != 0) {
        const int64_t next = stq_curve_entry(table, params->entries, k + 1);
        const int64_t first = next - value;
        const int64_t second = stq_curve_entry(table, params->entries, k + 2) - next - first;
        const int64_t unit = (int64_t)1 << shift;
        const int64_t product = f * (first * 2 * unit) + f * (f - unit) * second;
        value += (product + unit * unit) >> (2 * shift + 1);
    }
    return (int32_t)(value < params->minimum ? params->minimum : value > params->maximum ? params->maximum : value);
}

stq_status stq_curve(const stq_curve_params *params, const int32_t *table, int32_t count, const void *input,
                     void *output)
{
    if (params == NULL || !stq_type_valid(params->input_type) || !stq_type_valid(params->output_type) ||
        params->entries <= 0 || params->shift < 0 || params->shift > 20 || params->minimum > params->maximum ||
        table == NULL || count <= 0 || input == NULL || output == NULL) {
        return STQ_ARGUMENT_ERROR;
    }

    for (int32_t i = 0; i < count; i++) {
        stq_set_level(output, params->output_type, i,
                      stq_curve_value(params, table, stq_level(input, params->input_type, i)));
    }
    return STQ_OK;
}
