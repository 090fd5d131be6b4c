/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stq_protocol.h - the numbers of the link protocol, version 2. docs/PROTOCOL.md explains them;
 * stq_deploy/targets/link/protocol.py is the host's copy.
 */
#ifndef STQ_PROTOCOL_H
#define STQ_PROTOCOL_H

#define STQ_LINK_VERSION 2u

/* Requests the host may have outstanding, and so the answers the board keeps for repeats. */
#define STQ_LINK_WINDOW 4u

/* Largest payload of a request: room for a 32 x 32 image inline. */
#define STQ_LINK_MAX_REQUEST_PAYLOAD 1280u

#define STQ_LINK_HEADER_BYTES 8u
#define STQ_LINK_CRC_BYTES 4u
#define STQ_LINK_FRAME_BYTES(payload) (STQ_LINK_HEADER_BYTES + (payload) + STQ_LINK_CRC_BYTES)

/* On the wire: COBS adds a byte per started 254; a 0x00 follows, and one may precede it. */
#define STQ_LINK_ENCODED_BYTES(frame) ((frame) + (frame) / 254u + 1u + 2u)

/* Two frames more than the window: room for the host's probe after a time-out. */
#define STQ_LINK_RX_RING_BYTES                                                                                         \
    ((STQ_LINK_WINDOW + 2u) * STQ_LINK_ENCODED_BYTES(STQ_LINK_FRAME_BYTES(STQ_LINK_MAX_REQUEST_PAYLOAD)))

#define STQ_LINK_BOARD_NAME_BYTES 32u

/* Frame types. A board's answer to a request is the request's type | STQ_LINK_ANSWER. */
#define STQ_LINK_ANSWER 0x80u
enum {
    STQ_LINK_HELLO = 0x01,
    STQ_LINK_INFER = 0x02,
    STQ_LINK_INPUT = 0x03,
    STQ_LINK_RUN_TO_LAYER = 0x04,
    STQ_LINK_READ_OUTPUT = 0x05,
    STQ_LINK_LAYER_INFO = 0x06,
    STQ_LINK_COUNTERS = 0x07,
    STQ_LINK_LAST_FAULT = 0x08,
    STQ_LINK_RESET = 0x09,
    /* From the board only. */
    STQ_LINK_ERROR = 0xE0,  /* the answer to a request that was understood and refused */
    STQ_LINK_REJECT = 0xE1, /* a frame that was not accepted as a request */
    STQ_LINK_READY = 0xF0,
    STQ_LINK_FAULT = 0xF1,
};

/* Flags of STQ_LINK_INFER. */
#define STQ_LINK_INFER_CRCS 0x1u
#define STQ_LINK_INFER_CYCLES 0x2u

/* Flags in the facts (answer to STQ_LINK_HELLO, and STQ_LINK_READY). */
#define STQ_LINK_FACT_FAULT 0x1u /* STQ_LINK_LAST_FAULT has a record */

/* Codes of STQ_LINK_ERROR; the comment ends with the meaning of `detail`. */
enum {
    STQ_LINK_ERROR_TYPE = 1,             /* unknown request; its type */
    STQ_LINK_ERROR_LENGTH = 2,           /* wrong payload length; the right one, or the largest */
    STQ_LINK_ERROR_FLAGS = 3,            /* unknown flags; the known ones */
    STQ_LINK_ERROR_LAYER = 4,            /* no such layer; the layer count */
    STQ_LINK_ERROR_RANGE = 5,            /* offset or length outside; the size */
    STQ_LINK_ERROR_INPUT_INCOMPLETE = 6, /* no inline levels and not all chunks; bytes received so far */
    STQ_LINK_ERROR_NOTHING_TO_READ = 7,  /* READ_OUTPUT without INFER or RUN_TO_LAYER before it; 0 */
    STQ_LINK_ERROR_KERNEL = 8,           /* a kernel refused its arguments; the layer */
    STQ_LINK_ERROR_LEVEL = 9,            /* an input level outside the network's range; its index */
    STQ_LINK_ERROR_OUTPUT = 10,          /* no such output; how many there are */
};

/* Codes of STQ_LINK_REJECT. */
enum {
    STQ_LINK_REJECT_DAMAGED = 1,      /* COBS, length or CRC wrong */
    STQ_LINK_REJECT_OUT_OF_ORDER = 2, /* neither the expected sequence number nor one of a kept answer */
    STQ_LINK_REJECT_SESSION = 3,      /* not the session of the last hello: the board was reset, or is used twice */
    STQ_LINK_REJECT_VERSION = 4,      /* another protocol version */
};

#endif /* STQ_PROTOCOL_H */
