/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_nn_gather.h - how the gather convolutions lay out their scratch memory (internal to the kernels).
 *
 * A unit is eight lanes: one input channel of eight pixels that lie far apart, a lane of one or two bytes each. Lane l
 * of the output's unit (y, x) is pixel (y + l * rows, x). So a tap of the window is another unit, the same for all
 * lanes. The table holds every unit that any tap of any output unit needs, channel by channel within a row: unit (row,
 * channel, column). With a horizontal stride, columns of equal remainder are together, so that the units of
 * neighbouring outputs are neighbours.
 *
 * The same formulas in Python are in stq_deploy/program/kernels/gather_layout.py; a test compares the sizes.
 */
#ifndef STQ_NN_GATHER_H
#define STQ_NN_GATHER_H

#include "stq_nn.h"
#include "internal/stq_nn_coded.h"

#define STQ_GATHER_LANES 8
/* Words of the table that are summed at once: four units of bytes, or two of halfwords. */
#define STQ_GATHER_WORDS 8
/* Words of the sums of these units, two lanes in each. */
#define STQ_GATHER_SUM_WORDS 16
/* Elements of a list of offsets beyond those that are listed: the decoders write ahead, and the sums read ahead. */
#define STQ_GATHER_LIST_SLACK 16
/* Elements that are read behind the last one of a list. */
#define STQ_GATHER_READ_AHEAD 2
/* Codes of four 2-bit weights, and the words of what each stands for. */
#define STQ_GATHER_CODES 256
#define STQ_GATHER_CODE_WORDS 4

typedef struct {
    stq_dims input;                                     /* a pointwise layer's image is eight lanes high */
    stq_dims output;                                    /* likewise */
    int32_t input_pixels;                               /* those of the image */
    int32_t output_pixels;                              /* likewise */
    int32_t rows, columns;                              /* output units */
    int32_t lane_rows;                                  /* input rows from a lane to the next */
    int32_t step_h, step_w;                             /* input rows and columns from one of the table to the next */
    int32_t stride_h, stride_w, dilation_h, dilation_w; /* in rows and columns of the table */
    int32_t table_rows;
    int32_t phase_columns; /* columns of equal remainder */
    int32_t row_units;     /* units of one row and channel: stride_w * phase_columns */
} stq_gather_shape;

static inline int32_t stq_common_divisor(int32_t a, int32_t b)
{
    while (b != 0) {
        const int32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static inline stq_gather_shape stq_gather_shape_of(const stq_conv_params *window, const stq_dims *input_dims,
                                                   const stq_dims *filter_dims, const stq_dims *output_dims)
{
    stq_gather_shape s = {.input = *input_dims, .output = *output_dims};
    const int32_t only_tap = filter_dims->h == 1 && filter_dims->w == 1;

    s.input_pixels = input_dims->h * input_dims->w;
    s.output_pixels = output_dims->h * output_dims->w;
    if (only_tap && window->stride_h == 1 && window->stride_w == 1 && window->pad_top == 0 && window->pad_left == 0 &&
        s.input_pixels == s.output_pixels) {
        // Rows do not matter: eight equal parts of the image waste the fewest lanes.
        s.input.h = s.output.h = STQ_GATHER_LANES;
        s.input.w = s.output.w = (s.input_pixels + STQ_GATHER_LANES - 1) / STQ_GATHER_LANES;
    }
    s.rows = (s.output.h + STQ_GATHER_LANES - 1) / STQ_GATHER_LANES;
    s.columns = s.output.w;
    s.lane_rows = s.rows * window->stride_h;
    s.step_h = filter_dims->h == 1 ? window->stride_h : stq_common_divisor(window->stride_h, window->dilation_h);
    s.step_w = filter_dims->w == 1 ? window->stride_w : stq_common_divisor(window->stride_w, window->dilation_w);
    s.stride_h = window->stride_h / s.step_h;
    s.stride_w = window->stride_w / s.step_w;
    s.dilation_h = window->dilation_h / s.step_h;
    s.dilation_w = window->dilation_w / s.step_w;
    s.table_rows = (s.rows - 1) * s.stride_h + (filter_dims->h - 1) * s.dilation_h + 1;
    s.phase_columns = s.columns + (filter_dims->w - 1) * s.dilation_w / s.stride_w;
    s.row_units = s.stride_w * s.phase_columns;
    return s;
}

/* Unit of tap (ky, kx) and channel `c`, counted from the output's first unit. */
static inline int32_t stq_gather_unit(const stq_gather_shape *s, int32_t ky, int32_t kx, int32_t c)
{
    const int32_t column = kx * s->dilation_w;
    const int32_t place = column % s->stride_w * s->phase_columns + column / s->stride_w;
    return (ky * s->dilation_h * s->input.c + c) * s->row_units + place;
}

/* Words of the table; the last units are read together with some beyond the end. */
static inline int32_t stq_gather_table_words(const stq_gather_shape *s, int32_t lane_bytes)
{
    const int32_t units = s->table_rows * s->input.c * s->row_units;
    return units * 2 * lane_bytes + STQ_GATHER_WORDS;
}

/* Words that hold `count` halfwords. */
static inline int32_t stq_halfword_words(int32_t count)
{
    return (count + 1) / 2;
}

/* Whether whole groups of four 2-bit weights are decoded at once. */
static inline int32_t stq_gather_by_code(stq_packing packing, int32_t weight_offset, int32_t group_channels)
{
    return packing != STQ_FIELDS_1 && packing != STQ_FIELDS_4 && weight_offset == 1 && group_channels % 8 == 0;
}

/* Parts of the scratch memory, in words from its start, in this order. */
typedef struct {
    int32_t sums;    /* of the units in work */
    int32_t border;  /* a pixel of real 0, as levels */
    int32_t offsets; /* of every weight of a row: halfwords */
    int32_t list;    /* of the weights that count: halfwords */
    int32_t codes;   /* what four 2-bit weights stand for */
    int32_t totals;  /* sums over whole windows, for 1-bit weights */
    int32_t row;     /* of coded weights, as fields */
    int32_t pieces;  /* what parts of a code stand for */
    int32_t words;   /* of all */
} stq_gather_parts;

static inline stq_gather_parts stq_gather_parts_of(const stq_gather_shape *s, const stq_conv_params *window,
                                                   const stq_dims *filter_dims, stq_packing packing, int32_t lane_bytes,
                                                   int32_t input_bytes)
{
    const int32_t weights = filter_dims->h * filter_dims->w * filter_dims->c;
    const int32_t largest = packing == STQ_FIELDS_4 || (packing == STQ_FIELDS_2 && window->weight_offset == 2) ? 2 : 1;
    const int32_t by_code = stq_gather_by_code(packing, window->weight_offset, filter_dims->c);
    const int32_t together = STQ_GATHER_WORDS / (2 * lane_bytes);
    const int32_t rounds = s->rows * ((s->columns + together - 1) / together);
    stq_gather_parts p;

    p.sums = stq_gather_table_words(s, lane_bytes);
    p.border = p.sums + STQ_GATHER_SUM_WORDS;
    p.offsets = p.border + (s->input.c * input_bytes + 3) / 4;
    p.list = p.offsets + stq_halfword_words(weights + STQ_GATHER_READ_AHEAD);
    p.codes = p.list + stq_halfword_words(largest * weights + STQ_GATHER_LIST_SLACK);
    p.totals = p.codes + (by_code ? STQ_GATHER_CODES * STQ_GATHER_CODE_WORDS : 0);
    p.row = p.totals + (packing == STQ_FIELDS_1 ? rounds * STQ_GATHER_SUM_WORDS : 0);
    p.pieces = p.row + stq_code_row_words(packing, weights);
    p.words = p.pieces + stq_code_piece_words(packing);
    return p;
}

static inline int32_t stq_gather_buffer_size(const stq_gather_params *params, const stq_dims *input_dims,
                                             const stq_dims *filter_dims, const stq_dims *output_dims,
                                             stq_packing packing, int32_t lane_bytes, int32_t input_bytes)
{
    const stq_gather_shape shape = stq_gather_shape_of(&params->window, input_dims, filter_dims, output_dims);
    return 4 * stq_gather_parts_of(&shape, &params->window, filter_dims, packing, lane_bytes, input_bytes).words;
}

/* Whether the offsets of all taps, in steps of 8 bytes, fit a halfword; so does the distance of any two for 4 bits. */
static inline int stq_gather_offsets_fit(const stq_gather_shape *s, const stq_dims *filter_dims, stq_packing packing,
                                         int32_t lane_bytes)
{
    const int32_t rows = (filter_dims->h - 1) * s->dilation_h + 1;
    return rows * s->input.c * s->row_units * lane_bytes <= (packing == STQ_FIELDS_4 ? 32768 : 65536);
}

#endif /* STQ_NN_GATHER_H */
