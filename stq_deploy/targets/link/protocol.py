"""The numbers of the link protocol, version 2; `firmware_templates/link/stq_protocol.h` has the board's."""

from __future__ import annotations

from enum import IntEnum, IntFlag

VERSION = 2

MAX_FRAME_BYTES = 1 << 16
"""Longest frame, whatever a board announces; it bounds what garbage can make the host keep."""


class FrameType(IntEnum):
    """The type of a frame. A board's answer has the request's type with `ANSWER` set."""

    HELLO = 0x01
    INFER = 0x02
    INPUT = 0x03
    RUN_TO_LAYER = 0x04
    READ_OUTPUT = 0x05
    LAYER_INFO = 0x06
    COUNTERS = 0x07
    LAST_FAULT = 0x08
    RESET = 0x09
    ERROR = 0xE0
    REJECT = 0xE1
    READY = 0xF0
    FAULT = 0xF1


ANSWER = 0x80


class InferFlags(IntFlag):
    """Optional parts of an INFER answer."""

    NONE = 0
    CRCS = 1
    CYCLES = 2


class ErrorCode(IntEnum):
    """Why a board refused a request it understood."""

    TYPE = 1
    LENGTH = 2
    FLAGS = 3
    LAYER = 4
    RANGE = 5
    INPUT_INCOMPLETE = 6
    NOTHING_TO_READ = 7
    KERNEL = 8
    LEVEL = 9
    OUTPUT = 10


class RejectCode(IntEnum):
    """Why a board did not accept a frame as a request."""

    DAMAGED = 1
    OUT_OF_ORDER = 2
    SESSION = 3
    VERSION = 4


class ResetCause(IntEnum):
    """Why the board last started."""

    UNKNOWN = 0
    POWER = 1
    PIN = 2
    SOFTWARE = 3
    WATCHDOG = 4
    FAULT = 5
