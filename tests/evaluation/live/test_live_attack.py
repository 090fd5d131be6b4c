"""Attacks with a board as their oracle: the board's answers alone, the host twin's query by query."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.sample_metadata import SampleMetadata
from stq_deploy.datasets.samples import SampleSet, load_samples, save_samples
from stq_deploy.evaluation.live.run import LiveAttack, attack_live
from stq_deploy.executors.link_executor import LinkExecutor
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.network import Network, save_network
from stq_deploy.program import plan_network
from stq_deploy.research.attacks.abstract_attack import Attack
from stq_deploy.research.attacks.registry import get_attack
from stq_deploy.targets.link.messages import Inference
from tests.helpers.command_line import invoke, json_of
from tests.helpers.noise_classifier import SHAPE, classes_of_pixels, save_noise_classifier

pytestmark = pytest.mark.keras

COUNT = 6
QUERIES = 60
SETTINGS: dict[str, dict[str, str]] = {
    "square": {"eps": "4/255", "max_iter": str(QUERIES)},
    "boundary": {"eps": "1", "init_size": "8", "sample_size": "5", "max_queries": str(QUERIES)},
    "hopskipjump": {
        "eps": "100", "init_size": "8", "init_eval": "6", "max_eval": "12", "max_queries": str(QUERIES)
    },
}  # fmt: skip


def _attack(name: str, **settings: str) -> Attack:
    return get_attack(name).from_text(SETTINGS[name] | settings)


@pytest.fixture(name="network", scope="module")
def _network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    import art.estimators.classification  # noqa: F401 - it closes a stream of absl's, see attacks/test_command.py

    from stq_deploy.pipeline import convert_model

    return convert_model(save_noise_classifier(tmp_path_factory.mktemp("live") / "m.h5"))


@pytest.fixture(name="samples", scope="module")
def _samples(network: Network) -> SampleSet:
    """Pictures with what the network says of them, except the last one, which is wrong from the start."""
    x = np.random.default_rng(0).integers(0, 256, (COUNT, *SHAPE)).astype(np.uint8)
    y = classes_of_pixels(network, x)
    y[-1] = (y[-1] + 1) % 3
    return SampleSet(x, y, SampleMetadata("noise"))


class FakeBoard:
    """Answers by the reference; lies or fails at one answer."""

    name = "emulated"

    def __init__(self, network: Network, *, lies_at: int = -1, fails_at: int = -1) -> None:
        self.program = plan_network(network)
        self.session = SimpleNamespace(facts=SimpleNamespace(board="b", model_hash="m", build_id="i"))
        self.lies_at, self.fails_at, self.answered = lies_at, fails_at, 0

    def stream(
        self,
        samples: Iterable[np.ndarray],
        *,
        layer_cycles: bool = False,
        all_outputs: bool = False,
        counters: Iterable[int] | None = None,
    ) -> Iterator[Inference]:
        for levels in samples:
            if self.answered == self.fails_at:
                raise StqError("the board fell silent")
            logits = NumpyExecutor(self.program).run(levels[None])[0].reshape(-1).astype(np.int32)
            if self.answered == self.lies_at:
                logits[np.argmin(logits)] += 1
            self.answered += 1
            yield Inference(logits, 0, 0, None, None)


def _live(boards: list[Any], samples: SampleSet, attack: Attack, folder: Path, **named: Any) -> LiveAttack:
    twin = NumpyExecutor(boards[0].program)
    return attack_live(cast("list[LinkExecutor]", boards), samples, attack, folder, twin=twin, **named)


@pytest.mark.parametrize("name", SETTINGS)
def test_two_emulated_boards_are_the_host_twin_query_by_query(
    network: Network, samples: SampleSet, name: str, tmp_path: Path
) -> None:
    from stq_deploy.executors.firmware import build_afresh
    from stq_deploy.executors.opened_boards import open_emulated
    from stq_deploy.targets.boards import load_board

    board = load_board("stm32h743")
    with open_emulated(board, build_afresh(plan_network(network), board, tmp_path), count=2) as executors:
        live = _live(executors, samples, _attack(name), tmp_path)
    found = live.attacked
    assert live.boards == 2 and live.emulated and live.asked_now == len(found.log) > 2 * COUNT
    # What was found is what the reference says of it, and inside the budget.
    wrong = classes_of_pixels(network, found.pictures) != samples.y
    np.testing.assert_array_equal(wrong, found.broken)
    assert found.right.sum() == COUNT - 1 and found.broken.sum() > 1
    change = np.abs(found.pictures.astype(int) - samples.x).reshape(COUNT, -1)
    assert (change.max(axis=1)[~found.broken] == 0).all() or name == "square"
    if name == "square":
        assert change.max() == 4
    # Every sample's queries: the clean one, and at most those allowed; none of what was wrong from the start.
    assert found.queries.sum() == len(found.log) and found.queries.max() <= QUERIES + 1 and found.queries[-1] == 1
    # The same without a board, by one process alone, from the seed.
    again = _live([FakeBoard(network)], samples, _attack(name), tmp_path / "again")
    assert again.attacked.digest == found.digest
    other = _live([FakeBoard(network)], samples, _attack(name), tmp_path / "other", seed=1)
    assert other.attacked.digest != found.digest


@pytest.mark.parametrize("name", ["square", "boundary"])
def test_an_attack_goes_on_where_it_stopped(network: Network, samples: SampleSet, name: str, tmp_path: Path) -> None:
    whole = _live([FakeBoard(network)], samples, _attack(name), tmp_path / "whole")
    with pytest.raises(StqError, match="fell silent"):
        _live([FakeBoard(network, fails_at=31)], samples, _attack(name), tmp_path / "parts")
    rest = _live([FakeBoard(network)], samples, _attack(name), tmp_path / "parts")
    assert rest.attacked.digest == whole.attacked.digest
    assert rest.asked_now == whole.asked_now - 31
    assert _live([FakeBoard(network)], samples, _attack(name), tmp_path / "parts").asked_now == 0


def test_an_attack_of_other_settings_does_not_go_on(network: Network, samples: SampleSet, tmp_path: Path) -> None:
    _live([FakeBoard(network)], samples, _attack("square"), tmp_path)
    with pytest.raises(StqError, match="another run"):
        _live([FakeBoard(network)], samples, _attack("square", eps="5/255"), tmp_path)


def test_a_board_that_errs_once_is_named_with_query_and_sample(
    network: Network, samples: SampleSet, tmp_path: Path
) -> None:
    # The first COUNT queries are the clean samples; then one each of those that stand, in order.
    with pytest.raises(StqError) as caught:
        _live([FakeBoard(network, lies_at=COUNT + 2)], samples, _attack("square"), tmp_path)
    assert f"query {COUNT + 2}, of sample 2, differently" in caught.value.what


def test_what_a_board_cannot_answer_is_refused(network: Network, samples: SampleSet, tmp_path: Path) -> None:
    board = FakeBoard(network)
    with pytest.raises(StqError, match="needs gradients"):
        _live([board], samples, get_attack("pgd").from_text({}), tmp_path)
    features = SampleSet(samples.x.astype(np.float32), samples.y, SampleMetadata(range=(0.0, 255.0)))
    with pytest.raises(StqError, match="features"):
        _live([board], features, _attack("square"), tmp_path)
    assert board.answered == 0


def test_the_sample_file_says_what_was_done(network: Network, samples: SampleSet, tmp_path: Path) -> None:
    live = _live([FakeBoard(network)], samples, _attack("square"), tmp_path)
    made = live.sample_set()
    assert made.metadata.dataset == "noise" and made.metadata.attack.settings["max_iter"] == QUERIES
    said = made.metadata.live
    assert said["queries"] == said["queries_equal_to_host_twin"] == len(live.attacked.log)
    assert said["left"]["correct"] == int((~live.attacked.broken).sum())
    assert replace(live, asked_now=0).to_json()["queries_per_second"] is None


def test_the_command_attacks_an_emulated_board_and_goes_on(
    network: Network, samples: SampleSet, tmp_path: Path
) -> None:
    save_network(network, tmp_path / "m.stq")
    save_samples(samples, tmp_path / "in.npz")
    command = [
        "attack", "--live", "--model", tmp_path / "m.stq", "--attack", "square", "--eps", "4/255", "--queries", "9",
        "--samples", tmp_path / "in.npz", "--boards", "1", "-o", tmp_path / "out", "--json",
    ]  # fmt: skip
    done = invoke(*command)
    (found,) = json_of(done)["attacks"]
    assert found["settings"]["max_iter"] == 9 and found["queries_asked_now"] == found["queries"]
    assert "equal to the host twin's" in done.stderr
    made = load_samples(tmp_path / "out" / "square.npz")
    assert made.metadata.live["log_sha256"] == found["log_sha256"]
    wrong = classes_of_pixels(network, made.x) != samples.y
    assert found["left"]["correct"] == COUNT - wrong.sum()
    (again,) = json_of(invoke(*command))["attacks"]
    assert (again["queries_asked_now"], again["log_sha256"]) == (0, found["log_sha256"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--attack", "pgd"], "pgd needs gradients"),
        (["--attack", "worst"], "worst needs gradients"),
        (["--attack", "transfer"], "transfer needs gradients"),
        (["--attack", "none"], "sends no query"),
        (["--attack", "square", "--storage", "float32"], "stored pixels"),
        (["--attack", "square", "--unit", "std"], "--unit applies to features"),
        (["--attack", "square", "--batch", "16"], "--batch applies to the Keras model"),
        (["--attack", "square", "--threshold", "0.4"], "this model has 3 outputs"),
    ],
)
def test_what_the_command_cannot_do_live(
    options: list[str], message: str, network: Network, samples: SampleSet, tmp_path: Path
) -> None:
    save_network(network, tmp_path / "m.stq")
    save_samples(samples, tmp_path / "in.npz")
    done = invoke(
        "attack", "--live", "--model", tmp_path / "m.stq", "--samples", tmp_path / "in.npz", "-o", tmp_path / "out",
        *options,
    )  # fmt: skip
    assert message in done.stderr and not (tmp_path / "out").exists()
