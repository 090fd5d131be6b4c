/*
 * fuzz_server.c - the board's side of the link under libFuzzer: raw bytes, or scripts of frames.
 *
 * The first byte of an input chooses. A script is a row of steps, each a frame with a right CRC unless the step damages
 * it: right or wrong order, session, version, type and length. Whatever comes, everything the board sends must be whole
 * frames of the protocol, decoded here by code of our own. Built with memory_board.c, whose functions it calls.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stq_requests.h"

void board_boot(uint32_t cause, uint32_t start_cycles);
void board_fault(void);
void board_receive(const uint8_t *bytes, uint32_t length);
uint32_t board_step(void);
uint32_t board_take_sent(uint8_t *to);

#define LARGEST_FRAME 4096u
#define MOST_STEPS 24u /* long scripts find nothing that short ones do not, and are slow */
#define REQUIRE(condition) require(condition, #condition, __LINE__)

static void require(int holds, const char *condition, int line)
{
    if (!holds) {
        fprintf(stderr, "line %d: %s does not hold\n", line, condition);
        abort();
    }
}

/* What is left of the input. */
static const uint8_t *data;
static size_t left;

static uint32_t take(void)
{
    if (left == 0) {
        return 0;
    }
    left--;
    return *data++;
}

static uint32_t take_u16(void)
{
    const uint32_t low = take();
    return low | take() << 8;
}

/* zlib's CRC-32, bit by bit. */
static uint32_t crc_of(const uint8_t *bytes, uint32_t length)
{
    uint32_t crc = 0xFFFFFFFFu;
    for (uint32_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1u)));
        }
    }
    return ~crc;
}

static uint32_t load(const uint8_t *bytes, uint32_t count)
{
    uint32_t value = 0;
    for (uint32_t i = 0; i < count; i++) {
        value |= (uint32_t)bytes[i] << (8 * i);
    }
    return value;
}

static void store(uint8_t *bytes, uint32_t count, uint32_t value)
{
    for (uint32_t i = 0; i < count; i++) {
        bytes[i] = (uint8_t)(value >> (8 * i));
    }
}

/* The session as a host knows it. */
static uint32_t tag, next_sequence, transmission;

static uint32_t payload_bytes_allowed(uint32_t type, uint32_t length)
{
    switch (type) {
    case STQ_LINK_ERROR:
    case STQ_LINK_REJECT:
    case STQ_LINK_RUN_TO_LAYER | STQ_LINK_ANSWER:
        return length == 8;
    case STQ_LINK_INPUT | STQ_LINK_ANSWER:
        return length == 4;
    case STQ_LINK_COUNTERS | STQ_LINK_ANSWER:
        return length == 28;
    case STQ_LINK_LAST_FAULT | STQ_LINK_ANSWER:
        return length == 0 || length == 64;
    case STQ_LINK_RESET | STQ_LINK_ANSWER:
        return length == 0;
    case STQ_LINK_FAULT:
        return length == 64;
    case STQ_LINK_READY:
    case STQ_LINK_HELLO | STQ_LINK_ANSWER:
        return length > 108 && length <= STQ_LINK_FACTS_MAX_BYTES;
    case STQ_LINK_INFER | STQ_LINK_ANSWER:
        return length >= 16 + 4 * STQ_NETWORK_OUTPUT_COUNT && length <= STQ_INFER_ANSWER_BYTES;
    case STQ_LINK_READ_OUTPUT | STQ_LINK_ANSWER:
    case STQ_LINK_LAYER_INFO | STQ_LINK_ANSWER:
        return length <= STQ_LINK_MAX_ANSWER_PAYLOAD;
    default:
        return 0;
    }
}

static void check_frame(const uint8_t *frame, uint32_t length)
{
    REQUIRE(length >= STQ_LINK_FRAME_BYTES(0u));
    REQUIRE(length <= STQ_LINK_FRAME_BYTES(STQ_LINK_MAX_ANSWER_PAYLOAD));
    REQUIRE(crc_of(frame, length - 4) == load(frame + length - 4, 4));
    REQUIRE(frame[0] == STQ_LINK_VERSION);
    REQUIRE(payload_bytes_allowed(frame[1], length - STQ_LINK_FRAME_BYTES(0u)));
    const uint32_t is_answer = (frame[1] & STQ_LINK_ANSWER) != 0 && frame[1] < STQ_LINK_READY;
    if (is_answer && frame[1] != STQ_LINK_REJECT && load(frame + 2, 2) == next_sequence) {
        next_sequence = (next_sequence + 1) & 0xFFFFu;
    }
}

/* COBS, by its definition: a code byte n, then n - 1 bytes, then a zero unless n is 255 or the frame ends. */
static void check_piece(const uint8_t *wire, uint32_t length)
{
    static uint8_t frame[1u << 16];
    uint32_t at = 0, count = 0;
    while (at < length) {
        const uint32_t code = wire[at++];
        REQUIRE(code - 1 <= length - at);
        memcpy(frame + count, wire + at, code - 1);
        at += code - 1;
        count += code - 1;
        if (code != 0xFF && at < length) {
            frame[count++] = 0;
        }
    }
    check_frame(frame, count);
}

static void work(void)
{
    static uint8_t sent[1u << 20];
    while (board_step() != 0) {
    }
    const uint32_t count = board_take_sent(sent);
    uint32_t start = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (sent[i] == 0) {
            if (i > start) {
                check_piece(sent + start, i - start);
            }
            start = i + 1;
        }
    }
    REQUIRE(start == count); /* nothing half sent */
}

static void send_frame(uint8_t *frame, uint32_t length, uint32_t damage)
{
    static uint8_t wire[2 * LARGEST_FRAME];
    uint32_t code_at = 0, written = 1;
    store(frame + length, 4, crc_of(frame, length));
    length += 4;
    if (damage == 1) {
        frame[take_u16() % length] ^= (uint8_t)(1u << (take() & 7u));
    }
    for (uint32_t i = 0; i <= length; i++) {
        if (i == length || frame[i] == 0 || written - code_at == 0xFFu) {
            wire[code_at] = (uint8_t)(written - code_at);
            code_at = written++;
            if (i < length && frame[i] != 0) {
                wire[written++] = frame[i];
            }
        } else {
            wire[written++] = frame[i];
        }
    }
    wire[code_at] = 0;
    if (damage == 2) {
        written = take_u16() % written; /* torn off: the next frame is stuck to it */
    }
    board_receive(wire, written);
}

/* The payload: a number the request starts with, then levels or other bytes. */
static uint32_t fill_payload(uint8_t *payload, uint32_t type)
{
    const uint32_t shape = take();
    uint32_t length = shape & 1u ? take_u16() % (STQ_LINK_MAX_REQUEST_PAYLOAD + 8u) : 0;
    if ((shape & 6u) == 2u) {
        length = 4; /* the number alone: input went ahead in chunks */
    } else if ((shape & 6u) == 4u) {
        length = 4u + STQ_NETWORK_INPUT_BYTES;
    } else if ((shape & 6u) == 6u) {
        length = type == STQ_LINK_READ_OUTPUT ? 12 : 8;
    }
    if (length > STQ_LINK_MAX_REQUEST_PAYLOAD + 8u) {
        length = STQ_LINK_MAX_REQUEST_PAYLOAD;
    }
    for (uint32_t i = 0; i < length; i++) {
        payload[i] = shape & 8u ? (uint8_t)take() : 1;
    }
    if (length >= 4) {
        store(payload, 4, shape & 16u ? take_u16() | take_u16() << 16 : take() % 8u);
    }
    for (uint32_t at = 4; at < 12 && length <= 12 && (type == STQ_LINK_READ_OUTPUT || shape & 32u); at += 4) {
        if (at + 4 <= length) { /* an offset, and a length */
            store(payload + at, 4, shape & 16u ? take_u16() | take_u16() << 16 : take_u16());
        }
    }
    return length;
}

static void run_step(void)
{
    static uint8_t frame[LARGEST_FRAME];
    const uint32_t kind = take();
    const uint32_t type = kind & 0x80u ? take() : 1u + (kind & 0xFu) % 9u;
    uint32_t session = tag, sequence = next_sequence;
    frame[0] = STQ_LINK_VERSION;
    if (type == STQ_LINK_HELLO) {
        tag = session = take() & 3u;
        sequence = take_u16();
        next_sequence = (sequence + 1) & 0xFFFFu;
        transmission = 0;
    }
    switch (kind >> 4 & 7u) { /* mostly as it should be */
    case 5:
        sequence += take() - 128u;
        break;
    case 6:
        session += take();
        break;
    case 7:
        frame[0] = (uint8_t)take();
        break;
    default:
        break;
    }
    frame[1] = (uint8_t)type;
    store(frame + 2, 2, sequence);
    store(frame + 4, 2, session);
    store(frame + 6, 2, ++transmission);
    uint32_t length = type == STQ_LINK_HELLO ? 4 : fill_payload(frame + 8, type);
    if (type == STQ_LINK_HELLO) {
        store(frame + 8, 4, session | sequence << 16);
    }
    const uint32_t after = take();
    send_frame(frame, 8 + length, after & 3u);
    if (after & 4u || (after & 24u) == 24u) {
        work();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length)
{
    data = input;
    left = length;
    tag = next_sequence = transmission = 0;
    board_boot(1, 0);
    work();
    if (take() & 1u) {
        for (uint32_t step = 0; step < MOST_STEPS && left > 0; step++) {
            run_step();
        }
    } else {
        while (left > 0) {
            const uint32_t piece = left < 512 ? (uint32_t)left : 512;
            board_receive(data, piece);
            data += piece;
            left -= piece;
            work();
        }
    }
    work();
    board_fault();
    work();
    return 0;
}
