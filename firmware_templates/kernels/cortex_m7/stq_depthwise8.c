/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Depthwise convolution of weights -1, 0 and 1 on lanes of bytes.
 *
 * A word holds four channels of a pixel as bytes, level - minimum, of which none exceeds `full`, a number 2^n - 1. A tap
 * has two masks: (word ^ minus) & counts is the level in the lanes of plus weights, full - level in those of minus
 * weights, and 0 elsewhere. So one ADD adds four products, and no sum leaves its lane. What is known of each channel in
 * advance, its `start`, is added at the end. Taps without a weight in any of the four channels are left out.
 */
#include "stq_depthwise8_core.h"

#include "internal/stq_nn_arguments.h"
#include "internal/stq_nn_elements.h"
#include "stq_nn_pairs.h"

#define STQ_EVERY_BYTE 0x01010101U

/* A tap of a quad; the loop over pixels reads them in this order. */
typedef struct {
    int32_t place; /* bytes from the first tap's word in the plane */
    uint32_t minus;
    uint32_t counts;
} stq_tap;

/* The weights of a quad, and what follows from them. */
typedef struct {
    stq_tap *taps;            /* those that count, at least one; then one with masks of 0 */
    int32_t start[STQ_QUAD];  /* accumulator = sum of bytes + start */
    int32_t lowest[STQ_QUAD]; /* reachable sums of bytes */
    int32_t highest[STQ_QUAD];
} stq_quad_weights;

typedef struct {
    const stq_gather_params *params;
    const stq_requantize *rq;
    const stq_dims *input_dims;
    const stq_dims *filter_dims;
    const stq_dims *output_dims;
    const int8_t *input;
    void *output;
    stq_depthwise8_shape shape;
    int32_t full; /* the smallest 2^n - 1 that is at least maximum - minimum, and at least 1 */
    stq_word *plane;
    stq_word *sums;
    uint8_t *levels; /* 256 of each channel of a quad */
} stq_depthwise8_layer;

/* How sums of bytes become levels. */
typedef enum {
    STQ_LOOK_UP,
    STQ_KEEP_S8,
    STQ_KEEP_S16,
    STQ_EACH,
} stq_finish;

/* Weights + 1 of four channels of a tap, as bytes. */
static inline uint32_t stq_quad_fields(const uint32_t *row, int32_t channel, int32_t bits, int32_t weight_offset)
{
    const uint32_t word = row[channel * bits / 32];
    const int32_t pair = channel % (32 / bits) / 2;
    const uint32_t mask = bits == 1 ? 0x00010001U << weight_offset : 0x00030003U;
    const uint32_t first = stq_weight_pair(word, bits, mask, pair);
    const uint32_t second = stq_weight_pair(word, bits, mask, pair + 1);
    const uint32_t fields = stq_pack_low(first | (first >> 8), second | (second >> 8));

    return weight_offset == 0 ? fields + STQ_EVERY_BYTE : fields;
}

/* `counts` and `minus` have 1 in the bytes of nonzero and of minus weights, from fields 0, 1 and 2. */
static inline stq_tap stq_masks(uint32_t fields)
{
    const stq_tap ones = {0, ~(fields | (fields >> 1)) & STQ_EVERY_BYTE, ~fields & STQ_EVERY_BYTE};
    return ones;
}

/* The taps of the quad from `channel` on, and the sums that they can have. */
static void stq_read_quad(const stq_depthwise8_layer *layer, const uint32_t *filter, int32_t bits, int32_t channel,
                          stq_quad_weights *quad)
{
    const stq_conv_params *window = &layer->params->window;
    const int32_t row_words = stq_row_words(layer->filter_dims->c, bits);
    const int32_t full = layer->full;
    const int32_t span = layer->params->maximum - layer->params->minimum;
    const int32_t rise = layer->params->minimum + window->input_offset;
    uint32_t counted = 0;
    uint32_t negative = 0;

    stq_tap *next = quad->taps;
    for (int32_t ky = 0; ky < layer->filter_dims->h; ky++) {
        for (int32_t kx = 0; kx < layer->filter_dims->w; kx++) {
            const stq_tap ones = stq_masks(stq_quad_fields(filter, channel, bits, window->weight_offset));
            const int32_t place = ky * window->dilation_h * layer->shape.columns + kx * window->dilation_w;
            const stq_tap tap = {4 * place, ones.minus * (uint32_t)full, ones.counts * (uint32_t)full};

            if (ones.counts != 0) {
                *next++ = tap;
            }
            counted += ones.counts;
            negative += ones.minus;
            filter += row_words;
        }
    }
    const stq_tap nothing = {0, 0, 0};
    if (next == quad->taps) {
        *next++ = nothing;
    }
    *next = nothing;
    for (int32_t c = 0; c < STQ_QUAD; c++) {
        const int32_t minus = (int32_t)((negative >> (8 * c)) & 0xFFU);
        const int32_t plus = (int32_t)((counted >> (8 * c)) & 0xFFU) - minus;
        quad->start[c] = rise * (plus - minus) - full * minus;
        quad->lowest[c] = minus * (full - span);
        quad->highest[c] = minus * full + plus * span;
    }
}

/* Words of `count` pixels, `channels` bytes apart; of the last quad only `left` bytes are there. */
static void stq_copy_pixels(const int8_t *input, int32_t channels, int32_t left, int32_t count, uint32_t minima,
                            stq_word *out)
{
    if (left >= STQ_QUAD) {
        STQ_UNROLL(4)
        for (int32_t i = 0; i < count; i++) {
            *out++ = stq_sub_bytes(stq_load_unaligned(input), minima);
            input += channels;
        }
        return;
    }
    for (int32_t i = 0; i < count; i++) {
        uint32_t word = 0;
        for (int32_t c = left - 1; c >= 0; c--) {
            word = (word << 8) | (uint8_t)input[c];
        }
        *out++ = stq_sub_bytes(word, minima);
        input += channels;
    }
}

static inline void stq_put_border(stq_word *out, int32_t count, uint32_t border)
{
    for (int32_t i = 0; i < count; i++) {
        out[i] = border;
    }
}

static inline int32_t stq_clamped(int32_t value, int32_t low, int32_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* The plane of the quad from `channel` on, for the band of outputs from row `first` on. */
static STQ_NOINLINE void stq_fill_plane(const stq_depthwise8_layer *layer, int32_t channel, int32_t first)
{
    const stq_conv_params *window = &layer->params->window;
    const stq_dims *in = layer->input_dims;
    const int32_t zero = stq_clamped(-window->input_offset, layer->params->minimum, layer->params->maximum);
    const uint32_t border = (uint32_t)(zero - layer->params->minimum) * STQ_EVERY_BYTE;
    const uint32_t minima = ((uint32_t)layer->params->minimum & 0xFFU) * STQ_EVERY_BYTE;
    const int32_t columns = layer->shape.columns;
    const int32_t before = window->pad_left < columns ? window->pad_left : columns;
    const int32_t inside = in->w < columns - before ? in->w : columns - before;
    stq_word *out = layer->plane;

    for (int32_t row = 0; row < layer->shape.rows; row++) {
        const int32_t y = first * window->stride_h - window->pad_top + row;
        const int32_t within = y >= 0 && y < in->h ? inside : 0;

        stq_put_border(out, before, border);
        if (within > 0) {
            stq_copy_pixels(layer->input + y * in->w * in->c + channel, in->c, in->c - channel, within, minima,
                            out + before);
        }
        stq_put_border(out + before + within, columns - before - within, border);
        out += columns;
    }
}

/*
 * The hand-written loops: one line for each cycle, the instructions in it start together (docs/PROFILING.md has the
 * rules). They need 13 registers, so that the compiler may keep a frame pointer.
 */

/*
 * Sums of bytes of four neighbouring outputs, whose first taps are `step` words apart. At least one tap comes before the
 * one that counts nothing, which is the last.
 */
static inline void stq_sum_four(const stq_word *from, int32_t step, const stq_tap *tap, stq_word *sums)
{
    uint32_t a = 0, b = 0, c = 0, d = 0;

#if STQ_HAND_WRITTEN
    if (step == 1) {
        uint32_t p, q, r, s, minus, counts, place;
        // clang-format off
        __asm__(
            "ldr %[place], [%[tap]], #12\n\t"
            "ldrd %[minus], %[counts], [%[tap], #-8]\n\t"
            "1:\n\t"
            "add %[place], %[place], %[from]\n\t"
            "ldrd %[p], %[q], [%[place]]\n\t"
            "ldrd %[r], %[s], [%[place], #8]\n\t"
            "eor %[p], %[p], %[minus]\n\t"              "ldr %[place], [%[tap]], #12\n\t"
            "eor %[q], %[q], %[minus]\n\t"              "eor %[r], %[r], %[minus]\n\t"
            "eor %[s], %[s], %[minus]\n\t"              "and %[p], %[p], %[counts]\n\t"
            "and %[q], %[q], %[counts]\n\t"             "and %[r], %[r], %[counts]\n\t"
            "and %[s], %[s], %[counts]\n\t"             "add %[a], %[a], %[p]\n\t"
            "ldrd %[minus], %[counts], [%[tap], #-8]\n\t"
            "add %[b], %[b], %[q]\n\t"                  "add %[c], %[c], %[r]\n\t"
            "add %[d], %[d], %[s]\n\t"                  "cmp %[counts], #0\n\t"
            "bne.w 1b\n\t"
            : [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [p] "=&r"(p), [q] "=&r"(q), [r] "=&r"(r),
              [s] "=&r"(s), [minus] "=&r"(minus), [counts] "=&r"(counts), [place] "=&r"(place), [tap] "+r"(tap)
            : [from] "r"(from)
            : "memory", "cc");
        // clang-format on
        sums[0] = a;
        sums[1] = b;
        sums[2] = c;
        sums[3] = d;
        return;
    }
#endif
    for (; tap->counts != 0; tap++) {
        const stq_word *at = from + tap->place / 4;
        const uint32_t minus = tap->minus;
        const uint32_t counts = tap->counts;
        a += (at[0] ^ minus) & counts;
        b += (at[step] ^ minus) & counts;
        c += (at[2 * step] ^ minus) & counts;
        d += (at[3 * step] ^ minus) & counts;
    }
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
}

/* Sums of bytes of a row of outputs. */
static STQ_NOINLINE void stq_sum_row(const stq_depthwise8_layer *layer, const stq_tap *taps, const stq_word *from)
{
    const int32_t stride = layer->params->window.stride_w;

    for (int32_t x = 0; x < layer->shape.padded; x += STQ_QUAD) {
        stq_sum_four(from + x * stride, stride, taps, layer->sums + x);
    }
}

/* Levels by look-up, of four channels of `count` pixels that are `step` bytes apart. */
static STQ_NOINLINE void stq_look_up_row(const stq_word *sums, int32_t count, const uint8_t *const tables[STQ_QUAD],
                                         int32_t step, uint8_t *out)
{
    const stq_word *end = sums + count;
    const uint8_t *t0 = tables[0];
    const uint8_t *t1 = tables[1];
    const uint8_t *t2 = tables[2];
    const uint8_t *t3 = tables[3];

#if STQ_HAND_WRITTEN
    uint32_t p, q, r, sum;
    // Reads a sum ahead of the last: it lies in scratch memory, and is not used.
    // clang-format off
    __asm__ volatile(
        "ldr %[sum], [%[sums]], #4\n\t"
        "1:\n\t"
        "uxtb %[p], %[sum]\n\t"
        "ubfx %[q], %[sum], #8, #8\n\t"             "ldrb %[p], [%[t0], %[p]]\n\t"
        "ubfx %[r], %[sum], #16, #8\n\t"            "ldrb %[q], [%[t1], %[q]]\n\t"
        "lsr %[sum], %[sum], #24\n\t"               "ldrb %[r], [%[t2], %[r]]\n\t"
        "ldrb %[sum], [%[t3], %[sum]]\n\t"          "cmp %[sums], %[end]\n\t"
        "orr %[p], %[p], %[q], lsl #8\n\t"
        "orr %[r], %[r], %[sum], lsl #8\n\t"        "ldr %[sum], [%[sums]], #4\n\t"
        "orr %[p], %[p], %[r], lsl #16\n\t"
        "str %[p], [%[out]]\n\t"                    "add %[out], %[out], %[step]\n\t"
        "bne.w 1b\n\t"
        : [sum] "=&r"(sum), [sums] "+r"(sums), [p] "=&r"(p), [q] "=&r"(q), [r] "=&r"(r), [out] "+r"(out)
        : [t0] "r"(t0), [t1] "r"(t1), [t2] "r"(t2), [t3] "r"(t3), [end] "r"(end), [step] "r"(step)
        : "memory", "cc");
    // clang-format on
#else
    for (; sums < end; sums++) {
        const uint32_t low = t0[*sums & 0xFFU] | ((uint32_t)t1[(*sums >> 8) & 0xFFU] << 8);
        const uint32_t high = t2[(*sums >> 16) & 0xFFU] | ((uint32_t)t3[*sums >> 24] << 8);
        stq_store_unaligned(out, low | (high << 16));
        out += step;
    }
#endif
}

/* Accumulators as int16, of four channels of `count` pixels. */
static STQ_NOINLINE void stq_keep_row_s16(const stq_word *sums, int32_t count, const int32_t *start, int32_t channels,
                                          void *out)
{
    const uint32_t even = stq_pair(start[0], start[2]);
    const uint32_t odd = stq_pair(start[1], start[3]);
    uint8_t *level = out;

    for (int32_t i = 0; i < count; i++) {
        const uint32_t first = stq_uxtab16(even, sums[i]);
        const uint32_t second = stq_uxtab16_ror8(odd, sums[i]);
        stq_store_unaligned(level, stq_pack_low(first, second));
        stq_store_unaligned(level + 4, stq_pack_high(first, second));
        level += 2 * channels;
    }
}

/* Accumulators as int8, of four channels of `count` pixels. */
static void stq_keep_row_s8(const stq_word *sums, int32_t count, const int32_t *start, int32_t channels, uint8_t *out)
{
    const uint32_t less = stq_pack_bytes(-start[0], -start[1], -start[2], -start[3]);

    for (int32_t i = 0; i < count; i++) {
        stq_store_unaligned(out, stq_sub_bytes(sums[i], less));
        out += channels;
    }
}

/* The levels of four sums of bytes, channels `channel` and up; `output` is the pixel's first element. */
static inline void stq_requantize_quad(const stq_requantize *rq, uint32_t sum, const int32_t *start, int32_t channel,
                                       int32_t count, void *output)
{
    const int32_t acc[STQ_QUAD] = {
        (int32_t)(sum & 0xFFU) + start[0],
        (int32_t)((sum >> 8) & 0xFFU) + start[1],
        (int32_t)((sum >> 16) & 0xFFU) + start[2],
        (int32_t)(sum >> 24) + start[3],
    };
    stq_requantize_pixel(rq, acc, channel, count, output);
}

/* Levels of every reachable sum of bytes, 256 for each channel. The output's first pixel is still free to pass them. */
static void stq_make_levels(const stq_depthwise8_layer *layer, const stq_quad_weights *quad, int32_t channel,
                            int32_t entries)
{
    for (int32_t i = 0; i < entries; i++) {
        uint32_t sum = 0;
        for (int32_t c = STQ_QUAD - 1; c >= 0; c--) {
            sum = (sum << 8) | (uint32_t)stq_clamped(i, quad->lowest[c], quad->highest[c]);
        }
        stq_requantize_quad(layer->rq, sum, quad->start, channel, STQ_QUAD, layer->output);
        for (int32_t c = 0; c < STQ_QUAD; c++) {
            layer->levels[256 * c + i] = ((const uint8_t *)layer->output)[channel + c];
        }
    }
}

/* Where the levels of each channel's sums of bytes are. Levels are computed once where that pays. */
static stq_finish stq_prepare_levels(const stq_depthwise8_layer *layer, const stq_quad_weights *quad, int32_t channel,
                                     const uint8_t *tables[STQ_QUAD])
{
    const stq_requantize *rq = layer->rq;
    int32_t entries = 1;

    if (channel + STQ_QUAD > layer->output_dims->c) {
        return STQ_EACH;
    }
    if (rq->kind == STQ_REQUANTIZE_KEEP) {
        return rq->output_type == STQ_S8 ? STQ_KEEP_S8 : rq->output_type == STQ_S16 ? STQ_KEEP_S16 : STQ_EACH;
    }
    if (rq->output_type != STQ_S8) {
        return STQ_EACH;
    }
    for (int32_t c = 0; c < STQ_QUAD; c++) {
        entries = quad->highest[c] + 1 > entries ? quad->highest[c] + 1 : entries;
        tables[c] = layer->levels + 256 * c;
        if (rq->kind == STQ_REQUANTIZE_TABLE) {
            // An integer, because a sum of 0 may be unreachable, and its entry before the table.
            const int32_t entry = (channel + c) * rq->table_stride - rq->table_base + quad->start[c];
            tables[c] = (const uint8_t *)((uintptr_t)rq->table + (uintptr_t)(intptr_t)entry);
        }
    }
    if (rq->kind != STQ_REQUANTIZE_TABLE) {
        if (entries > layer->output_dims->h * layer->output_dims->w) {
            return STQ_EACH;
        }
        stq_make_levels(layer, quad, channel, entries);
    }
    return STQ_LOOK_UP;
}

/* The outputs of row `y` for the quad from `channel` on. */
static void stq_store_row(const stq_depthwise8_layer *layer, const stq_quad_weights *quad, stq_finish finish,
                          const uint8_t *const tables[STQ_QUAD], int32_t channel, int32_t y)
{
    const stq_requantize *rq = layer->rq;
    const int32_t channels = layer->output_dims->c;
    const int32_t count = layer->output_dims->w;
    uint8_t *pixel = stq_output_pixel(layer->output, rq->output_type, channels, y * count);

    if (finish == STQ_LOOK_UP) {
        stq_look_up_row(layer->sums, count, tables, channels, pixel + channel);
    } else if (finish == STQ_KEEP_S8) {
        stq_keep_row_s8(layer->sums, count, quad->start, channels, pixel + channel);
    } else if (finish == STQ_KEEP_S16) {
        stq_keep_row_s16(layer->sums, count, quad->start, channels, pixel + 2 * channel);
    } else {
        const int32_t left = channels - channel < STQ_QUAD ? channels - channel : STQ_QUAD;
        for (int32_t x = 0; x < count; x++) {
            stq_requantize_quad(rq, layer->sums[x], quad->start, channel, left, pixel);
            pixel += channels * stq_type_bytes(rq->output_type);
        }
    }
}

/* The quad from `channel` on. */
static void stq_convolve_quad(const stq_depthwise8_layer *layer, const stq_quad_weights *quad, int32_t channel)
{
    const uint8_t *tables[STQ_QUAD] = {layer->levels, layer->levels, layer->levels, layer->levels};
    const stq_finish finish = stq_prepare_levels(layer, quad, channel, tables);
    const int32_t step = layer->params->window.stride_h * layer->shape.columns;

    for (int32_t first = 0; first < layer->output_dims->h; first += layer->shape.band) {
        const int32_t left = layer->output_dims->h - first;
        const int32_t rows = left < layer->shape.band ? left : layer->shape.band;

        stq_fill_plane(layer, channel, first);
        for (int32_t row = 0; row < rows; row++) {
            stq_sum_row(layer, quad->taps, layer->plane + row * step);
            stq_store_row(layer, quad, finish, tables, channel, first + row);
        }
    }
}

stq_status stq_depthwise8(const stq_context *ctx, const stq_gather_params *params, const stq_requantize *rq,
                          const stq_dims *input_dims, const int8_t *input, const stq_dims *filter_dims,
                          const uint32_t *filter, int32_t bits, const stq_dims *output_dims, void *output)
{
    if (!stq_depthwise8_valid(ctx, params, input_dims, filter_dims, output_dims) || rq == NULL || input == NULL ||
        filter == NULL || output == NULL) {
        return STQ_ARGUMENT_ERROR;
    }

    const stq_depthwise8_shape shape = stq_depthwise8_shape_of(&params->window, filter_dims, output_dims);
    const stq_depthwise8_parts parts = stq_depthwise8_parts_of(&shape, filter_dims);
    stq_word *scratch = ctx->buffer;
    uint32_t full = 1;

    while (full < (uint32_t)(params->maximum - params->minimum)) {
        full = 2 * full + 1;
    }
    const stq_depthwise8_layer layer = {
        .params = params,
        .rq = rq,
        .input_dims = input_dims,
        .filter_dims = filter_dims,
        .output_dims = output_dims,
        .input = input,
        .output = output,
        .shape = shape,
        .full = (int32_t)full,
        .plane = scratch + parts.plane,
        .sums = scratch + parts.sums,
        .levels = (uint8_t *)(scratch + parts.levels),
    };
    for (int32_t channel = 0; channel < output_dims->c; channel += STQ_QUAD) {
        stq_quad_weights quad = {.taps = (stq_tap *)(scratch + parts.taps)};

        stq_read_quad(&layer, filter, bits, channel, &quad);
        stq_convolve_quad(&layer, &quad, channel);
    }
    return STQ_OK;
}
