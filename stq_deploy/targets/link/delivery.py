"""Reliable delivery of requests, without any input or output of its own.

A serial line keeps order: bytes arrive in the order in which they were sent. The board answers requests in order, too,
and echoes in each answer the *transmission* number of the frame that caused it. So one rule finds every loss that
leaves a trace: when the board names transmission t, every unanswered request last sent before t is lost, or its answer
is. The host sends it again, and the board either handles it or repeats the answer it kept. A loss without a trace
causes a time-out. The host then sends only the oldest request again, and the board's reaction is evidence about the
rest.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from stq_deploy.targets.link.framing import Frame, encode_frame
from stq_deploy.targets.link.messages import parse_reject
from stq_deploy.targets.link.protocol import ANSWER, FrameType, RejectCode
from stq_deploy.targets.link.statistics import LinkStatistics


@dataclass(frozen=True)
class Request:
    """A question to the board, without its delivery."""

    type: FrameType
    payload: bytes = b""


@dataclass
class _Outstanding:
    request: Request
    sequence: int
    transmission: int
    transmissions: int = 1
    answer: Frame | None = None


class Delivery:
    """The requests of one session, from submission to answer.

    Args:
        session: low 16 bits of the session's nonce.
        window: most requests outstanding at once, as the board states.
        sequence: number of the first request, 16 bits.
        transmission: number of the first request, 16 bits.
        statistics: receives the counts.

    Attributes:
        lost: the board does not know this session any more, because it was reset or another program uses it.
            Unanswered requests then stay unanswered.
    """

    def __init__(self, session: int, window: int, sequence: int, transmission: int, statistics: LinkStatistics) -> None:
        self._session = session
        self._window = window
        self._next_sequence = sequence
        self._next_transmission = transmission
        self._statistics = statistics
        self._outstanding: deque[_Outstanding] = deque()
        self.lost = False

    @property
    def idle(self) -> bool:
        """Whether every request has been answered and the answer taken."""
        return not self._outstanding

    @property
    def full(self) -> bool:
        """Whether the board's window is full."""
        return len(self._outstanding) >= self._window

    @property
    def most_transmissions(self) -> int:
        """How often the most repeated of the outstanding requests was sent."""
        return max((entry.transmissions for entry in self._outstanding), default=0)

    def concerns(self, frame: Frame) -> bool:
        """Whether a board sent the frame in this session."""
        return frame.session == self._session and bool(frame.type & ANSWER)

    def submit(self, request: Request) -> bytes:
        """Accept a request; returns the bytes to send. Not to be called when `full`."""
        entry = _Outstanding(request, self._next_sequence, self._take_transmission())
        self._next_sequence = (self._next_sequence + 1) & 0xFFFF
        self._outstanding.append(entry)
        return self._encode(entry)

    def receive(self, frame: Frame) -> bytes:
        """Take an undamaged frame from the board; returns the bytes to send in reply, often none.

        Raises:
            AnswerError: a REJECT that does not parse.
        """
        if frame.type == FrameType.READY:
            self.lost = True
        if self.lost:
            return b""
        if frame.session != self._session:
            self._statistics.strays += 1
            return b""
        if frame.type == FrameType.REJECT:
            return self._receive_reject(frame)
        entry = self._find(frame.sequence)
        if not frame.type & ANSWER:
            self._statistics.strays += 1
            return b""
        if entry is None or entry.answer is not None:
            self._statistics.duplicates += 1
        else:
            entry.answer = frame
        return self._resend_up_to(frame.transmission - 1)

    def take_answers(self) -> list[tuple[Request, Frame, bool]]:
        """Answers without a missing one before them: request, answer, and whether it was sent only once."""
        taken = []
        while self._outstanding and (answer := self._outstanding[0].answer) is not None:
            entry = self._outstanding.popleft()
            taken.append((entry.request, answer, entry.transmissions == 1))
        return taken

    def probe(self) -> bytes:
        """The oldest unanswered request again, after a 0x00 that ends a frame that may have been cut off."""
        return b"\0" + self._resend(self._outstanding[0])

    def _receive_reject(self, frame: Frame) -> bytes:
        code = parse_reject(frame.payload).code
        if code == RejectCode.DAMAGED:
            # The board counts on from the last undamaged frame, so it may name a number too late or too early.
            self._statistics.damaged_reported += 1
        elif code == RejectCode.OUT_OF_ORDER:
            self._statistics.out_of_order_reported += 1
        else:
            self.lost = True
            return b""
        return self._resend_up_to(frame.transmission)

    def _resend_up_to(self, transmission: int) -> bytes:
        """Send again, in order, unanswered requests last sent no later than `transmission`."""
        return b"".join(
            self._resend(entry)
            for entry in self._outstanding
            if entry.answer is None and (transmission - entry.transmission) & 0xFFFF < 0x8000
        )

    def _resend(self, entry: _Outstanding) -> bytes:
        self._statistics.retries += 1
        entry.transmission = self._take_transmission()
        entry.transmissions += 1
        return self._encode(entry)

    def _encode(self, entry: _Outstanding) -> bytes:
        self._statistics.frames_sent += 1
        request = entry.request
        return encode_frame(Frame(request.type, entry.sequence, self._session, entry.transmission, request.payload))

    def _take_transmission(self) -> int:
        taken = self._next_transmission
        self._next_transmission = (taken + 1) & 0xFFFF
        return taken

    def _find(self, sequence: int) -> _Outstanding | None:
        for entry in self._outstanding:
            if entry.sequence == sequence:
                return entry
        return None
