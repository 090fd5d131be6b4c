/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any function of two int8 levels of few values, as a table.
 *
 * Four levels are processed as one word: bytes are slow. One multiplication gives two indices, as halfwords: a table has
 * at most 256 x 256 entries, so none leaves its half.
 */
#include <stddef.h>

#include "stq_intrinsics.h"
#include "stq_nn_pairs.h"
#include "stq_nn.h"

/* Two words of four indices each, and then of the table's entries there. */
static inline void stq_look_up_eight(const uint8_t *levels, uint32_t *first, uint32_t *second)
{
#if STQ_HAND_WRITTEN
    uint32_t a = *first;
    uint32_t b = *second;
    uint32_t p, q, r, s, t, u;
    // One line for each cycle: the instructions in it start together.
    // clang-format off
    __asm__(
        "uxtb %[p], %[a]\n\t"
        "ubfx %[q], %[a], #8, #8\n\t"
        "ubfx %[r], %[a], #16, #8\n\t"                  "ldrb %[p], [%[levels], %[p]]\n\t"
        "uxtb %[s], %[b]\n\t"                           "ldrb %[q], [%[levels], %[q]]\n\t"
        "lsr %[a], %[a], #24\n\t"                       "ldrb %[r], [%[levels], %[r]]\n\t"
        "ubfx %[t], %[b], #8, #8\n\t"                   "ldrb %[s], [%[levels], %[s]]\n\t"
        "ubfx %[u], %[b], #16, #8\n\t"                  "ldrb %[a], [%[levels], %[a]]\n\t"
        "lsr %[b], %[b], #24\n\t"                       "ldrb %[t], [%[levels], %[t]]\n\t"
        "orr %[p], %[p], %[q], lsl #8\n\t"              "ldrb %[u], [%[levels], %[u]]\n\t"
        "orr %[r], %[r], %[a], lsl #8\n\t"              "ldrb %[b], [%[levels], %[b]]\n\t"
        "orr %[s], %[s], %[t], lsl #8\n\t"
        "orr %[a], %[p], %[r], lsl #16\n\t"
        "orr %[u], %[u], %[b], lsl #8\n\t"
        "orr %[b], %[s], %[u], lsl #16\n\t"
        : [a] "+&r"(a), [b] "+&r"(b), [p] "=&r"(p), [q] "=&r"(q), [r] "=&r"(r), [s] "=&r"(s), [t] "=&r"(t),
          [u] "=&r"(u)
        : [levels] "r"(levels)
        : "memory");
    // clang-format on
    *first = a;
    *second = b;
#else
    uint32_t found[2] = {0, 0};
    for (uint32_t shift = 0; shift < 32; shift += 8) {
        found[0] |= (uint32_t)levels[(*first >> shift) & 0xFFU] << shift;
        found[1] |= (uint32_t)levels[(*second >> shift) & 0xFFU] << shift;
    }
    *first = found[0];
    *second = found[1];
#endif
}

/*
 * Tables of up to 16 x 16 entries: an index is a byte, and one multiplication makes four of them. Stops at a level of
 * `a` that is beyond the sixteenth, and returns how many elements are done.
 */
static inline int32_t stq_look_up_small(const uint8_t *levels, uint32_t stride, uint32_t a_minima, uint32_t b_minima,
                                        int32_t count, const int8_t *a, const int8_t *b, int8_t *output)
{
    int32_t i = 0;

    for (; i + 8 <= count; i += 8) {
        const uint32_t a0 = stq_sub_bytes(stq_load_unaligned(a + i), a_minima);
        const uint32_t a1 = stq_sub_bytes(stq_load_unaligned(a + i + 4), a_minima);
        uint32_t first = a0 * stride + stq_sub_bytes(stq_load_unaligned(b + i), b_minima);
        uint32_t second = a1 * stride + stq_sub_bytes(stq_load_unaligned(b + i + 4), b_minima);
        if (((a0 | a1) & 0xF0F0F0F0U) != 0) {
            break;
        }
        stq_look_up_eight(levels, &first, &second);
        stq_store_unaligned(output + i, first);
        stq_store_unaligned(output + i + 4, second);
    }
    return i;
}

stq_status stq_pair_table_s8(const stq_pair_table_params *params, const int8_t *table, int32_t count, const int8_t *a,
                             const int8_t *b, int8_t *output)
{
    if (params == NULL || table == NULL || count < 0 || a == NULL || b == NULL || output == NULL) {
        return STQ_ARGUMENT_ERROR;
    }

    const int32_t stride = params->b_levels;
    const int32_t base = params->a_minimum * stride + params->b_minimum;
    const uint32_t a_minima = ((uint32_t)params->a_minimum & 0xFFU) * 0x01010101U;
    const uint32_t b_minima = ((uint32_t)params->b_minimum & 0xFFU) * 0x01010101U;
    const uint8_t *levels = (const uint8_t *)table;
    int32_t i = 0;

    if (stride <= 16) {
        i = stq_look_up_small(levels, (uint32_t)stride, a_minima, b_minima, count, a, b, output);
    }
    for (; i + 4 <= count; i += 4) {
        const uint32_t four_a = stq_sub_bytes(stq_load_unaligned(a + i), a_minima);
        const uint32_t four_b = stq_sub_bytes(stq_load_unaligned(b + i), b_minima);
        const uint32_t even = stq_uxtb16(four_a) * (uint32_t)stride + stq_uxtb16(four_b);
        const uint32_t odd = stq_uxtb16_ror8(four_a) * (uint32_t)stride + stq_uxtb16_ror8(four_b);
        const uint32_t first = levels[even & 0xFFFFU] | ((uint32_t)levels[odd & 0xFFFFU] << 8);
        const uint32_t second = levels[even >> 16] | ((uint32_t)levels[odd >> 16] << 8);

        stq_store_unaligned(output + i, first | (second << 16));
    }
    for (; i < count; i++) {
        output[i] = table[a[i] * stride + b[i] - base];
    }
    return STQ_OK;
}
