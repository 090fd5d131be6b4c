/* SPDX-License-Identifier: Apache-2.0 */
/* The layout of a gather convolution, and rows of packed weights as lists of the offsets that count. */
#include <stddef.h>

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
    const uint32_t odd = (uint32_t)(s->row_units * lane_bytes) * 0x00010001U;

    for (int32_t ky = 0; ky < filter_dims->h; ky++) {
        for (int32_t kx = 0; kx < filter_dims->w; kx++) {
            for (int32_t c = 0; c < filter_dims->c; c += 8) {
                const uint32_t even = (uint32_t)(stq_gather_unit(s, ky, kx, c) * lane_bytes) * 0x00010001U;
                bases[0] = even;
                bases[1] = even + odd;
                bases += 2;
            }
        }
    }
    bases[0] = bases[1] = 0;
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
        codes[2] = 2U * plus + (plus > 2U || minus > 2U ? STQ_GATHER_MANY : 0U);
        codes[3] = 2U * minus;
        codes += STQ_GATHER_CODE_WORDS;
    }
}

/* The lists that begin at `list` and end at `end`, up to `plus` and from `minus` on. */
static inline stq_gather_row stq_gather_lists(const stq_offset *list, const stq_offset *plus, const stq_offset *minus,
                                              const stq_offset *end)
{
    const stq_gather_row row = {stq_offsets(list, (int32_t)(plus - list)), stq_offsets(minus, (int32_t)(end - minus)),
                                0, 0, 0};
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

/*
 * A row of weights that is decoded by codes, and the lists so far. Both are written two offsets at a time, because few
 * codes have more weights of a sign. A store at an odd halfword takes as long as four others.
 */
typedef struct {
    uint32_t plus;  /* bytes of the list of plus weights */
    uint8_t *minus; /* the first of the minus weights */
    const stq_word *codes;
    const uint32_t *row;
    uint8_t *list;
    const stq_word *bases;
    const uint32_t *end; /* of the row */
} stq_coded_row;

#if STQ_DSP
/*
 * In assembly, because compilers wait for the address of a code before they load what it stands for. Here the next
 * address is found while the offsets of this code are stored. Each line is a cycle, but LDM takes two.
 *
 *   r0        bytes of the list of plus weights; negative behind a code of STQ_GATHER_MANY
 *   r1        the first of the minus weights
 *   r2        codes
 *   r3        address of the next code
 *   r4,r5     offsets of a code
 *   r6,r7     bytes of its plus and of its minus weights
 *   r8        row
 *   r9        word of the row
 *   r10       base of the next code
 *   r11       list
 *   r12       bases
 *   r14       end of the row
 */
// clang-format off
__attribute__((naked)) static void stq_list_codes(stq_coded_row *task __attribute__((unused)))
{
    __asm__ volatile(
        "push {r0, r4, r5, r6, r7, r8, r9, r10, r11, lr}\n\t"
        "ldm.w r0, {r0, r1, r2, r8, r11, r12, lr}\n\t"
        "ldr r9, [r8], #4\n\t"                  "ldr r10, [r12], #4\n\t"
        "uxtb.w r3, r9\n\t"
        "add.w r3, r2, r3, lsl #4\n\t"          "b.n 2f\n\t"
        ".p2align 2\n"
        // Byte 3 of a word, when the next word is known to follow.
        "1:\n\t"
        "ldr r9, [r8], #4\n\t"
        "ldmia r3!, {r4, r5, r6, r7}\n\t"
        "uxtb.w r3, r9\n\t"                     "add r4, r10\n\t"
        "add r5, r10\n\t"                       "str.w r4, [r11, r0]\n\t"
        "add.w r3, r2, r3, lsl #4\n\t"          "str r5, [r1, #-4]\n\t"
        "subs r1, r1, r7\n\t"                   "adds r0, r0, r6\n\t"
        "ldr r10, [r12], #4\n\t"                "bmi.n 7f\n"
        // Byte 0: even elements of the first eight.
        "2:\n\t"
        "ldmia r3!, {r4, r5, r6, r7}\n\t"
        "ubfx r3, r9, #16, #8\n\t"              "add r4, r10\n\t"
        "add r5, r10\n\t"                       "str.w r4, [r11, r0]\n\t"
        "add.w r3, r2, r3, lsl #4\n\t"          "str r5, [r1, #-4]\n\t"
        "subs r1, r1, r7\n\t"                   "adds r0, r0, r6\n\t"
        "ldr r10, [r12], #4\n\t"                "bmi.n 8f\n"
        // Byte 2: the odd ones beside them.
        "3:\n\t"
        "ldmia r3!, {r4, r5, r6, r7}\n\t"
        "ubfx r3, r9, #8, #8\n\t"               "add r4, r10\n\t"
        "add r5, r10\n\t"                       "str.w r4, [r11, r0]\n\t"
        "add.w r3, r2, r3, lsl #4\n\t"          "str r5, [r1, #-4]\n\t"
        "subs r1, r1, r7\n\t"                   "adds r0, r0, r6\n\t"
        "ldr r10, [r12], #4\n\t"                "bmi.n 9f\n"
        // Byte 1: even elements of the other eight.
        "4:\n\t"
        "ldmia r3!, {r4, r5, r6, r7}\n\t"
        "lsr.w r3, r9, #24\n\t"                 "add r4, r10\n\t"
        "add r5, r10\n\t"                       "str.w r4, [r11, r0]\n\t"
        "add.w r3, r2, r3, lsl #4\n\t"          "str r5, [r1, #-4]\n\t"
        "subs r1, r1, r7\n\t"                   "adds r0, r0, r6\n\t"
        "ldr r10, [r12], #4\n\t"                "bmi.n 10f\n"
        "5:\n\t"
        "cmp r8, lr\n\t"                        "bne.n 1b\n\t"
        // Byte 3 of the last word.
        "ldmia r3!, {r4, r5, r6, r7}\n\t"
        "add r4, r10\n\t"                       "add r5, r10\n\t"
        "str.w r4, [r11, r0]\n\t"
        "str r5, [r1, #-4]\n\t"                 "subs r1, r1, r7\n\t"
        "adds r0, r0, r6\n\t"
        "bmi.n 11f\n"
        "6:\n\t"
        "pop {r2}\n\t"
        "strd r0, r1, [r2]\n\t"
        "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}\n"
        // More than two weights of a sign: the other two offsets go to each list as well.
        "7:\n\t"
        "subs r6, r0, r6\n\t"                   "adds r7, r1, r7\n\t"
        "add r6, r11\n\t"                       "str r4, [r7, #-8]\n\t"
        "bic.w r0, r0, #0x80000000\n\t"         "str r5, [r6, #4]\n\t"
        "b.n 2b\n"
        "8:\n\t"
        "subs r6, r0, r6\n\t"                   "adds r7, r1, r7\n\t"
        "add r6, r11\n\t"                       "str r4, [r7, #-8]\n\t"
        "bic.w r0, r0, #0x80000000\n\t"         "str r5, [r6, #4]\n\t"
        "b.n 3b\n"
        "9:\n\t"
        "subs r6, r0, r6\n\t"                   "adds r7, r1, r7\n\t"
        "add r6, r11\n\t"                       "str r4, [r7, #-8]\n\t"
        "bic.w r0, r0, #0x80000000\n\t"         "str r5, [r6, #4]\n\t"
        "b.n 4b\n"
        "10:\n\t"
        "subs r6, r0, r6\n\t"                   "adds r7, r1, r7\n\t"
        "add r6, r11\n\t"                       "str r4, [r7, #-8]\n\t"
        "bic.w r0, r0, #0x80000000\n\t"         "str r5, [r6, #4]\n\t"
        "b.n 5b\n"
        "11:\n\t"
        "subs r6, r0, r6\n\t"                   "adds r7, r1, r7\n\t"
        "add r6, r11\n\t"                       "str r4, [r7, #-8]\n\t"
        "bic.w r0, r0, #0x80000000\n\t"         "str r5, [r6, #4]\n\t"
        "b.n 6b\n");
}
// clang-format on

/* The offsets that the assembly has. */
typedef char stq_coded_row_is_laid_out[offsetof(stq_coded_row, minus) == 4 && sizeof(stq_coded_row) == 28 ? 1 : -1];
#else
static void stq_list_codes(stq_coded_row *task)
{
    static const uint8_t shifts[] = {0, 16, 8, 24}; // even elements of eight, and the odd ones beside them

    for (; task->row < task->end; task->row++) {
        for (int32_t i = 0; i < 4; i++) {
            const stq_word *code = task->codes + ((*task->row >> shifts[i]) & 0xFFU) * STQ_GATHER_CODE_WORDS;
            const uint32_t base = *task->bases++;
            uint8_t *plus = task->list + task->plus;

            stq_store_unaligned(plus, code[0] + base);
            stq_store_unaligned(task->minus - 4, code[1] + base);
            if ((code[2] & STQ_GATHER_MANY) != 0) {
                stq_store_unaligned(plus + 4, code[1] + base);
                stq_store_unaligned(task->minus - 8, code[0] + base);
            }
            task->plus += code[2] & ~STQ_GATHER_MANY;
            task->minus -= code[3];
        }
    }
}
#endif

stq_gather_row stq_gather_decode_codes(const uint32_t *row, int32_t weights, const stq_word *bases,
                                       const stq_word *codes, stq_offset *list)
{
    stq_offset *end = list + weights + STQ_GATHER_LIST_SLACK - STQ_GATHER_READ_AHEAD;
    stq_coded_row task = {0, (uint8_t *)end, codes, row, (uint8_t *)list, bases, row + (weights + 15) / 16};

    stq_list_codes(&task);
    return stq_gather_lists(list, list + task.plus / 2, (const stq_offset *)(const void *)task.minus, end);
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

    const stq_offset_list listed = stq_offsets(list, (int32_t)(next - list));
    const stq_offset_list none = stq_offsets(list, 0);
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
