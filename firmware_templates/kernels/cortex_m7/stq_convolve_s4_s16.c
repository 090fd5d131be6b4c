/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution: 4-bit weights, int16 activations. */
#include "stq_convolve_core.h"

STQ_DEFINE_CONVOLVE(stq_convolve_s4_s16, 4, int16_t, STQ_S16)
