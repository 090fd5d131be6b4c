/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_frame.h - a frame before COBS: header, payload, CRC-32 over both.
 */
#ifndef STQ_FRAME_H
#define STQ_FRAME_H

#include <stdint.h>

#include "stq_protocol.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    uint8_t version;
    uint8_t type;
    uint16_t sequence;
    uint16_t session;
    uint16_t transmission;
} stq_frame_header;

/* Put header and CRC around the payload at frame + STQ_LINK_HEADER_BYTES; returns the frame's length. */
uint32_t stq_frame_seal(uint8_t *frame, const stq_frame_header *header, uint32_t payload_length);

/* Whether `length` bytes are a frame with a correct CRC. If so, its header and payload length are filled in. */
int stq_frame_open(const uint8_t *frame, uint32_t length, stq_frame_header *header, uint32_t *payload_length);

#ifdef __cplusplus
}
#endif

#endif /* STQ_FRAME_H */
