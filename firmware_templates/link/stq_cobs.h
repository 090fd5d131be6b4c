/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_cobs.h - Consistent Overhead Byte Stuffing (Cheshire and Baker, 1999). Encoded data hold no 0x00, so 0x00 can end
 * a frame. A receiver that lost its place finds it again at the next 0x00.
 */
#ifndef STQ_COBS_H
#define STQ_COBS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Encode `length` bytes and the final 0x00; returns bytes written, at most length + length / 254 + 2. */
uint32_t stq_cobs_encode(const uint8_t *from, uint32_t length, uint8_t *to);

/* Decodes a stream byte by byte into `frame`. Start from all zeros except frame and capacity. */
typedef struct {
    uint8_t *frame;
    uint32_t capacity;
    uint32_t length;    /* of the frame; valid until the next push */
    uint8_t block_left; /* data bytes until the next code byte */
    uint8_t owes_zero;  /* a 0x00 follows the block, unless the frame ends there */
    uint8_t within;     /* a byte of this frame has arrived */
    uint8_t overflowed; /* longer than capacity: bytes up to the next 0x00 are dropped */
} stq_cobs_decoder;

typedef enum {
    STQ_COBS_MORE = 0,
    STQ_COBS_FRAME,   /* `length` bytes are in `frame` */
    STQ_COBS_DAMAGED, /* a frame ended that was cut off or too long */
} stq_cobs_result;

/* Two 0x00 in a row are not an empty frame but nothing at all. */
stq_cobs_result stq_cobs_push(stq_cobs_decoder *decoder, uint8_t byte);

#ifdef __cplusplus
}
#endif

#endif /* STQ_COBS_H */
