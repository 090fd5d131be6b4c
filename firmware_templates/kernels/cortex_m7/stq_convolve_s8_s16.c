/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution: 8-bit weights, int16 activations. */
#include "stq_convolve_core.h"

STQ_DEFINE_CONVOLVE(stq_convolve_s8_s16, 8, int16_t, STQ_S16)
