"""The rule by which losses are found, step by step."""

from __future__ import annotations

import struct

import pytest

from stq_deploy.targets.link.delivery import Delivery, Request
from stq_deploy.targets.link.framing import Frame, FrameDecoder
from stq_deploy.targets.link.protocol import ANSWER, FrameType, RejectCode
from stq_deploy.targets.link.statistics import LinkStatistics

SESSION = 77


class Host:
    """A delivery with four requests sent, as transmissions `first` to `first + 3`."""

    def __init__(self, first: int = 1) -> None:
        self.counts = LinkStatistics()
        self.delivery = Delivery(SESSION, 4, 65534, first, self.counts)  # sequence numbers wrap
        self.sequences = [65534, 65535, 0, 1]
        sent = [self.delivery.submit(Request(FrameType.INFER, bytes([n]))) for n in range(4)]
        assert self.read(b"".join(sent)) == [(n, (first + n) & 0xFFFF) for n in range(4)]

    def read(self, data: bytes) -> list[tuple[int, int]]:
        """Which of the requests are in `data`, and as which transmissions."""
        frames = FrameDecoder().feed(data)
        assert all(isinstance(frame, Frame) and frame.session == SESSION for frame in frames)
        return [(self.sequences.index(f.sequence), f.transmission) for f in frames if isinstance(f, Frame)]

    def answer(self, number: int, transmission: int, payload: bytes = b"", session: int = SESSION) -> list:
        type_ = FrameType.INFER | ANSWER
        frame = Frame(type_, self.sequences[number], session, transmission, payload)
        return self.read(self.delivery.receive(frame))

    def reject(self, code: RejectCode, transmission: int) -> list:
        payload = struct.pack("<HHI", code, 0, 0)
        return self.read(self.delivery.receive(Frame(FrameType.REJECT, 0, SESSION, transmission, payload)))

    def taken(self) -> list[int]:
        return [request.payload[0] for request, _, _ in self.delivery.take_answers()]


def test_answers_in_order_need_nothing() -> None:
    host = Host()
    for n in range(4):
        assert host.delivery.full == (n == 0)
        assert host.answer(n, n + 1) == []
        assert host.taken() == [n]
    assert host.delivery.idle
    assert host.counts.retries == 0


def test_a_later_answer_shows_that_those_before_it_are_lost() -> None:
    host = Host()
    assert host.answer(2, 3) == [(0, 5), (1, 6)]
    assert host.taken() == []
    # The answer to transmission 4 says nothing about 5 and 6.
    assert host.answer(3, 4) == []
    assert host.answer(1, 6) == [(0, 7)]
    assert host.answer(0, 7) == []
    assert host.taken() == [0, 1, 2, 3]


@pytest.mark.parametrize("code", [RejectCode.DAMAGED, RejectCode.OUT_OF_ORDER])
def test_a_rejection_shows_that_the_rejected_is_lost_too(code: RejectCode) -> None:
    host = Host()
    assert host.reject(code, 1) == [(0, 5)]
    assert host.reject(code, 1) == []
    assert host.reject(code, 3) == [(1, 6), (2, 7)]
    assert host.reject(code, 4) == [(3, 8)]


def test_a_late_rejection_does_not_repeat_what_was_repeated_since() -> None:
    host = Host()
    assert host.read(host.delivery.probe()) == [(0, 5)]
    assert host.reject(RejectCode.OUT_OF_ORDER, 2) == [(1, 6)]


def test_the_answer_to_a_probe_shows_what_was_lost_with_it() -> None:
    host = Host()
    assert host.read(host.delivery.probe()) == [(0, 5)]
    assert host.answer(0, 5) == [(1, 6), (2, 7), (3, 8)]


@pytest.mark.parametrize("first", [65533, 65535, 32766])
def test_transmission_numbers_wrap(first: int) -> None:
    host = Host(first)
    assert host.answer(3, (first + 3) & 0xFFFF) == [(n, (first + 4 + n) & 0xFFFF) for n in range(3)]


def test_the_first_answer_counts() -> None:
    host = Host()
    host.answer(0, 1, b"first")
    host.answer(0, 1, b"again")
    assert [frame.payload for _, frame, _ in host.delivery.take_answers()] == [b"first"]
    assert host.counts.duplicates == 1
    host.answer(0, 1, b"and again")
    assert host.counts.duplicates == 2


def test_only_what_was_sent_once_tells_the_boards_speed() -> None:
    host = Host()
    host.delivery.probe()
    host.answer(0, 1)
    host.answer(1, 2)
    assert [once for _, _, once in host.delivery.take_answers()] == [False, True]


def test_frames_of_another_session_are_ignored() -> None:
    host = Host()
    assert host.answer(0, 1, session=SESSION + 1) == []
    assert host.answer(3, 4, session=SESSION + 1) == []
    assert (host.taken(), host.counts.strays) == ([], 2)
    assert not host.delivery.lost


def test_requests_echoed_by_a_looped_cable_are_no_answers() -> None:
    host = Host()
    assert host.read(host.delivery.receive(Frame(FrameType.INFER, 65534, SESSION, 1))) == []
    assert (host.taken(), host.counts.strays) == ([], 1)


def test_a_lost_session_is_noticed_and_keeps_what_came_before() -> None:
    host = Host()
    host.answer(0, 1)
    assert host.reject(RejectCode.SESSION, 2) == []
    assert host.delivery.lost
    assert host.answer(1, 2) == []
    assert host.taken() == [0]
    other = Host()
    other.delivery.receive(Frame(FrameType.READY))
    assert other.delivery.lost
