/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_crc32.h - CRC-32 as in zlib, PNG and IEEE 802.3: polynomial 0x04C11DB7 reflected, all ones before and after.
 */
#ifndef STQ_CRC32_H
#define STQ_CRC32_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Continue `crc` (0 to begin) over `length` bytes: zlib's crc32(crc, data, length). */
uint32_t stq_crc32(uint32_t crc, const uint8_t *data, uint32_t length);

#ifdef __cplusplus
}
#endif

#endif /* STQ_CRC32_H */
