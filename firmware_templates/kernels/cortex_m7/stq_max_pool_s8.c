/* Max-pooling of int8 levels, four channels at a time. */
#include "stq_intrinsics.h"
#include "stq_nn_arguments.h"

/* The part of a window that lies inside the image: its first level of channel 0, and its size. */
typedef struct {
    const int8_t *first;
    int32_t rows;
    int32_t columns;
    int32_t row_step;
    int32_t column_step;
} window;

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static int32_t larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static uint32_t maximum_of_four(const window *w, int32_t channel)
{
    uint32_t maximum = 0x80808080U;

    for (int32_t row = 0; row < w->rows; row++) {
        const int8_t *level = w->first + row * w->row_step + channel;
        for (int32_t column = w->columns; column > 0; column--) {
            maximum = stq_max_bytes(maximum, stq_load_unaligned(level));
            level += w->column_step;
        }
    }
    return maximum;
}

static int8_t maximum_of_one(const window *w, int32_t channel)
{
    int8_t maximum = INT8_MIN;

    for (int32_t row = 0; row < w->rows; row++) {
        const int8_t *level = w->first + row * w->row_step + channel;
        for (int32_t column = 0; column < w->columns; column++) {
            const int8_t candidate = level[column * w->column_step];
            maximum = candidate > maximum ? candidate : maximum;
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

    const int32_t channels = input_dims->c;
    for (int32_t y = 0; y < output_dims->h; y++) {
        for (int32_t x = 0; x < output_dims->w; x++) {
            const int32_t start_y = y * params->stride_h - params->pad_top;
            const int32_t start_x = x * params->stride_w - params->pad_left;
            const int32_t top = larger(start_y, 0);
            const int32_t left = larger(start_x, 0);
            const window w = {
                .first = input + (top * input_dims->w + left) * channels,
                .rows = smaller(start_y + params->window_h, input_dims->h) - top,
                .columns = smaller(start_x + params->window_w, input_dims->w) - left,
                .row_step = input_dims->w * channels,
                .column_step = channels,
            };
            int32_t c = 0;
            for (; c + 4 <= channels; c += 4) {
                stq_store_unaligned(output + c, maximum_of_four(&w, c));
            }
            for (; c < channels; c++) {
                output[c] = maximum_of_one(&w, c);
            }
            output += channels;
        }
    }
    return STQ_OK;
}
