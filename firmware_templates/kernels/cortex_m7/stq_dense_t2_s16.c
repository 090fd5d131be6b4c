/* SPDX-License-Identifier: Apache-2.0 */
/* Dense layer: 2-bit weights, int16 activations. */
#include "stq_dense_core.h"

STQ_DEFINE_DENSE(stq_dense_t2_s16, 2, int16_t, STQ_S16)
