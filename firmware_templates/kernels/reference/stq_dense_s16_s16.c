/* SPDX-License-Identifier: Apache-2.0 */
/* Dense layer: 16-bit weights, int16 activations. */
#include "stq_dense_core.h"

STQ_DEFINE_DENSE(stq_dense_s16_s16, 16, int16_t, STQ_S16)
