/*
 * eva_board.c - the board's side of the link for Frama-C's EVA: any bytes, any number of them, for ever.
 *
 * Includes everything that the server calls, with results that may be anything the declarations allow. See check_eva.py.
 */
#include <stdint.h>

#include "__fc_builtin.h"
#include "network.h"
#include "stq_port.h"
#include "stq_server.h"

const uint8_t stq_build_id[16] = {0};
const uint8_t stq_network_model_hash[32] = {0};

static int8_t input[STQ_NETWORK_INPUT_BYTES];
static int16_t sums[32];
static int32_t logits[STQ_NETWORK_OUTPUT_COUNT];

const stq_layer_info stq_network_layers[STQ_NETWORK_LAYER_COUNT] = {
    {"shifted", "rescale", input, sizeof(input), 3},
    {"sums", "add", sums, sizeof(sums), 7},
    {"logits", "dense", logits, sizeof(logits), 1024},
};

const stq_output_info stq_network_outputs[STQ_NETWORK_OUTPUTS] = {
    {logits, sizeof(logits)},
    {sums, sizeof(sums)},
};

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
    (void)index;
    Frama_C_make_unknown((char *)input, sizeof(input));
    Frama_C_make_unknown((char *)sums, sizeof(sums));
    Frama_C_make_unknown((char *)logits, sizeof(logits));
    return Frama_C_interval(0, 1) != 0 ? STQ_OK : STQ_ARGUMENT_ERROR;
}

static const stq_port_facts facts = {"memory", 480000000, 0x20036450, STQ_RESET_POWER};
static stq_fault_record fault;

uint32_t stq_port_read(uint8_t *destination, uint32_t capacity)
{
    Frama_C_make_unknown((char *)destination, capacity);
    return (uint32_t)Frama_C_interval(0, (int)capacity);
}

void stq_port_write(const uint8_t *source, uint32_t length)
{
    (void)source;
    (void)length;
    /*@ assert whole: length == 0 || \valid_read(source + (0 .. length - 1)); */
}

void stq_port_wait(void)
{
}

uint32_t stq_port_cycles(void)
{
    return (uint32_t)Frama_C_interval(-2147483647 - 1, 2147483647);
}

void stq_port_reset(void)
{
}

void stq_port_progress(int32_t layer)
{
    (void)layer;
}

uint32_t stq_port_overruns(void)
{
    return (uint32_t)Frama_C_interval(0, 2147483647);
}

const stq_port_facts *stq_port_get_facts(void)
{
    return &facts;
}

const stq_fault_record *stq_port_last_fault(void)
{
    return Frama_C_interval(0, 1) != 0 ? &fault : 0;
}

int main(void)
{
    /* Lengths at which a loop's interval may settle: header and CRC, a request's payload, its frame. */
    /*@ widen_hints global:"all", 12, 1280, 1288, 1292; */
    stq_server_init();
    while (Frama_C_interval(0, 1) != 0) {
        stq_server_poll();
    }
    stq_server_fault(&fault);
    return 0;
}
