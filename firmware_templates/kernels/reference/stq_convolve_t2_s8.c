/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution: 2-bit weights, int8 activations. */
#include "stq_convolve_core.h"

STQ_DEFINE_CONVOLVE(stq_convolve_t2_s8, 2, int8_t, STQ_S8)
