/* SPDX-License-Identifier: Apache-2.0 */
#include "stq_frame.h"

#include "stq_bytes.h"
#include "stq_crc32.h"

uint32_t stq_frame_seal(uint8_t *frame, const stq_frame_header *header, uint32_t payload_length)
{
    const uint32_t covered = STQ_LINK_HEADER_BYTES + payload_length;
    frame[0] = header->version;
    frame[1] = header->type;
    stq_store_u16(frame + 2, header->sequence);
    stq_store_u16(frame + 4, header->session);
    stq_store_u16(frame + 6, header->transmission);
    stq_store_u32(frame + covered, stq_crc32(0, frame, covered));
    return covered + STQ_LINK_CRC_BYTES;
}

int stq_frame_open(const uint8_t *frame, uint32_t length, stq_frame_header *header, uint32_t *payload_length)
{
    if (length < STQ_LINK_FRAME_BYTES(0u)) {
        return 0;
    }
    const uint32_t covered = length - STQ_LINK_CRC_BYTES;
    if (stq_crc32(0, frame, covered) != stq_load_u32(frame + covered)) {
        return 0;
    }
    header->version = frame[0];
    header->type = frame[1];
    header->sequence = stq_load_u16(frame + 2);
    header->session = stq_load_u16(frame + 4);
    header->transmission = stq_load_u16(frame + 6);
    *payload_length = covered - STQ_LINK_HEADER_BYTES;
    return 1;
}
