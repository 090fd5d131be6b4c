"""A robustness run: samples in shards, each attacked once and kept, so that an interrupted run goes on."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from stq_deploy import __version__
from stq_deploy.common.errors import StqError
from stq_deploy.common.progress import Progress, silent
from stq_deploy.common.untrusted_json import writable
from stq_deploy.evaluation.robustness.presets import Preset
from stq_deploy.evaluation.robustness.sensitivity import Sensitivity
from stq_deploy.evaluation.robustness.shard import AttackedNetwork, Defended, Shard, load_shard, run_shard, save_shard
from stq_deploy.network.input_format import Levels, quantize_input
from stq_deploy.pipeline import Conversion
from stq_deploy.research.attacks.craft import TransferSource
from stq_deploy.research.attacks.defence import RandomNoise
from stq_deploy.research.attacks.grid import PIXELS, UNROUNDED, Samples
from stq_deploy.research.attacks.oracle import Labels
from stq_deploy.research.attacks.victim import Victim

if TYPE_CHECKING:
    from stq_deploy.evaluation.float_model import FloatModel

DRAWN = 2
"""Version of how seeds become random numbers: shards of another one are attacked again."""
SHARD = 64
"""Samples attacked together: large enough for a full batch, small enough to lose little."""


@dataclass(frozen=True)
class Reading:
    """What the user said of a model's input and output, for records. None: nothing, so that the model's own counts.

    Attributes:
        input_range, source_range: smallest and largest value of the input, of the model and of the source.
        input_bits: of the levels of an input without a quantizer.
        post_training: `str` of its options; None: nothing was quantized after training.
        calibration_sha256: of the calibration samples.
        threshold: above which one unit says class 1.
    """

    input_range: tuple[float, float] | None
    input_bits: int
    post_training: str | None
    calibration_sha256: str | None
    source_range: tuple[float, float] | None
    threshold: float | None


@dataclass(frozen=True)
class Job:
    """What is attacked, and how.

    Attributes:
        model: path of the Keras or QKeras model.
        model_sha256: of its file.
        preset: the attacks.
        x: (N, *shape) clean samples, float32.
        y: (N,) classes.
        class_names: of the data set; as many as the model has classes.
        seed: of all that is drawn.
        folder: where shards are kept.
        defence: what the attacks meet; None: the network alone.
        source: path of another model, for attacks that transfer; or None.
        source_sha256: of its file.
        conversion: what the user said of the model's input, and whether it is quantized after training.
        source_range: the values of the source's input that pixels 0 and 255 stand for; None: 0 and 1.
        threshold: the user's, above which the output of a model of one unit is class 1; None: the model's own.
    """

    model: Path
    model_sha256: str
    preset: Preset
    x: Samples
    y: Labels
    class_names: tuple[str, ...]
    seed: int
    folder: Path
    defence: RandomNoise | None = None
    source: Path | None = None
    source_sha256: str = ""
    conversion: Conversion | None = None
    source_range: tuple[float, float] | None = None
    threshold: float | None = None

    def key(self, numbers: npt.NDArray[np.int64]) -> str:
        """SHA-256 (hex) over all that decides a shard's result."""
        preset = self.preset.model_dump(mode="json", exclude={"samples", "title", "device"})
        said = [__version__, DRAWN, self.model_sha256, preset, self.seed, as_json(self.reading)]
        if self.defence is not None:
            said.append(self.defence.to_json())
        if self.source is not None:
            said.append({"source": self.source_sha256})
        digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
        for part in (self.x[numbers], self.y[numbers], numbers):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()

    @property
    def attacked(self) -> tuple[object, ...]:
        """What is attacked: jobs of which this is equal can share an opened network."""
        return self.model_sha256, self.defence, self.source_sha256, self.reading

    @property
    def reading(self) -> Reading:
        """What the user said of input and output."""
        asked = self.conversion or Conversion()
        shown = asked.calibration
        return Reading(
            asked.input_range,
            asked.input_bits,
            None if asked.post_training is None else str(asked.post_training),
            None if shown is None else shown.sha256(),
            self.source_range,
            self.threshold,
        )

    def parts(self) -> list[npt.NDArray[np.int64]]:
        """The samples' numbers, an array (M,) for each shard."""
        numbers = np.arange(len(self.x), dtype=np.int64)
        return [numbers[i : i + SHARD] for i in range(0, len(numbers), SHARD)]

    def path(self, numbers: npt.NDArray[np.int64]) -> Path:
        """Path of the shard of these samples (M,)."""
        return self.folder / f"{numbers[0]:06d}.npz"


def run(job: Job, processes: int = 1, progress: Progress = silent) -> list[Shard]:
    """Attack what no earlier run has attacked; all shards, in order.

    Args:
        processes: how many shards at a time, each in a process of its own.

    Raises:
        StqError: as `open_network`, or a shard is lost.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    parts, missing = job.parts(), missing_parts(job)
    done = len(parts) - len(missing)
    progress("attacking samples in shards", done, len(parts))
    for _ in _worked_off(job, missing, processes, progress):
        done += 1
        progress("attacking samples in shards", done, len(parts))
    return [_read_back(job, numbers) for numbers in parts]


def _read_back(job: Job, numbers: npt.NDArray[np.int64]) -> Shard:
    shard = load_shard(job.path(numbers), job.key(numbers))
    if shard is None:
        raise StqError(
            "a part that was attacked cannot be read back",
            where=str(job.path(numbers)),
            cause="another program has changed or removed it",
            next="repeat the command: it attacks that part again",
        )
    return shard


def missing_parts(job: Job) -> list[npt.NDArray[np.int64]]:
    """Sample numbers (M,) of each shard that no earlier run has attacked."""
    return [numbers for numbers in job.parts() if load_shard(job.path(numbers), job.key(numbers)) is None]


def attack_part(job: Job, numbers: npt.NDArray[np.int64]) -> None:
    """Attack the shard of samples `numbers` (M,) and keep it. This process keeps the last model for the next shard."""
    if not _opened or _opened[0][0].attacked != job.attacked:
        _opened[:] = [(job, open_network(job))]
    job.folder.mkdir(parents=True, exist_ok=True)
    _run_one(job, _opened[0][1], numbers, silent)


def _worked_off(job: Job, missing: list[npt.NDArray[np.int64]], processes: int, progress: Progress) -> Iterator[None]:
    """Runs every missing shard; yields after each."""
    if processes == 1 or len(missing) < 2:
        network = open_network(job) if missing else None
        for numbers in missing:
            assert network is not None
            _run_one(job, network, numbers, progress)
            yield
        return
    # TensorFlow's threads do not survive a fork, so every process starts again and loads the model itself.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(missing)), context, _begin, (job,)) as pool:
        before = set(multiprocessing.active_children())
        try:
            with _interrupts_held():
                waiting = {pool.submit(_run_in_process, numbers) for numbers in missing}
            while waiting:
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                    yield
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            # A running shard would take minutes to its end. Its file is written whole or not at all, so it may be
            # stopped.
            for process in set(multiprocessing.active_children()) - before:
                process.terminate()
            raise


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back within the block; processes that are started in it never get it.

    These inherit this thread's mask. Another thread may get the signal, whose handler Python runs in the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if came:
        raise KeyboardInterrupt


_opened: list[tuple[Job, AttackedNetwork]] = []
"""The state of a process, once it is ready."""
_given: list[Job] = []
"""The job of a process of `_worked_off`."""


def _begin(job: Job) -> None:
    """Prepare a process to run shards. The process that waits for this one handles Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # so that processes which it starts have the usual mask
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    _given[:] = [job]


def _run_in_process(numbers: npt.NDArray[np.int64]) -> None:
    attack_part(_given[0], numbers)  # it opens the network here, because an error of `_begin` would not reach the user


def _run_one(job: Job, network: AttackedNetwork, numbers: npt.NDArray[np.int64], progress: Progress) -> None:
    shard = run_shard(network, job.preset, job.x[numbers], job.y[numbers], numbers, job.seed, progress)
    save_shard(shard, job.path(numbers), job.key(numbers))


def measured_layers(job: Job) -> list[Sensitivity]:
    """Adversarial noise sensitivity of each layer of the model, on the first samples of the run."""
    from stq_deploy.evaluation.robustness.sensitivity import REPORTED_EPS, REPORTED_SAMPLES, measure

    few = slice(REPORTED_SAMPLES)
    model = _same_model(job.model, job.model_sha256, job.conversion)
    return measure(model, job.x[few], job.y[few], REPORTED_EPS)


def opened_models(job: Job) -> tuple[FloatModel, FloatModel | None]:
    """The model under attack and the source of transfer attacks, if there is one, as the job reads them.

    Raises:
        StqError: one cannot be read, or has changed since the run began.
    """
    model = _same_model(job.model, job.model_sha256, job.conversion)
    if job.source is None:
        return model, None
    return model, _same_model(job.source, job.source_sha256, Conversion(job.source_range))


def open_network(job: Job) -> AttackedNetwork:
    """What the job attacks: as `network_as_attacked`, with its defence and its source.

    Raises:
        StqError: a model cannot be read, or takes other samples or gives other classes than the samples have. Also if a
            file has changed since the run began.
    """
    model, source = opened_models(job)
    _check_fits(job, model)
    network = _behind(job.defence, model, job.threshold)
    return network if source is None else replace(network, sources=_sources(source, network.victims))


def network_as_attacked(path: Path, defence: RandomNoise | None = None) -> AttackedNetwork:
    """A shipped model as attacks see it, and the integer network as C on this computer.

    A model of floating-point weights has no integer network; its own classes take that place.

    Args:
        defence: what the attacks meet; None: the network alone.

    Raises:
        StqError: the model cannot be read.
    """
    from stq_deploy.evaluation.float_model import FloatModel

    return _behind(defence, FloatModel(path))


def _behind(defence: RandomNoise | None, model: FloatModel, threshold: float | None = None) -> AttackedNetwork:
    network, classify = _undefended(model, threshold)
    return network if defence is None else replace(network, defended=Defended(defence, model.input_format, classify))


def _undefended(
    model: FloatModel, threshold: float | None = None
) -> tuple[AttackedNetwork, Callable[[Levels], Labels]]:
    """What is attacked, and the integer network's classes of input levels."""
    from stq_deploy.evaluation.judge import judge_of
    from stq_deploy.evaluation.task import logit_limit
    from stq_deploy.executors.host_executor import HostExecutor

    format, limit = model.input_format, logit_limit(model.output_format, threshold)
    victims = {name: Victim(model.keras, grid, (format.low, format.high), limit) for name, grid in _GRIDS.items()}
    program = model.program
    if program is None:

        def by_float(levels: Levels) -> Labels:
            return victims["float32"].predict(format.samples(levels))

        return AttackedNetwork(victims, victims["uint8"].predict), by_float
    classify = judge_of(HostExecutor(program, workers=1), threshold)

    def judge(x: Samples) -> Labels:
        return classify(quantize_input(x, format))

    return AttackedNetwork(victims, judge), classify


def _check_fits(job: Job, model: FloatModel) -> None:
    """Raises StqError unless the model gives classes, takes the job's samples, and has a class for each label."""
    from stq_deploy.evaluation.task import check_attackable

    check_attackable(model.output_format)
    if job.x.shape[1:] != model.input_format.type.shape:
        raise StqError(
            f"samples have shape {job.x.shape[1:]}, the model takes {model.input_format.type.shape}",
            where=str(job.model),
            next="choose samples made for this model",
        )
    classes, largest = max(model.output_format.channels, 2), int(job.y.max(initial=0))
    if largest >= classes:
        raise StqError(
            f"a label is class {largest}, the model has {classes} classes",
            where=str(job.model),
            cause="the samples belong to another data set",
            next="choose samples made for this model",
        )


def _same_model(path: Path, sha256: str, conversion: Conversion | None = None) -> FloatModel:
    """The model in the file. It must have this SHA-256 (hex), because shards of two models must not be counted
    together.

    Raises:
        StqError: it cannot be read, or is another.
    """
    from stq_deploy.evaluation.float_model import FloatModel

    model = FloatModel(path, conversion)
    if model.file_sha256 != sha256:
        raise StqError(
            "the model file has changed since the run began",
            where=str(path),
            cause="another program has replaced it",
            next="repeat the command; to keep the results of the model before, give another --out",
        )
    return model


def _sources(model: FloatModel, victims: dict[str, Victim]) -> dict[str, Victim]:
    """The model, for each storage."""
    format = model.input_format
    source = TransferSource(model.keras, writable(model.path.name), model.file_sha256, (format.low, format.high))
    return {name: source.victim(victim) for name, victim in victims.items()}


_GRIDS = {"uint8": PIXELS, "float32": UNROUNDED}


def as_json(value: Any) -> Any:
    """Dataclasses, tuples and accuracies as JSON-able values."""
    import dataclasses

    from stq_deploy.evaluation.scores import Accuracy

    if isinstance(value, Accuracy):
        return value.to_json()
    if dataclasses.is_dataclass(value):
        return {field.name: as_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, (tuple, list)):
        return [as_json(one) for one in value]
    return value
