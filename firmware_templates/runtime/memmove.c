/* SPDX-License-Identifier: Apache-2.0 */
/* Forwards or backwards, so that no byte is overwritten before it is read. */
#include <stdint.h>

#include "stq_runtime.h"

STQ_NOT_BY_ITSELF
void *memmove(void *destination, const void *source, size_t count)
{
    unsigned char *to = destination;
    const unsigned char *from = source;

    if ((uintptr_t)to <= (uintptr_t)from) {
        while (count > 0) {
            *to++ = *from++;
            count--;
        }
    } else {
        while (count > 0) {
            count--;
            to[count] = from[count];
        }
    }
    return destination;
}
