"""Lines that never fall silent: what a port brings beside the board's answers, or in their place."""

from __future__ import annotations

import random
from collections.abc import Callable

from stq_deploy.targets.link.framing import Frame, encode_frame
from stq_deploy.targets.link.protocol import ANSWER, ErrorCode, FrameType, RejectCode
from stq_deploy.targets.link.transport import Transport

Babble = Callable[[random.Random, int], bytes]
"""What comes at one moment; given the tag of the session that is open."""


def _noise(chance: random.Random, _: int) -> bytes:
    """Another baud rate, or a floating pin."""
    return chance.randbytes(chance.randint(1, 60))


def _log(chance: random.Random, _: int) -> bytes:
    """Other firmware that prints."""
    return b"[%08d] adc=%04x\r\n" % (chance.randint(0, 10**8), chance.randint(0, 0xFFFF))


def _zeros(chance: random.Random, _: int) -> bytes:
    """A line that is held low."""
    return bytes(chance.randint(1, 60))


def _frame(type_: int, *, ours: bool, payload: bytes = b"") -> Babble:
    def babble(chance: random.Random, tag: int) -> bytes:
        session = tag if ours else tag ^ chance.randint(1, 0xFFFF)
        # Never the number of a request that is unanswered: that would be an answer, and no flood.
        sequence, transmission = chance.randint(0x8000, 0xFFFF), chance.randint(0, 0xFFFF)
        return encode_frame(Frame(type_, sequence, session, transmission, payload))

    return babble


def _reject(code: int, *, ours: bool) -> Babble:
    return _frame(FrameType.REJECT, ours=ours, payload=code.to_bytes(2, "little") + bytes(6))


BABBLE: dict[str, Babble] = {
    "noise": _noise,
    "log": _log,
    "zeros": _zeros,
    "answers of another session": _frame(FrameType.INFER | ANSWER, ours=False, payload=bytes(56)),
    "hello answers of another session": _frame(FrameType.HELLO | ANSWER, ours=False, payload=bytes(120)),
    "rejections of another session": _reject(RejectCode.SESSION, ours=False),
    "late answers of this session": _frame(FrameType.INFER | ANSWER, ours=True, payload=bytes(56)),
    "errors of this session": _frame(
        FrameType.ERROR, ours=True, payload=ErrorCode.LEVEL.to_bytes(2, "little") + bytes(6)
    ),
    "our own requests": _frame(FrameType.INFER, ours=True, payload=bytes(80)),
    "an unknown type": _frame(0x6E, ours=True),
    "ready": _frame(FrameType.READY, ours=False),
    **{f"rejections, {code.name}": _reject(code, ours=True) for code in RejectCode},
    "rejections of an unknown code": _reject(99, ours=True),
}


class Flood:
    """A `Transport` beside whose bytes others come, every `period` seconds of its clock.

    Args:
        inner: reaches the board.
        babble: what comes.
        seed: of the babble.
        period: seconds; less than any time-out of the session.
        lets_through: whether what the board says still arrives.
    """

    def __init__(
        self, inner: Transport, babble: Babble, *, seed: int = 0, period: float = 0.05, lets_through: bool = False
    ) -> None:
        self.inner = inner
        self.tag = 0
        self.running = True
        self._babble = babble
        self._chance = random.Random(seed)
        self._period = period
        self._lets_through = lets_through
        self._next = inner.now()

    @property
    def name(self) -> str:
        return self.inner.name

    def now(self) -> float:
        return self.inner.now()

    def close(self) -> None:
        self.inner.close()

    def write(self, data: bytes) -> None:
        self.inner.write(data)

    def read(self, timeout: float) -> bytes:
        if not self.running:
            return self.inner.read(timeout)
        self._next = max(self._next, self.now())
        deadline = self.now() + timeout
        while True:
            data = self.inner.read(max(0.0, min(self._next, deadline) - self.now()))
            if not self._lets_through:
                data = b""
            if self.now() >= self._next:
                self._next += self._period
                data += self._babble(self._chance, self.tag)
            if data or self.now() >= deadline:
                return data
