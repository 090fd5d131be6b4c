/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution: 2-bit weights, int16 activations. */
#include "stq_convolve_core.h"

STQ_DEFINE_CONVOLVE(stq_convolve_t2_s16, 2, int16_t, STQ_S16)
