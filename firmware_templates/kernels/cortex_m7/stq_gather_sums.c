/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of the units that a row of weights lists: the hot loops of the gather convolutions. */
#include <stddef.h>

#include "stq_gather_parts.h"
#include "stq_nn_pairs.h"

/*
 * A list to add to the sums of a round.
 *
 * The words of `block` entries at a time are added. Lanes of bytes are then spread to the sums, two words from each.
 * Lanes of halfwords are added to half as many sums as they are.
 */
typedef struct {
    const stq_offset *list;
    int32_t count;
    const stq_word *base;
    stq_word *sums;
    int32_t block;     /* at most 16, or one more than a multiple of 16; more than `count` for halfwords */
    int32_t halfwords; /* whether a lane is a halfword */
    int32_t head;      /* entries of the first block */
} stq_list_sum;

#if STQ_DSP
/*
 * In assembly, because the sums of a block take eight of the fourteen registers. Compilers keep the rest in memory, and
 * load it again for each entry.
 *
 *   r4..r11   sums of the block
 *   r12,r14   words of an entry
 *   r0        words of the next entry
 *   r1        offset of the entry after that
 *   r2        where the offset after r1 is
 *   r3        base
 *   flags     behind entry 16: equal at the end of a block, greater before 16 entries more, less at the end of a list of
 *             halfwords
 *   [sp]      the sums
 *   [sp,#4]   entries of the block that are added 16 at a time; one less for halfwords
 *   [sp,#8]   entries left in the list behind this block
 *   [sp,#12]  entries of a block
 *
 * LDRD issues alone, and everything between two of them in pairs: an entry takes nine cycles. An entry is 56 bytes, and
 * there are 16 of them; a block of other sizes than 17 begins further behind. An entry needs instructions of 32 bits. In
 * the spreading, each line is a cycle: one UXTAB16 starts in a cycle, with a store beside it.
 */
// clang-format off
__attribute__((naked)) static void stq_add_list(stq_list_sum *task __attribute__((unused)))
{
    __asm__ volatile(
        "push {r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, lr}\n\t"
        "ldrd r2, r12, [r0]\n\t"
        "ldrd r3, r1, [r0, #8]\n\t"
        "ldrd lr, r4, [r0, #16]\n\t"
        "ldr r5, [r0, #24]\n\t"
        "cmp r12, #0\n\t"
        "ble.w 5f\n\t"
        "ldrh r0, [r2], #2\n\t"                 "str r1, [sp]\n\t"
        "ldrh r1, [r2], #2\n\t"                 "str lr, [sp, #12]\n\t"
        "sub.w r12, r12, r5\n\t"
        "add.w r0, r3, r0, lsl #3\n\t"          "str r12, [sp, #8]\n\t"
        "sub.w r12, r5, #1\n\t"                 "b.w 8f\n\t"
        ".p2align 2\n"
        // A block that is full, before r12 entries more. The first entry's words are where the sums begin.
        "1:\n\t"
        "cmp lr, #17\n\t"                       "str r12, [sp, #8]\n\t"
        "add.w r12, r3, r1, lsl #3\n\t"         "bne.w 7f\n\t"
        "ldmia r0, {r4, r5, r6, r7, r8, r9, r10, r11}\n\t"
        "mov.w r0, r12\n\t"                     "ldrh.w r1, [r2], #2\n"
        // 16 entries more.
        "2:\n\t"
        // Entry 1 of 16.
        "ldrd r12, lr, [r0]\n\t"
        "add.w r4, r4, r12\n\t"                 "add.w r5, r5, lr\n\t"
        "ldrd r12, lr, [r0, #8]\n\t"
        "add.w r6, r6, r12\n\t"                 "add.w r7, r7, lr\n\t"
        "ldrd r12, lr, [r0, #16]\n\t"
        "add.w r8, r8, r12\n\t"                 "add.w r9, r9, lr\n\t"
        "ldrd r12, lr, [r0, #24]\n\t"
        "add.w r10, r10, r12\n\t"               "add.w r0, r3, r1, lsl #3\n\t"
        "add.w r11, r11, lr\n\t"                "ldrh.w r1, [r2], #2\n\t"
        // Entry 2 of 16.
        "ldrd r12, lr, [r0]\n\t"
        "add.w r4, r4, r12\n\t"                 "add.w r5, r5, lr\n\t"
        "ldrd r12, lr, [r0, #8]\n\t"
        "add.w r6, r6, r12\n\t"                 "add.w r7, r7, lr\n\t"
        "ldrd r12, lr, [r0, #16]\n\t"
        "add.w r8, r8, r12\n\t"                 "add.w r9, r9, lr\n\t"
        "ldrd r12, lr, [r0, #24]\n\t"
        "add.w r10, r10, r12\n\t"               "add.w r0, r3, r1, lsl #3\n\t"
        "add.w r11, r11, lr\n\t"                "ldrh.w r1, [r2], #2\n\t"
        // Entry 3 of 16.
        "ldrd r12, lr, [r0]\n\t"
        "add.w r4, r4, r12\n\t"                 "add.w r5, r5, lr\n\t"
        "ldrd r12, lr, [r0, #8]\n\t"
        "add.w r6, r6, r12\n\t"                 "add.w r7, r7, lr\n\t"
        "ldrd r12, lr, [r0, #16]\n\t"
        "add.w r8, r8, r12\n\t"                 "add.w r9, r9, lr\n\t"
        "ldrd r12, lr, [r0, #24]\n\t"
        "add.w r10, r10, r12\n\t"               "add.w r0, r3, r1, lsl #3\n\t"
        "add.w r11, r11, lr\n\t"                "ldrh.w r1, [r2], #2\n\t"
        // Entry 4 of 16.
        "ldrd r12, lr, [r0]\n\t"
        "add.w r4, r4, r12\n\t"                 "add.w r5, r5, lr\n\t"
        "ldrd r12, lr, [r0, #8]\n\t"
        "add.w r6, r6, r12\n\t"                 "add.w r7, r7, lr\n\t"
        "ldrd r12, lr, [r0, #16]\n\t"
        "add.w r8, r8, r12\n\t"                 "add.w r9, r9, lr\n\t"
        "ldrd r12, lr, [r0, #24]\n\t"
        "add.w r10, r10, r12\n\t"               "add.w r0, r3, r1, lsl #3\n\t"
        "add.w r11, r11, lr\n\t"                "ldrh.w r1, [r2], #2\n\t"
        // Entry 5 of 16.
        "ldrd r12, lr, [r0]\n\t"
        "add.w r4, r4, r12\n\t"                 "add.w r5, r5, lr\n\t"
        "ldrd r12, lr, [r0, #8]\n\t"
        "add.w r6, r6, r12\n\t"                 "add.w r7, r7, lr\n\t"
        "ldrd r12, lr, [r0, #16]\n\t"
        "add.w r8, r8, r12\n\t"                 "add.w r9, r9, lr\n\t"
        "ldrd r12, lr, [r0, #24]\n\t"
        "add.w r10, r10, r12\n\t"               "add.w r0, r3, r1, lsl #3\n\t"
        "add.w r11, r11, lr\n\t"                "ldrh.w r1, [r2], #2\n\t"
        // Entry 6 of 16.
        "ldrd r12, lr, [r0]\n\t"
        "add.w r4, r4, r12\n\t"                 "add.w r5, r5, lr\n\t"
        "ldrd r12, lr, [r0, #8]\n\t"
        "add.w r6, r6, r12\n\t"                 "add.w r7, r7, lr\n\t"
        "ldrd r12, lr, [r0, #16]\n\t"
        "add.w r8, r8, r12\n\t"                 "add.w r9, r9, lr\n\t"
        "ldrd r12, lr, [r0, #24]\n\t"
        "add.w r10, r10, r12\n\t"               "add.w r0, r3, r1, lsl #3\n\t"
        "add.w r11, r11, lr\n\t"                "ldrh.w r1, [r2], #2\n\t"
        // Entry 7 of 16.
        "ldrd r12, lr, [r0]\n\t"
        "add.w r4, r4, r12\n\t"                 "add.w r5, r5, lr\n\t"
        "ldrd r12, lr, [r0, #8]\n\t"
        "add.w r6, r6, r12\n\t"                 "add.w r7, r7, lr\n\t"
        "ldrd r12, lr, [r0, #16]\n\t"
        "add.w r8, r8, r12\n\t"                 "add.w r9, r9, lr\n\t"
        "ldrd r12, lr, [r0, #24]\n\t"
        "add.w r10, r10, r12\n\t"               "add.w r0, r3, r1, lsl #3\n\t"
        "add.w r11, r11, lr\n\t"                "ldrh.w r1, [r2], #2\n\t"
        // Entry 8 of 16.
        "ldrd r12, lr, [r0]\n\t"
        "add.w r4, r4, r12\n\t"                 "add.w r5, r5, lr\n\t"
        "ldrd r12, lr, [r0, #8]\n\t"
        "add.w r6, r6, r12\n\t"                 "add.w r7, r7, lr\n\t"
        "ldrd r12, lr, [r0, #16]\n\t"
        "add.w r8, r8, r12\n\t"                 "add.w r9, r9, lr\n\t"
        "ldrd r12, lr, [r0, #24]\n\t"
        "add.w r10, r10, r12\n\t"               "add.w r0, r3, r1, lsl #3\n\t"
        "add.w r11, r11, lr\n\t"                "ldrh.w r1, [r2], #2\n\t"
        // Entry 9 of 16.
        "ldrd r12, lr, [r0]\n\t"
        "add.w r4, r4, r12\n\t"                 "add.w r5, r5, lr\n\t"
        "ldrd r12, lr, [r0, #8]\n\t"
        "add.w r6, r6, r12\n\t"                 "add.w r7, r7, lr\n\t"
        "ldrd r12, lr, [r0, #16]\n\t"
        "add.w r8, r8, r12\n\t"                 "add.w r9, r9, lr\n\t"
        "ldrd r12, lr, [r0, #24]\n\t"
        "add.w r10, r10, r12\n\t"               "add.w r0, r3, r1, lsl #3\n\t"
        "add.w r11, r11, lr\n\t"                "ldrh.w r1, [r2], #2\n\t"
        // Entry 10 of 16.
        "ldrd r12, lr, [r0]\n\t"
        "add.w r4, r4, r12\n\t"                 "add.w r5, r5, lr\n\t"
        "ldrd r12, lr, [r0, #8]\n\t"
        "add.w r6, r6, r12\n\t"                 "add.w r7, r7, lr\n\t"
        "ldrd r12, lr, [r0, #16]\n\t"
        "add.w r8, r8, r12\n\t"                 "add.w r9, r9, lr\n\t"
        "ldrd r12, lr, [r0, #24]\n\t"
        "add.w r10, r10, r12\n\t"               "add.w r0, r3, r1, lsl #3\n\t"
        "add.w r11, r11, lr\n\t"                "ldrh.w r1, [r2], #2\n\t"
        // Entry 11 of 16.
        "ldrd r12, lr, [r0]\n\t"
        "add.w r4, r4, r12\n\t"                 "add.w r5, r5, lr\n\t"
        "ldrd r12, lr, [r0, #8]\n\t"
        "add.w r6, r6, r12\n\t"                 "add.w r7, r7, lr\n\t"
        "ldrd r12, lr, [r0, #16]\n\t"
        "add.w r8, r8, r12\n\t"                 "add.w r9, r9, lr\n\t"
        "ldrd r12, lr, [r0, #24]\n\t"
        "add.w r10, r10, r12\n\t"               "add.w r0, r3, r1, lsl #3\n\t"
        "add.w r11, r11, lr\n\t"                "ldrh.w r1, [r2], #2\n\t"
        // Entry 12 of 16.
        "ldrd r12, lr, [r0]\n\t"
        "add.w r4, r4, r12\n\t"                 "add.w r5, r5, lr\n\t"
        "ldrd r12, lr, [r0, #8]\n\t"
        "add.w r6, r6, r12\n\t"                 "add.w r7, r7, lr\n\t"
        "ldrd r12, lr, [r0, #16]\n\t"
        "add.w r8, r8, r12\n\t"                 "add.w r9, r9, lr\n\t"
        "ldrd r12, lr, [r0, #24]\n\t"
        "add.w r10, r10, r12\n\t"               "add.w r0, r3, r1, lsl #3\n\t"
        "add.w r11, r11, lr\n\t"                "ldrh.w r1, [r2], #2\n\t"
        // Entry 13 of 16.
        "ldrd r12, lr, [r0]\n\t"
        "add.w r4, r4, r12\n\t"                 "add.w r5, r5, lr\n\t"
        "ldrd r12, lr, [r0, #8]\n\t"
        "add.w r6, r6, r12\n\t"                 "add.w r7, r7, lr\n\t"
        "ldrd r12, lr, [r0, #16]\n\t"
        "add.w r8, r8, r12\n\t"                 "add.w r9, r9, lr\n\t"
        "ldrd r12, lr, [r0, #24]\n\t"
        "add.w r10, r10, r12\n\t"               "add.w r0, r3, r1, lsl #3\n\t"
        "add.w r11, r11, lr\n\t"                "ldrh.w r1, [r2], #2\n\t"
        // Entry 14 of 16.
        "ldrd r12, lr, [r0]\n\t"
        "add.w r4, r4, r12\n\t"                 "add.w r5, r5, lr\n\t"
        "ldrd r12, lr, [r0, #8]\n\t"
        "add.w r6, r6, r12\n\t"                 "add.w r7, r7, lr\n\t"
        "ldrd r12, lr, [r0, #16]\n\t"
        "add.w r8, r8, r12\n\t"                 "add.w r9, r9, lr\n\t"
        "ldrd r12, lr, [r0, #24]\n\t"
        "add.w r10, r10, r12\n\t"               "add.w r0, r3, r1, lsl #3\n\t"
        "add.w r11, r11, lr\n\t"                "ldrh.w r1, [r2], #2\n\t"
        // Entry 15 of 16.
        "ldrd r12, lr, [r0]\n\t"
        "add.w r4, r4, r12\n\t"                 "add.w r5, r5, lr\n\t"
        "ldrd r12, lr, [r0, #8]\n\t"
        "add.w r6, r6, r12\n\t"                 "add.w r7, r7, lr\n\t"
        "ldrd r12, lr, [r0, #16]\n\t"
        "add.w r8, r8, r12\n\t"                 "add.w r9, r9, lr\n\t"
        "ldrd r12, lr, [r0, #24]\n\t"
        "add.w r10, r10, r12\n\t"               "add.w r0, r3, r1, lsl #3\n\t"
        "add.w r11, r11, lr\n\t"                "ldrh.w r1, [r2], #2\n\t"
        // Entry 16 of 16.
        "ldrd r12, lr, [r0]\n\t"
        "add.w r4, r4, r12\n\t"                 "add.w r5, r5, lr\n\t"
        "ldrd r12, lr, [r0, #8]\n\t"
        "add.w r6, r6, r12\n\t"                 "add.w r7, r7, lr\n\t"
        "ldrd r12, lr, [r0, #16]\n\t"
        "add.w r8, r8, r12\n\t"                 "add.w r9, r9, lr\n\t"
        "ldrd r12, lr, [r0, #24]\n\t"
        "add.w r10, r10, r12\n\t"               "add.w r0, r3, r1, lsl #3\n\t"
        "add.w r11, r11, lr\n\t"                "ldrh.w r1, [r2], #2\n\t"
        "3:\n\t"
        "bne.w 6f\n\t"                          "ldr r1, [sp]\n\t"
        // A block's words of bytes to the sums, two from each. What a cycle frees holds what another one loads.
        "ldrd r0, r12, [r1]\n\t"
        "ldr lr, [r1, #8]\n\t"
        "uxtab16 r0, r0, r4\n\t"
        "uxtab16 r12, r12, r4, ror #8\n\t"      "str r0, [r1]\n\t"
        "ldrd r4, r0, [r1, #12]\n\t"
        "uxtab16 lr, lr, r5\n\t"                "str r12, [r1, #4]\n\t"
        "uxtab16 r4, r4, r5, ror #8\n\t"        "str lr, [r1, #8]\n\t"
        "ldrd r5, r12, [r1, #20]\n\t"
        "uxtab16 r0, r0, r6\n\t"                "str r4, [r1, #12]\n\t"
        "uxtab16 r5, r5, r6, ror #8\n\t"        "str r0, [r1, #16]\n\t"
        "ldrd r6, lr, [r1, #28]\n\t"
        "uxtab16 r12, r12, r7\n\t"              "str r5, [r1, #20]\n\t"
        "uxtab16 r6, r6, r7, ror #8\n\t"        "str r12, [r1, #24]\n\t"
        "ldrd r7, r0, [r1, #36]\n\t"
        "uxtab16 lr, lr, r8\n\t"                "str r6, [r1, #28]\n\t"
        "uxtab16 r7, r7, r8, ror #8\n\t"        "str lr, [r1, #32]\n\t"
        "ldrd r8, r12, [r1, #44]\n\t"
        "uxtab16 r0, r0, r9\n\t"                "str r7, [r1, #36]\n\t"
        "uxtab16 r8, r8, r9, ror #8\n\t"        "str r0, [r1, #40]\n\t"
        "ldrd r9, lr, [r1, #52]\n\t"
        "uxtab16 r12, r12, r10\n\t"             "str r8, [r1, #44]\n\t"
        "uxtab16 r9, r9, r10, ror #8\n\t"       "str r12, [r1, #48]\n\t"
        "ldr r10, [r1, #60]\n\t"                "ldr r12, [sp, #8]\n\t"
        "uxtab16 lr, lr, r11\n\t"               "str r9, [r1, #52]\n\t"
        "ldrh r0, [r2, #-4]\n\t"
        "uxtab16 r10, r10, r11, ror #8\n\t"     "str lr, [r1, #56]\n\t"
        "ldr lr, [sp, #12]\n\t"                 "str r10, [r1, #60]\n\t"
        // The next block, if the list has one.
        "ldrh r1, [r2, #-2]\n\t"                "add.w r0, r3, r0, lsl #3\n\t"
        "subs.w r12, r12, lr\n\t"               "bge.w 1b\n"
        "5:\n\t"
        "pop {r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, pc}\n"
        // Not the end of a block of bytes.
        "6:\n\t"
        "blt.n 10f\n\t"
        "ldr r12, [sp, #4]\n\t"
        "subs.w r12, r12, #16\n\t"
        "str r12, [sp, #4]\n\t"                 "b.w 2b\n"
        // A full block of another size. Then any block, of r12 entries behind the first: a part of 16, then 16 at a time.
        "7:\n\t"
        "sub.w r12, lr, #1\n\t"                 "mov.w r4, #0\n"
        "8:\n\t"
        "bic.w r5, r12, #15\n\t"                "and.w r12, r12, #15\n\t"
        "rsb.w lr, r12, r12, lsl #3\n\t" // 7 * 8 is 56
        "adr.w r12, 3b\n\t"                     "subs.w r5, r5, r4\n\t"
        "sub.w r12, r12, lr, lsl #3\n\t"        "str r5, [sp, #4]\n\t"
        "ldmia r0, {r4, r5, r6, r7, r8, r9, r10, r11}\n\t"
        "add.w r0, r3, r1, lsl #3\n\t"          "ldrh.w r1, [r2], #2\n\t"
        "mov pc, r12\n"
        // A block's words of halfwords to the sums.
        "10:\n\t"
        "ldr r1, [sp]\n\t"
        "ldrd r0, r2, [r1]\n\t"
        "ldrd r3, r12, [r1, #8]\n\t"
        "add.w r0, r0, r4\n\t"                  "add.w r2, r2, r5\n\t"
        "add.w r3, r3, r6\n\t"                  "add.w r12, r12, r7\n\t"
        "strd r0, r2, [r1]\n\t"
        "strd r3, r12, [r1, #8]\n\t"
        "ldrd r0, r2, [r1, #16]\n\t"
        "ldrd r3, r12, [r1, #24]\n\t"
        "add.w r0, r0, r8\n\t"                  "add.w r2, r2, r9\n\t"
        "add.w r3, r3, r10\n\t"                 "add.w r12, r12, r11\n\t"
        "strd r0, r2, [r1, #16]\n\t"
        "strd r3, r12, [r1, #24]\n\t"
        "b.n 5b\n");
}
// clang-format on

/* The offsets that the assembly has. */
typedef char
    stq_list_sum_is_laid_out[offsetof(stq_list_sum, count) == 4 && offsetof(stq_list_sum, base) == 8 &&
                                     offsetof(stq_list_sum, sums) == 12 && offsetof(stq_list_sum, block) == 16 &&
                                     offsetof(stq_list_sum, halfwords) == 20 && offsetof(stq_list_sum, head) == 24
                                 ? 1
                                 : -1];
#else
/* The lanes of a block to the sums. */
static void stq_add_block(const stq_list_sum *task, const uint32_t *block)
{
    for (int32_t i = 0; i < STQ_GATHER_WORDS; i++) {
        if (task->halfwords) {
            task->sums[i] += block[i];
        } else {
            task->sums[2 * i] = stq_uxtab16(task->sums[2 * i], block[i]);
            task->sums[2 * i + 1] = stq_uxtab16_ror8(task->sums[2 * i + 1], block[i]);
        }
    }
}

static void stq_add_list(const stq_list_sum *task)
{
    int32_t entries = task->head;

    for (int32_t first = 0; first < task->count; first += entries, entries = task->block) {
        uint32_t sums[STQ_GATHER_WORDS] = {0};

        for (int32_t entry = 0; entry < entries; entry++) {
            const stq_word *words = task->base + 2 * task->list[first + entry];
            for (int32_t i = 0; i < STQ_GATHER_WORDS; i++) {
                sums[i] += words[i];
            }
        }
        stq_add_block(task, sums);
    }
}
#endif

/*
 * start + sum of plus - sum of minus, in `words` words of sums. Nothing is subtracted. Minus entries are added to
 * -1 - start, which the complement of every bit then takes from -1. This holds for lanes as well as for whole numbers.
 */
STQ_INLINE void stq_add_lists(const stq_gather_row *row, const stq_word *base, int32_t block, int32_t halfwords,
                              uint32_t start, int32_t words, stq_word *sums)
{
    stq_list_sum task = {row->minus.first, row->minus.count, base, sums, block, halfwords, row->minus.head};

    STQ_UNROLL(4)
    for (int32_t i = 0; i < words; i++) {
        sums[i] = ~start;
    }
    stq_add_list(&task);
    STQ_UNROLL(4)
    for (int32_t i = 0; i < words; i++) {
        sums[i] = ~sums[i];
    }
    task.list = row->plus.first;
    task.count = row->plus.count;
    task.head = row->plus.head;
    stq_add_list(&task);
}

void stq_gather_sum8(const stq_gather_row *row, const stq_word *base, int32_t block, const stq_word *totals,
                     stq_word *sums)
{
    stq_add_lists(row, base, block, 0, stq_pair(row->start, row->start), STQ_GATHER_SUM_WORDS, sums);
    if (row->doubled) {
        STQ_UNROLL(1)
        for (int32_t i = 0; i < STQ_GATHER_SUM_WORDS; i++) {
            sums[i] = stq_sadd16(sums[i], sums[i]);
        }
    }
    if (row->total_factor > 0) {
        STQ_UNROLL(1)
        for (int32_t i = 0; i < STQ_GATHER_SUM_WORDS; i++) {
            sums[i] = stq_sadd16(sums[i], totals[i]);
        }
    } else if (row->total_factor < 0) {
        STQ_UNROLL(1)
        for (int32_t i = 0; i < STQ_GATHER_SUM_WORDS; i++) {
            sums[i] = stq_ssub16(sums[i], totals[i]);
        }
    }
}

void stq_gather_sum16(const stq_gather_row *row, const stq_word *base, const stq_word *totals, stq_word *sums)
{
    stq_add_lists(row, base, INT32_MAX, 1, 0, STQ_GATHER_WORDS, sums);
    if (row->doubled || row->total_factor != 0) {
        const uint32_t factor = row->doubled ? 2 : 1;
        for (int32_t i = 0; i < STQ_GATHER_WORDS; i++) {
            sums[i] = sums[i] * factor + (row->total_factor != 0 ? (uint32_t)row->total_factor * totals[i] : 0U);
        }
    }
}
