/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes compare as unsigned. */
#include "stq_runtime.h"

STQ_NOT_BY_ITSELF
int memcmp(const void *a, const void *b, size_t count)
{
    const unsigned char *left = a;
    const unsigned char *right = b;

    for (size_t i = 0; i < count; i++) {
        if (left[i] != right[i]) {
            return left[i] < right[i] ? -1 : 1;
        }
    }
    return 0;
}
