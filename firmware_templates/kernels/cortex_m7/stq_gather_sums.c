/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of the units that a row of weights lists: the hot loops of the gather convolutions. */
#include <stddef.h>

#include "stq_gather_parts.h"
#include "stq_nn_pairs.h"

/*
 * A list to add to the sums of a round.
 *
 * The words of `block` entries at a time are added. Lanes of bytes are then spread to the sums, two words from each;
 * lanes of halfwords are added to half as many sums as they are. `flip` is 0xFFFFFFFF for a list to subtract: 255 - lane
 * of bytes is added then, and the caller subtracts 255 for each block.
 */
typedef struct {
    const stq_offset *list;
    int32_t count;
    const stq_word *base;
    stq_word *sums;
    uint32_t flip;
    int32_t block;
    int32_t halfwords; /* whether a lane is a halfword */
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
 *   [sp]      the stq_list_sum
 *   [sp,#4]   entries left in the block
 *   [sp,#8]   entries left in the list
 *
 * LDRD issues alone, and everything between two of them in pairs: an entry takes nine cycles. An entry is 56 bytes, and
 * there are 16 of them; a block that needs fewer begins further behind. An entry needs instructions of 32 bits.
 */
// clang-format off
__attribute__((naked)) static void stq_add_list(stq_list_sum *task __attribute__((unused)))
{
    __asm__ volatile(
        "push {r0, r1, r2, r4, r5, r6, r7, r8, r9, r10, r11, lr}\n\t"
        "ldrd r2, r12, [r0]\n\t"
        "ldr r3, [r0, #8]\n\t"
        "cmp r12, #0\n\t"
        "ble.w 5f\n\t"
        "ldrh r4, [r2], #2\n\t"
        "ldr r5, [r0, #20]\n\t"
        "ldrh r1, [r2], #2\n\t"
        "add.w r0, r3, r4, lsl #3\n"
        // A block: the first entry's words are where the sums begin. r12 is what the list has left, r5 a full block.
        "1:\n\t"
        "cmp r12, r5\n\t"
        "it lt\n\t"
        "movlt r5, r12\n\t"
        "sub.w r12, r12, r5\n\t"
        "sub.w lr, r5, #1\n\t"
        "str r12, [sp, #8]\n\t"
        "ldmia r0, {r4, r5, r6, r7, r8, r9, r10, r11}\n\t"
        "add.w r0, r3, r1, lsl #3\n\t"
        "ldrh.w r1, [r2], #2\n"
        // lr entries more, 16 of them at a time.
        "2:\n\t"
        "subs.w r12, lr, #16\n\t"
        "it lt\n\t"
        "movlt r12, #0\n\t"
        "sub.w lr, lr, r12\n\t"
        "str r12, [sp, #4]\n\t"
        "rsb.w lr, lr, lr, lsl #3\n\t" // 7 * 8 is 56
        "adr.w r12, 3f\n\t"
        "sub.w r12, r12, lr, lsl #3\n\t"
        "mov pc, r12\n\t"
        ".p2align 2\n\t"
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
        "ldr lr, [sp, #4]\n\t"
        "cmp lr, #0\n\t"
        "bgt.w 2b\n\t"
        // The block's words to the sums.
        "ldr r12, [sp]\n\t"
        "str r2, [sp, #4]\n\t"
        "ldr r0, [r12, #24]\n\t"
        "ldrd r3, r2, [r12, #12]\n\t"
        "eor.w r4, r4, r2\n\t"
        "eor.w r5, r5, r2\n\t"
        "eor.w r6, r6, r2\n\t"
        "eor.w r7, r7, r2\n\t"
        "eor.w r8, r8, r2\n\t"
        "eor.w r9, r9, r2\n\t"
        "eor.w r10, r10, r2\n\t"
        "eor.w r11, r11, r2\n\t"
        "cmp r0, #0\n\t"
        "bne.w 6f\n\t"
        // Words 0 and 1 of bytes to sums 0 to 3.
        "ldr r0, [r3, #0]\n\t"                  "ldr r1, [r3, #4]\n\t"
        "uxtab16 r0, r0, r4\n\t"                "ldr r12, [r3, #8]\n\t"
        "uxtab16 r1, r1, r4, ror #8\n\t"        "ldr lr, [r3, #12]\n\t"
        "uxtab16 r12, r12, r5\n\t"              "str r0, [r3, #0]\n\t"
        "uxtab16 lr, lr, r5, ror #8\n\t"        "str r1, [r3, #4]\n\t"
        "str r12, [r3, #8]\n\t"                 "str lr, [r3, #12]\n\t"
        // Words 2 and 3 of bytes to sums 4 to 7.
        "ldr r0, [r3, #16]\n\t"                 "ldr r1, [r3, #20]\n\t"
        "uxtab16 r0, r0, r6\n\t"                "ldr r12, [r3, #24]\n\t"
        "uxtab16 r1, r1, r6, ror #8\n\t"        "ldr lr, [r3, #28]\n\t"
        "uxtab16 r12, r12, r7\n\t"              "str r0, [r3, #16]\n\t"
        "uxtab16 lr, lr, r7, ror #8\n\t"        "str r1, [r3, #20]\n\t"
        "str r12, [r3, #24]\n\t"                "str lr, [r3, #28]\n\t"
        // Words 4 and 5 of bytes to sums 8 to 11.
        "ldr r0, [r3, #32]\n\t"                 "ldr r1, [r3, #36]\n\t"
        "uxtab16 r0, r0, r8\n\t"                "ldr r12, [r3, #40]\n\t"
        "uxtab16 r1, r1, r8, ror #8\n\t"        "ldr lr, [r3, #44]\n\t"
        "uxtab16 r12, r12, r9\n\t"              "str r0, [r3, #32]\n\t"
        "uxtab16 lr, lr, r9, ror #8\n\t"        "str r1, [r3, #36]\n\t"
        "str r12, [r3, #40]\n\t"                "str lr, [r3, #44]\n\t"
        // Words 6 and 7 of bytes to sums 12 to 15.
        "ldr r0, [r3, #48]\n\t"                 "ldr r1, [r3, #52]\n\t"
        "uxtab16 r0, r0, r10\n\t"               "ldr r12, [r3, #56]\n\t"
        "uxtab16 r1, r1, r10, ror #8\n\t"       "ldr lr, [r3, #60]\n\t"
        "uxtab16 r12, r12, r11\n\t"             "str r0, [r3, #48]\n\t"
        "uxtab16 lr, lr, r11, ror #8\n\t"       "str r1, [r3, #52]\n\t"
        "str r12, [r3, #56]\n\t"                "str lr, [r3, #60]\n\t"
        // The next block, if the list has one.
        "4:\n\t"
        "ldr r2, [sp, #4]\n\t"
        "ldr r4, [sp]\n\t"
        "ldrh r0, [r2, #-4]\n\t"
        "ldr r3, [r4, #8]\n\t"
        "ldr r12, [sp, #8]\n\t"
        "ldrh r1, [r2, #-2]\n\t"
        "ldr r5, [r4, #20]\n\t"
        "cmp r12, #0\n\t"
        "add.w r0, r3, r0, lsl #3\n\t"
        "bgt.w 1b\n"
        "5:\n\t"
        "pop {r0, r1, r2, r4, r5, r6, r7, r8, r9, r10, r11, pc}\n"
        // Lanes of halfwords: (word ^ flip) - flip is the word, or minus the word.
        "6:\n\t"
        // Words 0 and 1 of halfwords to sums 0 and 1.
        "ldr r0, [r3, #0]\n\t"                  "ldr r1, [r3, #4]\n\t"
        "sub.w r12, r4, r2\n\t"                 "sub.w lr, r5, r2\n\t"
        "add.w r0, r0, r12\n\t"                 "add.w r1, r1, lr\n\t"
        "str r0, [r3, #0]\n\t"                  "str r1, [r3, #4]\n\t"
        // Words 2 and 3 of halfwords to sums 2 and 3.
        "ldr r0, [r3, #8]\n\t"                  "ldr r1, [r3, #12]\n\t"
        "sub.w r12, r6, r2\n\t"                 "sub.w lr, r7, r2\n\t"
        "add.w r0, r0, r12\n\t"                 "add.w r1, r1, lr\n\t"
        "str r0, [r3, #8]\n\t"                  "str r1, [r3, #12]\n\t"
        // Words 4 and 5 of halfwords to sums 4 and 5.
        "ldr r0, [r3, #16]\n\t"                 "ldr r1, [r3, #20]\n\t"
        "sub.w r12, r8, r2\n\t"                 "sub.w lr, r9, r2\n\t"
        "add.w r0, r0, r12\n\t"                 "add.w r1, r1, lr\n\t"
        "str r0, [r3, #16]\n\t"                 "str r1, [r3, #20]\n\t"
        // Words 6 and 7 of halfwords to sums 6 and 7.
        "ldr r0, [r3, #24]\n\t"                 "ldr r1, [r3, #28]\n\t"
        "sub.w r12, r10, r2\n\t"                "sub.w lr, r11, r2\n\t"
        "add.w r0, r0, r12\n\t"                 "add.w r1, r1, lr\n\t"
        "str r0, [r3, #24]\n\t"                 "str r1, [r3, #28]\n\t"
        "b.w 4b\n");
}
// clang-format on

/* The offsets that the assembly has. */
typedef char
    stq_list_sum_is_laid_out[offsetof(stq_list_sum, count) == 4 && offsetof(stq_list_sum, base) == 8 &&
                                     offsetof(stq_list_sum, sums) == 12 && offsetof(stq_list_sum, flip) == 16 &&
                                     offsetof(stq_list_sum, block) == 20 && offsetof(stq_list_sum, halfwords) == 24
                                 ? 1
                                 : -1];
#else
/* The lanes of a block to the sums. */
static void stq_add_block(const stq_list_sum *task, const uint32_t *block)
{
    for (int32_t i = 0; i < STQ_GATHER_WORDS; i++) {
        const uint32_t word = block[i] ^ task->flip;
        if (task->halfwords) {
            task->sums[i] += word - task->flip;
        } else {
            task->sums[2 * i] = stq_uxtab16(task->sums[2 * i], word);
            task->sums[2 * i + 1] = stq_uxtab16_ror8(task->sums[2 * i + 1], word);
        }
    }
}

static void stq_add_list(const stq_list_sum *task)
{
    for (int32_t first = 0; first < task->count; first += task->block) {
        const int32_t left = task->count - first;
        const int32_t entries = left < task->block ? left : task->block;
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

/* Both lists of a row, the minus list with its sign changed. */
static void stq_add_lists(const stq_gather_row *row, const stq_word *base, int32_t block, int32_t halfwords,
                          stq_word *sums)
{
    stq_list_sum task;

    task.base = base;
    task.sums = sums;
    task.block = block;
    task.halfwords = halfwords;
    task.list = row->plus.first;
    task.count = row->plus.count;
    task.flip = 0;
    stq_add_list(&task);
    task.list = row->minus.first;
    task.count = row->minus.count;
    task.flip = 0xFFFFFFFFU;
    stq_add_list(&task);
}

void stq_gather_sum8(const stq_gather_row *row, const stq_word *base, int32_t block, const stq_word *totals,
                     stq_word *sums)
{
    const uint32_t start = stq_pair(row->start, row->start);

    for (int32_t i = 0; i < STQ_GATHER_SUM_WORDS; i++) {
        sums[i] = start;
    }
    stq_add_lists(row, base, block, 0, sums);
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
    for (int32_t i = 0; i < STQ_GATHER_WORDS; i++) {
        sums[i] = 0;
    }
    stq_add_lists(row, base, INT32_MAX, 1, sums);
    if (row->doubled || row->total_factor != 0) {
        const uint32_t factor = row->doubled ? 2 : 1;
        for (int32_t i = 0; i < STQ_GATHER_WORDS; i++) {
            sums[i] = sums[i] * factor + (row->total_factor != 0 ? (uint32_t)row->total_factor * totals[i] : 0U);
        }
    }
}
