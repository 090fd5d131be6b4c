/* SPDX-License-Identifier: Apache-2.0 */
/* The layout of a gather convolution, and rows of packed weights as lists of the offsets that count. */
#include "internal/stq_nn_arguments.h"
#include "stq_gather_parts.h"

int stq_gather_lay_out(const stq_context *ctx, const stq_gather_params *params, const stq_dims *input_dims,
                       const stq_dims *filter_dims, const stq_dims *output_dims, stq_packing packing,
                       int32_t lane_bytes, stq_type input_type, stq_gather_layout *layout)
{
    if (!stq_gather_valid(ctx, params, input_dims, filter_dims, output_dims, packing, lane_bytes, input_type)) {
        return 0;
    }
    layout->shape = stq_gather_shape_of(&params->window, input_dims, filter_dims, output_dims);
    layout->parts = stq_gather_parts_of(&layout->shape, &params->window, filter_dims, packing, lane_bytes,
                                        stq_type_bytes(input_type));
    return 1;
}

void stq_gather_offsets(const stq_gather_shape *s, const stq_dims *filter_dims, int32_t lane_bytes, stq_offset *offsets)
{
    for (int32_t ky = 0; ky < filter_dims->h; ky++) {
        for (int32_t kx = 0; kx < filter_dims->w; kx++) {
            int32_t offset = stq_gather_unit(s, ky, kx, 0) * lane_bytes;
            for (int32_t c = 0; c < filter_dims->c; c++) {
                *offsets++ = (uint16_t)offset;
                offset += s->row_units * lane_bytes;
            }
        }
    }
    offsets[0] = offsets[1] = 0;
}

void stq_gather_bases(const stq_gather_shape *s, const stq_dims *filter_dims, int32_t lane_bytes, stq_word *bases)
{
    for (int32_t ky = 0; ky < filter_dims->h; ky++) {
        for (int32_t kx = 0; kx < filter_dims->w; kx++) {
            for (int32_t c = 0; c < filter_dims->c; c += 8) {
                *bases++ = (uint32_t)(stq_gather_unit(s, ky, kx, c) * lane_bytes) * 0x00010001U;
            }
        }
    }
    *bases = 0;
}

void stq_gather_codes(uint32_t step, stq_word *codes)
{
    for (uint32_t code = 0; code < STQ_GATHER_CODES; code++) {
        stq_offset *four = (stq_offset *)codes;
        uint32_t plus = 0;
        uint32_t minus = 0;

        codes[0] = codes[1] = 0;
        for (uint32_t j = 0; j < 4; j++) {
            const uint32_t field = (code >> (2 * j)) & 3U;
            if (field == 2U) {
                four[plus++] = (uint16_t)(j * step);
            } else if (field == 0U) {
                four[3U - minus++] = (uint16_t)(j * step);
            }
        }
        codes[2] = 2U * plus;
        codes[3] = 2U * minus;
        codes += STQ_GATHER_CODE_WORDS;
    }
}

/* The lists that begin at `list` and end at `end`, up to `plus` and from `minus` on. */
static inline stq_gather_row stq_gather_lists(const stq_offset *list, const stq_offset *plus, const stq_offset *minus,
                                              const stq_offset *end)
{
    const stq_gather_row row = {{list, (int32_t)(plus - list)}, {minus, (int32_t)(end - minus)}, 0, 0, 0};
    return row;
}

/* Writes each offset to both lists, and keeps it where it belongs. */
stq_gather_row stq_gather_decode_t2(const uint32_t *row, int32_t weights, int32_t weight_offset,
                                    const stq_offset *offsets, stq_offset *list)
{
    const uint32_t zero = (uint32_t)weight_offset;
    stq_offset *end = list + weight_offset * weights + STQ_GATHER_LIST_SLACK - STQ_GATHER_READ_AHEAD;
    stq_offset *plus = list;
    stq_offset *minus = end;
    uint32_t fields = 0; // the next one in the low half, the one after it in the high half

    for (int32_t i = 0; i < weights; i++) {
        if (i % 16 == 0) {
            fields = *row++;
        } else if (i % 2 == 0) {
            fields >>= 2;
        }
        const uint32_t field = (i % 2 == 0 ? fields : fields >> 16) & 3U;
        plus[0] = offsets[i];
        minus[-1] = minus[-2] = offsets[i]; // a weight of -2 is listed twice
        plus += field > zero;
        minus -= (field < zero) + (field + 1U < zero);
    }
    return stq_gather_lists(list, plus, minus, end);
}

stq_gather_row stq_gather_decode_codes(const uint32_t *row, int32_t weights, const stq_word *bases,
                                       const stq_word *codes, uint32_t step, stq_offset *list)
{
    const uint32_t odd = step * 0x00010001U;
    stq_offset *end = list + weights + STQ_GATHER_LIST_SLACK - STQ_GATHER_READ_AHEAD;
    uint8_t *plus = (uint8_t *)list;
    uint8_t *minus = (uint8_t *)end;

    for (int32_t left = weights; left > 0; left -= 16) {
        const uint32_t word = *row++;
        const uint32_t base[2] = {bases[0], bases[1]};
        bases += 2;
        // Bytes 0 and 1 are even elements, bytes 2 and 3 the odd ones beside them.
        STQ_UNROLL(4)
        for (int32_t i = 0; i < 4; i++) {
            const stq_word *code = codes + ((word >> (8 * i)) & 0xFFU) * STQ_GATHER_CODE_WORDS;
            const uint32_t from = i < 2 ? base[i] : base[i - 2] + odd;
            const stq_two_words offsets = stq_load_two(code);
            const uint32_t first = offsets.first + from;
            const uint32_t second = offsets.second + from;
            const stq_two_words bytes = stq_load_two(code + 2);
            // Few codes have more than two weights of a sign; a store at an odd halfword takes as long as four others.
            stq_store_unaligned(plus, first);
            if (bytes.first > 4U) {
                stq_store_unaligned(plus + 4, second);
            }
            stq_store_unaligned(minus - 4, second);
            if (bytes.second > 4U) {
                stq_store_unaligned(minus - 8, first);
            }
            plus += bytes.first;
            minus -= bytes.second;
        }
    }
    return stq_gather_lists(list, (const stq_offset *)(const void *)plus, (const stq_offset *)(const void *)minus, end);
}

/* How many bits of a row are set. Bit `weight_offset` begins the row; see "Packed weights". */
static inline uint32_t stq_one_bit(uint32_t word, int32_t element, int32_t weight_offset)
{
    return stq_rotate_right(word, (element / 2 + 16 * (element % 2) + weight_offset) & 31) & 1U;
}

/* Lists the rarer of the two weights; the other follows from the total. */
stq_gather_row stq_gather_decode_b1(const uint32_t *row, int32_t weights, int32_t weight_offset,
                                    const stq_offset *offsets, stq_offset *list)
{
    int32_t ones = 0;
    for (int32_t i = 0; i < weights; i++) {
        ones += (int32_t)stq_one_bit(row[i / 32], i % 32, weight_offset);
    }

    const uint32_t rarer = 2 * ones <= weights;
    stq_offset *next = list;
    for (int32_t i = 0; i < weights; i++) {
        *next = offsets[i];
        next += stq_one_bit(row[i / 32], i % 32, weight_offset) == rarer;
    }

    const stq_offset_list listed = {list, (int32_t)(next - list)};
    const stq_offset_list none = {list, 0};
    stq_gather_row decoded = {none, none, weight_offset, 0, 0};
    if (rarer) {
        decoded.plus = listed;
        decoded.total_factor = -weight_offset;
    } else {
        decoded.minus = listed;
        decoded.total_factor = 1;
    }
    return decoded;
}
