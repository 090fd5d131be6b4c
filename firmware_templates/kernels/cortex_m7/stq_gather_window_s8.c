/* SPDX-License-Identifier: Apache-2.0 */
/* A convolution's window of int8 levels. */
#include "stq_gather_window_core.h"

void stq_gather_window_s8(const stq_convolve_input *in, stq_position at, stq_word *column)
{
    stq_gather_window(in, STQ_S8, at, column);
}
