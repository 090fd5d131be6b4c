"""The board's server, frame by frame: order, repeats, sessions, and every refusal."""

from __future__ import annotations

import ctypes
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stq_deploy.targets.link import messages
from stq_deploy.targets.link.framing import Damaged, Frame, FrameDecoder, encode_frame
from stq_deploy.targets.link.messages import parse_facts, parse_refusal, parse_reject
from stq_deploy.targets.link.protocol import ANSWER, ErrorCode, FrameType, InferFlags, RejectCode
from tests.helpers.link.c_boards import load_private
from tests.helpers.link.simulated_board import expected_logits, random_samples

NONCE = 0xCAFE_0042
TAG = NONCE & 0xFFFF
SAMPLE = random_samples(1)[0]
INFER = messages.infer_payload(InferFlags.NONE, SAMPLE.tobytes())


class Board:
    """Puts bytes in and takes bytes out, with nothing between."""

    def __init__(self, library: Path) -> None:
        self.c = load_private(library)
        self.buffer = (ctypes.c_uint8 * (1 << 20))()
        self.decoder = FrameDecoder()
        self.transmission = 0
        self.boot()

    def boot(self) -> list[Frame]:
        self.c.board_boot(1, 0)
        return self.exchange(b"")

    def sent_after(self, data: bytes) -> bytes:
        self.c.board_receive(data, len(data))
        while self.c.board_step():
            pass
        count = self.c.board_take_sent(self.buffer)
        return bytes(self.buffer[:count])

    def exchange(self, data: bytes) -> list[Frame]:
        found = self.decoder.feed(self.sent_after(data))
        assert all(isinstance(frame, Frame) for frame in found)
        return found  # type: ignore[return-value]

    def send(self, type_: int, sequence: int, payload: bytes = b"", session: int = TAG) -> Frame:
        self.transmission += 1
        frame = Frame(type_, sequence, session, self.transmission, payload)
        (answer,) = self.exchange(encode_frame(frame))
        assert answer.sequence == sequence
        assert answer.transmission == self.transmission
        return answer

    def hello(self, nonce: int = NONCE, sequence: int = 0) -> messages.BoardFacts:
        answer = self.send(FrameType.HELLO, sequence, messages.hello_payload(nonce), nonce & 0xFFFF)
        assert answer.type == FrameType.HELLO | ANSWER
        echoed, facts = parse_facts(answer.payload)
        assert echoed == nonce
        return facts

    @property
    def runs(self) -> list[int]:
        return list((ctypes.c_uint32 * 3).in_dll(self.c, "stub_counts"))


@pytest.fixture
def raw(board_library: Path) -> Board:
    return Board(board_library)


@pytest.fixture
def greeted(raw: Board) -> Board:
    raw.hello()
    return raw


def refused(answer: Frame, code: ErrorCode, detail: int) -> None:
    assert answer.type == FrameType.ERROR
    refusal = parse_refusal(answer.payload)
    assert (refusal.code, refusal.detail) == (code, detail)


def rejected(answer: Frame, code: RejectCode) -> None:
    assert answer.type == FrameType.REJECT
    assert parse_reject(answer.payload).code == code


def test_a_board_announces_itself(board_library: Path) -> None:
    ready = Board(board_library).boot()
    assert [frame.type for frame in ready] == [FrameType.READY]
    nonce, facts = parse_facts(ready[0].payload)
    assert (nonce, facts.board, facts.sessions) == (0, "memory", 0)


SENT = {
    FrameType.HELLO | ANSWER: Frame(FrameType.HELLO, 0, TAG, 9, messages.hello_payload(NONCE)),
    FrameType.INFER | ANSWER: Frame(FrameType.INFER, 2, TAG, 9, INFER),
    FrameType.COUNTERS | ANSWER: Frame(FrameType.COUNTERS, 1, TAG, 9),  # kept
    FrameType.ERROR: Frame(FrameType.INFER, 2, TAG, 9),
    FrameType.REJECT: Frame(FrameType.INFER, 3, TAG, 9, INFER),
}


@pytest.mark.parametrize("type_", [*SENT, FrameType.READY, FrameType.FAULT])
def test_a_frame_whose_end_was_lost_does_not_spoil_the_next(greeted: Board, type_: int) -> None:
    cut = greeted.sent_after(encode_frame(Frame(FrameType.COUNTERS, 1, TAG, 2)))[:-2]
    if type_ == FrameType.READY:
        greeted.c.board_boot(1, 0)
    elif type_ == FrameType.FAULT:
        greeted.c.board_fault()
    sent = greeted.sent_after(encode_frame(SENT[type_]) if type_ in SENT else b"")
    damaged, whole = FrameDecoder().feed(cut + sent)
    assert isinstance(damaged, Damaged)
    assert isinstance(whole, Frame)
    assert whole.type == type_


def test_hello_tells_the_facts(greeted: Board) -> None:
    facts = greeted.hello(NONCE + 1)
    assert facts == messages.BoardFacts(
        board="memory",
        model_hash="0102030405060708" + 24 * "00",
        build_id="b1b2" + 14 * "00",
        input_bytes=1024,
        output_count=10,
        output_type=2,
        layer_count=3,
        window=4,
        max_request=1280,
        max_answer=1280,
        clock_hz=480_000_000,
        silicon=0x20036450,
        reset_cause=messages.ResetCause.POWER,
        sessions=2,
        inferences=0,
        overruns=0,
        has_fault=False,
    )


def test_an_inference_gives_logits_crcs_and_cycles(greeted: Board) -> None:
    flags = InferFlags.CRCS | InferFlags.CYCLES
    answer = greeted.send(FrameType.INFER, 1, messages.infer_payload(flags, SAMPLE.tobytes()))
    found = messages.parse_inference(answer.payload, flags, greeted.hello(NONCE + 1))
    logits = expected_logits(SAMPLE)
    assert found.logits.tolist() == logits.tolist()
    assert found.top1 == logits.argmax()
    assert found.crcs is not None
    assert found.crcs[2] == zlib.crc32(logits.tobytes())
    assert found.layer_cycles is not None
    assert found.layer_cycles.tolist() == [100, 200, 300]
    assert found.cycles == 600


def test_of_equal_logits_the_first_wins(greeted: Board) -> None:
    zeros = (-2 * (np.arange(1024) % 3)).astype(np.int8)  # the stub network makes all logits 0 of this
    assert not expected_logits(zeros).any()
    answer = greeted.send(FrameType.INFER, 1, messages.infer_payload(InferFlags.NONE, zeros.tobytes()))
    assert struct.unpack_from("<I", answer.payload, 4) == (0,)


def test_cycles_survive_the_counters_wrap(raw: Board) -> None:
    raw.c.board_boot(1, ctypes.c_uint32(0xFFFFFFF0))
    raw.exchange(b"")
    facts = raw.hello()
    answer = raw.send(FrameType.INFER, 1, INFER)
    assert messages.parse_inference(answer.payload, InferFlags.NONE, facts).cycles == 600


def test_a_repeated_request_is_answered_again_and_not_run_again(greeted: Board) -> None:
    answers = {n: greeted.send(FrameType.INFER, n, INFER) for n in range(1, 5)}
    assert greeted.runs == [4, 4, 4]
    for n in (1, 4, 2, 2):
        again = greeted.send(FrameType.INFER, n, INFER)
        assert (again.type, again.payload) == (answers[n].type, answers[n].payload)
    assert greeted.runs == [4, 4, 4]


def test_a_repeated_error_is_the_same_error(greeted: Board) -> None:
    first = greeted.send(FrameType.INFER, 1, b"")
    assert greeted.send(FrameType.INFER, 1, b"").payload == first.payload
    assert greeted.send(FrameType.INFER, 2, INFER).type == FrameType.INFER | ANSWER


@pytest.mark.parametrize("sequence", [0, 2, 3, 65535, 0x8000])
def test_a_request_out_of_order_is_not_handled(greeted: Board, sequence: int) -> None:
    """0 is HELLO's own number: it has no kept answer, although it lies within the window."""
    answer = greeted.send(FrameType.INFER, sequence, INFER)
    rejected(answer, RejectCode.OUT_OF_ORDER)
    assert parse_reject(answer.payload).expected_sequence == 1
    assert greeted.runs == [0, 0, 0]


def test_an_answer_older_than_the_window_is_gone(greeted: Board) -> None:
    for n in range(1, 6):
        greeted.send(FrameType.INFER, n, INFER)
    rejected(greeted.send(FrameType.INFER, 1, INFER), RejectCode.OUT_OF_ORDER)
    assert greeted.runs[0] == 5


def test_sequence_numbers_wrap(raw: Board) -> None:
    raw.hello(sequence=65533)
    for n in (65534, 65535, 0, 1):
        assert raw.send(FrameType.INFER, n, INFER).type == FrameType.INFER | ANSWER
    for n in (65534, 1):
        assert raw.send(FrameType.INFER, n, INFER).type == FrameType.INFER | ANSWER
    assert raw.runs[0] == 4


def test_a_new_session_never_gives_an_answer_of_the_last(greeted: Board) -> None:
    old = greeted.send(FrameType.INFER, 1, INFER)
    greeted.hello(NONCE + 0x10000)  # the same 16 bits in the frames, another nonce
    other = random_samples(1, seed=9)[0]
    new = greeted.send(FrameType.INFER, 1, messages.infer_payload(InferFlags.NONE, other.tobytes()))
    assert new.payload != old.payload
    assert greeted.runs[0] == 2
    rejected(greeted.send(FrameType.INFER, 0, INFER), RejectCode.OUT_OF_ORDER)
    rejected(greeted.send(FrameType.INFER, 3, INFER), RejectCode.OUT_OF_ORDER)


def test_a_repeated_hello_changes_nothing(greeted: Board) -> None:
    greeted.send(FrameType.INFER, 1, INFER)
    assert greeted.hello().sessions == 1
    greeted.send(FrameType.INFER, 1, INFER)
    assert greeted.runs[0] == 1
    assert greeted.send(FrameType.INFER, 2, INFER).type == FrameType.INFER | ANSWER


def test_a_new_session_forgets_half_an_input(greeted: Board) -> None:
    greeted.send(FrameType.INPUT, 1, messages.input_payload(0, bytes(1000)))
    greeted.hello(NONCE + 1)
    answer = greeted.send(FrameType.INPUT, 1, messages.input_payload(1000, bytes(24)), TAG + 1)
    refused(answer, ErrorCode.RANGE, 1024)


def test_without_hello_nothing_is_run(raw: Board) -> None:
    rejected(raw.send(FrameType.INFER, 1, INFER), RejectCode.SESSION)
    raw.hello()
    rejected(raw.send(FrameType.INFER, 1, INFER, session=TAG + 1), RejectCode.SESSION)
    assert raw.runs[0] == 0


def test_another_version_is_told_ours(greeted: Board) -> None:
    (answer,) = greeted.exchange(encode_frame(Frame(FrameType.INFER, 1, TAG, 9, INFER, version=1)))
    rejected(answer, RejectCode.VERSION)
    assert (answer.version, parse_reject(answer.payload).detail) == (2, 1)
    assert greeted.runs[0] == 0


def test_its_own_echo_is_not_answered(greeted: Board) -> None:
    for type_ in (FrameType.INFER | ANSWER, FrameType.REJECT, FrameType.READY):
        assert greeted.exchange(encode_frame(Frame(type_, 1, TAG, 9, INFER))) == []
    assert greeted.send(FrameType.INFER, 1, INFER).type == FrameType.INFER | ANSWER


def test_damage_is_reported_once_someone_listens(raw: Board) -> None:
    assert raw.exchange(b"noise\0") == []
    raw.hello()
    wire = bytearray(encode_frame(Frame(FrameType.INFER, 1, TAG, 2, INFER)))
    wire[500] ^= 4
    (answer,) = raw.exchange(bytes(wire))
    rejected(answer, RejectCode.DAMAGED)
    assert answer.transmission == 2  # HELLO was 1
    assert raw.runs[0] == 0


def test_the_longest_request_fits_and_a_longer_one_is_damage(greeted: Board) -> None:
    answer = greeted.send(FrameType.INPUT, 1, messages.input_payload(0, bytes(1276)))
    refused(answer, ErrorCode.RANGE, 1024)
    (answer,) = greeted.exchange(encode_frame(Frame(FrameType.INPUT, 2, TAG, 3, bytes(1281))))
    rejected(answer, RejectCode.DAMAGED)


LEVEL_127 = bytes([0] * 1000 + [127] + [0] * 23)  # the stub network is certified up to 126


@pytest.mark.parametrize(
    ("type_", "payload", "code", "detail"),
    [
        (FrameType.INFER, b"", ErrorCode.LENGTH, 1028),
        (FrameType.INFER, bytes(3), ErrorCode.LENGTH, 1028),
        (FrameType.INFER, bytes(4 + 1023), ErrorCode.LENGTH, 1028),
        (FrameType.INFER, bytes(4 + 1025), ErrorCode.LENGTH, 1028),
        (FrameType.INFER, bytes(4), ErrorCode.INPUT_INCOMPLETE, 0),
        (FrameType.INFER, struct.pack("<I", 4) + SAMPLE.tobytes(), ErrorCode.FLAGS, 3),
        (FrameType.INFER, struct.pack("<I", 1 << 31) + SAMPLE.tobytes(), ErrorCode.FLAGS, 3),
        (FrameType.INFER, bytes(4) + LEVEL_127, ErrorCode.LEVEL, 1000),
        (FrameType.INPUT, b"", ErrorCode.LENGTH, 1280),
        (FrameType.INPUT, messages.input_payload(0, bytes(1025)), ErrorCode.RANGE, 1024),
        (FrameType.INPUT, messages.input_payload(1, bytes(1)), ErrorCode.RANGE, 1024),
        (FrameType.INPUT, messages.input_payload(1025, b""), ErrorCode.RANGE, 1024),
        (FrameType.INPUT, messages.input_payload(0xFFFFFFFF, bytes(9)), ErrorCode.RANGE, 1024),
        (FrameType.INPUT, messages.input_payload(0, LEVEL_127), ErrorCode.LEVEL, 1000),
        (FrameType.RUN_TO_LAYER, b"", ErrorCode.LENGTH, 1028),
        (FrameType.RUN_TO_LAYER, messages.run_to_layer_payload(3, SAMPLE.tobytes()), ErrorCode.LAYER, 3),
        (FrameType.RUN_TO_LAYER, messages.run_to_layer_payload(1 << 31), ErrorCode.LAYER, 3),
        (FrameType.RUN_TO_LAYER, messages.run_to_layer_payload(1), ErrorCode.INPUT_INCOMPLETE, 0),
        (FrameType.READ_OUTPUT, messages.read_output_payload(0, 0, 1), ErrorCode.NOTHING_TO_READ, 0),
        (FrameType.READ_OUTPUT, bytes(8), ErrorCode.LENGTH, 12),
        (FrameType.LAYER_INFO, b"", ErrorCode.LENGTH, 4),
        (FrameType.LAYER_INFO, messages.layer_info_payload(3), ErrorCode.LAYER, 3),
        (FrameType.LAYER_INFO, messages.layer_info_payload(0xFFFFFFFF), ErrorCode.LAYER, 3),
        (FrameType.COUNTERS, b"x", ErrorCode.LENGTH, 0),
        (FrameType.LAST_FAULT, b"x", ErrorCode.LENGTH, 0),
        (FrameType.RESET, b"x", ErrorCode.LENGTH, 0),
        (0x00, b"", ErrorCode.TYPE, 0),
        (0x0A, b"", ErrorCode.TYPE, 0x0A),
        (0x7F, b"", ErrorCode.TYPE, 0x7F),
    ],
)
def test_what_is_refused_and_how(greeted: Board, type_: int, payload: bytes, code: ErrorCode, detail: int) -> None:
    answer = greeted.send(type_, 1, payload)
    refused(answer, code, detail)
    assert parse_refusal(answer.payload).request == type_
    assert greeted.runs == [0, 0, 0]
    assert greeted.send(FrameType.INFER, 2, INFER).type == FrameType.INFER | ANSWER


def test_a_hello_of_wrong_length_opens_nothing(raw: Board) -> None:
    assert raw.exchange(encode_frame(Frame(FrameType.HELLO, payload=b"abc"))) == []
    rejected(raw.send(FrameType.INFER, 1, INFER), RejectCode.SESSION)


def test_input_in_chunks_serves_one_run(greeted: Board) -> None:
    data = SAMPLE.tobytes()
    for n, (at, size) in enumerate([(0, 500), (500, 0), (500, 524)], start=1):
        answer = greeted.send(FrameType.INPUT, n, messages.input_payload(at, data[at : at + size]))
        assert struct.unpack("<I", answer.payload) == (at + size,)
    whole = greeted.send(FrameType.INFER, 4, bytes(4))
    assert whole.payload == greeted.send(FrameType.INFER, 5, INFER).payload
    refused(greeted.send(FrameType.INFER, 6, bytes(4)), ErrorCode.INPUT_INCOMPLETE, 0)


def test_offset_zero_starts_an_input_anew(greeted: Board) -> None:
    data = SAMPLE.tobytes()
    greeted.send(FrameType.INPUT, 1, messages.input_payload(0, bytes(700)))
    greeted.send(FrameType.INPUT, 2, messages.input_payload(0, data[:600]))
    greeted.send(FrameType.INPUT, 3, messages.input_payload(600, data[600:]))
    assert greeted.send(FrameType.INFER, 4, bytes(4)).payload == greeted.send(FrameType.INFER, 5, INFER).payload


def test_a_layers_output_is_read_within_its_bounds(greeted: Board) -> None:
    answer = greeted.send(FrameType.RUN_TO_LAYER, 1, messages.run_to_layer_payload(1, SAMPLE.tobytes()))
    size, crc = messages.parse_run_to_layer(answer.payload)
    assert (size, greeted.runs) == (2048, [1, 1, 0])
    first = greeted.send(FrameType.READ_OUTPUT, 2, messages.read_output_payload(0, 0, 1280)).payload
    rest = greeted.send(FrameType.READ_OUTPUT, 3, messages.read_output_payload(0, 1280, 768)).payload
    assert zlib.crc32(first + rest) == crc
    assert greeted.send(FrameType.READ_OUTPUT, 4, messages.read_output_payload(0, 2048, 0)).payload == b""
    outside = [(0, 1281), (1, 2048), (2048, 1), (2049, 0), (0xFFFFFFFF, 2), (2, 0xFFFFFFFF)]
    for n, (offset, length) in enumerate(outside, start=5):
        answer = greeted.send(FrameType.READ_OUTPUT, n, messages.read_output_payload(0, offset, length))
        refused(answer, ErrorCode.RANGE, 1280 if (offset, length) == (0, 1281) else 2048)


@pytest.mark.parametrize(
    "between",
    [
        (FrameType.INPUT, messages.input_payload(0, bytes(1))),
        (FrameType.INFER, bytes(4) + LEVEL_127),
        (FrameType.RUN_TO_LAYER, messages.run_to_layer_payload(0, LEVEL_127)),
    ],
)
@pytest.mark.parametrize(
    "run", [(FrameType.INFER, INFER), (FrameType.RUN_TO_LAYER, messages.run_to_layer_payload(0, SAMPLE.tobytes()))]
)
def test_new_input_ends_the_reading_of_an_output(
    greeted: Board, run: tuple[int, bytes], between: tuple[int, bytes]
) -> None:
    greeted.send(run[0], 1, run[1])
    greeted.send(between[0], 2, between[1])
    answer = greeted.send(FrameType.READ_OUTPUT, 3, messages.read_output_payload(0, 0, 1))
    refused(answer, ErrorCode.NOTHING_TO_READ, 0)


def test_one_inference_gives_all_outputs(greeted: Board) -> None:
    """The second one in two pieces; also from repeated requests, whose answers the board has kept."""
    logits = greeted.send(FrameType.INFER, 1, INFER).payload[16:56]
    read = messages.read_output_payload
    assert greeted.send(FrameType.READ_OUTPUT, 2, read(0, 0, 40)).payload == logits
    pieces = [greeted.send(FrameType.READ_OUTPUT, n, read(1, at, size)).payload
              for n, at, size in ((3, 0, 1280), (4, 1280, 768), (4, 1280, 768))]  # fmt: skip
    assert (greeted.runs, pieces[1]) == ([1, 1, 1], pieces[2])
    greeted.send(FrameType.RUN_TO_LAYER, 5, messages.run_to_layer_payload(1, SAMPLE.tobytes()))
    whole = greeted.send(FrameType.READ_OUTPUT, 6, read(0, 0, 1280)).payload
    whole += greeted.send(FrameType.READ_OUTPUT, 7, read(0, 1280, 768)).payload
    assert pieces[0] + pieces[1] == whole


def test_outputs_that_are_not_there_are_refused(greeted: Board) -> None:
    read = messages.read_output_payload
    greeted.send(FrameType.INFER, 1, INFER)
    for n, output in enumerate((2, 3, 0x80000000, 0xFFFFFFFF), start=2):
        refused(greeted.send(FrameType.READ_OUTPUT, n, read(output, 0, 1)), ErrorCode.OUTPUT, 2)
    for n, (output, offset, length, size) in enumerate(
        [(0, 0, 41, 40), (0, 41, 0, 40), (1, 2048, 1, 2048), (1, 0xFFFFFFFF, 2, 2048), (1, 0, 1281, 1280)], start=6
    ):
        refused(greeted.send(FrameType.READ_OUTPUT, n, read(output, offset, length)), ErrorCode.RANGE, size)
    greeted.send(FrameType.RUN_TO_LAYER, 11, messages.run_to_layer_payload(2, SAMPLE.tobytes()))
    refused(greeted.send(FrameType.READ_OUTPUT, 12, read(1, 0, 1)), ErrorCode.OUTPUT, 1)


def test_a_kernel_that_refuses_names_its_layer(greeted: Board) -> None:
    ctypes.c_int.in_dll(greeted.c, "stub_refuses_layer").value = 1
    refused(greeted.send(FrameType.INFER, 1, INFER), ErrorCode.KERNEL, 1)
    answer = greeted.send(FrameType.RUN_TO_LAYER, 2, messages.run_to_layer_payload(2, SAMPLE.tobytes()))
    refused(answer, ErrorCode.KERNEL, 1)
    refused(
        greeted.send(FrameType.READ_OUTPUT, 3, messages.read_output_payload(0, 0, 1)),
        ErrorCode.NOTHING_TO_READ,
        0,
    )
    assert greeted.hello(NONCE + 1).inferences == 0


def test_layers_describe_themselves(greeted: Board) -> None:
    infos = [
        messages.parse_layer_info(greeted.send(FrameType.LAYER_INFO, n + 1, messages.layer_info_payload(n)).payload)
        for n in range(3)
    ]
    assert infos == [
        messages.LayerInfo("shift", "table", 1024, 0),
        messages.LayerInfo("sums é", "add", 2048, 7),
        messages.LayerInfo("logits", "dense", 40, 10240),
    ]


def test_counters_count(greeted: Board) -> None:
    greeted.send(FrameType.INFER, 1, INFER)
    greeted.send(FrameType.INFER, 1, INFER)
    greeted.send(FrameType.INFER, 7, INFER)
    greeted.send(FrameType.INFER, 2, INFER, session=0)
    greeted.exchange(b"\x05\0")
    counters = messages.parse_counters(greeted.send(FrameType.COUNTERS, 2).payload)
    assert counters == messages.BoardCounters(
        inferences=1, sessions=1, damaged=1, out_of_order=1, repeated=1, foreign=1, overruns=0
    )


def test_what_overflows_the_ring_is_counted_and_survived(greeted: Board) -> None:
    ring = (4 + 2) * (1292 + 1292 // 254 + 3)
    wire = b"".join(encode_frame(Frame(FrameType.INFER, n, TAG, n, INFER)) for n in range(1, 20))
    answers = greeted.exchange(wire)
    assert greeted.runs[0] == ring // len(encode_frame(Frame(FrameType.INFER, 1, TAG, 1, INFER)))
    assert len(answers) == greeted.runs[0]
    assert greeted.exchange(b"\0")[0].type == FrameType.REJECT
    assert greeted.hello(NONCE + 1).overruns == len(wire) - ring


def test_reset_is_answered_first(greeted: Board) -> None:
    frames = greeted.exchange(encode_frame(Frame(FrameType.RESET, 1, TAG, 2)))
    assert [frame.type for frame in frames] == [FrameType.RESET | ANSWER, FrameType.READY]
    assert greeted.c.board_resets() == 1
    rejected(greeted.send(FrameType.INFER, 2, INFER), RejectCode.SESSION)


def test_a_fault_is_told_at_once_and_kept(greeted: Board) -> None:
    assert greeted.send(FrameType.LAST_FAULT, 1).payload == b""
    greeted.c.board_fault()
    (fault,) = greeted.exchange(b"")
    assert fault.type == FrameType.FAULT
    assert greeted.send(FrameType.LAST_FAULT, 2).payload == fault.payload
    assert greeted.hello(NONCE + 1).has_fault


REQUESTS = st.builds(
    lambda type_, sequence, session, payload: Frame(type_, sequence, session, 0, payload),
    st.one_of(st.integers(0, 12), st.integers(0, 255)),
    st.integers(0, 4),
    st.sampled_from([TAG, TAG, TAG, 0]),
    st.one_of(
        st.binary(max_size=24),
        st.lists(st.integers(0, 2**32 - 1), max_size=3).map(lambda words: struct.pack(f"<{len(words)}I", *words)),
        st.sampled_from([INFER, INFER[:-1], bytes(1280), messages.hello_payload(NONCE)]),
    ),
)


@settings(max_examples=200)
@given(requests=st.lists(REQUESTS, max_size=12))
def test_whatever_is_asked_the_board_answers_and_goes_on(
    fuzzed: Board, new_nonce: Callable[[], int], requests: list[Frame]
) -> None:
    fuzzed.hello(new_nonce() & 0xFFFF0000 | TAG)
    for request in requests:
        if request.type != FrameType.RESET:
            assert len(fuzzed.exchange(encode_frame(request))) <= 1
    fuzzed.hello(new_nonce() & 0xFFFF0000 | TAG)
    assert fuzzed.send(FrameType.INFER, 1, INFER).payload[16:] == expected_logits(SAMPLE).tobytes()


@pytest.fixture(scope="module")
def fuzzed(board_library: Path) -> Board:
    return Board(board_library)


@pytest.fixture(scope="module")
def new_nonce() -> Callable[[], int]:
    nonces = iter(range(0x10000, 1 << 32, 0x10000))
    return lambda: next(nonces)


def test_levels_of_16_bits_are_counted_in_levels_and_come_whole(wide_board_library: Path) -> None:
    board = Board(wide_board_library)
    assert board.hello().input_bytes == 3002
    wide = np.zeros(600, "<i2")
    wide[7] = 30001  # the stub network is certified up to 30000
    refused(board.send(FrameType.INPUT, 1, messages.input_payload(0, wide.tobytes())), ErrorCode.LEVEL, 7)
    wide[7] = -30001
    refused(board.send(FrameType.INPUT, 2, messages.input_payload(0, wide.tobytes())), ErrorCode.LEVEL, 7)
    wide[7] = -30000
    refused(board.send(FrameType.INPUT, 3, messages.input_payload(0, bytes(9))), ErrorCode.LENGTH, 1280)
    answer = board.send(FrameType.INPUT, 4, messages.input_payload(0, wide.tobytes()))
    assert struct.unpack("<I", answer.payload) == (1200,)
