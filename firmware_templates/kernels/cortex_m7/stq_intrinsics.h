/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_intrinsics.h - the DSP instructions that the Cortex-M7 kernels use.
 *
 * Each is one instruction on the target and plain C elsewhere, so that the same sources run on a host under sanitizers.
 * Inline assembly is used only where gcc 12 has no intrinsic or does not fuse. A "pair" is two int16 in one word, the
 * lower half first; arithmetic wraps, as in the instructions.
 */
#ifndef STQ_INTRINSICS_H
#define STQ_INTRINSICS_H

#include <stdint.h>

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP
#include <arm_acle.h>
#define STQ_DSP 1
#else
#define STQ_DSP 0
#endif

/* Before a loop to unroll `times` times. On a host gcc may warn that it does not. */
#if STQ_DSP
#define STQ_UNROLL(times) STQ_PRAGMA(GCC unroll times)
#define STQ_PRAGMA(text) _Pragma(#text)
#else
#define STQ_UNROLL(times)
#endif

/*
 * For functions of constants (bits of a weight, the type of a level): every caller has code of its own, without
 * branches on them. A file may hold several callers with other constants.
 */
#define STQ_INLINE static inline __attribute__((always_inline))

/* For functions around a hot loop: inlined, the loop would share its registers with the surrounding code. */
#define STQ_NOINLINE __attribute__((noinline))

/* The same for one value of the constants; a file need not use all of them. */
#define STQ_ONE_OF_MANY static __attribute__((noinline, unused))

/* Scratch and packed weights as words: aligned to 4 bytes (so LDRD may be formed), and free to alias int16 and int8. */
typedef uint32_t __attribute__((may_alias)) stq_word;
typedef int16_t __attribute__((may_alias)) stq_halfword;

/* Two neighbouring words. */
typedef struct {
    uint32_t first;
    uint32_t second;
} stq_two_words;

/* One LDRD, which gcc forms only sometimes. */
static inline stq_two_words stq_load_two(const void *p)
{
#if STQ_DSP
    typedef uint64_t __attribute__((may_alias, aligned(4))) eight_bytes;
    stq_two_words words;
    __asm__("ldrd %0, %1, %2" : "=r"(words.first), "=r"(words.second) : "m"(*(const eight_bytes *)p));
    return words;
#else
    // By copy, not as word[0] and word[1]: at -O3 the loop vectorizer of gcc 12.2 sums those in the wrong order.
    stq_two_words words;
    __builtin_memcpy(&words, p, sizeof(words));
    return words;
#endif
}

/* One STRD. */
static inline void stq_store_two(void *p, stq_two_words words)
{
#if STQ_DSP
    typedef uint64_t __attribute__((may_alias, aligned(4))) eight_bytes;
    __asm__("strd %1, %2, %0" : "=m"(*(eight_bytes *)p) : "r"(words.first), "r"(words.second));
#else
    __builtin_memcpy(p, &words, sizeof(words));
#endif
}

/*
 * Activations as words may start at any byte. The copy compiles to one LDR or STR, which the core allows unaligned, and
 * never to LDRD or LDM, which must be aligned.
 */
static inline uint32_t stq_load_unaligned(const void *p)
{
    uint32_t word;
    __builtin_memcpy(&word, p, sizeof(word));
    return word;
}

static inline void stq_store_unaligned(void *p, uint32_t word)
{
    __builtin_memcpy(p, &word, sizeof(word));
}

/* The same value, but unknown to the compiler: it keeps it in a register instead of folding it into instructions. */
static inline uint32_t stq_opaque(uint32_t value)
{
    __asm__("" : "+r"(value));
    return value;
}

static inline uint32_t stq_rotate_right(uint32_t word, int32_t bits)
{
    return (word >> bits) | (word << (-bits & 31));
}

static inline uint32_t stq_pair(int32_t low, int32_t high)
{
    return ((uint32_t)low & 0xFFFFU) | ((uint32_t)high << 16);
}

static inline int32_t stq_pair_low(uint32_t pair)
{
    return (int16_t)(uint16_t)pair;
}

static inline int32_t stq_pair_high(uint32_t pair)
{
    return (int16_t)(uint16_t)(pair >> 16);
}

/* acc + a.low * b.low + a.high * b.high */
static inline int32_t stq_smlad(uint32_t a, uint32_t b, int32_t acc)
{
#if STQ_DSP
    return __smlad((int16x2_t)a, (int16x2_t)b, acc);
#else
    const uint32_t low = (uint32_t)(stq_pair_low(a) * stq_pair_low(b));
    const uint32_t high = (uint32_t)(stq_pair_high(a) * stq_pair_high(b));
    return (int32_t)((uint32_t)acc + low + high);
#endif
}

/* acc + a.low * b.low */
static inline int32_t stq_smlabb(uint32_t a, uint32_t b, int32_t acc)
{
#if STQ_DSP
    return __smlabb((int32_t)a, (int32_t)b, acc);
#else
    return (int32_t)((uint32_t)acc + (uint32_t)(stq_pair_low(a) * stq_pair_low(b)));
#endif
}

/* acc + a.high * b.high */
static inline int32_t stq_smlatt(uint32_t a, uint32_t b, int32_t acc)
{
#if STQ_DSP
    return __smlatt((int32_t)a, (int32_t)b, acc);
#else
    return (int32_t)((uint32_t)acc + (uint32_t)(stq_pair_high(a) * stq_pair_high(b)));
#endif
}

/* acc + (a * b >> 32) */
static inline int32_t stq_smmla(int32_t a, int32_t b, int32_t acc)
{
#if STQ_DSP
    int32_t result;
    __asm__("smmla %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(acc));
    return result;
#else
    return (int32_t)((uint32_t)acc + (uint32_t)(((int64_t)a * b) >> 32));
#endif
}

/* acc + (a * b.low >> 16) */
static inline int32_t stq_smlawb(int32_t a, uint32_t b, int32_t acc)
{
#if STQ_DSP
    return __smlawb(a, (int32_t)b, acc);
#else
    return (int32_t)((uint32_t)acc + (uint32_t)(((int64_t)a * stq_pair_low(b)) >> 16));
#endif
}

/* acc + (a * b.high >> 16) */
static inline int32_t stq_smlawt(int32_t a, uint32_t b, int32_t acc)
{
#if STQ_DSP
    return __smlawt(a, (int32_t)b, acc);
#else
    return (int32_t)((uint32_t)acc + (uint32_t)(((int64_t)a * stq_pair_high(b)) >> 16));
#endif
}

/* a + b, lane by lane */
static inline uint32_t stq_sadd16(uint32_t a, uint32_t b)
{
#if STQ_DSP
    return (uint32_t)__sadd16((int16x2_t)a, (int16x2_t)b);
#else
    return stq_pair(stq_pair_low(a) + stq_pair_low(b), stq_pair_high(a) + stq_pair_high(b));
#endif
}

/* a - b, lane by lane */
static inline uint32_t stq_ssub16(uint32_t a, uint32_t b)
{
#if STQ_DSP
    return (uint32_t)__ssub16((int16x2_t)a, (int16x2_t)b);
#else
    return stq_pair(stq_pair_low(a) - stq_pair_low(b), stq_pair_high(a) - stq_pair_high(b));
#endif
}

/* acc + byte 0 of `bytes`, sign-extended */
static inline uint32_t stq_sxtab(uint32_t acc, uint32_t bytes)
{
#if STQ_DSP
    uint32_t result;
    __asm__("sxtab %0, %1, %2" : "=r"(result) : "r"(acc), "r"(bytes));
    return result;
#else
    const int32_t byte = (int8_t)(uint8_t)bytes;
    return acc + (uint32_t)byte;
#endif
}

/* acc + byte 1 of `bytes`, sign-extended */
static inline uint32_t stq_sxtab_ror8(uint32_t acc, uint32_t bytes)
{
#if STQ_DSP
    uint32_t result;
    __asm__("sxtab %0, %1, %2, ror #8" : "=r"(result) : "r"(acc), "r"(bytes));
    return result;
#else
    const int32_t byte = (int8_t)(uint8_t)(bytes >> 8);
    return acc + (uint32_t)byte;
#endif
}

/* acc + byte 2 of `bytes`, sign-extended */
static inline uint32_t stq_sxtab_ror16(uint32_t acc, uint32_t bytes)
{
#if STQ_DSP
    uint32_t result;
    __asm__("sxtab %0, %1, %2, ror #16" : "=r"(result) : "r"(acc), "r"(bytes));
    return result;
#else
    const int32_t byte = (int8_t)(uint8_t)(bytes >> 16);
    return acc + (uint32_t)byte;
#endif
}

/* pair + bytes 0 and 2 of `bytes`, sign-extended */
static inline uint32_t stq_sxtab16(uint32_t pair, uint32_t bytes)
{
#if STQ_DSP
    return (uint32_t)__sxtab16((int16x2_t)pair, (int8x4_t)bytes);
#else
    return stq_pair(stq_pair_low(pair) + (int8_t)(uint8_t)bytes, stq_pair_high(pair) + (int8_t)(uint8_t)(bytes >> 16));
#endif
}

/* pair + bytes 1 and 3 of `bytes`, sign-extended */
static inline uint32_t stq_sxtab16_ror8(uint32_t pair, uint32_t bytes)
{
#if STQ_DSP
    uint32_t result;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(result) : "r"(pair), "r"(bytes));
    return result;
#else
    return stq_sxtab16(pair, bytes >> 8);
#endif
}

/* Bytes 0 and 2 of `bytes` */
static inline uint32_t stq_uxtb16(uint32_t bytes)
{
    return bytes & 0x00FF00FFU; // gcc makes this UXTB16
}

/* Bytes 1 and 3 of `bytes` */
static inline uint32_t stq_uxtb16_ror8(uint32_t bytes)
{
    return (bytes >> 8) & 0x00FF00FFU;
}

/* pair + bytes 0 and 2 of `bytes` */
static inline uint32_t stq_uxtab16(uint32_t pair, uint32_t bytes)
{
#if STQ_DSP
    return (uint32_t)__uxtab16((uint16x2_t)pair, (uint8x4_t)bytes);
#else
    return stq_sadd16(pair, stq_uxtb16(bytes));
#endif
}

/* pair + bytes 1 and 3 of `bytes` */
static inline uint32_t stq_uxtab16_ror8(uint32_t pair, uint32_t bytes)
{
#if STQ_DSP
    uint32_t result;
    __asm__("uxtab16 %0, %1, %2, ror #8" : "=r"(result) : "r"(pair), "r"(bytes));
    return result;
#else
    return stq_sadd16(pair, stq_uxtb16_ror8(bytes));
#endif
}

/* a - b, byte by byte */
static inline uint32_t stq_sub_bytes(uint32_t a, uint32_t b)
{
#if STQ_DSP
    uint32_t result;
    __asm__("usub8 %0, %1, %2" : "=r"(result) : "r"(a), "r"(b) : "cc");
    return result;
#else
    const uint32_t low = (a | 0x80808080U) - (b & 0x7F7F7F7FU);
    return low ^ ((a ^ ~b) & 0x80808080U);
#endif
}

/* Bytes 0 and 2 of `bytes`, sign-extended */
static inline uint32_t stq_sxtb16(uint32_t bytes)
{
#if STQ_DSP
    return (uint32_t)__sxtb16((int8x4_t)bytes);
#else
    return stq_sxtab16(0, bytes);
#endif
}

/* Bytes 1 and 3 of `bytes`, sign-extended */
static inline uint32_t stq_sxtb16_ror8(uint32_t bytes)
{
#if STQ_DSP
    uint32_t result;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(result) : "r"(bytes));
    return result;
#else
    return stq_sxtab16(0, bytes >> 8);
#endif
}

/* (a.low, b.low) */
static inline uint32_t stq_pack_low(uint32_t a, uint32_t b)
{
#if STQ_DSP
    uint32_t result;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(result) : "r"(a), "r"(b));
    return result;
#else
    return (a & 0xFFFFU) | (b << 16);
#endif
}

/* (a.high, b.high) */
static inline uint32_t stq_pack_high(uint32_t a, uint32_t b)
{
#if STQ_DSP
    uint32_t result;
    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(result) : "r"(b), "r"(a));
    return result;
#else
    return (a >> 16) | (b & 0xFFFF0000U);
#endif
}

/* value, saturated to int8 */
static inline int32_t stq_ssat8(int32_t value)
{
#if STQ_DSP
    int32_t result;
    __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(value)); // gcc's __ssat does not pass -Wconversion
    return result;
#else
    return value < -128 ? -128 : value > 127 ? 127 : value;
#endif
}

/* value >> 16, saturated to int8 */
static inline int32_t stq_ssat8_high(int32_t value)
{
#if STQ_DSP
    int32_t result;
    __asm__("ssat %0, #8, %1, asr #16" : "=r"(result) : "r"(value));
    return result;
#else
    return stq_ssat8(value >> 16);
#endif
}

/* value >> 16, saturated to 0..15 */
static inline int32_t stq_usat4_high(int32_t value)
{
#if STQ_DSP
    int32_t result;
    __asm__("usat %0, #4, %1, asr #16" : "=r"(result) : "r"(value));
    return result;
#else
    return value < 0 ? 0 : value >> 16 > 15 ? 15 : value >> 16;
#endif
}

/* Four bytes from the low bytes of four words */
static inline uint32_t stq_pack_bytes(int32_t b0, int32_t b1, int32_t b2, int32_t b3)
{
#if STQ_DSP
    uint32_t result = (uint32_t)b0;
    __asm__("bfi %0, %1, #8, #8" : "+r"(result) : "r"(b1));
    __asm__("bfi %0, %1, #16, #8" : "+r"(result) : "r"(b2));
    __asm__("bfi %0, %1, #24, #8" : "+r"(result) : "r"(b3));
    return result;
#else
    return ((uint32_t)b0 & 0xFFU) | (((uint32_t)b1 & 0xFFU) << 8) | (((uint32_t)b2 & 0xFFU) << 16) |
           ((uint32_t)b3 << 24);
#endif
}

#if !STQ_DSP
/* Byte-wise signed maximum or minimum. */
static inline uint32_t stq_select_bytes(uint32_t a, uint32_t b, int maximum)
{
    uint32_t result = 0;
    for (int shift = 0; shift < 32; shift += 8) {
        const int8_t x = (int8_t)(uint8_t)(a >> shift);
        const int8_t y = (int8_t)(uint8_t)(b >> shift);
        const int8_t chosen = (x >= y) == maximum ? x : y;
        result |= (uint32_t)(uint8_t)chosen << shift;
    }
    return result;
}
#endif

/* The larger of each of four signed bytes. One asm, since SEL reads the flags that SSUB8 leaves. */
static inline uint32_t stq_max_bytes(uint32_t a, uint32_t b)
{
#if STQ_DSP
    uint32_t result;
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(result) : "r"(a), "r"(b) : "cc");
    return result;
#else
    return stq_select_bytes(a, b, 1);
#endif
}

/* The larger of each lane of two pairs. */
static inline uint32_t stq_max_pair(uint32_t a, uint32_t b)
{
#if STQ_DSP
    uint32_t result;
    __asm__("ssub16 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(result) : "r"(a), "r"(b) : "cc");
    return result;
#else
    return stq_pair(stq_pair_low(a) > stq_pair_low(b) ? stq_pair_low(a) : stq_pair_low(b),
                    stq_pair_high(a) > stq_pair_high(b) ? stq_pair_high(a) : stq_pair_high(b));
#endif
}

/* The smaller of each of four signed bytes. */
static inline uint32_t stq_min_bytes(uint32_t a, uint32_t b)
{
#if STQ_DSP
    uint32_t result;
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %2, %1" : "=&r"(result) : "r"(a), "r"(b) : "cc");
    return result;
#else
    return stq_select_bytes(a, b, 0);
#endif
}

#endif /* STQ_INTRINSICS_H */
