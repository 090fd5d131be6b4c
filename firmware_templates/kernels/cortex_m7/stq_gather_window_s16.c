/* SPDX-License-Identifier: Apache-2.0 */
/* A convolution's window of int16 levels. */
#include "stq_gather_window_core.h"

void stq_gather_window_s16(const stq_convolve_input *in, stq_position at, stq_word *column)
{
    stq_gather_window(in, STQ_S16, at, column);
}
