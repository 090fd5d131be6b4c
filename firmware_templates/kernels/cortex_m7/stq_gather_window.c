/* SPDX-License-Identifier: Apache-2.0 */
/* The windows of one or two output pixels of a convolution as columns, for either type of input. */
#include "stq_convolve_parts.h"
#include "stq_nn_columns.h"
#include "internal/stq_nn_elements.h"

STQ_INLINE int32_t stq_clamp(int32_t value, int32_t low, int32_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* `type` is a constant in both callers. */
STQ_INLINE void stq_gather_window(const stq_convolve_input *in, stq_type type, stq_position at, stq_word *column)
{
    const stq_conv_params *params = in->params;
    const int32_t channels = in->input_dims->c;
    const int32_t depth = in->filter_dims->c;
    const int32_t width = in->input_dims->w;
    const int32_t kernel_width = in->filter_dims->w;
    const uint32_t offsets = stq_pair(params->input_offset, params->input_offset);
    const int32_t taps = in->stretch;

    for (int32_t kx = 0; kx < kernel_width; kx += taps) {
        const int32_t x = at.x * params->stride_w - params->pad_left + kx * params->dilation_w;
        const int32_t first = stq_clamp(-x, 0, taps);
        const int32_t last = stq_clamp(width - x, first, taps);
        const int32_t before = first * depth;
        const int32_t visible = (last - first) * depth;
        const int32_t after = (taps - last) * depth;
        int32_t y = at.y * params->stride_h - params->pad_top;
        int32_t level = (y * width + x + first) * channels;
        int32_t element = kx * depth;

        for (int32_t ky = in->filter_dims->h; ky > 0; ky--) {
            if (y < 0 || y >= in->input_dims->h) {
                stq_column_zero(column, 2, element, taps * depth);
            } else {
                if (before > 0) {
                    stq_column_zero(column, 2, element, before);
                }
                const void *levels = stq_level_address(in->input, type, level);
                stq_column_widen(column, 2, element + before, levels, type, visible, offsets);
                if (after > 0) {
                    stq_column_zero(column, 2, element + before + visible, after);
                }
            }
            y += params->dilation_h;
            level += params->dilation_h * width * channels;
            element += kernel_width * depth;
        }
    }
}

/*
 * The windows of `at` and of the pixel behind it in the same row, where both lie inside the image and overlap. `depth`
 * is a multiple of four. A level that both windows hold is widened once.
 */
static STQ_NOINLINE void stq_gather_overlapping(const stq_convolve_input *in, stq_position at, stq_word *columns)
{
    const stq_conv_params *params = in->params;
    const int32_t channels = in->input_dims->c;
    const int32_t offset = params->input_offset;
    const uint32_t offsets = stq_pair(offset, offset);
    const int32_t y = at.y * params->stride_h - params->pad_top;
    const int32_t x = at.x * params->stride_w - params->pad_left;
    const int32_t step = params->stride_w * channels;
    const int32_t shared = in->filter_dims->w * channels - step;
    const void *levels = stq_level_address(in->input, STQ_S8, (y * in->input_dims->w + x) * channels);

    for (int32_t ky = in->filter_dims->h; ky > 0; ky--) {
        stq_column_widen(columns, 2, 0, levels, STQ_S8, step, offsets);
        stq_column_widen_twice(columns + step, columns + 1, stq_level_address(levels, STQ_S8, step), STQ_S8, shared,
                               offsets);
        stq_column_widen(columns + shared + 1, 2, 0, stq_level_address(levels, STQ_S8, step + shared), STQ_S8, step,
                         offsets);
        levels = stq_level_address(levels, STQ_S8, in->input_dims->w * channels);
        columns += shared + step;
    }
}

/* Whether stq_gather_overlapping gathers the windows of `at` and of the pixel behind it. */
static int stq_windows_overlap(const stq_convolve_input *in, stq_position at)
{
    const stq_conv_params *params = in->params;
    const int32_t y = at.y * params->stride_h - params->pad_top;
    const int32_t x = at.x * params->stride_w - params->pad_left;

    return params->dilation_h == 1 && in->stretch == in->filter_dims->w && in->filter_dims->w > params->stride_w &&
           in->filter_dims->c % 4 == 0 && x >= 0 && x + params->stride_w + in->filter_dims->w <= in->input_dims->w &&
           y >= 0 && y + in->filter_dims->h <= in->input_dims->h;
}

static STQ_NOINLINE void stq_gather_window_s8(const stq_convolve_input *in, stq_position at, stq_word *column)
{
    stq_gather_window(in, STQ_S8, at, column);
}

static STQ_NOINLINE void stq_gather_window_s16(const stq_convolve_input *in, stq_position at, stq_word *column)
{
    stq_gather_window(in, STQ_S16, at, column);
}

void stq_gather_windows_s8(const stq_convolve_input *in, stq_position at, int32_t pixels, int32_t width,
                           stq_word *columns)
{
    if (pixels == 2 && at.x + 1 < width && stq_windows_overlap(in, at)) {
        stq_gather_overlapping(in, at, columns);
        return;
    }
    for (int32_t i = 0; i < pixels; i++) {
        stq_gather_window_s8(in, at, columns + i);
        at = stq_next_position(at, width);
    }
}

void stq_gather_windows_s16(const stq_convolve_input *in, stq_position at, int32_t pixels, int32_t width,
                            stq_word *columns)
{
    for (int32_t i = 0; i < pixels; i++) {
        stq_gather_window_s16(in, at, columns + i);
        at = stq_next_position(at, width);
    }
}
