/* SPDX-License-Identifier: Apache-2.0 */
/* Dense layer: 16-bit weights, int8 activations. */
#include "stq_dense_core.h"

STQ_DEFINE_DENSE(stq_dense_s16_s8, 16, int8_t, STQ_S8)
