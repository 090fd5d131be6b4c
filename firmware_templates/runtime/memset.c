/* SPDX-License-Identifier: Apache-2.0 */
/* Word by word where the region allows it. */
#include <stdint.h>

#include "stq_runtime.h"

typedef uint32_t __attribute__((may_alias)) word;

STQ_NOT_BY_ITSELF
void *memset(void *destination, int value, size_t count)
{
    unsigned char *to = destination;
    const unsigned char byte = (unsigned char)value;

    for (; count > 0 && ((uintptr_t)to & 3U) != 0; count--) {
        *to++ = byte;
    }
    for (; count >= 4; count -= 4) {
        *(word *)(void *)to = byte * 0x01010101U;
        to += 4;
    }
    while (count > 0) {
        *to++ = byte;
        count--;
    }
    return destination;
}
