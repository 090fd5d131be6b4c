"""Frames to bytes and back: Python against C, and both against what nobody should send."""

from __future__ import annotations

import ctypes
import zlib
from pathlib import Path

import pytest
from cobs import cobs
from hypothesis import given, settings
from hypothesis import strategies as st

from stq_deploy.targets.link.framing import Damaged, Frame, FrameDecoder, encode_frame
from stq_deploy.targets.link.protocol import MAX_FRAME_BYTES
from tests.helpers.link.c_boards import load_private

FRAMES = st.builds(
    Frame,
    type=st.integers(0, 255),
    sequence=st.integers(0, 65535),
    session=st.integers(0, 65535),
    transmission=st.integers(0, 65535),
    # COBS turns on zeros and on runs of 254 bytes without one.
    payload=st.one_of(
        st.binary(max_size=1280),
        st.lists(st.sampled_from([b"\0", b"\1" * 253, b"\2" * 254, b"\xff"]), max_size=5).map(b"".join),
    ),
    version=st.integers(0, 255),
)


class Header(ctypes.Structure):
    _fields_ = (
        ("version", ctypes.c_uint8),
        ("type", ctypes.c_uint8),
        ("sequence", ctypes.c_uint16),
        ("session", ctypes.c_uint16),
        ("transmission", ctypes.c_uint16),
    )


class CobsDecoder(ctypes.Structure):
    _fields_ = (
        ("frame", ctypes.c_void_p),
        ("capacity", ctypes.c_uint32),
        ("length", ctypes.c_uint32),
        ("block_left", ctypes.c_uint8),
        ("owes_zero", ctypes.c_uint8),
        ("within", ctypes.c_uint8),
        ("overflowed", ctypes.c_uint8),
    )


class CCodec:
    """stq_cobs, stq_crc32 and stq_frame, through ctypes."""

    def __init__(self, library: Path) -> None:
        self.c = load_private(library)
        self.c.stq_crc32.restype = ctypes.c_uint32

    def encode(self, data: bytes) -> bytes:
        room = ctypes.create_string_buffer(len(data) + len(data) // 254 + 2 + 8)
        room[-8:] = b"guarding"
        written = self.c.stq_cobs_encode(data, len(data), room)
        assert written <= len(data) + len(data) // 254 + 2
        assert room[-8:] == b"guarding"
        return room[:written]

    def decode(self, stream: bytes, capacity: int = 1500) -> list[bytes | None]:
        """Every frame in the stream; None for a damaged one."""
        room = ctypes.create_string_buffer(capacity + 8)
        room[capacity:] = b"guarding"
        decoder = CobsDecoder(frame=ctypes.addressof(room), capacity=capacity)
        found: list[bytes | None] = []
        for byte in stream:
            result = self.c.stq_cobs_push(ctypes.byref(decoder), byte)
            if result:
                found.append(room[: decoder.length] if result == 1 else None)
        assert room[capacity:] == b"guarding"
        return found

    def seal(self, frame: Frame) -> bytes:
        room = ctypes.create_string_buffer(bytes(8) + frame.payload + bytes(4), len(frame.payload) + 12)
        header = Header(frame.version, frame.type, frame.sequence, frame.session, frame.transmission)
        length = self.c.stq_frame_seal(room, ctypes.byref(header), len(frame.payload))
        return room[:length]

    def open(self, data: bytes) -> Frame | None:
        header, length = Header(), ctypes.c_uint32()
        if not self.c.stq_frame_open(data, len(data), ctypes.byref(header), ctypes.byref(length)):
            return None
        return Frame(
            header.type,
            header.sequence,
            header.session,
            header.transmission,
            data[8 : 8 + length.value],
            header.version,
        )


@pytest.fixture(scope="module")
def c(board_library: Path) -> CCodec:
    return CCodec(board_library)


# Worked examples of the COBS article on Wikipedia, as published there.
COBS_EXAMPLES = [
    ("00", "01 01 00"),
    ("00 00", "01 01 01 00"),
    ("00 11 00", "01 02 11 01 00"),
    ("11 22 00 33", "03 11 22 02 33 00"),
    ("11 22 33 44", "05 11 22 33 44 00"),
    ("11 00 00 00", "02 11 01 01 01 00"),
    (bytes(range(1, 255)).hex(), "ff" + bytes(range(1, 255)).hex() + "00"),
    (bytes(range(255)).hex(), "01 ff" + bytes(range(1, 255)).hex() + "00"),
    (bytes(range(1, 256)).hex(), "ff" + bytes(range(1, 255)).hex() + "02 ff 00"),
]


@pytest.mark.parametrize(("data", "encoded"), COBS_EXAMPLES)
def test_c_cobs_gives_the_published_examples(c: CCodec, data: str, encoded: str) -> None:
    assert c.encode(bytes.fromhex(data)) == bytes.fromhex(encoded)
    assert c.decode(bytes.fromhex(encoded)) == [bytes.fromhex(data)]


def test_c_crc_gives_the_catalogue_value(c: CCodec) -> None:
    assert c.c.stq_crc32(0, b"123456789", 9) == 0xCBF43926
    assert c.c.stq_crc32(0, b"", 0) == 0


@given(data=st.binary(max_size=600), split=st.integers(0, 600))
def test_c_crc_is_zlibs_also_in_pieces(c: CCodec, data: bytes, split: int) -> None:
    head, tail = data[:split], data[split:]
    crc = c.c.stq_crc32(c.c.stq_crc32(0, head, len(head)), tail, len(tail))
    assert crc == zlib.crc32(data)


def test_an_encoded_frame_has_these_very_bytes() -> None:
    """Pins the layout, which two sides that agree in an error would not."""
    frame = Frame(0x02, sequence=0x1234, session=0xABCD, transmission=0x0001, payload=b"\x01\x02\x03")
    body = bytes.fromhex("02 02 34 12 cd ab 01 00 01 02 03")
    crc = zlib.crc32(body).to_bytes(4, "little")
    assert encode_frame(frame) == cobs.encode(body + crc) + b"\0"


@given(frame=FRAMES)
def test_python_and_c_make_the_same_bytes(c: CCodec, frame: Frame) -> None:
    assert c.encode(c.seal(frame)) == encode_frame(frame)


@given(frame=FRAMES)
def test_c_reads_what_python_writes_and_back(c: CCodec, frame: Frame) -> None:
    (body,) = c.decode(encode_frame(frame))
    assert body is not None
    assert c.open(body) == frame
    assert FrameDecoder().feed(c.encode(c.seal(frame))) == [frame]


@given(frames=st.lists(FRAMES, max_size=5), cuts=st.lists(st.integers(0, 8000)))
def test_frames_arrive_whole_in_whatever_pieces(frames: list[Frame], cuts: list[int]) -> None:
    stream = b"".join(map(encode_frame, frames))
    decoder, found, at = FrameDecoder(), [], 0
    for cut in [*sorted(cut for cut in cuts if cut < len(stream)), len(stream)]:
        found += decoder.feed(stream[at:cut])
        at = cut
    assert found == frames


@settings(max_examples=300)
@given(garbage=st.binary(max_size=2000), frame=FRAMES)
def test_both_decoders_survive_garbage_alike_and_find_the_next_frame(c: CCodec, garbage: bytes, frame: Frame) -> None:
    stream = garbage + b"\0" + encode_frame(frame)
    in_python = FrameDecoder().feed(stream)
    in_c = [c.open(body) if body is not None else None for body in c.decode(stream)]
    assert [found if isinstance(found, Frame) else None for found in in_python] == in_c
    assert in_python[-1] == frame


@given(frame=FRAMES, bit=st.integers(min_value=0))
def test_no_flipped_bit_goes_unnoticed(frame: Frame, bit: int) -> None:
    wire = bytearray(encode_frame(frame))
    bit %= 8 * len(wire)
    wire[bit // 8] ^= 1 << bit % 8
    assert all(isinstance(found, Damaged) for found in FrameDecoder().feed(bytes(wire) + b"\0"))


@given(frame=FRAMES, keep=st.integers(0, 1300))
def test_no_cut_goes_unnoticed(c: CCodec, frame: Frame, keep: int) -> None:
    wire = encode_frame(frame)
    cut = wire[: min(keep, len(wire) - 2)] + b"\0"
    assert all(isinstance(found, Damaged) for found in FrameDecoder().feed(cut))
    assert all(body is None or c.open(body) is None for body in c.decode(cut))


def test_the_c_decoder_stops_at_its_capacity(c: CCodec) -> None:
    exact, longer = bytes(range(1, 101)), bytes(range(1, 102))
    assert c.decode(c.encode(exact) + c.encode(longer) + c.encode(exact), 100) == [exact, None, exact]


def test_the_python_decoder_keeps_no_more_than_a_frame() -> None:
    decoder = FrameDecoder()
    for _ in range(40):
        assert decoder.feed(b"\x55" * 50_000) == []
        assert len(decoder._pending) < 2 * MAX_FRAME_BYTES
    assert decoder.feed(b"\0") == [Damaged(2_000_000, "length")]
    assert decoder.feed(encode_frame(Frame(7))) == [Frame(7)]


def test_a_frame_too_long_is_not_sent() -> None:
    encode_frame(Frame(1, payload=bytes(MAX_FRAME_BYTES - 12)))
    with pytest.raises(ValueError, match="too long"):
        encode_frame(Frame(1, payload=bytes(MAX_FRAME_BYTES - 11)))
