"""The demo: build, boot, stream clean and attacked samples, and compare all results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stq_deploy.common.progress import Progress
from stq_deploy.evaluation.board_run import SampleFile, recorded_answers, run_files
from stq_deploy.evaluation.inputs import read_inputs
from stq_deploy.evaluation.layer_comparison import LayerComparison, compare_layers
from stq_deploy.evaluation.results_file import drop_results
from stq_deploy.evaluation.scores import Score
from stq_deploy.evaluation.summary import RunSummary
from stq_deploy.evaluation.verification_samples import verification_inputs
from stq_deploy.executors.firmware import build_afresh, find_or_build, held_build
from stq_deploy.executors.host_executor import HostExecutor
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.executors.opened_boards import open_board
from stq_deploy.program import Program
from stq_deploy.targets.boards import Board
from stq_deploy.toolchain.build import Pages

VERIFIED_SAMPLES = 4


@dataclass(frozen=True)
class HostScore:
    """The generated C on this computer over all samples of a file, beside the float model on the same ones.

    Attributes:
        mismatches: predictions in which the two differ; None, as `float_score`, if the file records none.
    """

    attack: str
    samples: int
    score: Score | None
    float_score: Score | None
    mismatches: int | None


@dataclass(frozen=True, eq=False)
class Demo:
    """The demo's results: the run on the board, every layer compared, and the scores over all samples."""

    summary: RunSummary
    layers: LayerComparison
    host: tuple[HostScore, ...]

    @property
    def agrees(self) -> bool:
        """Whether board and reference are equal in every logit and every layer."""
        return self.summary.agrees and self.layers.differing_layers == 0

    def to_json(self) -> dict[str, Any]:
        """For --json and run.json."""
        found = self.summary.to_json()
        for result, score in zip(found["results"], self.host, strict=True):
            result["all_samples"] = {
                "samples": score.samples,
                "float": score.float_score.figure if score.float_score else None,
                "host": score.score.figure if score.score else None,
                "host_wilson95": list(score.score.interval) if score.score and score.score.interval else None,
                "host_float_mismatches": score.mismatches,
            }
        return found | {
            "differing_layers": self.layers.differing_layers,
            "verified": {
                "samples": self.layers.samples,
                "layers": len(self.layers.rows),
                "executors": [self.layers.reference, *self.layers.executors],
            },
        }


def run_demo(
    program: Program,
    board: Board,
    files: Sequence[SampleFile],
    out: Path,
    *,
    port: str | None,
    boards: int,
    limit: int,
    progress: Progress,
    pages: Pages | None = None,
) -> Demo:
    """Build the program's firmware, run it, and compare.

    Args:
        out: folder for build, results and reports; results of an earlier demo there are removed.
        port: serial port of a real board that runs the build; None for `boards` emulated ones.
        limit: samples of every file that the board runs; the host's C runs all of them.
        pages: makes further files for the build's folder.

    Raises:
        StqError: anything on the way fails.
    """
    prepare = build_afresh if port is None else find_or_build
    firmware = prepare(program, board, out, progress, pages)
    progress("compiling for this computer", 0, 1)
    with held_build(firmware, out), HostExecutor(program) as host:
        progress("compiling for this computer", 1, 1)
        scores = tuple(_score(host, file, progress) for file in files)
        for file in files:
            drop_results(file.results_path(out / "results"))
        summary = run_files(board, firmware, files, out, port=port, boards=boards, limit=limit, progress=progress)
        levels = verification_inputs(program.network, None, VERIFIED_SAMPLES).levels
        with open_board(board, firmware, port) as executor:
            layers = compare_layers(
                NumpyExecutor(program),
                [host, executor],
                levels,
                lambda name, done: progress(f"verifying layers: {name}", done, len(levels)),
            )
    return Demo(summary, layers, scores)


def _score(host: HostExecutor, file: SampleFile, progress: Progress) -> HostScore:
    network, samples = host.program.network, file.samples
    scoring = file.scoring(network)
    levels = read_inputs(samples, network.input_format, file.name).levels
    what = f"host C: {file.name}"
    logits, *_ = host.run(levels, lambda done: progress(what, done, len(levels)))
    answers = scoring.answers_of_levels(logits)
    recorded = recorded_answers(network, samples, scoring)
    return HostScore(
        attack=samples.attack,
        samples=len(samples),
        score=scoring.score(answers, samples),
        float_score=None if recorded is None else scoring.score(recorded, samples),
        mismatches=None if recorded is None else int((answers != recorded).sum()),
    )
