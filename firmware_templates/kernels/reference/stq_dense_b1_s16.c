/* SPDX-License-Identifier: Apache-2.0 */
/* Dense layer: 1-bit weights, int16 activations. */
#include "stq_dense_core.h"

STQ_DEFINE_DENSE(stq_dense_b1_s16, 1, int16_t, STQ_S16)
