"""The results of a run on a board: scores side by side, mismatches, costs; plain data for reports."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.datasets.samples import SampleSet
from stq_deploy.evaluation.origin import Origin
from stq_deploy.evaluation.scores import Score, mismatches
from stq_deploy.evaluation.scoring import Answers, Scoring
from stq_deploy.toolchain.built import BuiltFirmware
from stq_deploy.toolchain.placement import Placed

Logits = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Comparison:
    """One sample file on board, integer reference and float model: the same samples for all three.

    Attributes:
        samples: the samples that ran.
        source: the sample file's name.
        board, reference: output levels (N, *output shape).
        scoring: how they are read.
        float_answers: the float model's on the samples as they are; None when not known for this model.
        file_samples: how many the file holds, of which `samples` may be the first.
        outside: samples with a value beyond the levels of the model's own input quantizer, which clips it.
        differing_others: numbers (M,) of samples with an output after the first that differs from the reference's.
    """

    samples: SampleSet
    source: str
    board: Logits
    reference: Logits
    scoring: Scoring
    float_answers: Answers | None
    outside: int = 0
    file_samples: int | None = None
    differing_others: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def attack(self) -> str:
        """Name of the samples' attack; `CLEAN` for unattacked ones."""
        return self.samples.attack

    @property
    def in_file(self) -> int:
        """Number of samples in the file, the denominator of its own counts."""
        return len(self.samples) if self.file_samples is None else self.file_samples

    @cached_property
    def board_answers(self) -> Answers:
        """The board's answers, read by `scoring`."""
        return self.scoring.answers_of_levels(self.board)

    @cached_property
    def reference_answers(self) -> Answers:
        """The integer reference's answers, read by `scoring`."""
        return self.scoring.answers_of_levels(self.reference)

    @cached_property
    def board_score(self) -> Score | None:
        """None without labels, where the score needs them."""
        return self.scoring.score(self.board_answers, self.samples)

    @cached_property
    def reference_score(self) -> Score | None:
        """The integer reference's score; None without labels, where the score needs them."""
        return self.scoring.score(self.reference_answers, self.samples)

    @cached_property
    def float_score(self) -> Score | None:
        """The float model's score; None also where its answers are not known."""
        return None if self.float_answers is None else self.scoring.score(self.float_answers, self.samples)

    @property
    def differing_logits(self) -> npt.NDArray[np.int64]:
        """Numbers (M,) of samples with a level of any output that differs from the reference's; right is none."""
        return np.union1d(mismatches(self.board, self.reference), self.differing_others)

    @property
    def differing_predictions(self) -> npt.NDArray[np.int64]:
        """Numbers (M,) of samples for which the board's answer differs from the reference's."""
        return mismatches(self.board_answers, self.reference_answers)

    @property
    def float_flips(self) -> npt.NDArray[np.int64] | None:
        """Numbers (M,) of samples that float model and reference answer differently; None where answers are numbers."""
        if self.float_answers is None:
            return None
        return self.scoring.differing(self.float_answers, self.reference_answers)

    @property
    def float_difference(self) -> float | None:
        """Root mean square difference of float model and reference, where answers are numbers."""
        if self.float_answers is None or self.scoring.has_classes:
            return None
        return float(np.sqrt(np.square(self.float_answers - self.reference_answers).mean()))

    def confusion(self) -> npt.NDArray[np.int64] | None:
        """The board's confusion matrix (classes, classes); None without classes or labels, and for several labels per
        sample.
        """
        return self.scoring.confusion(self.board_answers, self.samples)

    def to_json(self) -> dict[str, Any]:
        """One entry of `results`; of each column the score's figure and interval, None where unknown."""
        found: dict[str, Any] = {
            "attack": self.attack,
            "source": self.source,
            "samples": len(self.samples),
            "task": str(self.scoring.task),
            "notes": list(self.scoring.notes),
        }
        columns = {"float": self.float_score, "reference": self.reference_score, "board": self.board_score}
        for name, score in columns.items():
            interval = None if score is None else score.interval
            found[name] = None if score is None else score.figure
            found[f"{name}_wilson95"] = None if interval is None else list(interval)
        flips, board = self.float_flips, self.board_score
        return found | {
            "metric": None if board is None else board.metric,
            "board_score": None if board is None else board.to_json(),
            "board_reference_mismatches": len(self.differing_predictions),
            "board_reference_logit_mismatches": len(self.differing_logits),
            "differing_samples": [int(i) for i in self.differing_logits],
            "float_reference_mismatches": None if flips is None else len(flips),
            "float_reference_rms": self.float_difference,
            "samples_outside_domain": self.outside,
        }


@dataclass(frozen=True)
class LayerCost:
    """A layer of the emitted network. `instructions` (or cycles) of one inference; None when not measured."""

    name: str
    op: str
    macs: int
    instructions: int | None


@dataclass(frozen=True, eq=False)
class RunSummary:
    """A whole run.

    Attributes:
        firmware: what ran.
        emulated: on the emulator (then the counter counts instructions) or on silicon (then cycles).
        model: title of the network, for people.
        origin: when, by what command and on what computer; None: the report does not state it.
        seconds: wall-clock time of the `samples_run` inferences; results of an earlier run count in neither.
    """

    firmware: BuiltFirmware
    emulated: bool
    model: str
    comparisons: tuple[Comparison, ...]
    layers: tuple[LayerCost, ...]
    samples_run: int
    seconds: float
    facts: dict[str, str] = field(default_factory=dict)
    origin: Origin | None = None

    @property
    def board(self) -> str:
        """Name of the board."""
        return self.firmware.board

    @property
    def agrees(self) -> bool:
        """Whether every output level of the board equals the reference's."""
        return all(len(c.differing_logits) == 0 for c in self.comparisons)

    @property
    def samples(self) -> int:
        """Number of samples of all files."""
        return sum(len(c.samples) for c in self.comparisons)

    @property
    def samples_per_second(self) -> float | None:
        """Samples per second of wall-clock time in this run; None if it ran none."""
        return self.samples_run / self.seconds if self.samples_run and self.seconds else None

    @property
    def per_inference(self) -> int | None:
        """Instructions (emulated) or cycles of one inference; None when not measured."""
        counts = [layer.instructions for layer in self.layers]
        return None if not counts or None in counts else sum(n for n in counts if n is not None)

    def to_json(self) -> dict[str, Any]:
        """For --json and run.json."""
        firmware = self.firmware
        return {
            "board": self.board,
            "emulated": self.emulated,
            "model": self.model,
            "model_hash": firmware.model_hash,
            "build_id": firmware.build_id,
            "samples": self.samples,
            "samples_run": self.samples_run,
            "results": [c.to_json() for c in self.comparisons],
            "flash_bytes": firmware.flash_bytes,
            "qstats_bytes": firmware.figures.qstats_bytes,
            "packed_bytes": firmware.figures.packed_bytes,
            "ram_bytes": firmware.ram_bytes,
            "stack_bytes": firmware.stack_bytes,
            "regions": [{"name": m.name, "used": m.used_bytes, "size": m.bytes} for m in firmware.memories],
            "placement": [_placed_to_json(one) for one in firmware.placement.placed],
            "instructions_per_inference" if self.emulated else "cycles_per_inference": self.per_inference,
            "layers": [
                {
                    "name": layer.name,
                    "op": layer.op,
                    "macs": layer.macs,
                    "instructions" if self.emulated else "cycles": layer.instructions,
                }
                for layer in self.layers
            ],
            "samples_per_second": self.samples_per_second,
            "facts": self.facts,
            "origin": None if self.origin is None else asdict(self.origin),
        }


def _placed_to_json(one: Placed) -> dict[str, Any]:
    part = one.part
    return {
        "group": part.group,
        "name": part.name,
        "memory": one.memory,
        "bytes": part.bytes,
        "accesses": part.accesses,
        "reason": one.reason,
    }
