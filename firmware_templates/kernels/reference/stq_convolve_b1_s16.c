/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution: 1-bit weights, int16 activations. */
#include "stq_convolve_core.h"

STQ_DEFINE_CONVOLVE(stq_convolve_b1_s16, 1, int16_t, STQ_S16)
