/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_bytes.h - little-endian numbers at any address, whatever the processor's own order and alignment rules.
 */
#ifndef STQ_BYTES_H
#define STQ_BYTES_H

#include <stdint.h>

static inline uint16_t stq_load_u16(const uint8_t *from)
{
    return (uint16_t)(from[0] | ((uint32_t)from[1] << 8));
}

static inline uint32_t stq_load_u32(const uint8_t *from)
{
    return from[0] | ((uint32_t)from[1] << 8) | ((uint32_t)from[2] << 16) | ((uint32_t)from[3] << 24);
}

static inline void stq_store_u16(uint8_t *to, uint16_t value)
{
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
}

static inline void stq_store_u32(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
    to[2] = (uint8_t)(value >> 16);
    to[3] = (uint8_t)(value >> 24);
}

static inline void stq_copy_bytes(uint8_t *to, const uint8_t *from, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++) {
        to[i] = from[i];
    }
}

#endif /* STQ_BYTES_H */
