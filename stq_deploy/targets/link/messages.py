"""Payloads to values and back. docs/PROTOCOL.md has the layouts; every number is little endian."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.targets.link.framing import FRAME_OVERHEAD
from stq_deploy.targets.link.protocol import MAX_FRAME_BYTES, FrameType, InferFlags, ResetCause

_FACTS = struct.Struct("<15I16s32s")
_INFER_ANSWER = struct.Struct("<IIQ")
_LAYER_INFO = struct.Struct("<II")
_COUNTERS = struct.Struct("<7I")
_REJECT = struct.Struct("<HHI")
_ERROR = struct.Struct("<HHI")
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_U32_U32 = struct.Struct("<II")
_READ_OUTPUT = struct.Struct("<III")

FACT_FAULT = 1

_LARGEST_TENSOR = 1 << 24
"""Bytes; more than the memory of any board. It bounds what the host allocates or asks for on a board's statement."""


class AnswerError(StqError):
    """An undamaged answer that violates the protocol: the two sides differ in version."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"the board's answer makes no sense: {what}",
            where="link",
            cause="the firmware on the board was built by another version of stq-deploy",
            next="build and flash the firmware again with this version",
        )


@dataclass(frozen=True)
class BoardFacts:
    """A board's facts about itself, its network and its link.

    Attributes:
        board: name, as in `boards/`.
        model_hash: hex SHA-256 of the network (`Network.sha256()`).
        build_id: hex, 16 bytes.
        input_bytes: bytes of one sample's levels.
        output_count: number of logits.
        output_type: 0, 1, 2 for int8, int16, int32.
        layer_count: number of the network's layers.
        window: requests that may be outstanding.
        max_request, max_answer: largest payload, bytes.
        clock_hz: frequency of the cycles that it counts.
        silicon: the vendor's identity register; 0 if there is none.
        reset_cause: why it last started.
        sessions: HELLOs with a new nonce since reset, this one included; 1 means it was reset since the last
            session.
        inferences: complete ones since reset.
        overruns: receive errors since reset.
        has_fault: whether it has kept the record of a fault.
    """

    board: str
    model_hash: str
    build_id: str
    input_bytes: int
    output_count: int
    output_type: int
    layer_count: int
    window: int
    max_request: int
    max_answer: int
    clock_hz: int
    silicon: int
    reset_cause: ResetCause
    sessions: int
    inferences: int
    overruns: int
    has_fault: bool


@dataclass(frozen=True, eq=False)
class Inference:
    """The result of one sample.

    Attributes:
        logits: int32 (output_count,), fixed-point.
        top1: index of the first largest logit, as the board computed it.
        cycles: of all layers together, without link and CRCs.
        crcs: uint32 (layer_count,), CRC-32 of each layer's output bytes; None if not asked for.
        layer_cycles: uint32 (layer_count,); None if not asked for.
        others: bytes of the outputs after the first, as in the board's memory, as far as asked for.
    """

    logits: npt.NDArray[np.int32]
    top1: int
    cycles: int
    crcs: npt.NDArray[np.uint32] | None
    layer_cycles: npt.NDArray[np.uint32] | None
    others: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class LayerInfo:
    """A layer as the firmware describes it; the texts are the model author's and untrusted."""

    name: str
    op: str
    output_bytes: int
    macs: int


@dataclass(frozen=True)
class BoardCounters:
    """The board's counts since reset; `stq_requests.h` defines each."""

    inferences: int
    sessions: int
    damaged: int
    out_of_order: int
    repeated: int
    foreign: int
    overruns: int


@dataclass(frozen=True)
class Reject:
    """A REJECT answer: why the board did not take a frame as a request.

    Attributes:
        code: a `RejectCode`, or a number unknown to this version.
        expected_sequence: number of the request that the board expects next, 16 bits.
        detail: depends on the code (docs/PROTOCOL.md).
    """

    code: int
    expected_sequence: int
    detail: int


@dataclass(frozen=True)
class LinkRefusal:
    """An ERROR answer: `code` is an `ErrorCode` or unknown, `request` the type that was refused."""

    code: int
    request: int
    detail: int


def hello_payload(nonce: int) -> bytes:
    """The payload of HELLO; `nonce` is a 32-bit number."""
    return _U32.pack(nonce)


def infer_payload(flags: InferFlags, levels: bytes = b"", counter: int | None = None) -> bytes:
    """The payload of INFER.

    Args:
        levels: all of a sample's, or none if INPUT requests have sent them.
        counter: of the sample, if the network has fresh noise.
    """
    return _U32.pack(flags) + _counter(counter) + levels


def input_payload(offset: int, levels: bytes) -> bytes:
    """The payload of INPUT: a sample's bytes from `offset` on, in bytes."""
    return _U32.pack(offset) + levels


def run_to_layer_payload(layer: int, levels: bytes = b"", counter: int | None = None) -> bytes:
    """`levels` and `counter` as for `infer_payload`."""
    return _U32.pack(layer) + _counter(counter) + levels


def _counter(counter: int | None) -> bytes:
    return b"" if counter is None else _U64.pack(counter)


def read_output_payload(output: int, offset: int, length: int) -> bytes:
    """`output`: index of the network's output after INFER; 0 for the layer's after RUN_TO_LAYER."""
    return _READ_OUTPUT.pack(output, offset, length)


def layer_info_payload(layer: int) -> bytes:
    """The payload of LAYER_INFO; `layer` is an index from 0."""
    return _U32.pack(layer)


def parse_facts(payload: bytes) -> tuple[int, BoardFacts]:
    """Nonce and facts.

    Raises:
        AnswerError: wrong length, or impossible numbers.
    """
    if len(payload) <= _FACTS.size:
        raise AnswerError(f"its facts have {len(payload)} bytes")
    words = _FACTS.unpack_from(payload)
    board, rest = _text(payload, _FACTS.size)
    if rest != len(payload):
        raise AnswerError(f"its facts have {len(payload)} bytes, {rest} were expected")
    cause = words[10]
    facts = BoardFacts(
        board=board,
        build_id=words[15].hex(),
        model_hash=words[16].hex(),
        window=words[1],
        max_request=words[2],
        max_answer=words[3],
        input_bytes=words[4],
        output_count=words[5],
        output_type=words[6],
        layer_count=words[7],
        clock_hz=words[8],
        silicon=words[9],
        reset_cause=ResetCause(cause) if cause in set(ResetCause) else ResetCause.UNKNOWN,
        sessions=words[11],
        inferences=words[12],
        overruns=words[13],
        has_fault=bool(words[14] & FACT_FAULT),
    )
    largest = MAX_FRAME_BYTES - FRAME_OVERHEAD
    sane = (
        1 <= facts.window <= 1024
        and 64 <= facts.max_request <= largest
        and 64 <= facts.max_answer <= largest
        and min(facts.input_bytes, facts.output_count, facts.layer_count) >= 1
        and facts.input_bytes <= _LARGEST_TENSOR
        # An inference with all options fits one answer.
        and _INFER_ANSWER.size + 4 * (facts.output_count + 2 * facts.layer_count) <= facts.max_answer
    )
    if not sane:
        raise AnswerError(f"it announces {facts}")
    return words[0], facts


def parse_inference(payload: bytes, flags: InferFlags, facts: BoardFacts) -> Inference:
    """An INFER answer.

    Raises:
        AnswerError: wrong length, other flags than requested, or a top-1 index that contradicts the logits.
    """
    crcs = facts.layer_count if flags & InferFlags.CRCS else 0
    cycle_counts = facts.layer_count if flags & InferFlags.CYCLES else 0
    expected = _INFER_ANSWER.size + 4 * (facts.output_count + crcs + cycle_counts)
    if len(payload) != expected:
        raise AnswerError(f"an inference has {len(payload)} bytes, {expected} were expected")
    answered, top1, cycles = _INFER_ANSWER.unpack_from(payload)
    words = np.frombuffer(payload, "<u4", offset=_INFER_ANSWER.size).astype(np.uint32)
    logits = words[: facts.output_count].view(np.int32)
    if answered != flags or top1 != int(logits.argmax()):
        raise AnswerError(f"flags {answered}, top-1 index {top1} for logits {logits.tolist()}")
    after_crcs = facts.output_count + crcs
    return Inference(
        logits=logits,
        top1=top1,
        cycles=cycles,
        crcs=words[facts.output_count : after_crcs] if crcs else None,
        layer_cycles=words[after_crcs:] if cycle_counts else None,
    )


def parse_run_to_layer(payload: bytes) -> tuple[int, int]:
    """Bytes of the layer's output, and its CRC-32."""
    output_bytes, crc = _unpack(_U32_U32, payload, "a layer's output")
    return output_bytes, crc


def check_output(output: bytes, output_bytes: int, crc: int) -> None:
    """Check that `output` is what `parse_run_to_layer` announced.

    Raises:
        AnswerError: it is not.
    """
    if len(output) != output_bytes or zlib.crc32(output) != crc:
        raise AnswerError(f"the {len(output)} bytes of a layer's output do not have the CRC-32 {crc:08x}")


def parse_layer_info(payload: bytes) -> LayerInfo:
    """A layer's description.

    Raises:
        AnswerError: wrong length, or an output larger than any board's memory.
    """
    if len(payload) < _LAYER_INFO.size:
        raise AnswerError(f"a layer's description has {len(payload)} bytes")
    output_bytes, macs = _LAYER_INFO.unpack_from(payload)
    name, offset = _text(payload, _LAYER_INFO.size)
    op, offset = _text(payload, offset)
    if offset != len(payload):
        raise AnswerError(f"a layer's description has {len(payload)} bytes, {offset} were expected")
    if output_bytes > _LARGEST_TENSOR:
        raise AnswerError(f"a layer has {output_bytes} bytes of output")
    return LayerInfo(name, op, output_bytes, macs)


def parse_counters(payload: bytes) -> BoardCounters:
    """The board's counts.

    Raises:
        AnswerError: wrong length.
    """
    return BoardCounters(*_unpack(_COUNTERS, payload, "its counters"))


def parse_reject(payload: bytes) -> Reject:
    """A REJECT answer.

    Raises:
        AnswerError: wrong length.
    """
    return Reject(*_unpack(_REJECT, payload, "a rejection"))


def parse_refusal(payload: bytes) -> LinkRefusal:
    """An ERROR answer.

    Raises:
        AnswerError: wrong length.
    """
    return LinkRefusal(*_unpack(_ERROR, payload, "an error"))


def describe_type(type_: int) -> str:
    """A frame type in messages: its name, or its number."""
    return FrameType(type_).name if type_ in set(FrameType) else f"{type_:#04x}"


def _unpack(layout: struct.Struct, payload: bytes, what: str) -> tuple[int, ...]:
    if len(payload) != layout.size:
        raise AnswerError(f"{what} has {len(payload)} bytes, {layout.size} were expected")
    return layout.unpack(payload)


def _text(payload: bytes, offset: int) -> tuple[str, int]:
    """The text at `offset`, after its length byte, and its end."""
    end = offset + 1 + payload[offset] if offset < len(payload) else len(payload) + 1
    if end > len(payload):
        raise AnswerError("a text runs over its end")
    text = payload[offset + 1 : end].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text), end
