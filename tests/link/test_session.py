"""Host and board together, over lines good and bad: each sample answered once, with the right logits."""

from __future__ import annotations

import ctypes
import dataclasses
import itertools
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stq_deploy.common.errors import StqError
from stq_deploy.targets.link.faults import BoardFault
from stq_deploy.targets.link.framing import Frame, encode_frame
from stq_deploy.targets.link.identity import ExpectedBoard, NetworkFacts, WrongBoardError, check_identity
from stq_deploy.targets.link.messages import AnswerError, LayerInfo, parse_layer_info
from stq_deploy.targets.link.problems import (
    OtherVersionError,
    RefusedError,
    SilentBoardError,
    UnusableLineError,
)
from stq_deploy.targets.link.protocol import ErrorCode, ResetCause
from stq_deploy.targets.link.session import Session
from stq_deploy.targets.link.timeouts import Timeouts
from tests.helpers.link.damage import KINDS, Damage
from tests.helpers.link.simulated_board import (
    SimulatedBoard,
    expected_logits,
    expected_sums,
    random_samples,
    random_wide_samples,
)

OpenSession = Callable[..., Session]

SAMPLES = random_samples(40)
LOGITS = np.array([expected_logits(sample) for sample in SAMPLES])


def logits_of(session: Session, samples: np.ndarray = SAMPLES) -> np.ndarray:
    return np.array([result.logits for result in session.infer(samples)])


def test_a_good_line_needs_no_repeats_and_hides_the_wire(board: SimulatedBoard, open_session: OpenSession) -> None:
    session = open_session(board)
    begin = board.now()
    results = list(session.infer(SAMPLES, crcs=True, layer_cycles=True))
    assert (np.array([result.logits for result in results]) == LOGITS).all()
    for result in results:
        assert result.crcs is not None
        assert result.crcs[2] == zlib.crc32(result.logits.tobytes())
        assert result.layer_cycles is not None
        assert result.cycles == result.layer_cycles.sum() == 600
    assert board.runs == len(SAMPLES)
    counts = session.statistics
    assert counts.retries == counts.damaged_received == counts.duplicates == 0
    # 20 ms of computing hide 11.3 ms of wire per sample, except the first sample's.
    assert board.now() - begin < 0.020 * len(SAMPLES) + 0.015


def test_one_request_at_a_time_would_not_hide_the_wire(board: SimulatedBoard, open_session: OpenSession) -> None:
    """So the test above measures what it says."""
    session = open_session(board)
    begin = board.now()
    for sample in SAMPLES:
        list(session.infer([sample]))
    assert board.now() - begin > 0.031 * len(SAMPLES)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("direction", ["to_board", "to_host", "both"])
def test_each_kind_of_damage_is_overcome(
    board_library: Path, open_session: OpenSession, kind: str, direction: str
) -> None:
    # An answer has some 70 bytes, a request 1044: rates under which about a third of them are hit.
    to_board = Damage(1, 4e-4 if direction != "to_host" else 0, (kind,))
    to_host = Damage(2, 5e-3 if direction != "to_board" else 0, (kind,))
    board = SimulatedBoard(board_library, to_board=to_board, to_host=to_host)
    session = open_session(board)
    assert (logits_of(session) == LOGITS).all()
    assert board.runs == len(SAMPLES)
    assert to_board.injected[kind] + to_host.injected[kind] >= 3
    if kind in {"flip", "drop", "cut"}:
        assert session.statistics.retries >= 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), rate=st.sampled_from([1e-5, 1e-4, 3e-4, 6e-4]))
def test_any_damage_is_overcome(board_library: Path, open_session: OpenSession, seed: int, rate: float) -> None:
    board = SimulatedBoard(
        board_library,
        to_board=Damage(seed, rate),
        to_host=Damage(seed + 1, 5 * rate),
        inference_seconds=0.003,
    )
    session = open_session(board)
    assert (logits_of(session) == LOGITS).all()
    assert board.runs == len(SAMPLES)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_input_in_chunks_survives_damage(large_board_library: Path, open_session: OpenSession, seed: int) -> None:
    samples = random_samples(12, 3001, seed)
    board = SimulatedBoard(large_board_library, to_board=Damage(seed, 2e-4), to_host=Damage(seed + 1, 1e-3))
    session = open_session(board)
    wanted = np.array([expected_logits(sample) for sample in samples])
    assert (logits_of(session, samples) == wanted).all()
    assert board.runs == len(samples)
    assert zlib.crc32(session.layer_output(samples[3], 2)) == zlib.crc32(wanted[3].tobytes())


SUMS = [expected_sums(sample).astype("<i2").tobytes() for sample in SAMPLES]


def test_one_inference_gives_all_outputs(board: SimulatedBoard, open_session: OpenSession) -> None:
    """Outputs of 2,048 bytes take two answers; the next samples are sent ahead as before."""
    session = open_session(board)
    results = list(session.infer(SAMPLES, others=(2048,)))
    assert [result.others for result in results] == [(sums,) for sums in SUMS]
    assert (np.array([result.logits for result in results]) == LOGITS).all()
    assert board.runs == len(SAMPLES)
    assert session.statistics.frames_sent == 1 + 3 * len(SAMPLES)


def all_outputs_survive(session: Session, board: SimulatedBoard, resets: tuple[int, ...]) -> None:
    """After a reset samples are run again of which an output is missing: at most the two in the window."""
    results = list(session.infer(SAMPLES[:12], crcs=True, others=(2048,)))
    assert [result.others for result in results] == [(sums,) for sums in SUMS[:12]]
    assert (np.array([result.logits for result in results]) == LOGITS[:12]).all()
    assert board.runs <= 12 + 2 * len(resets)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), resets=st.sampled_from([(), (1,), (4, 9)]))
def test_all_outputs_survive_damage_and_resets(
    board_library: Path, open_session: OpenSession, seed: int, resets: tuple[int, ...]
) -> None:
    # Six repeats and their answers have less than 8,000 bytes in each direction. At most five of them are struck.
    to_board = Damage(seed, 2e-4, most=2, within=8000)
    to_host = Damage(seed + 1, 2e-4, most=3, within=8000)
    board = SimulatedBoard(
        board_library, to_board=to_board, to_host=to_host, resets_after=resets, inference_seconds=0.003
    )
    all_outputs_survive(open_session(board), board, resets)


def test_six_struck_answers_and_a_whole_one_are_survived(board_library: Path, open_session: OpenSession) -> None:
    """Found by chance: what was left of a struck answer spoilt the whole one behind it."""
    board = SimulatedBoard(
        board_library,
        to_board=Damage(16995, 2e-4),
        to_host=Damage(16996, 2e-4),
        resets_after=(4, 9),
        inference_seconds=0.003,
    )
    all_outputs_survive(open_session(board), board, (4, 9))


class LostEnds(Damage):
    """The last two bytes of the first `count` pieces are lost. A frame shorter than 64 bytes is one piece."""

    def __init__(self, count: int) -> None:
        super().__init__(0, 0)
        self.left = count

    def apply(self, data: bytes, moment: float) -> tuple[bytes, float]:
        if not data or not self.left:
            return data, 0.0
        self.left -= 1
        return data[:-2], 0.0


@pytest.mark.parametrize(
    ("requests", "answers"), [*((0, n) for n in range(1, 7)), *((n, 0) for n in range(1, 7)), (3, 3), (1, 5), (5, 1)]
)
def test_each_lost_end_costs_one_exchange(
    board: SimulatedBoard, open_session: OpenSession, requests: int, answers: int
) -> None:
    """So one whole exchange among the request and its six repeats suffices."""
    session = open_session(board)
    board.to_board, board.to_host = LostEnds(requests), LostEnds(answers)
    assert session.counters().inferences == 0
    assert board.to_board.left == board.to_host.left == 0
    assert session.statistics.timeouts <= requests + answers <= 6


def test_seven_lost_answers_are_one_too_many(board: SimulatedBoard, open_session: OpenSession) -> None:
    session = open_session(board)
    board.to_host = LostEnds(7)
    with pytest.raises(SilentBoardError, match="stopped answering"):
        session.counters()


@pytest.mark.parametrize("direction", ["to_board", "to_host"])
def test_one_whole_hello_of_twelve_suffices(board: SimulatedBoard, open_session: OpenSession, direction: str) -> None:
    setattr(board, direction, LostEnds(11))
    assert open_session(board).facts.board == "memory"
    setattr(board, direction, LostEnds(12))
    with pytest.raises(SilentBoardError):
        open_session(board)


def test_an_output_that_the_board_has_otherwise_is_an_error(board: SimulatedBoard, open_session: OpenSession) -> None:
    session = open_session(board)
    with pytest.raises(RefusedError, match="outside of 2048 bytes"):
        list(session.infer(SAMPLES[:1], others=(2049,)))
    with pytest.raises(RefusedError, match="no such output; there are 2"):
        list(session.infer(SAMPLES[:1], others=(2048, 4)))
    assert (logits_of(session) == LOGITS).all()


def test_levels_of_16_bits_arrive_whole(wide_board_library: Path, open_session: OpenSession) -> None:
    samples = random_wide_samples(6, 1501)
    samples[0, :2] = -30000, 30000
    session = open_session(SimulatedBoard(wide_board_library, to_board=Damage(2, 2e-4), to_host=Damage(3, 1e-3)))
    assert (logits_of(session, samples) == np.array([expected_logits(sample) for sample in samples])).all()


def test_answers_that_are_merely_late_are_not_run_twice(board_library: Path, open_session: OpenSession) -> None:
    """Every time-out is too short: what is sent again finds the answer kept."""
    board = SimulatedBoard(board_library, inference_seconds=0.9)
    hasty = Timeouts(first_answer=0.05, shortest_answer=0.01, slowest_factor=0.1, attempts=12)
    session = open_session(board, timeouts=hasty)
    assert (logits_of(session, SAMPLES[:8]) == LOGITS[:8]).all()
    assert board.runs == 8
    assert session.statistics.timeouts >= 8
    assert session.statistics.duplicates >= 1


def test_a_line_that_damages_everything_is_given_up(board_library: Path, open_session: OpenSession) -> None:
    board = SimulatedBoard(board_library)
    session = open_session(board)
    board.to_board = Damage(1, 0.05, ("flip", "drop", "insert", "zero"))
    with pytest.raises(UnusableLineError, match="40 transmissions"):
        logits_of(session)
    board.to_board = Damage(1, 0)
    assert (logits_of(session) == LOGITS).all()


def test_a_board_that_falls_silent_is_given_up_in_bounded_time(board_library: Path, open_session: OpenSession) -> None:
    board = SimulatedBoard(board_library)
    session = open_session(board)
    board.to_host = Damage(1, 1.0, ("drop",))
    begin = board.now()
    with pytest.raises(SilentBoardError, match="stopped answering"):
        logits_of(session)
    assert board.now() - begin < 2 * 2 ** (6 + 1)


@pytest.mark.parametrize("resets_after", [(1,), (5,), (5, 9, 30), (39,)])
def test_a_reset_in_mid_run_is_noticed_and_the_run_goes_on(
    board_library: Path, open_session: OpenSession, resets_after: tuple[int, ...]
) -> None:
    board = SimulatedBoard(board_library, resets_after=resets_after)
    session = open_session(board)
    assert (logits_of(session) == LOGITS).all()
    assert session.statistics.resets == len(resets_after)
    assert session.facts.reset_cause == ResetCause.WATCHDOG
    # What was answered before the reset is not run again.
    assert board.runs <= len(SAMPLES) + len(resets_after)


def test_a_reset_between_the_chunks_of_a_sample_starts_it_anew(
    large_board_library: Path, open_session: OpenSession
) -> None:
    samples = random_samples(9, 3001)
    board = SimulatedBoard(large_board_library, resets_after=(2, 4), to_host=Damage(3, 1e-3))
    session = open_session(board)
    assert (logits_of(session, samples) == np.array([expected_logits(sample) for sample in samples])).all()
    assert session.statistics.resets == 2


def test_a_board_that_resets_at_every_inference_is_given_up(board_library: Path, open_session: OpenSession) -> None:
    board = SimulatedBoard(board_library, resets_after=tuple(range(1, 30)))
    board.to_host = Damage(0, 0)
    collect = board._collect

    def lose_answers(moment: float) -> None:
        collect(moment)
        board._for_host[:] = [item for item in board._for_host if b"\x82" not in item[1][:6]]

    session = open_session(board)
    board._collect = lose_answers  # type: ignore[method-assign]
    with pytest.raises(UnusableLineError, match="lost the session 4 times"):
        logits_of(session)


def test_a_question_dropped_half_way_does_not_disturb_the_next(
    board: SimulatedBoard, open_session: OpenSession
) -> None:
    session = open_session(board)
    for stop_after in (0, 1, 3):
        taken = list(itertools.islice(session.infer(SAMPLES), stop_after))
        assert [result.logits.tolist() for result in taken] == LOGITS[:stop_after].tolist()
        assert (logits_of(session, SAMPLES[20:]) == LOGITS[20:]).all()


def test_samples_are_drawn_only_a_window_ahead(board: SimulatedBoard, open_session: OpenSession) -> None:
    drawn = 0

    def samples() -> Iterator[np.ndarray]:
        nonlocal drawn
        for sample in SAMPLES:
            drawn += 1
            yield sample

    session = open_session(board)
    for finished, _ in enumerate(session.infer(samples()), start=1):
        assert drawn <= finished + session.facts.window


def test_a_sample_of_another_size_or_type_is_not_sent(board: SimulatedBoard, open_session: OpenSession) -> None:
    session = open_session(board)
    with pytest.raises(ValueError, match="1024 bytes of levels, not 1023"):
        list(session.infer([bytes(1023)]))
    with pytest.raises(ValueError, match="int8 or int16, not float64"):
        list(session.infer([np.zeros(1024)]))  # type: ignore[list-item]
    assert (logits_of(session) == LOGITS).all()


def test_a_refused_sample_comes_after_the_results_before_it(board: SimulatedBoard, open_session: OpenSession) -> None:
    samples = SAMPLES[:5].copy()
    samples[3, 77] = 127
    session = open_session(board)
    results = session.infer(samples)
    for n in range(3):
        assert next(results).logits.tolist() == LOGITS[n].tolist()
    with pytest.raises(RefusedError, match="input level 77 lies outside") as caught:
        next(results)
    assert caught.value.refusal.code == ErrorCode.LEVEL
    assert (logits_of(session) == LOGITS).all()


def test_the_smaller_questions(board: SimulatedBoard, open_session: OpenSession) -> None:
    session = open_session(board)
    assert session.layers()[1] == session.layer(1) == LayerInfo("sums é", "add", 2048, 7)
    assert np.frombuffer(session.layer_output(SAMPLES[0], 2), "<i4").tolist() == LOGITS[0].tolist()
    assert len(session.layer_output(SAMPLES[0], 1)) == 2048
    with pytest.raises(ValueError, match="3 layers, no layer 3"):
        session.layer_output(SAMPLES[0], 3)
    assert session.counters().sessions == 1
    assert session.last_fault() is None
    assert session.reset_board().reset_cause == ResetCause.SOFTWARE
    assert board.library.board_resets() == 1
    assert (logits_of(session) == LOGITS).all()


def test_a_crash_is_told_with_its_registers_in_words(board: SimulatedBoard, open_session: OpenSession) -> None:
    session = open_session(board, locate=lambda pc: "stq_dense_t2_s8 + 0x10" if pc == 0x08001234 else None)
    board.library.board_fault()
    with pytest.raises(BoardFault) as caught:
        logits_of(session)
    text = str(caught.value)
    assert "HardFault outside the network, at 0x08001234 (stq_dense_t2_s8 + 0x10)" in text
    assert "division by zero (DIVBYZERO)" in text
    assert "sp=2001ff00" in text
    session.open()
    found = session.last_fault()
    assert found is not None
    assert found.pc == 0x08001234


def test_the_wrong_model_build_or_board_is_named(board: SimulatedBoard, open_session: OpenSession) -> None:
    right = open_session(board).facts
    with pytest.raises(WrongBoardError, match=r"expected aaaaaaaaaaaaaaaa \(mine\), the board runs 01020304") as e:
        open_session(board, expected=ExpectedBoard("memory", "aa" * 32, model_name="mine"))
    assert "stq-deploy flash --board memory" in str(e.value)
    with pytest.raises(WrongBoardError, match="expected build bbbb"):
        open_session(board, expected=ExpectedBoard("memory", right.model_hash, "bb" * 16))
    with pytest.raises(WrongBoardError, match=r"'stm32h743', but .* 'memory'"):
        open_session(board, expected=ExpectedBoard("stm32h743"))
    open_session(board, expected=ExpectedBoard("memory", right.model_hash, right.build_id))


class Scripted:
    """A transport that answers everything with the same bytes."""

    name = "scripted"

    def __init__(self, says: bytes) -> None:
        self.says, self.waiting, self.clock = says, b"", 0.0

    def now(self) -> float:
        return self.clock

    def read(self, timeout: float) -> bytes:
        data, self.waiting = self.waiting, b""
        self.clock += 0 if data else timeout
        return data

    def write(self, data: bytes) -> None:
        self.waiting += self.says

    def close(self) -> None:
        pass


def stated(**lies: int) -> bytes:
    """Facts that no board has: a right one's, and `lies`."""
    right = {
        "nonce": 0, "window": 4, "max_request": 1280, "max_answer": 1280, "input_bytes": 1024, "output_count": 10,
        "output_type": 2, "layer_count": 3, "clock_hz": 1, "silicon": 0, "cause": 1, "sessions": 1, "inferences": 0,
        "overruns": 0, "flags": 0,
    }  # fmt: skip
    assert set(lies) <= set(right)
    return struct.pack("<15I48sB", *(right | lies).values(), bytes(48), 0)


LIES = [
    *(stated(**{name: number}) for name in ("window", "input_bytes", "output_count", "layer_count")
      for number in (0, 2**32 - 1)),
    *(stated(**{name: number}) for name in ("max_request", "max_answer") for number in (0, 63, 2**16, 2**32 - 1)),
    stated(window=1025),
    stated(input_bytes=(1 << 24) + 1),
    stated(output_count=311),  # with three layers' CRCs and cycles, more than the largest answer holds
    stated(layer_count=154),
]  # fmt: skip


@pytest.mark.parametrize(
    ("says", "error", "message"),
    [
        (b"", SilentBoardError, "does not answer"),
        (b"login: ", SilentBoardError, "84 bytes came from the port, but no answer"),
        (encode_frame(Frame(0x81, session=1, version=1)), OtherVersionError, "version 1 .* version 2"),
        (encode_frame(Frame(0x81, session=1)), AnswerError, "its facts have 0 bytes"),
        (encode_frame(Frame(0x81, session=1, payload=bytes(200))), AnswerError, "facts have 200 bytes"),
        (encode_frame(Frame(0x81, session=1, payload=bytes(109))), AnswerError, "announces"),
        (encode_frame(Frame(0x81, session=1, payload=bytes(108) + b"\xff")), AnswerError, "runs over"),
        *((encode_frame(Frame(0x81, session=1, payload=lie)), AnswerError, "announces") for lie in LIES),
        (encode_frame(Frame(0xF1, payload=bytes(3))), AnswerError, "a fault record has 3 bytes"),
    ],
)
def test_what_is_no_board_of_ours_is_told_apart(
    open_session: OpenSession, says: bytes, error: type[StqError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        open_session(Scripted(says))
    assert caught.value.cause
    assert caught.value.next


@pytest.mark.parametrize("name", ["input_bytes", "output_count", "output_type", "layer_count"])
def test_a_board_that_contradicts_its_model_hash_is_named(
    board: SimulatedBoard, open_session: OpenSession, name: str
) -> None:
    session = open_session(board)
    right = NetworkFacts.stated(session.facts)
    other = dataclasses.replace(right, **{name: getattr(right, name) + 1})
    check_identity(session.facts, ExpectedBoard(network=right), where="here")
    with pytest.raises(WrongBoardError, match="contradicts its own model hash: it states") as caught:
        check_identity(session.facts, ExpectedBoard(network=other), where="here")
    assert str(getattr(right, name)) in str(caught.value)
    # Nor may a board change its mind when it is asked again.
    session._facts = dataclasses.replace(session.facts, **{name: getattr(right, name) + 1})
    session._delivery = None
    with pytest.raises(WrongBoardError, match="contradicts"):
        session.counters()


def test_an_output_of_another_size_than_the_networks_is_not_asked_for(
    board: SimulatedBoard, open_session: OpenSession
) -> None:
    session = open_session(board)
    assert len(session.layer_output(SAMPLES[0], 1, output_bytes=2048)) == 2048
    sent = session.statistics.frames_sent
    with pytest.raises(WrongBoardError, match="states 2048 bytes of output of layer 1, the network has 2047"):
        session.layer_output(SAMPLES[0], 1, output_bytes=2047)
    assert session.statistics.frames_sent == sent + 1  # LAYER_INFO alone


def test_a_layer_of_an_impossible_size_is_refused() -> None:
    description = struct.pack("<II", (1 << 24) + 1, 0) + b"\0\0"
    with pytest.raises(AnswerError, match="16777217 bytes of output"):
        parse_layer_info(description)


def test_stale_answers_of_an_earlier_program_are_ignored(board: SimulatedBoard, open_session: OpenSession) -> None:
    first = open_session(board)
    results = first.infer(SAMPLES)
    next(results)
    results.close()  # killed with answers under way
    second = Session(board, nonces=lambda: 0x1234_0001)
    second.open()
    assert (logits_of(second, SAMPLES[::-1]) == LOGITS[::-1]).all()


def test_another_program_on_the_port_costs_time_but_no_result(board: SimulatedBoard, open_session: OpenSession) -> None:
    session = open_session(board)

    def intruded() -> Iterator[np.ndarray]:
        for n, sample in enumerate(SAMPLES):
            Session(board, nonces=lambda n=n: n).open()  # takes the session away, and answers with it
            yield sample

    assert [result.logits.tolist() for result in session.infer(intruded())] == LOGITS.tolist()
    assert session.statistics.resets == 0  # nothing was reset, and it knows
    assert session.facts.sessions > len(SAMPLES) // 2


def test_the_boards_own_counts_agree(board_library: Path, open_session: OpenSession) -> None:
    board = SimulatedBoard(board_library, to_board=Damage(5, 3e-4))
    session = open_session(board)
    logits_of(session)
    board.to_board = Damage(0, 0)
    counts, counters = session.statistics, session.counters()
    assert counters.damaged == counts.damaged_reported > 0
    assert counters.out_of_order == counts.out_of_order_reported > 0
    assert counters.inferences == len(SAMPLES) == (ctypes.c_uint32 * 3).in_dll(board.library, "stub_counts")[2]
