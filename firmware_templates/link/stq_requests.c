/* SPDX-License-Identifier: Apache-2.0 */
#include "stq_requests.h"

#include "stq_bytes.h"
#include "stq_crc32.h"
#include "stq_fault.h"
#include "stq_inference.h"
#include "stq_port.h"
#include "stq_server.h"

#define KNOWN_INFER_FLAGS (STQ_LINK_INFER_CRCS | STQ_LINK_INFER_CYCLES)
#define LAYER_TEXT_BYTES 255u

/* A request that runs the network begins with flags or a layer; the counter of the noise follows, if there is noise. */
#if defined(STQ_NETWORK_NOISE)
#define RUN_HEAD_BYTES 12u
#else
#define RUN_HEAD_BYTES 4u
#endif

stq_counters stq_link_counters;

/* Read by the fault handler, hence volatile. */
static volatile int32_t running_layer = -1;

/* The arena holds tensors of several types: levels in it may alias what a kernel reads or writes as another. */
typedef int16_t __attribute__((may_alias)) level_s16;
typedef int32_t __attribute__((may_alias)) level_s32;

/* Bytes of one input level. */
#define LEVEL_BYTES (STQ_NETWORK_INPUT_TYPE == STQ_S16 ? 2u : 1u)

/* Bytes of input levels received in chunks so far, from the start of stq_network_input() on. */
static uint32_t input_received;

/*
 * What STQ_LINK_READ_OUTPUT may read: the output of the layer that STQ_LINK_RUN_TO_LAYER ran last, or the network's
 * outputs after STQ_LINK_INFER.
 */
#define NOTHING (-1)
#define ALL_OUTPUTS STQ_NETWORK_LAYER_COUNT
static int32_t readable = NOTHING;

int32_t stq_requests_running_layer(void)
{
    return running_layer;
}

void stq_requests_forget_input(void)
{
    input_received = 0;
    readable = NOTHING;
}

static void refuse(stq_answer *answer, uint8_t request_type, uint16_t code, uint32_t detail)
{
    answer->type = STQ_LINK_ERROR;
    stq_store_u16(answer->payload, code);
    stq_store_u16(answer->payload + 2, request_type);
    stq_store_u32(answer->payload + 4, detail);
    answer->length = 8;
}

/* Level `index` of the payload, little endian, two's complement. */
static int32_t level_at(const uint8_t *levels, uint32_t index)
{
    if (LEVEL_BYTES == 2u) {
        const int32_t bits = (int32_t)stq_load_u16(levels + 2u * index);
        return bits < 0x8000 ? bits : bits - 0x10000;
    }
    return levels[index] < 128u ? (int32_t)levels[index] : (int32_t)levels[index] - 256;
}

static void store_level(uint32_t index, int32_t level)
{
    if (LEVEL_BYTES == 2u) {
        ((level_s16 *)stq_network_input())[index] = (int16_t)level;
    } else {
        ((int8_t *)stq_network_input())[index] = (int8_t)level;
    }
}

/*
 * Copy `length` bytes of levels to the network's input at byte `offset`; the caller has checked both. Levels outside
 * the range that the network was certified for would index its tables out of bounds, so they are refused here.
 */
static int take_levels(const uint8_t *levels, uint32_t offset, uint32_t length, uint8_t type, stq_answer *answer)
{
    const uint32_t first = offset / LEVEL_BYTES;
    const uint32_t count = length / LEVEL_BYTES;
    readable = NOTHING; /* what ran before may overlap the input */
    for (uint32_t i = 0; i < count; i++) {
        const int32_t level = level_at(levels, i);
        if (level < STQ_NETWORK_INPUT_MINIMUM || level > STQ_NETWORK_INPUT_MAXIMUM) {
            input_received = 0;
            refuse(answer, type, STQ_LINK_ERROR_LEVEL, first + i);
            return 0;
        }
        store_level(first + i, level);
    }
    return 1;
}

/* The levels after the request's own `fixed` bytes, or those received in chunks before. */
static int take_input(uint8_t type, const uint8_t *payload, uint32_t length, uint32_t fixed, stq_answer *answer)
{
    const uint32_t in_line = length - fixed;
    const uint32_t chunked = input_received;
    input_received = 0; /* used, whatever the result */
    if (in_line == 0) {
        if (chunked != STQ_NETWORK_INPUT_BYTES) {
            refuse(answer, type, STQ_LINK_ERROR_INPUT_INCOMPLETE, chunked);
            return 0;
        }
        return 1;
    }
    if (in_line != STQ_NETWORK_INPUT_BYTES) {
        refuse(answer, type, STQ_LINK_ERROR_LENGTH, fixed + STQ_NETWORK_INPUT_BYTES);
        return 0;
    }
    return take_levels(payload + fixed, 0, in_line, type, answer);
}

/* Take the counter of the noise from the head of a request. */
static void take_counter(const uint8_t *payload)
{
#if defined(STQ_NETWORK_NOISE)
    stq_network_set_noise_counter(stq_load_u32(payload + 4), stq_load_u32(payload + 8));
#else
    (void)payload;
#endif
}

static void input(const uint8_t *payload, uint32_t length, stq_answer *answer)
{
    if (length < 4 || (length - 4) % LEVEL_BYTES != 0) { /* a chunk holds whole levels */
        refuse(answer, STQ_LINK_INPUT, STQ_LINK_ERROR_LENGTH, STQ_LINK_MAX_REQUEST_PAYLOAD);
        return;
    }
    const uint32_t offset = stq_load_u32(payload);
    const uint32_t count = length - 4;
    if (offset == 0) {
        input_received = 0;
    }
    if (offset != input_received || count > STQ_NETWORK_INPUT_BYTES - offset) {
        refuse(answer, STQ_LINK_INPUT, STQ_LINK_ERROR_RANGE, STQ_NETWORK_INPUT_BYTES);
        return;
    }
    if (take_levels(payload + 4, offset, count, STQ_LINK_INPUT, answer)) {
        input_received = offset + count;
        stq_store_u32(answer->payload, input_received);
        answer->length = 4;
    }
}

/* Run one layer; false, and the answer is an error, if its kernel refused. */
static int run_layer(uint32_t layer, uint8_t type, uint32_t *cycles, stq_answer *answer)
{
    running_layer = (int32_t)layer;
    stq_port_progress(running_layer);
    const stq_status status = stq_run_timed((int32_t)layer, cycles);
    running_layer = -1;
    stq_port_progress(running_layer);
    if (status != STQ_OK) {
        refuse(answer, type, STQ_LINK_ERROR_KERNEL, layer);
        return 0;
    }
    return 1;
}

static uint32_t output_crc(uint32_t layer)
{
    return stq_crc32(0, stq_network_layers[layer].output, stq_network_layers[layer].output_bytes);
}

static int32_t logit(uint32_t index)
{
    const void *output = stq_network_output();
    switch (STQ_NETWORK_OUTPUT_TYPE) {
    case STQ_S8:
        return ((const int8_t *)output)[index];
    case STQ_S16:
        return ((const level_s16 *)output)[index];
    default:
        return ((const level_s32 *)output)[index];
    }
}

/* Write all logits; returns the index of the first largest. */
static uint32_t write_logits(uint8_t *to)
{
    uint32_t top1 = 0;
    int32_t largest = logit(0);
    for (uint32_t i = 0; i < STQ_NETWORK_OUTPUT_COUNT; i++) {
        const int32_t value = logit(i);
        if (value > largest) {
            largest = value;
            top1 = i;
        }
        stq_store_u32(to + 4 * i, (uint32_t)value);
    }
    return top1;
}

static void infer(const uint8_t *payload, uint32_t length, stq_answer *answer)
{
    if (length < RUN_HEAD_BYTES) {
        refuse(answer, STQ_LINK_INFER, STQ_LINK_ERROR_LENGTH, RUN_HEAD_BYTES + STQ_NETWORK_INPUT_BYTES);
        return;
    }
    const uint32_t flags = stq_load_u32(payload);
    if ((flags & ~KNOWN_INFER_FLAGS) != 0) {
        refuse(answer, STQ_LINK_INFER, STQ_LINK_ERROR_FLAGS, KNOWN_INFER_FLAGS);
        return;
    }
    if (!take_input(STQ_LINK_INFER, payload, length, RUN_HEAD_BYTES, answer)) {
        return;
    }
    take_counter(payload);

    uint8_t *const logits = answer->payload + 16;
    uint8_t *crcs = logits + 4u * STQ_NETWORK_OUTPUT_COUNT;
    uint8_t *cycle_counts = crcs + ((flags & STQ_LINK_INFER_CRCS) != 0 ? 4u * STQ_NETWORK_LAYER_COUNT : 0u);
    uint64_t total = 0;
    for (uint32_t layer = 0; layer < STQ_NETWORK_LAYER_COUNT; layer++) {
        uint32_t cycles;
        if (!run_layer(layer, STQ_LINK_INFER, &cycles, answer)) {
            return;
        }
        total += cycles;
        if ((flags & STQ_LINK_INFER_CRCS) != 0) {
            stq_store_u32(crcs + 4u * layer, output_crc(layer));
        }
        if ((flags & STQ_LINK_INFER_CYCLES) != 0) {
            stq_store_u32(cycle_counts + 4u * layer, cycles);
        }
    }
    stq_link_counters.inferences++;
    readable = ALL_OUTPUTS;

    stq_store_u32(answer->payload, flags);
    stq_store_u32(answer->payload + 4, write_logits(logits));
    stq_store_u32(answer->payload + 8, (uint32_t)total);
    stq_store_u32(answer->payload + 12, (uint32_t)(total >> 32));
    answer->length = 16u + 4u * STQ_NETWORK_OUTPUT_COUNT;
    if ((flags & STQ_LINK_INFER_CRCS) != 0) {
        answer->length += 4u * STQ_NETWORK_LAYER_COUNT;
    }
    if ((flags & STQ_LINK_INFER_CYCLES) != 0) {
        answer->length += 4u * STQ_NETWORK_LAYER_COUNT;
    }
}

static void run_to_layer(const uint8_t *payload, uint32_t length, stq_answer *answer)
{
    if (length < RUN_HEAD_BYTES) {
        refuse(answer, STQ_LINK_RUN_TO_LAYER, STQ_LINK_ERROR_LENGTH, RUN_HEAD_BYTES + STQ_NETWORK_INPUT_BYTES);
        return;
    }
    const uint32_t last = stq_load_u32(payload);
    if (last >= STQ_NETWORK_LAYER_COUNT) {
        refuse(answer, STQ_LINK_RUN_TO_LAYER, STQ_LINK_ERROR_LAYER, STQ_NETWORK_LAYER_COUNT);
        return;
    }
    if (!take_input(STQ_LINK_RUN_TO_LAYER, payload, length, RUN_HEAD_BYTES, answer)) {
        return;
    }
    take_counter(payload);
    for (uint32_t layer = 0; layer <= last; layer++) {
        uint32_t cycles;
        if (!run_layer(layer, STQ_LINK_RUN_TO_LAYER, &cycles, answer)) {
            return;
        }
    }
    readable = (int32_t)last;
    stq_store_u32(answer->payload, stq_network_layers[last].output_bytes);
    stq_store_u32(answer->payload + 4, output_crc(last));
    answer->length = 8;
}

static void read_output(const uint8_t *payload, uint32_t length, stq_answer *answer)
{
    if (length != 12) {
        refuse(answer, STQ_LINK_READ_OUTPUT, STQ_LINK_ERROR_LENGTH, 12);
        return;
    }
    if (readable == NOTHING) {
        refuse(answer, STQ_LINK_READ_OUTPUT, STQ_LINK_ERROR_NOTHING_TO_READ, 0);
        return;
    }
    const uint32_t output = stq_load_u32(payload);
    const uint32_t offset = stq_load_u32(payload + 4);
    const uint32_t count = stq_load_u32(payload + 8);
    const uint32_t outputs = readable == ALL_OUTPUTS ? STQ_NETWORK_OUTPUTS : 1u; /* a layer has one */
    if (output >= outputs) {
        refuse(answer, STQ_LINK_READ_OUTPUT, STQ_LINK_ERROR_OUTPUT, outputs);
        return;
    }
    const uint8_t *levels;
    uint32_t bytes;
    if (readable == ALL_OUTPUTS) {
        levels = stq_network_outputs[output].levels;
        bytes = stq_network_outputs[output].bytes;
    } else {
        levels = stq_network_layers[readable].output;
        bytes = stq_network_layers[readable].output_bytes;
    }
    if (offset > bytes || count > bytes - offset) {
        refuse(answer, STQ_LINK_READ_OUTPUT, STQ_LINK_ERROR_RANGE, bytes);
        return;
    }
    if (count > STQ_LINK_MAX_ANSWER_PAYLOAD) {
        refuse(answer, STQ_LINK_READ_OUTPUT, STQ_LINK_ERROR_RANGE, STQ_LINK_MAX_ANSWER_PAYLOAD);
        return;
    }
    stq_copy_bytes(answer->payload, levels + offset, count);
    answer->length = count;
}

/* Write the text's length and then the text, cut at `most` bytes; returns bytes written. */
static uint32_t write_text(const char *text, uint32_t most, uint8_t *to)
{
    uint32_t length = 0;
    while (length < most && text[length] != '\0') {
        to[1u + length] = (uint8_t)text[length];
        length++;
    }
    to[0] = (uint8_t)length;
    return 1u + length;
}

static void layer_info(const uint8_t *payload, uint32_t length, stq_answer *answer)
{
    if (length != 4) {
        refuse(answer, STQ_LINK_LAYER_INFO, STQ_LINK_ERROR_LENGTH, 4);
        return;
    }
    const uint32_t index = stq_load_u32(payload);
    if (index >= STQ_NETWORK_LAYER_COUNT) {
        refuse(answer, STQ_LINK_LAYER_INFO, STQ_LINK_ERROR_LAYER, STQ_NETWORK_LAYER_COUNT);
        return;
    }
    const stq_layer_info *layer = &stq_network_layers[index];
    stq_store_u32(answer->payload, layer->output_bytes);
    stq_store_u32(answer->payload + 4, layer->macs);
    answer->length = 8;
    answer->length += write_text(layer->name, LAYER_TEXT_BYTES, answer->payload + answer->length);
    answer->length += write_text(layer->op, LAYER_TEXT_BYTES, answer->payload + answer->length);
}

static void counters(stq_answer *answer)
{
    const uint32_t words[] = {
        stq_link_counters.inferences, stq_link_counters.sessions,
        stq_link_counters.damaged,    stq_link_counters.out_of_order,
        stq_link_counters.repeated,   stq_link_counters.foreign,
        stq_port_overruns(),
    };
    const uint32_t count = (uint32_t)(sizeof(words) / sizeof(words[0]));
    for (uint32_t i = 0; i < count; i++) {
        stq_store_u32(answer->payload + 4u * i, words[i]);
    }
    answer->length = 4u * count;
}

static void last_fault(stq_answer *answer)
{
    const stq_fault_record *record = stq_port_last_fault();
    if (record != 0) {
        answer->length = stq_fault_write(record, answer->payload);
    }
}

void stq_requests_handle(uint8_t type, const uint8_t *payload, uint32_t length, stq_answer *answer)
{
    answer->type = (uint8_t)(type | STQ_LINK_ANSWER);
    answer->reset_after = 0;
    answer->length = 0;
    switch (type) {
    case STQ_LINK_INFER:
        infer(payload, length, answer);
        break;
    case STQ_LINK_INPUT:
        input(payload, length, answer);
        break;
    case STQ_LINK_RUN_TO_LAYER:
        run_to_layer(payload, length, answer);
        break;
    case STQ_LINK_READ_OUTPUT:
        read_output(payload, length, answer);
        break;
    case STQ_LINK_LAYER_INFO:
        layer_info(payload, length, answer);
        break;
    case STQ_LINK_COUNTERS:
    case STQ_LINK_LAST_FAULT:
    case STQ_LINK_RESET:
        if (length != 0) {
            refuse(answer, type, STQ_LINK_ERROR_LENGTH, 0);
        } else if (type == STQ_LINK_COUNTERS) {
            counters(answer);
        } else if (type == STQ_LINK_LAST_FAULT) {
            last_fault(answer);
        } else {
            answer->reset_after = 1;
        }
        break;
    default:
        refuse(answer, type, STQ_LINK_ERROR_TYPE, type);
        break;
    }
}

uint32_t stq_requests_write_facts(uint32_t nonce, uint8_t *payload)
{
    const stq_port_facts *facts = stq_port_get_facts();
    const uint32_t words[] = {
        nonce,
        STQ_LINK_WINDOW,
        STQ_LINK_MAX_REQUEST_PAYLOAD,
        STQ_LINK_MAX_ANSWER_PAYLOAD,
        STQ_NETWORK_INPUT_BYTES,
        STQ_NETWORK_OUTPUT_COUNT,
        (uint32_t)STQ_NETWORK_OUTPUT_TYPE,
        STQ_NETWORK_LAYER_COUNT,
        facts->clock_hz,
        facts->silicon,
        (uint32_t)facts->reset_cause,
        stq_link_counters.sessions,
        stq_link_counters.inferences,
        stq_port_overruns(),
        stq_port_last_fault() != 0 ? STQ_LINK_FACT_FAULT : 0u,
    };
    uint32_t length = 0;
    for (uint32_t i = 0; i < (uint32_t)(sizeof(words) / sizeof(words[0])); i++) {
        stq_store_u32(payload + length, words[i]);
        length += 4;
    }
    stq_copy_bytes(payload + length, stq_build_id, 16);
    length += 16;
    stq_copy_bytes(payload + length, stq_network_model_hash, 32);
    length += 32;
    return length + write_text(facts->board, STQ_LINK_BOARD_NAME_BYTES, payload + length);
}
