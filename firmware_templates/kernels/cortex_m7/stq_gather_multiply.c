/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gather convolutions of 4-bit weights. Each entry of a list has a weight, which multiplies lanes of halfwords.
 *
 * One multiplication of a word is two products: stq_gather_parts.h describes the lanes.
 */
#include "stq_gather_parts.h"

stq_gather_row stq_gather_decode_s4(const uint32_t *row, int32_t weights, int32_t weight_offset,
                                    const stq_offset *offsets, stq_offset *list)
{
    stq_word *entry = (stq_word *)(void *)list;
    const stq_word *first = entry;
    int32_t before = 0;
    uint32_t fields = 0; // the next one in the low half, the one after it in the high half

    for (int32_t i = 0; i < weights; i++) {
        if (i % 8 == 0) {
            fields = *row++;
        } else if (i % 2 == 0) {
            fields >>= 4;
        }
        const int32_t weight = (int32_t)((i % 2 == 0 ? fields : fields >> 16) & 15U) - weight_offset;
        if (weight != 0) {
            *entry++ = ((uint32_t)(offsets[i] - before) << 16) | ((uint32_t)weight & 0xFFU);
            before = offsets[i];
        }
    }
    entry[0] = entry[1] = 0;
    const stq_gather_row found = {stq_offsets(list, (int32_t)(entry - first)), stq_offsets(list, 0), 0, 0, 0};
    return found;
}

#if STQ_DSP
/*
 *   r4..r11   sums
 *   r12,r14   words of the entry
 *   r0        where its words are
 *   r1        its weight
 *   r2        where the entry after the next is
 *   r3        the next entry
 *
 * A line is a cycle. An entry takes eleven for its 16 products: a multiplication starts in eight, beside the load of
 * what a later one needs. The distance of an entry is in its upper half, in steps of 8 bytes; bits 13 to 15 are 0.
 */
// clang-format off
__attribute__((naked)) void stq_gather_multiply16(const stq_offset *list __attribute__((unused)),
                                                  const stq_word *base __attribute__((unused)),
                                                  stq_word *sums __attribute__((unused)))
{
    __asm__ volatile(
        "push {r2, r4, r5, r6, r7, r8, r9, r10, r11, lr}\n\t"
        "mov r2, r0\n\t"                        "mov r0, r1\n\t"
        "ldr r3, [r2], #4\n\t"                  "movs r4, #0\n\t"
        "movs r5, #0\n\t"                       "movs r6, #0\n\t"
        "movs r7, #0\n\t"                       "mov r8, r4\n\t"
        "mov r9, r4\n\t"                        "mov r10, r4\n\t"
        "mov r11, r4\n\t"                       "cmp r3, #0\n\t"
        "add.w r0, r0, r3, asr #13\n\t"         "beq.w 2f\n\t"
        "ldrd r12, lr, [r0]\n\t"
        "sxtb.w r1, r3\n\t"                     "ldr r3, [r2], #4\n\t"
        ".p2align 2\n"
        "1:\n\t"
        "mla r4, r12, r1, r4\n\t"               "ldr.w r12, [r0, #8]\n\t"
        "mla r5, lr, r1, r5\n\t"                "ldr.w lr, [r0, #12]\n\t"
        "mla r6, r12, r1, r6\n\t"               "ldr.w r12, [r0, #16]\n\t"
        "mla r7, lr, r1, r7\n\t"                "ldr.w lr, [r0, #20]\n\t"
        "mla r8, r12, r1, r8\n\t"               "ldr.w r12, [r0, #24]\n\t"
        "mla r9, lr, r1, r9\n\t"                "ldr.w lr, [r0, #28]\n\t"
        "mla r10, r12, r1, r10\n\t"             "add.w r0, r0, r3, asr #13\n\t"
        "mla r11, lr, r1, r11\n\t"              "cmp r3, #0\n\t"
        "ldrd r12, lr, [r0]\n\t"
        "sxtb.w r1, r3\n\t"                     "ldr.w r3, [r2], #4\n\t"
        "bne.w 1b\n"
        "2:\n\t"
        "ldr r0, [sp]\n\t"
        "stmia r0, {r4, r5, r6, r7, r8, r9, r10, r11}\n\t"
        "pop {r2, r4, r5, r6, r7, r8, r9, r10, r11, pc}\n");
}
// clang-format on
#else
void stq_gather_multiply16(const stq_offset *list, const stq_word *base, stq_word *sums)
{
    int32_t offset = 0;

    for (int32_t i = 0; i < STQ_GATHER_WORDS; i++) {
        sums[i] = 0;
    }
    for (const stq_word *entry = (const stq_word *)(const void *)list; *entry != 0; entry++) {
        const int32_t weight = (int8_t)(*entry & 0xFFU);
        offset += (int32_t)*entry >> 16;
        for (int32_t i = 0; i < STQ_GATHER_WORDS; i++) {
            sums[i] += (uint32_t)weight * base[2 * offset + i];
        }
    }
}
#endif
