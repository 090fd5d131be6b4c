"""Sample files through a board, compared with integer reference and float model on the same samples."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stq_deploy.common.errors import StqError
from stq_deploy.common.progress import Progress, silent
from stq_deploy.common.untrusted_json import writable
from stq_deploy.datasets.samples import SampleSet, load_samples
from stq_deploy.evaluation.inputs import read_inputs
from stq_deploy.evaluation.origin import Origin
from stq_deploy.evaluation.results_file import ResultsFile, RunIdentity
from stq_deploy.evaluation.scoring import Answers, Scoring
from stq_deploy.evaluation.streaming import Levels, stream_missing
from stq_deploy.evaluation.summary import Comparison, LayerCost, RunSummary
from stq_deploy.evaluation.task import Stated, scoring_of
from stq_deploy.executors.executor import crc_of
from stq_deploy.executors.link_executor import LinkExecutor
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.executors.opened_boards import open_board, open_emulated
from stq_deploy.network import Network
from stq_deploy.network.input_format import Values
from stq_deploy.network.output import Task
from stq_deploy.network.summary import network_title
from stq_deploy.program import Program
from stq_deploy.targets.boards import Board
from stq_deploy.toolchain.built import BuiltFirmware

FloatAnswers = Callable[[Scoring, Values], Answers]
"""The float model's answers to values of its input, unchanged, read by the scoring."""


@dataclass(frozen=True, eq=False)
class SampleFile:
    """Samples with the name of the file they came from."""

    name: str
    samples: SampleSet

    @classmethod
    def load(cls, path: Path) -> SampleFile:
        """Read a sample file; see `load_samples` for what is refused."""
        return cls(writable(path.name), load_samples(path))

    def scoring(self, network: Network, stated: Stated | None = None) -> Scoring:
        """The scoring of the network's outputs on these samples.

        Raises:
            StqError: see `evaluation.task.choose`; it names the file.
        """
        try:
            return scoring_of(network, self.samples, stated)
        except StqError as error:
            raise StqError(error.what, where=self.name, cause=error.cause, next=error.next) from error

    def results_path(self, folder: Path) -> Path:
        """Path of its results. Two sample files of the same name get different paths."""
        return folder / f"{Path(self.name).stem}-{self.samples.sha256()[:8]}.jsonl"


@dataclass(frozen=True, eq=False)
class Ran:
    """The results of one file; `cycles` per layer if asked for, `run_now` samples in `seconds`.

    `unchecked` counts earlier results without a check sum, which an earlier version wrote.
    """

    comparison: Comparison
    run_now: int
    seconds: float
    cycles: tuple[int, ...] | None
    unchecked: int = 0


def run_files(
    board: Board,
    firmware: BuiltFirmware,
    files: Sequence[SampleFile],
    out: Path,
    *,
    port: str | None,
    boards: int = 1,
    limit: int | None = None,
    float_answers: FloatAnswers | None = None,
    stated: Stated | None = None,
    progress: Progress = silent,
) -> RunSummary:
    """Run the first `limit` samples of every file, resuming what an earlier run left in `out`/results.

    Args:
        port: serial port of the board; None starts `boards` emulated ones.
        float_answers: computes the float column where a file does not record it for this network.
        stated: the user's choices about the network's output.

    Raises:
        StqError: labels that the network has no classes for, an output of unknown meaning, or samples that do not fit
            the network. Also if a board or the link fails, or the results there are of another run.
    """
    network, scorings = firmware.program.network, []
    for file in files:  # find unusable samples before anything starts
        read_inputs(file.samples.first(limit), network.input_format, file.name)
        scorings.append(file.scoring(network, stated))
    with ExitStack() as stack:
        if port is None:
            executors = stack.enter_context(open_emulated(board, firmware, count=boards))
        else:
            executors = [stack.enter_context(open_board(board, firmware, port))]
        ran = [
            run_file(
                executors,
                file,
                out / "results",
                scoring=scoring,
                limit=limit,
                layer_cycles=port is not None,
                float_answers=float_answers,
                progress=progress,
            )
            for file, scoring in zip(files, scorings, strict=True)
        ]
        facts = _link_facts(executors)
        unchecked = sum(one.unchecked for one in ran)
        if unchecked:
            facts["Earlier results without check sums"] = str(unchecked)
    counts: Sequence[int] | None = _typical([one.cycles for one in ran if one.cycles])
    if port is None:
        with open_emulated(board, firmware, counting=True) as (counting,):
            progress("counting instructions", 0, 1)
            sample = read_inputs(files[0].samples.first(1), network.input_format).levels[0]
            counts = count_instructions(counting, sample)
            progress("counting instructions", 1, 1)
    return RunSummary(
        firmware=firmware,
        emulated=port is None,
        model=network_title(network),
        comparisons=tuple(one.comparison for one in ran),
        layers=layer_costs(firmware.program, counts),
        origin=Origin.now(),
        samples_run=sum(one.run_now for one in ran),
        seconds=sum(one.seconds for one in ran),
        facts={"Compiler": firmware.compiler_version, **facts},
    )


def run_file(
    executors: Sequence[LinkExecutor],
    file: SampleFile,
    folder: Path,
    *,
    scoring: Scoring,
    limit: int | None = None,
    layer_cycles: bool = False,
    float_answers: FloatAnswers | None = None,
    progress: Progress = silent,
) -> Ran:
    """Run the first `limit` samples of one file on boards that all run one firmware, and compare.

    Args:
        folder: of the results files.
        scoring: how outputs are read.
        layer_cycles: ask for every layer's cycles.
        float_answers: see `run_files`.

    Raises:
        StqError: as `run_files`.
    """
    program, facts = executors[0].program, executors[0].session.facts
    network = program.network
    samples = file.samples.first(limit)
    inputs = read_inputs(samples, network.input_format, file.name)
    levels = inputs.levels
    identity = RunIdentity(
        board=facts.board,
        model_hash=facts.model_hash,
        build_id=facts.build_id,
        samples_sha256=file.samples.sha256(),
        classes=network.output_type.elements,
        outputs=len(network.outputs),
    )
    with ResultsFile(file.results_path(folder), identity, len(file.samples)) as results:
        before = len(levels) - len(results.missing(len(levels)))
        started = time.monotonic()
        run_now = stream_missing(
            executors,
            levels,
            results,
            layer_cycles=layer_cycles,
            all_outputs=True,
            progress=lambda done: progress(file.name, before + done, len(levels)),
        )
        seconds = time.monotonic() - started
        logits, others = results.logits(len(levels)), results.others(len(levels))
        cycles = [result.cycles for result in results.results.values() if result.cycles]
    first, *further = NumpyExecutor(program).run(levels)
    crcs = [[crc_of(one) for one in output] for output in further]
    expected = np.array(crcs, np.uint32).reshape(len(further), len(levels)).T
    comparison = Comparison(
        samples=samples,
        source=file.name,
        board=logits.reshape(len(levels), *network.output_type.shape),
        reference=first,
        scoring=scoring,
        float_answers=_float_column(network, samples, inputs.values, scoring, float_answers),
        outside=inputs.outside,
        file_samples=len(file.samples),
        differing_others=np.flatnonzero((others != expected).any(axis=1)),
    )
    return Ran(comparison, run_now, seconds, _typical(cycles), results.unchecked)


def _link_facts(executors: Sequence[LinkExecutor]) -> dict[str, str]:
    """The state of the boards and their lines, in words."""
    counts = [executor.session.statistics for executor in executors]
    facts = {
        "Boards side by side": str(len(counts)),
        "Frames sent again": str(sum(one.retries for one in counts)),
    }
    resets = sum(one.resets for one in counts)
    if resets:
        watchdog = sum(one.watchdog_resets for one in counts)
        facts["Resets during the run"] = f"{resets}, of which {watchdog} by the watchdog"
    return facts


def _float_column(
    network: Network, samples: SampleSet, values: Values, scoring: Scoring, float_answers: FloatAnswers | None
) -> Answers | None:
    """The float model's answers: the file's recorded classes, or else computed ones."""
    recorded = recorded_answers(network, samples, scoring)
    if recorded is None and float_answers is not None:
        return float_answers(scoring, values)
    return recorded


def recorded_answers(network: Network, samples: SampleSet, scoring: Scoring) -> Answers | None:
    """The float model's classes (N,) that a sample file records; None unless of this network, read as classes."""
    # For one unit the file records the side of the usual threshold.
    classes = scoring.task is Task.CLASSES or (scoring.task is Task.BINARY and scoring.output.threshold is None)
    return samples.float_predictions(network.sha256()) if classes else None


def layer_costs(program: Program, counts: Sequence[int] | None) -> tuple[LayerCost, ...]:
    """The layers with their MACs, and instructions or cycles where they were measured."""
    return tuple(
        LayerCost(layer.name, layer.op.kind, layer.macs, None if counts is None else int(counts[layer.index]))
        for layer in program.layers
    )


def count_instructions(counting_board: LinkExecutor, sample: Levels) -> tuple[int, ...]:
    """Instructions per layer of one inference (*input shape), from an emulated board in counting mode."""
    (inference,) = counting_board.stream([sample], layer_cycles=True)
    assert inference.layer_cycles is not None
    return tuple(int(n) for n in inference.layer_cycles)


def _typical(cycles: Sequence[tuple[int, ...]]) -> tuple[int, ...] | None:
    """Median by layer: interrupts and cache misses lengthen single runs."""
    if not cycles:
        return None
    return tuple(int(n) for n in np.median(np.array(cycles), axis=0))
