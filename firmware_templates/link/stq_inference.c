/* SPDX-License-Identifier: Apache-2.0 */
#include "stq_inference.h"

#include "network.h"
#include "stq_port.h"

stq_status stq_run_timed(int32_t layer, uint32_t *cycles)
{
    const uint32_t before = stq_port_cycles();
    const stq_status status = stq_network_run_layer(layer);
    *cycles = stq_port_cycles() - before;
    return status;
}
