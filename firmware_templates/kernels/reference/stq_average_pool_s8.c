/* SPDX-License-Identifier: Apache-2.0 */
/* Average pooling of int8 levels. */
#include "stq_average_pool_core.h"

STQ_DEFINE_AVERAGE_POOL(stq_average_pool_s8, int8_t, STQ_S8)
