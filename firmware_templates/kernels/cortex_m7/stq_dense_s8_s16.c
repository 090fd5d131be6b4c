/* SPDX-License-Identifier: Apache-2.0 */
/* Dense layer: 8-bit weights, int16 activations. */
#include "stq_dense_core.h"

STQ_DEFINE_DENSE(stq_dense_s8_s16, 8, int16_t, STQ_S16)
