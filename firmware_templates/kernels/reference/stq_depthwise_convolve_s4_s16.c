/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution: 4-bit weights, int16 activations. */
#include "stq_depthwise_convolve_core.h"

STQ_DEFINE_DEPTHWISE_CONVOLVE(stq_depthwise_convolve_s4_s16, 4, int16_t, STQ_S16)
