"""Cells of the paper's Table IV are kept in shards: a run goes on, and a larger one takes over what is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.datasets.samples import SampleSet
from stq_deploy.evaluation.robustness.shard import SeriesResult, Shard
from stq_deploy.research.attacks.registry import ATTACKS
from tools import paper_attacks as tool

COUNT = 150
LABELS = np.arange(COUNT) % 3


@dataclass
class Subject:
    """In place of a network and its data set."""

    path: Path
    name: str = "net"
    dataset: str = "cifar10"
    network: Any = None

    @property
    def samples(self) -> SampleSet:
        return SampleSet(self.x, LABELS.astype(np.int64))

    @property
    def x(self) -> np.ndarray:
        return np.repeat(np.arange(COUNT, dtype=np.float32) / 255, 4).reshape(COUNT, 2, 2, 1)


class Attacks:
    """In place of `run_shard`: notes what is attacked. Every third sample is wrong clean; every even one is broken, and
    right again after rounding where its number is a multiple of four."""

    def __init__(self) -> None:
        self.attacked: list[tuple[int, int]] = []
        self.stop_at = COUNT

    def __call__(self, network: Any, preset: Any, x: Any, y: Any, numbers: Any, seed: int) -> Shard:
        if numbers[0] >= self.stop_at:
            raise KeyboardInterrupt
        self.attacked.append((int(numbers[0]), len(numbers)))
        right = numbers % 3 != 0
        broken = ~right | (numbers % 2 == 0)
        rounded = broken & ((numbers % 4 != 0) | ~right)
        worst = x + 0.25 * (broken & right).reshape(-1, 1, 1, 1).astype(np.float32)
        predicted = np.where(rounded, (y + 1) % 3, y)
        result = SeriesResult(broken[None, None], broken[None, None], worst[None], predicted[None], rounded[None])
        zeros = np.zeros(len(x))
        clean = np.where(right, y, (y + 1) % 3)
        (name,) = (series.name for series in preset.series)
        return Shard(numbers, right, y, clean, *[zeros] * 6, zeros > 0, {name: result})


@pytest.fixture(name="attacks")
def _attacks(monkeypatch: pytest.MonkeyPatch) -> Attacks:
    attacks = Attacks()
    monkeypatch.setattr(tool, "run_shard", attacks)
    return attacks


@pytest.fixture(name="cell")
def _cell(tmp_path: Path) -> tool.Cell:
    model = tmp_path / "model.h5"
    model.write_bytes(b"weights")
    return next(cell for cell in tool.cells(Subject(model), "paper") if cell.attack == "fgsm")


def counts(cell: tool.Cell, state: Path) -> list[int]:
    found = tool.figures(cell, state)
    return [] if found is None else [count["samples"] for count in found["counts"]]


def test_every_budget_of_a_preset_is_a_cell_of_its_own(cell: tool.Cell) -> None:
    found = [(c.series.name, c.series.eps) for c in tool.cells(cell.subject, "fig5") if c.attack == "fgsm"]
    assert found == [("FGSM", (eps,)) for eps in ("0.05", "0.1", "0.15", "0.2", "0.25", "0.3")]


def test_a_stopped_run_goes_on_and_a_larger_one_takes_over(cell: tool.Cell, attacks: Attacks, tmp_path: Path) -> None:
    said: list[str] = []
    assert counts(cell, tmp_path) == []
    attacks.stop_at = 64
    with pytest.raises(KeyboardInterrupt):
        tool.attack(cell, tmp_path, 100, said.append)
    assert counts(cell, tmp_path) == [64]
    attacks.stop_at = COUNT
    tool.attack(cell, tmp_path, 100, said.append)
    assert attacks.attacked == [(0, 64), (64, 36)]
    assert counts(cell, tmp_path) == [100]
    tool.attack(cell, tmp_path, 100, said.append)
    tool.attack(cell, tmp_path, 10, said.append)
    assert len(attacks.attacked) == len(said) == 2
    tool.attack(cell, tmp_path, 10_000, said.append)  # more than there are
    assert attacks.attacked[2:] == [(64, 64), (128, 22)]
    assert counts(cell, tmp_path) == [100, 150]


def test_counts_are_those_of_the_first_samples(cell: tool.Cell, attacks: Attacks, tmp_path: Path) -> None:
    tool.attack(cell, tmp_path, COUNT, lambda _: None)
    found = tool.figures(cell, tmp_path)
    assert found is not None
    for count in found["counts"]:
        numbers = np.arange(count["samples"])
        right = numbers % 3 != 0
        assert count["clean"] == count["integer_clean"] == right.sum()
        assert count["float"] == (right & (numbers % 2 == 1)).sum()
        assert count["rounded"] == count["integer"] == (right & ((numbers % 2 == 1) | (numbers % 4 == 0))).sum()
        assert count["median_l2"] == pytest.approx(0.5, rel=1e-4)
        assert count["median_linf_levels"] == pytest.approx(255 / 4, rel=1e-4)
    assert found["settings"]["l1_step"] == "spread"


def test_another_network_takes_nothing_over(cell: tool.Cell, attacks: Attacks, tmp_path: Path) -> None:
    tool.attack(cell, tmp_path, 64, lambda _: None)
    cell.subject.path.write_bytes(b"other weights")
    assert counts(cell, tmp_path) == []
    tool.attack(cell, tmp_path, 64, lambda _: None)
    assert attacks.attacked == [(0, 64)] * 2


def test_a_damaged_shard_is_done_again(cell: tool.Cell, attacks: Attacks, tmp_path: Path) -> None:
    tool.attack(cell, tmp_path, 100, lambda _: None)
    for path in cell.job(tmp_path).folder.glob("*.npz"):
        path.write_bytes(path.read_bytes()[:200])
    assert counts(cell, tmp_path) == []
    tool.attack(cell, tmp_path, 100, lambda _: None)
    assert len(attacks.attacked) == 4
    assert counts(cell, tmp_path) == [100]


def test_slow_attacks_have_small_shards(attacks: Attacks, cell: tool.Cell, tmp_path: Path) -> None:
    assert ATTACKS.keys() >= set(tool.SLOW)
    slow = next(c for c in tool.cells(cell.subject, "paper") if c.attack == "boundary")
    tool.attack(slow, tmp_path, tool.wanted(100, {"boundary": 40}, "boundary"), lambda _: None)
    assert attacks.attacked == [(0, 16), (16, 16), (32, 8)]
