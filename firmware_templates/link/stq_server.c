/* SPDX-License-Identifier: Apache-2.0 */
#include "stq_server.h"

#include "stq_bytes.h"
#include "stq_cobs.h"
#include "stq_fault.h"
#include "stq_frame.h"
#include "stq_requests.h"

#define MAX_REQUEST_FRAME STQ_LINK_FRAME_BYTES(STQ_LINK_MAX_REQUEST_PAYLOAD)
#define MAX_ANSWER_FRAME STQ_LINK_FRAME_BYTES(STQ_LINK_MAX_ANSWER_PAYLOAD)

/* A sequence number selects its slot by remainder, also where 16 bits wrap. */
typedef char window_divides_65536[(65536u % STQ_LINK_WINDOW) == 0 ? 1 : -1];

/* An answer as it was first given, with room for header and CRC around it. */
typedef struct {
    uint8_t frame[MAX_ANSWER_FRAME];
    uint32_t payload_length;
    uint8_t type;
} kept_answer;

static uint8_t received[MAX_REQUEST_FRAME];
static stq_cobs_decoder decoder;
static uint8_t encoded[STQ_LINK_ENCODED_BYTES(MAX_ANSWER_FRAME)];
static kept_answer kept[STQ_LINK_WINDOW];

static struct {
    int open; /* a HELLO has arrived since reset */
    uint32_t nonce;
    uint16_t tag;      /* the `session` of its frames */
    uint16_t expected; /* sequence number of the next request */
    uint32_t kept_count;
    uint16_t last_transmission; /* of the last frame: known if it was undamaged, else counted on from there */
} session;

/*
 * Send the frame whose payload is in place at frame + STQ_LINK_HEADER_BYTES. `wire` has room for it, encoded. The 0x00
 * before it ends a frame whose own end a reset cut off or the line lost: otherwise this one would be lost with it.
 */
static void send_through(uint8_t *wire, uint8_t *frame, const stq_frame_header *header, uint32_t payload_length)
{
    const uint32_t length = stq_frame_seal(frame, header, payload_length);
    wire[0] = 0;
    stq_port_write(wire, 1u + stq_cobs_encode(frame, length, wire + 1));
}

static void send(uint8_t *frame, const stq_frame_header *header, uint32_t payload_length)
{
    send_through(encoded, frame, header, payload_length);
}

static stq_frame_header header_for(uint8_t type, const stq_frame_header *request)
{
    stq_frame_header header = *request;
    header.version = STQ_LINK_VERSION;
    header.type = type;
    return header;
}

static void reject(const stq_frame_header *request, uint16_t code, uint32_t detail)
{
    uint8_t frame[STQ_LINK_FRAME_BYTES(8u)];
    const stq_frame_header header = header_for(STQ_LINK_REJECT, request);
    stq_store_u16(frame + STQ_LINK_HEADER_BYTES, code);
    stq_store_u16(frame + STQ_LINK_HEADER_BYTES + 2, session.expected);
    stq_store_u32(frame + STQ_LINK_HEADER_BYTES + 4, detail);
    send(frame, &header, 8);
}

static void answer_hello(const stq_frame_header *request, const uint8_t *payload, uint32_t length)
{
    uint8_t frame[STQ_LINK_FRAME_BYTES(STQ_LINK_FACTS_MAX_BYTES)];
    if (length != 4) {
        stq_link_counters.foreign++;
        return;
    }
    const uint32_t nonce = stq_load_u32(payload);
    if (!session.open || nonce != session.nonce) {
        session.open = 1;
        session.nonce = nonce;
        session.tag = request->session;
        session.expected = (uint16_t)(request->sequence + 1u);
        session.kept_count = 0;
        stq_requests_forget_input();
        stq_link_counters.sessions++;
    }
    const stq_frame_header header = header_for(STQ_LINK_HELLO | STQ_LINK_ANSWER, request);
    send(frame, &header, stq_requests_write_facts(nonce, frame + STQ_LINK_HEADER_BYTES));
}

static void send_kept(const stq_frame_header *request)
{
    kept_answer *slot = &kept[request->sequence % STQ_LINK_WINDOW];
    const stq_frame_header header = header_for(slot->type, request);
    send(slot->frame, &header, slot->payload_length);
}

static void answer_request(const stq_frame_header *request, const uint8_t *payload, uint32_t length)
{
    kept_answer *slot = &kept[request->sequence % STQ_LINK_WINDOW];
    stq_answer answer = {0, 0, 0, slot->frame + STQ_LINK_HEADER_BYTES};
    stq_requests_handle(request->type, payload, length, &answer);
    slot->type = answer.type;
    slot->payload_length = answer.length;
    session.expected++;
    if (session.kept_count < STQ_LINK_WINDOW) {
        session.kept_count++;
    }
    send_kept(request);
    if (answer.reset_after) {
        stq_port_reset();
    }
}

/*
 * Requests are handled in the order of their sequence numbers, each once. A repeated request gets its kept
 * answer again. A request that arrives too early, because a frame before it was lost, is dropped and rejected.
 */
static void handle_request(const stq_frame_header *request, const uint8_t *payload, uint32_t length)
{
    const uint16_t behind = (uint16_t)(session.expected - request->sequence);
    if (behind == 0) {
        answer_request(request, payload, length);
    } else if (behind <= session.kept_count) {
        stq_link_counters.repeated++;
        send_kept(request);
    } else {
        stq_link_counters.out_of_order++;
        reject(request, STQ_LINK_REJECT_OUT_OF_ORDER, 0);
    }
}

static void handle_damaged(void)
{
    stq_link_counters.damaged++;
    if (session.open) { /* otherwise it is noise before the first HELLO */
        const stq_frame_header header = {0, 0, 0, session.tag, ++session.last_transmission};
        reject(&header, STQ_LINK_REJECT_DAMAGED, stq_link_counters.damaged);
    }
}

static void handle_frame(void)
{
    stq_frame_header header;
    uint32_t length;
    if (!stq_frame_open(received, decoder.length, &header, &length)) {
        handle_damaged();
        return;
    }
    if (header.version != STQ_LINK_VERSION) {
        stq_link_counters.foreign++;
        reject(&header, STQ_LINK_REJECT_VERSION, header.version);
        return;
    }
    if ((header.type & STQ_LINK_ANSWER) != 0) {
        stq_link_counters.foreign++; /* our own answers, echoed by a looped cable: answering would never end */
        return;
    }
    if (header.type == STQ_LINK_HELLO) {
        session.last_transmission = header.transmission;
        answer_hello(&header, received + STQ_LINK_HEADER_BYTES, length);
        return;
    }
    if (!session.open || header.session != session.tag) {
        stq_link_counters.foreign++;
        reject(&header, STQ_LINK_REJECT_SESSION, stq_link_counters.sessions);
        return;
    }
    session.last_transmission = header.transmission;
    handle_request(&header, received + STQ_LINK_HEADER_BYTES, length);
}

void stq_server_init(void)
{
    uint8_t frame[STQ_LINK_FRAME_BYTES(STQ_LINK_FACTS_MAX_BYTES)];
    const stq_frame_header header = {STQ_LINK_VERSION, STQ_LINK_READY, 0, 0, 0};
    decoder.frame = received;
    decoder.capacity = sizeof(received);
    decoder.within = 0;
    session.open = 0;
    stq_link_counters = (stq_counters){0};
    stq_requests_forget_input();
    send(frame, &header, stq_requests_write_facts(0, frame + STQ_LINK_HEADER_BYTES));
}

void stq_server_poll(void)
{
    uint8_t chunk[64];
    for (;;) {
        const uint32_t count = stq_port_read(chunk, sizeof(chunk));
        if (count == 0) {
            return;
        }
        for (uint32_t i = 0; i < count; i++) {
            const stq_cobs_result result = stq_cobs_push(&decoder, chunk[i]);
            if (result == STQ_COBS_FRAME) {
                handle_frame();
            } else if (result == STQ_COBS_DAMAGED) {
                handle_damaged();
            }
        }
        stq_port_progress(-1);
    }
}

void stq_server_run(void)
{
    stq_server_init();
    for (;;) {
        stq_server_poll();
        stq_port_progress(-1);
        stq_port_wait();
    }
}

void stq_server_fault(stq_fault_record *record)
{
    uint8_t frame[STQ_LINK_FRAME_BYTES(STQ_FAULT_BYTES)];
    uint8_t wire[STQ_LINK_ENCODED_BYTES(STQ_LINK_FRAME_BYTES(STQ_FAULT_BYTES))];
    const stq_frame_header header = {STQ_LINK_VERSION, STQ_LINK_FAULT, 0, 0, 0};
    record->layer = stq_requests_running_layer();
    /* Not through `encoded`: the fault may have interrupted a frame that is sent from there. */
    send_through(wire, frame, &header, stq_fault_write(record, frame + STQ_LINK_HEADER_BYTES));
}
