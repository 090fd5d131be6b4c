/* Max-pooling of int8 levels. */
#include "stq_nn_arguments.h"

/* Largest level of one channel under one window; the padding lies outside the image and is never read. */
static int8_t window_maximum(const stq_pool_params *params, const stq_dims *input_dims, const int8_t *input,
                             int32_t output_y, int32_t output_x, int32_t channel)
{
    int8_t maximum = INT8_MIN;

    for (int32_t ky = 0; ky < params->window_h; ky++) {
        for (int32_t kx = 0; kx < params->window_w; kx++) {
            const int32_t y = output_y * params->stride_h - params->pad_top + ky;
            const int32_t x = output_x * params->stride_w - params->pad_left + kx;
            if (y < 0 || y >= input_dims->h || x < 0 || x >= input_dims->w) {
                continue;
            }
            const int8_t level = input[(y * input_dims->w + x) * input_dims->c + channel];
            maximum = level > maximum ? level : maximum;
        }
    }
    return maximum;
}

stq_status stq_max_pool_s8(const stq_pool_params *params, const stq_dims *input_dims, const int8_t *input,
                           const stq_dims *output_dims, int8_t *output)
{
    if (!stq_pool_valid(params, input_dims, output_dims) || input == NULL || output == NULL) {
        return STQ_ARGUMENT_ERROR;
    }

    for (int32_t y = 0; y < output_dims->h; y++) {
        for (int32_t x = 0; x < output_dims->w; x++) {
            for (int32_t c = 0; c < output_dims->c; c++) {
                output[(y * output_dims->w + x) * output_dims->c + c] =
                    window_maximum(params, input_dims, input, y, x, c);
            }
        }
    }
    return STQ_OK;
}
