/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_requests.h - handling of each request. stq_server.c handles delivery: order, repeats, sessions.
 */
#ifndef STQ_REQUESTS_H
#define STQ_REQUESTS_H

#include <stdint.h>

#include "network.h"
#include "stq_protocol.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Answer to STQ_LINK_INFER: flags, top-1, cycles (8 bytes), then logits, CRCs and cycle counts. */
#define STQ_INFER_ANSWER_BYTES (16u + 4u * (STQ_NETWORK_OUTPUT_COUNT) + 8u * (STQ_NETWORK_LAYER_COUNT))

/* The largest answer: an inference with all options always fits one frame. */
#define STQ_LINK_MAX_ANSWER_PAYLOAD                                                                                    \
    (STQ_INFER_ANSWER_BYTES > STQ_LINK_MAX_REQUEST_PAYLOAD ? STQ_INFER_ANSWER_BYTES : STQ_LINK_MAX_REQUEST_PAYLOAD)

/* The largest answer to STQ_LINK_HELLO. */
#define STQ_LINK_FACTS_MAX_BYTES (60u + 16u + 32u + 1u + STQ_LINK_BOARD_NAME_BYTES)

/* Since reset. */
typedef struct {
    uint32_t inferences;
    uint32_t sessions;
    uint32_t damaged;      /* frames with COBS, length or CRC wrong */
    uint32_t out_of_order; /* frames dropped because one before them was lost */
    uint32_t repeated;     /* requests answered from the kept answers */
    uint32_t foreign;      /* frames of another session, another version, or not for a board */
} stq_counters;

extern stq_counters stq_link_counters;

typedef struct {
    uint8_t type;
    uint8_t reset_after; /* once the answer is sent */
    uint32_t length;
    uint8_t *payload; /* STQ_LINK_MAX_ANSWER_PAYLOAD bytes of room */
} stq_answer;

/* Handle one request; `answer` has its payload pointer set, the rest is filled in. */
void stq_requests_handle(uint8_t type, const uint8_t *payload, uint32_t length, stq_answer *answer);

/*
 * Write what the board is and runs, the answer to STQ_LINK_HELLO; returns bytes written, at most
 * STQ_LINK_FACTS_MAX_BYTES.
 */
uint32_t stq_requests_write_facts(uint32_t nonce, uint8_t *payload);

/* Drop input of an earlier session. */
void stq_requests_forget_input(void);

/* The layer running now, or -1. Safe to call from the fault handler. */
int32_t stq_requests_running_layer(void);

#ifdef __cplusplus
}
#endif

#endif /* STQ_REQUESTS_H */
