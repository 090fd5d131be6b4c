/* SPDX-License-Identifier: Apache-2.0 */
#include "stq_crc32.h"

/*
 * The remainder of each half byte, for the reflected polynomial 0xEDB88320. A table of bytes would be twice as fast,
 * but take 1 KiB of the flash that weights need.
 */
static const uint32_t remainder_of[16] = {
    0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u, 0x4DB26158u, 0x5005713Cu,
    0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu, 0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
};

uint32_t stq_crc32(uint32_t crc, const uint8_t *data, uint32_t length)
{
    crc = ~crc;
    for (uint32_t i = 0; i < length; i++) {
        crc ^= data[i];
        crc = remainder_of[crc & 0xFu] ^ (crc >> 4);
        crc = remainder_of[crc & 0xFu] ^ (crc >> 4);
    }
    return ~crc;
}
