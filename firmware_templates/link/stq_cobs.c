/* SPDX-License-Identifier: Apache-2.0 */
#include "stq_cobs.h"

uint32_t stq_cobs_encode(const uint8_t *from, uint32_t length, uint8_t *to)
{
    uint32_t code_at = 0;
    uint32_t written = 1;
    uint8_t code = 1;

    for (uint32_t i = 0; i < length; i++) {
        /* A full block is closed only when more follows, so that it never costs a needless code byte. */
        if (code == 0xFFu) {
            to[code_at] = code;
            code_at = written++;
            code = 1;
        }
        if (from[i] == 0) {
            to[code_at] = code;
            code_at = written++;
            code = 1;
        } else {
            to[written++] = from[i];
            code++;
        }
    }
    to[code_at] = code;
    to[written++] = 0;
    return written;
}

static void append(stq_cobs_decoder *decoder, uint8_t byte)
{
    if (decoder->length < decoder->capacity) {
        decoder->frame[decoder->length++] = byte;
    } else {
        decoder->overflowed = 1;
    }
}

static stq_cobs_result finish(stq_cobs_decoder *decoder)
{
    stq_cobs_result result = STQ_COBS_FRAME;
    if (!decoder->within) {
        result = STQ_COBS_MORE;
    } else if (decoder->overflowed || decoder->block_left != 0) {
        result = STQ_COBS_DAMAGED;
    }
    decoder->within = 0;
    return result;
}

stq_cobs_result stq_cobs_push(stq_cobs_decoder *decoder, uint8_t byte)
{
    if (byte == 0) {
        return finish(decoder);
    }
    if (!decoder->within) {
        decoder->within = 1;
        decoder->length = 0;
        decoder->block_left = 0;
        decoder->owes_zero = 0;
        decoder->overflowed = 0;
    }
    if (decoder->overflowed) {
        return STQ_COBS_MORE;
    }
    if (decoder->block_left == 0) {
        if (decoder->owes_zero) {
            append(decoder, 0);
        }
        decoder->block_left = (uint8_t)(byte - 1u);
        decoder->owes_zero = byte != 0xFFu;
    } else {
        append(decoder, byte);
        decoder->block_left--;
    }
    return STQ_COBS_MORE;
}
