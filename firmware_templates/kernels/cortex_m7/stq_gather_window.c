/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the windows of two output pixels of a convolution as columns, for either type of input. */
#include "stq_convolve_parts.h"
#include "stq_nn_columns.h"
#include "internal/stq_nn_elements.h"

STQ_INLINE int32_t stq_clamp(int32_t value, int32_t low, int32_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* stq_column_widen for one of two columns, in a copy for each type, since it is long. */
static STQ_NOINLINE void stq_widen_s8(stq_word *column, int32_t first, const void *levels, int32_t count,
                                      uint32_t offsets)
{
    stq_column_widen(column, 2, first, levels, STQ_S8, count, offsets);
}

static STQ_NOINLINE void stq_widen_s16(stq_word *column, int32_t first, const void *levels, int32_t count,
                                       uint32_t offsets)
{
    stq_column_widen(column, 2, first, levels, STQ_S16, count, offsets);
}

/* `type` is a constant in both callers. */
STQ_INLINE void stq_gather_rows(const stq_convolve_input *in, stq_type type, stq_position at, int32_t rows,
                                stq_word *column)
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

        for (int32_t left = rows; left > 0; left--) {
            if (y < 0 || y >= in->input_dims->h) {
                stq_column_zero(column, 2, element, taps * depth);
            } else {
                if (before > 0) {
                    stq_column_zero(column, 2, element, before);
                }
                const void *levels = stq_level_address(in->input, type, level);
                if (type == STQ_S8) {
                    stq_widen_s8(column, element + before, levels, visible, offsets);
                } else {
                    stq_widen_s16(column, element + before, levels, visible, offsets);
                }
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
 * Rows of the windows of `at` and of the pixel behind it in the same row. Both lie between the left and right edge of
 * the image, and overlap. `depth` is a multiple of four. A level that both windows hold is widened once.
 */
static STQ_NOINLINE void stq_gather_overlapping(const stq_convolve_input *in, stq_position at, int32_t rows,
                                                stq_word *columns)
{
    const stq_conv_params *params = in->params;
    const int32_t channels = in->input_dims->c;
    const int32_t offset = params->input_offset;
    const uint32_t offsets = stq_pair(offset, offset);
    const int32_t y = at.y * params->stride_h - params->pad_top;
    const int32_t x = at.x * params->stride_w - params->pad_left;
    const int32_t step = params->stride_w * channels;
    const int32_t pitch = in->filter_dims->w * channels; // words of a row, since there are two columns of pairs
    const int32_t shared = pitch - step;
    const int32_t first = (int32_t)stq_opaque(0); // a constant would make gcc copy the function that takes it
    const int32_t top = stq_clamp(-y, 0, rows);
    const int32_t bottom = stq_clamp(in->input_dims->h - y, top, rows);
    const int8_t *levels = (const int8_t *)in->input + ((y + top) * in->input_dims->w + x) * channels;

    stq_column_zero(columns, 1, 0, 2 * top * pitch);
    stq_column_zero(columns + bottom * pitch, 1, 0, 2 * (rows - bottom) * pitch);
    columns += top * pitch;
    for (int32_t row = top; row < bottom; row++) {
        stq_widen_s8(columns, first, levels, step, offsets);
        stq_column_widen_twice(columns + step, columns + 1, levels + step, STQ_S8, shared, offsets);
        stq_widen_s8(columns + shared + 1, first, levels + pitch, step, offsets);
        levels += in->input_dims->w * channels;
        columns += pitch;
    }
}

/* Whether stq_gather_overlapping gathers the windows of `at` and of the pixel behind it. */
static int stq_windows_overlap(const stq_convolve_input *in, stq_position at)
{
    const stq_conv_params *params = in->params;
    const int32_t x = at.x * params->stride_w - params->pad_left;

    return params->dilation_h == 1 && in->stretch == in->filter_dims->w && in->filter_dims->w > params->stride_w &&
           in->filter_dims->c % 4 == 0 && x >= 0 && x + params->stride_w + in->filter_dims->w <= in->input_dims->w;
}

static STQ_NOINLINE void stq_gather_rows_s8(const stq_convolve_input *in, stq_position at, int32_t rows,
                                            stq_word *column)
{
    stq_gather_rows(in, STQ_S8, at, rows, column);
}

static STQ_NOINLINE void stq_gather_rows_s16(const stq_convolve_input *in, stq_position at, int32_t rows,
                                             stq_word *column)
{
    stq_gather_rows(in, STQ_S16, at, rows, column);
}

void stq_gather_strip_s8(const stq_convolve_input *in, stq_position at, stq_position step, int32_t rows,
                         stq_word *columns)
{
    if (step.x == 1 && stq_windows_overlap(in, at)) {
        stq_gather_overlapping(in, at, rows, columns);
        return;
    }
    stq_gather_rows_s8(in, at, rows, columns);
    stq_gather_rows_s8(in, (stq_position){at.y + step.y, at.x + step.x}, rows, columns + 1);
}

void stq_gather_strip_s16(const stq_convolve_input *in, stq_position at, stq_position step, int32_t rows,
                          stq_word *columns)
{
    stq_gather_rows_s16(in, at, rows, columns);
    stq_gather_rows_s16(in, (stq_position){at.y + step.y, at.x + step.x}, rows, columns + 1);
}
