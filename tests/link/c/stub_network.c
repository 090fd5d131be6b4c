#include "network.h"

#include "stub_network.h"

const uint8_t stq_network_model_hash[32] = {1, 2, 3, 4, 5, 6, 7, 8};

static stub_level input[STUB_LEVELS];
static stub_level shifted[STUB_LEVELS];
static stub_sum sums[STUB_LEVELS];
static int32_t logits[STQ_NETWORK_OUTPUT_COUNT];

const stq_layer_info stq_network_layers[STQ_NETWORK_LAYER_COUNT] = {
    {"shift", "table", shifted, sizeof(shifted), 0},
    {"sums \xC3\xA9", "add", sums, sizeof(sums), 7},
    {"logits", "dense", logits, sizeof(logits), 10240},
};

const stq_output_info stq_network_outputs[STQ_NETWORK_OUTPUTS] = {
    {logits, sizeof(logits)},
    {sums, sizeof(sums)},
};

stub_runs stub_counts;
int stub_refuses_layer = -1;

void *stq_network_input(void)
{
    return input;
}

const void *stq_network_output(void)
{
    return logits;
}

stq_status stq_network_run_layer(int32_t index)
{
    if (index == stub_refuses_layer) {
        return STQ_ARGUMENT_ERROR;
    }
    stub_counts.layer[index]++;
    stub_spend_cycles((uint32_t)(100 * (index + 1)));
    switch (index) {
    case 0:
        for (int i = 0; i < STUB_LEVELS; i++) {
            shifted[i] = (stub_level)(input[i] / 2 + i % 3);
            input[i] = 0; /* as an arena does: the input's memory is used again */
        }
        break;
    case 1:
        for (int i = 0; i < STUB_LEVELS; i++) {
            sums[i] = (stub_sum)(shifted[i] * 3 - shifted[(i + 1) % STUB_LEVELS]);
        }
        break;
    default:
        for (int k = 0; k < STQ_NETWORK_OUTPUT_COUNT; k++) {
            logits[k] = 0;
            for (int i = 0; i < STUB_LEVELS; i++) {
                logits[k] += sums[i] * ((i * (k + 7)) % 31 - 15);
            }
        }
        break;
    }
    return STQ_OK;
}
