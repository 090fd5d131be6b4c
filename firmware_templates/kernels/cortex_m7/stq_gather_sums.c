/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of the units that a row of weights lists: the hot loops of the gather convolutions. */
#include "stq_gather_parts.h"
#include "stq_nn_pairs.h"

/* Eight neighbouring words of the table, or sums of such, each in a register. */
typedef struct {
    uint32_t w0, w1, w2, w3, w4, w5, w6, w7;
} stq_eight_words;

/*
 * Where a list is read: the words of the next entry, and where the offset of the one after it is. Words are found one
 * entry ahead, because an address can use a loaded offset some cycles later only.
 */
typedef struct {
    const stq_word *words;
    const stq_offset *next;
} stq_list_place;

static inline stq_list_place stq_list_start(stq_offset_list list, const stq_word *base)
{
    const stq_list_place at = {base + 2 * list.first[0], list.first + 1};
    return at;
}

/* The words of one entry. */
static inline stq_eight_words stq_entry(const stq_word *base, stq_list_place *at)
{
    const stq_two_words a = stq_load_two(at->words);
    const stq_two_words b = stq_load_two(at->words + 2);
    const stq_two_words c = stq_load_two(at->words + 4);
    const stq_two_words d = stq_load_two(at->words + 6);
    const stq_eight_words entry = {a.first, a.second, b.first, b.second, c.first, c.second, d.first, d.second};

    at->words = base + 2 * *at->next++;
    return entry;
}

/*
 * sum + the words of one entry. Written out, because gcc would load more words ahead than it has registers for: the sum
 * takes eight of fourteen. In two parts, so that neither needs more registers than any flags leave. ADD.W: the core
 * fetches 32-bit instructions best.
 */
static inline stq_eight_words stq_add_entry(stq_eight_words sum, const stq_word *base, stq_list_place *at)
{
#if STQ_HAND_WRITTEN
    uint32_t x, y;
    const stq_word *ahead;
    __asm__("ldrd %[x], %[y], [%[words]]\n\t"
            "ldrh %[ahead], [%[next]], #2\n\t"
            "add.w %[w0], %[w0], %[x]\n\t"
            "add.w %[w1], %[w1], %[y]\n\t"
            "ldrd %[x], %[y], [%[words], #8]\n\t"
            "add.w %[w2], %[w2], %[x]\n\t"
            "add.w %[w3], %[w3], %[y]\n\t"
            : [w0] "+r"(sum.w0), [w1] "+r"(sum.w1), [w2] "+r"(sum.w2), [w3] "+r"(sum.w3), [next] "+r"(at->next),
              [ahead] "=&r"(ahead), [x] "=&r"(x), [y] "=&r"(y)
            : [words] "r"(at->words)
            : "memory");
    __asm__("ldrd %[x], %[y], [%[words], #16]\n\t"
            "add.w %[ahead], %[base], %[ahead], lsl #3\n\t"
            "add.w %[w4], %[w4], %[x]\n\t"
            "add.w %[w5], %[w5], %[y]\n\t"
            "ldrd %[x], %[y], [%[words], #24]\n\t"
            "add.w %[w6], %[w6], %[x]\n\t"
            "add.w %[w7], %[w7], %[y]\n\t"
            : [w4] "+r"(sum.w4), [w5] "+r"(sum.w5), [w6] "+r"(sum.w6), [w7] "+r"(sum.w7), [ahead] "+r"(ahead),
              [x] "=&r"(x), [y] "=&r"(y)
            : [words] "r"(at->words), [base] "r"(base)
            : "memory");
    at->words = ahead;
    return sum;
#else
    const stq_eight_words e = stq_entry(base, at);
    const stq_eight_words more = {sum.w0 + e.w0, sum.w1 + e.w1, sum.w2 + e.w2, sum.w3 + e.w3,
                                  sum.w4 + e.w4, sum.w5 + e.w5, sum.w6 + e.w6, sum.w7 + e.w7};
    return more;
#endif
}

/* sum + the next `count` entries. */
static inline stq_eight_words stq_add_entries(stq_eight_words sum, const stq_word *base, stq_list_place *at,
                                              int32_t count)
{
    // In memory: in a register, one of the words would have to give way.
    const stq_offset *const volatile end = at->next + count;
    const stq_offset *const volatile end_of_fours = at->next + count / 4 * 4;

    while (at->next != end_of_fours) {
        sum = stq_add_entry(sum, base, at);
        sum = stq_add_entry(sum, base, at);
        sum = stq_add_entry(sum, base, at);
        sum = stq_add_entry(sum, base, at);
    }
    while (at->next != end) {
        sum = stq_add_entry(sum, base, at);
    }
    return sum;
}

/*
 * The four lanes of a word of bytes, added to two words of sums. `negative` (a constant): 255 - lane is added instead,
 * which is one more instruction; the caller subtracts 255 for each block.
 */
static inline void stq_spread(stq_word *sums, uint32_t bytes, int negative)
{
    const uint32_t added = negative ? ~bytes : bytes;
    stq_two_words pairs = stq_load_two(sums);

    pairs.first = stq_uxtab16(pairs.first, added);
    pairs.second = stq_uxtab16_ror8(pairs.second, added);
    stq_store_two(sums, pairs);
}

/* The bytes of at most `block` entries at a time are summed, then spread. */
static inline void stq_sum_list8(stq_offset_list list, const stq_word *base, int32_t block, int negative,
                                 stq_word *sums)
{
    stq_list_place at = stq_list_start(list, base);

    for (int32_t left = list.count; left > 0; left -= block) {
        const int32_t count = left < block ? left : block;
        const stq_eight_words bytes = stq_add_entries(stq_entry(base, &at), base, &at, count - 1);
        stq_spread(sums, bytes.w0, negative);
        stq_spread(sums + 2, bytes.w1, negative);
        stq_spread(sums + 4, bytes.w2, negative);
        stq_spread(sums + 6, bytes.w3, negative);
        stq_spread(sums + 8, bytes.w4, negative);
        stq_spread(sums + 10, bytes.w5, negative);
        stq_spread(sums + 12, bytes.w6, negative);
        stq_spread(sums + 14, bytes.w7, negative);
    }
}

void stq_gather_sum8(const stq_gather_row *row, const stq_word *base, int32_t block, const stq_word *totals,
                     stq_word *sums)
{
    const uint32_t start = stq_pair(row->start, row->start);

    for (int32_t i = 0; i < STQ_GATHER_SUM_WORDS; i++) {
        sums[i] = start;
    }
    stq_sum_list8(row->plus, base, block, 0, sums);
    stq_sum_list8(row->minus, base, block, 1, sums);
    for (int32_t i = 0; row->doubled && i < STQ_GATHER_SUM_WORDS; i++) {
        sums[i] = stq_sadd16(sums[i], sums[i]);
    }
    for (int32_t i = 0; row->total_factor != 0 && i < STQ_GATHER_SUM_WORDS; i++) {
        sums[i] = row->total_factor > 0 ? stq_sadd16(sums[i], totals[i]) : stq_ssub16(sums[i], totals[i]);
    }
}

/* The difference of two lists' sums, as numbers that hold two lanes each. */
static inline stq_eight_words stq_sum_lists16(const stq_gather_row *row, const stq_word *base)
{
    stq_eight_words sum = {0, 0, 0, 0, 0, 0, 0, 0};
    stq_list_place minus = stq_list_start(row->minus, base);
    stq_list_place plus = stq_list_start(row->plus, base);

    if (row->minus.count > 0) {
        const stq_eight_words taken = stq_add_entries(sum, base, &minus, row->minus.count);
        const stq_eight_words negative = {0U - taken.w0, 0U - taken.w1, 0U - taken.w2, 0U - taken.w3,
                                          0U - taken.w4, 0U - taken.w5, 0U - taken.w6, 0U - taken.w7};
        sum = negative;
    }
    return stq_add_entries(sum, base, &plus, row->plus.count);
}

void stq_gather_sum16(const stq_gather_row *row, const stq_word *base, const stq_word *totals, stq_word *sums)
{
    const stq_eight_words sum = stq_sum_lists16(row, base);
    const uint32_t factor = row->doubled ? 2 : 1;
    const uint32_t words[STQ_GATHER_WORDS] = {sum.w0, sum.w1, sum.w2, sum.w3, sum.w4, sum.w5, sum.w6, sum.w7};

    for (int32_t i = 0; i < STQ_GATHER_WORDS; i++) {
        sums[i] = words[i] * factor;
    }
    for (int32_t i = 0; row->total_factor != 0 && i < STQ_GATHER_WORDS; i++) {
        sums[i] += (uint32_t)row->total_factor * totals[i];
    }
}
