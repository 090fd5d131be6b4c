/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_gather_core.h - gather convolutions for every packing of weights and both widths of lanes; STQ_DEFINE_GATHER and
 * STQ_DEFINE_CODED_GATHER make the public names.
 *
 * The input is laid out anew, eight pixels to a unit. Then each row of weights is decoded once to lists of offsets. The
 * units at these offsets are added for 32 or 16 pixels at a time. Time is proportional to the number of nonzero
 * weights.
 */
#ifndef STQ_GATHER_CORE_H
#define STQ_GATHER_CORE_H

#include "internal/stq_nn_arguments.h"
#include "internal/stq_nn_coded.h"
#include "internal/stq_nn_define.h"
#include "stq_gather_parts.h"

/* A layer, and where its parts are in the scratch memory. `packing` and `lane_bytes` are constants. */
typedef struct {
    const stq_gather_shape *shape;
    const stq_dims *filter_dims;
    stq_packing packing;
    int32_t lane_bytes;
    int32_t weight_offset;
    int32_t by_code;
    int32_t block; /* entries whose sum fits a lane of bytes */
    int32_t rise;  /* level + input_offset less what a lane of bytes holds */
    const stq_word *table;
    stq_word *sums;
    stq_offset *offsets;
    stq_offset *list;
    stq_word *codes;
    stq_word *totals;
    stq_word *row; /* of coded weights, as fields */
} stq_gather_layer;

/* What is read next: a row of fields, or of a code. */
typedef struct {
    const uint32_t *row;
    stq_code_reader code;
} stq_gather_filter;

static inline int32_t stq_gather_weights(const stq_gather_layer *layer)
{
    return layer->filter_dims->h * layer->filter_dims->w * layer->filter_dims->c;
}

/* Units that are summed at once. */
static inline int32_t stq_gather_together(const stq_gather_layer *layer)
{
    return STQ_GATHER_WORDS / (2 * layer->lane_bytes);
}

/* The next row of fields: in the array, or unpacked from a code. */
STQ_INLINE const uint32_t *stq_gather_next_row(const stq_gather_layer *layer, stq_gather_filter *filter)
{
    const int32_t weights = stq_gather_weights(layer);
    const uint32_t *row = filter->row;

    if (layer->packing == STQ_TRITS) {
        stq_unpack_trits(&filter->code, weights, layer->row);
        return (const uint32_t *)layer->row;
    }
    if (layer->packing == STQ_GAPS) {
        stq_unpack_gaps(&filter->code, weights, layer->row);
        return (const uint32_t *)layer->row;
    }
    filter->row += stq_row_words(weights, (int32_t)layer->packing);
    return row;
}

/* Runs once a channel. clang makes faster and smaller code where it may keep this a function. */
static inline stq_gather_row stq_gather_decode(const stq_gather_layer *layer, const uint32_t *filter)
{
    const int32_t weights = stq_gather_weights(layer);
    stq_gather_row row;

    if (layer->packing == STQ_FIELDS_1) {
        row = stq_gather_decode_b1(filter, weights, layer->weight_offset, layer->offsets, layer->list);
    } else if (layer->packing == STQ_FIELDS_4) {
        row = stq_gather_decode_s4(filter, weights, layer->weight_offset, layer->offsets, layer->list);
    } else if (layer->by_code) {
        const stq_word *bases = (const stq_word *)layer->offsets;
        row = stq_gather_decode_codes(filter, weights, bases, layer->codes, layer->list);
    } else {
        row = stq_gather_decode_t2(filter, weights, layer->weight_offset, layer->offsets, layer->list);
    }
    if (layer->lane_bytes == 1) {
        stq_gather_set_sums(&row, layer->rise, layer->block);
    }
    return row;
}

/* Sums of the units from column x of row y on, whose group's channels begin at `first_channel`. */
STQ_INLINE void stq_gather_sum(const stq_gather_layer *layer, const stq_gather_row *row, int32_t first_channel,
                               int32_t y, int32_t x, const stq_word *totals, stq_word *sums)
{
    const stq_gather_shape *s = layer->shape;
    const int32_t unit = (y * s->stride_h * s->input.c + first_channel) * s->row_units + x;
    const stq_word *base = layer->table + unit * 2 * layer->lane_bytes;

    if (layer->lane_bytes == 1) {
        stq_gather_sum8(row, base, layer->block, totals, sums);
    } else if (layer->packing == STQ_FIELDS_4) {
        stq_gather_multiply16(row->plus.first, base, sums);
    } else {
        stq_gather_sum16(row, base, totals, sums);
    }
}

/* Sums over all weights, for every unit: what 1-bit weights that are not listed have in common. */
STQ_INLINE void stq_gather_sum_totals(const stq_gather_layer *layer, int32_t first_channel)
{
    const stq_offset_list all = stq_offsets(layer->offsets, stq_gather_weights(layer));
    const stq_offset_list none = stq_offsets(layer->offsets, 0);
    stq_gather_row row = {all, none, 0, 0, 0};
    stq_word *totals = layer->totals;

    if (layer->lane_bytes == 1) {
        stq_gather_set_sums(&row, layer->rise, layer->block);
    }
    for (int32_t y = 0; y < layer->shape->rows; y++) {
        for (int32_t x = 0; x < layer->shape->columns; x += stq_gather_together(layer)) {
            stq_gather_sum(layer, &row, first_channel, y, x, NULL, totals);
            totals += STQ_GATHER_SUM_WORDS;
        }
    }
}

/* One output channel. */
STQ_INLINE void stq_gather_channel(const stq_gather_layer *layer, const stq_gather_row *row,
                                   const stq_gather_target *to, int32_t first_channel, int32_t channel)
{
    const stq_word *totals = layer->totals;

    for (int32_t y = 0; y < layer->shape->rows; y++) {
        for (int32_t x = 0; x < layer->shape->columns; x += stq_gather_together(layer)) {
            stq_gather_sum(layer, row, first_channel, y, x, totals, layer->sums);
            for (int32_t i = 0; layer->lane_bytes == 2 && i < STQ_GATHER_WORDS; i++) {
                layer->sums[i] = stq_separate(layer->sums[i]);
            }
            stq_gather_store(to, layer->sums, y, x, channel);
            totals += STQ_GATHER_SUM_WORDS;
        }
    }
}

/* The level of real 0, or the nearest: then nothing of the border is used. */
static inline int32_t stq_gather_zero(const stq_gather_params *params)
{
    const int32_t zero = -params->window.input_offset;
    return zero < params->minimum ? params->minimum : zero > params->maximum ? params->maximum : zero;
}

/* The table, and what the decoder needs. */
STQ_INLINE void stq_gather_prepare(const stq_gather_layer *layer, const stq_gather_params *params, const void *input,
                                   stq_type input_type, stq_word *table, void *border)
{
    const stq_gather_shape *s = layer->shape;
    const stq_gather_source from = {s, &params->window, input, border};
    const int32_t words = stq_gather_table_words(s, layer->lane_bytes);

    for (int32_t c = 0; c < s->input.c; c++) {
        stq_set_level(border, input_type, c, stq_gather_zero(params));
    }
    for (int32_t i = 0; i < STQ_GATHER_WORDS; i++) {
        table[words - 1 - i] = 0;
    }
    if (layer->lane_bytes == 1) {
        stq_gather_fill8(&from, params->minimum, table);
    } else if (input_type == STQ_S8) {
        stq_gather_fill16_s8(&from, table);
    } else {
        stq_gather_fill16_s16(&from, table);
    }
    if (layer->by_code) {
        stq_gather_bases(s, layer->filter_dims, layer->lane_bytes, (stq_word *)layer->offsets);
        stq_gather_codes((uint32_t)(2 * s->row_units * layer->lane_bytes), layer->codes);
    } else {
        stq_gather_offsets(s, layer->filter_dims, layer->lane_bytes, layer->offsets);
    }
}

/* Entries whose sum fits a byte. One more than a multiple of 16 where there are many: those are summed fastest. */
static inline int32_t stq_gather_block(const stq_gather_params *params)
{
    const int32_t span = params->maximum - params->minimum;
    const int32_t most = span > 0 ? 255 / span : 255;
    return most < 17 ? most : (most - 1) / 16 * 16 + 1;
}

STQ_INLINE stq_status stq_gather(const stq_context *ctx, const stq_gather_params *params, const stq_requantize *rq,
                                 const stq_dims *input_dims, const void *input, stq_type input_type,
                                 const stq_dims *filter_dims, const stq_coded_weights *filter, stq_packing packing,
                                 int32_t lane_bytes, const stq_dims *output_dims, void *output)
{
    stq_gather_layout layout;

    if (!stq_gather_lay_out(ctx, params, input_dims, filter_dims, output_dims, packing, lane_bytes, input_type,
                            &layout) ||
        rq == NULL || input == NULL || output == NULL || !stq_coded_valid(packing, filter, filter_dims, output_dims)) {
        return STQ_ARGUMENT_ERROR;
    }

    const stq_conv_params *window = &params->window;
    const stq_gather_parts parts = layout.parts;
    stq_word *scratch = ctx->buffer;
    const stq_gather_layer layer = {
        .shape = &layout.shape,
        .filter_dims = filter_dims,
        .packing = packing,
        .lane_bytes = lane_bytes,
        .weight_offset = window->weight_offset,
        .by_code = stq_gather_by_code(packing, window->weight_offset, filter_dims->c),
        .block = stq_gather_block(params),
        .rise = params->minimum + window->input_offset,
        .table = scratch,
        .sums = scratch + parts.sums,
        .offsets = (stq_offset *)(scratch + parts.offsets),
        .list = (stq_offset *)(scratch + parts.list),
        .codes = scratch + parts.codes,
        .totals = scratch + parts.totals,
        .row = scratch + parts.row,
    };
    const int32_t group_outputs = output_dims->c / stq_groups(input_dims, filter_dims, output_dims);
    const stq_gather_target to = stq_gather_target_of(&layout.shape, rq, stq_gather_together(&layer), output);

    stq_gather_filter next = {.row = filter->words};

    stq_gather_prepare(&layer, params, input, input_type, scratch, scratch + parts.border);
    if (packing == STQ_TRITS || packing == STQ_GAPS) {
        next.code = stq_start_code(packing, filter, scratch + parts.pieces);
    }
    for (int32_t channel = 0; channel < output_dims->c; channel++) {
        const int32_t first_channel = channel / group_outputs * filter_dims->c;
        if (packing == STQ_FIELDS_1 && channel % group_outputs == 0) {
            stq_gather_sum_totals(&layer, first_channel);
        }
        const stq_gather_row row = stq_gather_decode(&layer, stq_gather_next_row(&layer, &next));
        stq_gather_channel(&layer, &row, &to, first_channel, channel);
    }
    return STQ_OK;
}

#endif /* STQ_GATHER_CORE_H */
