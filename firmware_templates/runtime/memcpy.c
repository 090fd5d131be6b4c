/* SPDX-License-Identifier: Apache-2.0 */
/* Word by word where both sides allow it. */
#include <stdint.h>

#include "stq_runtime.h"

typedef uint32_t __attribute__((may_alias)) word;

STQ_NOT_BY_ITSELF
void *memcpy(void *restrict destination, const void *restrict source, size_t count)
{
    unsigned char *to = destination;
    const unsigned char *from = source;

    if ((((uintptr_t)to | (uintptr_t)from) & 3U) == 0) {
        for (; count >= 4; count -= 4) {
            *(word *)(void *)to = *(const word *)(const void *)from;
            to += 4;
            from += 4;
        }
    }
    while (count > 0) {
        *to++ = *from++;
        count--;
    }
    return destination;
}
