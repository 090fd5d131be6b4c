"""Frames to bytes and back, without any input or output of its own.

On the wire a frame is COBS-encoded and ends in 0x00. Before COBS it is

    version u8 | type u8 | sequence u16 | session u16 | transmission u16 | payload | CRC-32 u32

little endian, the CRC (zlib's) over everything before it.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from cobs import cobs

from stq_deploy.targets.link.protocol import MAX_FRAME_BYTES, VERSION

_HEADER = struct.Struct("<BBHHH")
_CRC = struct.Struct("<I")
_MAX_ENCODED = MAX_FRAME_BYTES + MAX_FRAME_BYTES // 254 + 1

FRAME_OVERHEAD = _HEADER.size + _CRC.size
"""Bytes of a frame in addition to its payload, before COBS."""


@dataclass(frozen=True)
class Frame:
    """One undamaged frame.

    Attributes:
        type: a `FrameType`, or an answer to one, or a number unknown to this version.
        sequence: of the request, 16 bits; an answer has its request's.
        session: low 16 bits of the nonce of the HELLO that opened the session.
        transmission: counts every frame a host sends, 16 bits; a board echoes that of the frame it answers.
        payload: 0 to MAX_FRAME_BYTES - 12 bytes.
        version: of the protocol.
    """

    type: int
    sequence: int = 0
    session: int = 0
    transmission: int = 0
    payload: bytes = b""
    version: int = VERSION


@dataclass(frozen=True)
class Damaged:
    """Bytes up to a 0x00 that are not a frame.

    Attributes:
        length: their number, without the 0x00.
        reason: "cobs", "length" or "crc".
    """

    length: int
    reason: str


def encode_frame(frame: Frame) -> bytes:
    """The frame as sent over the wire, with the final 0x00.

    Raises:
        ValueError: the frame is longer than MAX_FRAME_BYTES.
        struct.error: a number does not fit its field.
    """
    body = _HEADER.pack(frame.version, frame.type, frame.sequence, frame.session, frame.transmission) + frame.payload
    if len(body) + _CRC.size > MAX_FRAME_BYTES:
        raise ValueError(f"a payload of {len(frame.payload)} bytes makes too long a frame")
    return bytes(cobs.encode(body + _CRC.pack(zlib.crc32(body)))) + b"\0"


class FrameDecoder:
    """Takes bytes in pieces of any size, and returns their frames.

    Any bytes may arrive: those that are not a frame are reported as `Damaged` and skipped up to the next 0x00. At most
    one frame's bytes are kept.
    """

    def __init__(self) -> None:
        self._pending = bytearray()
        self._dropped = 0

    def feed(self, data: bytes) -> list[Frame | Damaged]:
        """The frames, and damaged frames, that end in `data`, in order."""
        *ends, rest = data.split(b"\0")
        found: list[Frame | Damaged] = []
        for end in ends:
            self._keep(end)
            if self._dropped:
                found.append(Damaged(self._dropped + len(self._pending), "length"))
            elif self._pending:
                found.append(_decode(bytes(self._pending)))
            self._pending.clear()
            self._dropped = 0
        self._keep(rest)
        return found

    def _keep(self, piece: bytes) -> None:
        room = _MAX_ENCODED - len(self._pending)
        self._pending += piece[:room]
        self._dropped += max(0, len(piece) - room)


def _decode(encoded: bytes) -> Frame | Damaged:
    try:
        body = cobs.decode(encoded)
    except cobs.DecodeError:
        return Damaged(len(encoded), "cobs")
    if not FRAME_OVERHEAD <= len(body) <= MAX_FRAME_BYTES:
        return Damaged(len(encoded), "length")
    covered = len(body) - _CRC.size
    if zlib.crc32(body[:covered]) != _CRC.unpack_from(body, covered)[0]:
        return Damaged(len(encoded), "crc")
    version, type_, sequence, session, transmission = _HEADER.unpack_from(body)
    return Frame(type_, sequence, session, transmission, body[_HEADER.size : covered], version)
