/* SPDX-License-Identifier: Apache-2.0 */
/* Dense layer: 2-bit weights, int8 activations. */
#include "stq_dense_core.h"

STQ_DEFINE_DENSE(stq_dense_t2_s8, 2, int8_t, STQ_S8)
