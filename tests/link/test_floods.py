"""However much a line brings, the wait for an answer ends: only an accepted answer moves its deadline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stq_deploy.common.errors import StqError
from stq_deploy.targets.link.problems import SilentBoardError, UnusableLineError
from stq_deploy.targets.link.session import Session
from stq_deploy.targets.link.timeouts import TIMEOUTS
from tests.helpers.link.floods import BABBLE, Flood
from tests.helpers.link.simulated_board import SimulatedBoard, expected_logits, random_samples

OpenSession = Callable[..., Session]

SAMPLES = random_samples(6)
LOGITS = [expected_logits(sample).tolist() for sample in SAMPLES]
LONGEST_WAIT = TIMEOUTS.first_answer * (2 ** (TIMEOUTS.attempts + 1) - 1)
"""Seconds for one answer, when nothing is known of the board's speed."""
LONGEST_HELLO = TIMEOUTS.hello * TIMEOUTS.hello_attempts
SLACK = 1.0
"""Seconds: what is on the wire when a wait ends."""


def flooded(library: Path, babble: str, *, lets_through: bool = False, seed: int = 0) -> tuple[Session, Flood]:
    """An open session over a line that now begins to babble."""
    flood = Flood(SimulatedBoard(library), BABBLE[babble], seed=seed, lets_through=lets_through)
    flood.running = False
    flood.tag = 0x4321
    session = Session(flood, nonces=lambda: 0x1234_4321)
    session.open()
    flood.running = True
    return session, flood


@pytest.mark.parametrize("babble", BABBLE)
def test_a_line_that_only_babbles_ends_the_wait(board_library: Path, babble: str) -> None:
    session, flood = flooded(board_library, babble)
    begin = flood.now()
    with pytest.raises((UnusableLineError, SilentBoardError)) as caught:
        list(session.infer(SAMPLES))
    assert flood.now() - begin <= LONGEST_WAIT + LONGEST_HELLO + SLACK
    assert caught.value.cause
    assert caught.value.next
    flood.running = False  # and the board is as it was
    session.open()
    assert [result.logits.tolist() for result in session.infer(SAMPLES)] == LOGITS


@pytest.mark.parametrize("babble", ["noise", "log", "answers of another session", "our own requests"])
def test_what_came_in_place_of_an_answer_is_counted_in_the_message(board_library: Path, babble: str) -> None:
    session, _ = flooded(board_library, babble)
    with pytest.raises(SilentBoardError, match=r"while other data came: \d{3,} bytes") as caught:
        list(session.infer(SAMPLES))
    undamaged = int(str(caught.value).split("among them ")[1].split()[0])
    assert (undamaged > 100) == (babble not in {"noise", "log"})


def test_a_board_whose_speed_is_known_is_given_up_sooner(board_library: Path) -> None:
    """A run ends some thirty seconds after its line went bad, not four minutes."""
    session, flood = flooded(board_library, "noise")
    flood.running = False
    assert len(list(session.infer(SAMPLES))) == len(SAMPLES)
    flood.running = True
    begin = flood.now()
    with pytest.raises(SilentBoardError):
        list(session.infer(SAMPLES))
    assert flood.now() - begin < 60


@pytest.mark.parametrize("babble", BABBLE)
def test_hello_over_a_line_that_only_babbles_ends(board_library: Path, open_session: OpenSession, babble: str) -> None:
    flood = Flood(SimulatedBoard(board_library), BABBLE[babble])
    with pytest.raises(SilentBoardError, match="no answer to HELLO"):
        open_session(flood)
    assert flood.now() <= LONGEST_HELLO + SLACK


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(babble=st.sampled_from(sorted(BABBLE)), seed=st.integers(0, 2**32), lets_through=st.booleans())
def test_every_flood_ends_in_right_results_or_in_a_message(
    board_library: Path, babble: str, seed: int, lets_through: bool
) -> None:
    session, flood = flooded(board_library, babble, lets_through=lets_through, seed=seed)
    results: list[list[int]] = []
    moment = flood.now()
    try:
        for result in session.infer(SAMPLES):
            results.append(result.logits.tolist())
            assert flood.now() - moment <= LONGEST_WAIT + LONGEST_HELLO + SLACK
            moment = flood.now()
    except StqError:
        assert flood.now() - moment <= LONGEST_WAIT + LONGEST_HELLO + SLACK
    else:
        assert len(results) == len(SAMPLES)
    assert results == LOGITS[: len(results)]


def test_a_board_that_hangs_in_one_operation_is_given_up(large_board_library: Path) -> None:
    """Each reset lets it take the chunks of the sample anew, which is not progress."""

    board = SimulatedBoard(large_board_library, resets_after=tuple(range(1, 30)))
    collect = board._collect

    def lose_inferences(moment: float) -> None:
        collect(moment)
        board._for_host[:] = [item for item in board._for_host if b"\x82" not in item[1][:6]]

    board._collect = lose_inferences  # type: ignore[method-assign]
    nonces = iter(range(1, 1000))
    session = Session(board, nonces=lambda: next(nonces))
    session.open()
    with pytest.raises(UnusableLineError, match="watchdog, as the firmware made no progress") as caught:
        list(session.infer(random_samples(3, 3001)))
    assert "its kernel hangs" in str(caught.value)
    assert session.statistics.watchdog_resets == session.statistics.resets == TIMEOUTS.resets
