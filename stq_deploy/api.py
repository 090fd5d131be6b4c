"""The Python interface: convert, run, build and verify a network in a few lines (docs/API.md).

`import stq_deploy as stq` offers the public names of this module. Everything else in the package is internal. The
commands and hls4ml's backend call the same functions. Those named `..._network` and `..._levels` are for them: they
take options as objects, and are not re-exported. Every mistake raises `StqError`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.codegen.names import DEFAULT_NAME, checked_name
from stq_deploy.common.errors import StqError, no_such
from stq_deploy.common.files import check_output, locked, resolved
from stq_deploy.common.progress import Progress, silent, stage
from stq_deploy.datasets.samples import SampleSet, is_own_sample_file, load_samples, samples_of, save_samples
from stq_deploy.evaluation.boards import open_board, open_emulated
from stq_deploy.evaluation.firmware import default_build_folder
from stq_deploy.evaluation.firmware import find_or_build as _find_or_build
from stq_deploy.evaluation.firmware import open_build as _open_build
from stq_deploy.evaluation.inputs import Inputs, read_inputs
from stq_deploy.evaluation.layer_comparison import LayerComparison, compare_layers
from stq_deploy.evaluation.network_answers import network_answers
from stq_deploy.evaluation.open_executor import executor_names, open_executor
from stq_deploy.evaluation.scores import Score
from stq_deploy.evaluation.task import Stated, scoring_of
from stq_deploy.evaluation.verification_samples import verification_inputs
from stq_deploy.executors import Executor
from stq_deploy.executors.base import Levels
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.frontend.importer import ModelSource
from stq_deploy.lowering.input_domain import MOST_BITS, PIXEL_BITS, checked_range, is_assumed
from stq_deploy.lowering.ranges import METHODS
from stq_deploy.network import Network, load_network, save_network
from stq_deploy.network.archive import is_network_file
from stq_deploy.network.input_format import InputFormat
from stq_deploy.network.output import Task, real_values
from stq_deploy.network.summary import network_title, op_rows, op_text
from stq_deploy.onnx_export import Dialect, check_onnx_path, export_network
from stq_deploy.pipeline import Conversion, Pipeline, PostTraining, Rewrites, Rewritten, Watch, open_source, step_names
from stq_deploy.pipeline.model_in_memory import convert_keras_model, saved_model
from stq_deploy.pipeline.steps import PLAN
from stq_deploy.program import OPTIMIZATIONS, Optimization, Program
from stq_deploy.report.write import build_pages
from stq_deploy.targets.boards import load_board
from stq_deploy.targets.boards.override import parse_places
from stq_deploy.targets.emulator.process import EmulatedBoard
from stq_deploy.targets.emulator.refusals import EmulatorRefusal
from stq_deploy.toolchain.build import build_firmware
from stq_deploy.toolchain.built import BuiltFirmware
from stq_deploy.toolchain.compilers import find_compiler
from stq_deploy.zoo.shipped import PREFIX, resolve_model, with_class_names

__all__ = [
    "AttackedSamples", "BuiltFirmware", "ConnectedBoard", "EmulatedBoard", "Evaluation", "IntegerNetwork",
    "LayerComparison", "RunningNetwork", "StqError", "attack", "boot", "build", "connect", "convert", "emulate",
    "evaluate", "load", "open_build", "step_names", "verify",
]  # fmt: skip

PathLike = str | os.PathLike[str]
Outputs = npt.NDArray[Any] | Any
"""An array; a tuple of arrays for a network of several outputs.

The second type is `Any` because only the network says which, and `(a == b).all()` must stay free of type errors.
"""

_PICTURE_AXES = 3
_SHOWN_DIGITS = 12


@dataclass(frozen=True, eq=False)
class Making:
    """How the pipeline made a network. Internal.

    Attributes:
        source: the model file, read, or its path; None for a model in memory.
        steps: the network between the rewrites.
        program: of the last network, if it has been planned.
    """

    source: ModelSource | None
    steps: Rewritten
    program: Program | None


@dataclass(frozen=True, repr=False)
class IntegerNetwork:
    """A certified integer network, from `convert` or `load`.

    `print` shows a table with a line for each op. Two networks are equal if their saved files have the same content.

    Attributes
    ----------
    network : Network
        The network itself. Internal: its interface may change.
    """

    network: Network
    making: Making | None = field(default=None, compare=False)
    """How it was made; None where it was given. Internal: its interface may change."""

    @cached_property
    def program(self) -> Program:
        """The network as it runs on a device. Internal: its interface may change."""
        planned = None if self.making is None else self.making.program
        return Pipeline().plan(self.network) if planned is None else planned

    @property
    def source(self) -> ModelSource:
        """The model file, read, or its path. Internal: its interface may change.

        Raises
        ------
        StqError
            It was not made from a file.
        """
        if self.making is None or self.making.source is None:
            raise StqError("the network was not made from a model file", next="open the file")
        return self.making.source

    @property
    def name(self) -> str:
        """The model's name; untrusted text."""
        return network_title(self.network)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.network.input_type.shape

    @property
    def output_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each output for one sample; the first holds the logits."""
        return tuple(place.type.shape for place in self.program.outputs)

    @property
    def model_hash(self) -> str:
        """SHA-256 (hex) of what the network computes. The firmware announces it."""
        return self.network.sha256()

    def predict(self, x: npt.ArrayLike, *, levels: bool = False, features: bool | None = None) -> Outputs:
        """Run the NumPy reference, which is right by definition.

        Parameters
        ----------
        x : array_like, shape (N, *input_shape)
            Samples as they are: pixels as uint8 (0..255) or floats in [0, 1]; features as floats.
        levels : bool
            Return the integers instead of real numbers.
        features : bool, optional
            Whether `x` holds features, the Keras model's own input, instead of pixels. By default it does unless the
            input is a picture of three axes that was not converted for features.

        Returns
        -------
        ndarray, shape (N, *output shape), or a tuple of them
            One array for each output, in a tuple if there are several. float64 and exact: real logits, without the
            softmax or sigmoid that may end the Keras model. With `levels` int8, int16 or int32.

        Raises
        ------
        StqError
            Samples of another type or shape, NaN, or values outside the domain. Where the model's own quantizer
            defines the values, it clips features beyond its levels, as in Keras.
        """
        with NumpyExecutor(self.program) as executor:
            return _predicted(executor, x, levels, features)

    def save(self, path: PathLike, *, force: bool = False) -> None:
        """Write a `.stq` file, in place of a former one.

        Parameters
        ----------
        path : path
            In a folder that exists.
        force : bool
            Replace a file of another kind, too.

        Raises
        ------
        StqError
            The file cannot be written, or another kind of file is there.
        """
        check_network_path(path, force=force, force_option=False)
        save_network(self.network, path)

    def save_onnx(self, path: PathLike, *, dialect: Dialect = "qonnx", force: bool = False) -> None:
        """Write the network as an ONNX file of integers, for viewers and for other programs' executors.

        The input takes levels as `input_format` makes them, in this package's order of axes; the outputs give the same
        levels as `predict` with `levels`.

        Parameters
        ----------
        path : path
            In a folder that exists.
        dialect : {"qonnx", "onnx"}
            "qonnx" states the bits of weights by QONNX's quantizers, "onnx" uses ONNX's operators alone.
        force : bool
            Replace a file of another kind, too.

        Raises
        ------
        StqError
            The package onnx is not installed, the file cannot be written, or another kind of file is there.
        """
        check_onnx_path(path, force=force, force_option=False)
        export_network(self.network, path, dialect)

    def __repr__(self) -> str:
        shapes = ", ".join(map(str, self.output_shapes))
        return (
            f"<IntegerNetwork {self.name!r}: {len(self.program.layers)} layers, {self.input_shape} -> {shapes}, "
            f"{self.program.weight_bytes:,} bytes of weights, {self.model_hash[:_SHOWN_DIGITS]}>"
        )

    def __str__(self) -> str:
        return op_text(op_rows(self.network))


class RunningNetwork:
    """A network with something that runs it. It ends with its `with` block, where there is one."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        """Internal: its interface may change."""

    def predict(self, x: npt.ArrayLike, *, levels: bool = False, features: bool | None = None) -> Outputs:
        """Run samples; as `IntegerNetwork.predict`, with the same result.

        Raises
        ------
        StqError
            Unusable samples, or what runs the network fails.
        """
        return _predicted(self.executor, x, levels, features)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.executor.name}: {self.executor.program.network!r}>"


class ConnectedBoard(RunningNetwork):
    """A board that runs a firmware, from `emulate` or `connect`. It ends with their `with` block."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The result of `evaluate`.

    Attributes
    ----------
    on : str
        What ran the network.
    samples : int
        Number of samples.
    task : str
        How the output was read.
    score : Score
        The score; `str(score)` is one figure with its interval.
    confusion : ndarray of int64, shape (classes, classes), or None
        Counts; row: true class, column: answer. None where answers are not classes.
    mismatches : ndarray of int64, shape (M,)
        Numbers of the samples whose output levels differ from the NumPy reference.
    outside : int
        Samples with a value beyond the levels of the model's own input quantizer, which clips it, as in Keras.
    """

    on: str
    samples: int
    task: str
    score: Score
    confusion: npt.NDArray[np.int64] | None
    mismatches: npt.NDArray[np.int64]
    outside: int

    @property
    def figure(self) -> float | None:
        """The score's figure: for classes top-1 accuracy, 0..1. None where nothing was scored."""
        return self.score.figure

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the figure (Wilson's for accuracies); None where there is none."""
        return self.score.interval

    def __str__(self) -> str:
        differ = f"{len(self.mismatches)} differ from the reference"
        return f"{self.on}: {self.score.metric} {self.score}, {self.samples} samples, {differ}"


@dataclass(frozen=True, eq=False)
class AttackedSamples:
    """The result of `attack`.

    Attributes
    ----------
    samples : SampleSet
        Samples with the record of the attack. Internal: its interface may change.
    clean_correct, attacked_correct : int
        Number of clean and of attacked samples that the Keras model, in float32, gets right.
    integer_correct : int
        Number of attacked samples that the integer network gets right.
    largest_change : float
        Largest distance of an attacked sample from its clean one, in the attack's norm and unit.
    """

    samples: SampleSet
    clean_correct: int
    attacked_correct: int
    integer_correct: int
    largest_change: float

    @property
    def x(self) -> npt.NDArray[np.uint8] | npt.NDArray[np.float32]:
        """The attacked samples, (N, *input shape): uint8 pixels, float32 pixels in [0, 1], or float32 features."""
        return self.samples.x

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """The true classes, (N,)."""
        return self.samples.classes()

    def save(self, path: PathLike) -> None:
        """Write a sample file (.npz) for the commands, in place of a former one that an attack wrote.

        Raises
        ------
        StqError
            The file cannot be written, or another kind of file is there.
        """
        what = "a sample file that attack wrote"
        check_output(path, what=what, recognize=is_own_sample_file, parents=False, force_option=False)
        save_samples(self.samples, path)

    def __len__(self) -> int:
        return len(self.samples)

    def __str__(self) -> str:
        counts = f"the Keras model gets {self.clean_correct} right clean, {self.attacked_correct} attacked"
        return f"{self.samples.attack}: of {len(self)} samples {counts}; the integer network {self.integer_correct}"


def convert(
    model: Any,
    *,
    calibrate: npt.ArrayLike | PathLike | None = None,
    features: bool | None = None,
    input_range: tuple[float, float] | None = None,
    input_bits: int = PIXEL_BITS,
    post_training: bool = False,
    ranges: str = "mse",
    drop_unread_units: bool = False,
    pack_activations: bool = False,
    task: str | None = None,
    threshold: float | None = None,
    print_after: str | Sequence[str] = (),
    kernels: Mapping[str, str] | None = None,
    optimize: Optimization = "size",
) -> IntegerNetwork:
    """Convert a Keras or QKeras model, as `stq-deploy convert`; a file needs no TensorFlow.

    Parameters
    ----------
    model : path or Keras model
        A `.h5` or `.keras` file, `zoo:NAME`, or a model of tf_keras (Keras 2) in memory.
    calibrate : array_like, shape (N, *input shape), or path of a sample file, optional
        Samples like those trained on. Where the model does not quantize its input, their range is the input's.
    features : bool, optional
        Whether an array `calibrate` holds features instead of pixels; by default unless it is of pictures (N, H, W, C).
    input_range : (float, float), optional
        Smallest and largest value of an input that the model does not quantize; pixels 0 and 255 mean these two.
    input_bits : int
        Bits of such an input's levels, 8 to 16.
    post_training : bool
        Quantize what the model has in floating point to int8; needs `calibrate`.
    ranges : {"mse", "minmax"}
        How `post_training` chooses the ranges of activations.
    drop_unread_units : bool
        Leave out units that no later weight reads. The logits stay the same.
    pack_activations : bool
        Keep activations of few bits packed while they wait, where that makes the arena smaller.
    task : str, optional
        What the model's output is, as `stq-deploy convert --task`; the network keeps it.
    threshold : float, optional
        The model's output above which a class or label holds; the network keeps it.
    print_after : str or sequence of str
        Steps of the pipeline, of `step_names()`, after which a table shows what the model has become.
    kernels : mapping of str to str, optional
        Layer -> C function of the kernel that shall run it, as for `load`. A saved network does not keep it.
    optimize : {"size", "speed"}
        What kernels are chosen for, as for `load`. A saved network does not keep it.

    Warns
    -----
    UserWarning
        Nothing states the values of the input, which is then taken for pixels in [0, 1].

    Raises
    ------
    StqError
        The file is damaged, a layer cannot be converted, nothing states the values of the input, or there is no such
        step.
    """
    pipeline = Pipeline(
        _conversion(calibrate, features, input_range, input_bits, ranges if post_training else None),
        Rewrites(drop_unread_units, pack_activations),
        watch=_printing(print_after),
        kernels=kernels or {},
        optimize=_optimization(optimize),
    )
    stated = Stated(_task(task), threshold)
    if isinstance(model, str | os.PathLike):
        made = open_network(model, pipeline, keras=True, stated=stated)
    elif callable(getattr(model, "save", None)):
        made = convert_network(model, [pipeline.conversion], pipeline, stated=stated)
    else:
        raise StqError(
            f"a {type(model).__name__} is neither the path of a model file nor a Keras model",
            next="give a path, zoo:NAME, or a model of tf_keras",
        )
    if is_assumed(made.network):
        text = (
            "no quantizer reads the model's input, which is taken for pixels in [0, 1]; state input_range or calibrate"
        )
        warnings.warn(text, UserWarning, stacklevel=2)
    return made


def open_network(
    model: PathLike, pipeline: Pipeline, *, keras: bool = False, stated: Stated | None = None
) -> IntegerNetwork:
    """The network of any model file that `--model` of a command can name.

    Parameters
    ----------
    model : path or str
        A .stq network, a Keras or QKeras model (.h5 or .keras), or zoo:NAME.
    pipeline : Pipeline
        How to convert and rewrite; its listeners.
    keras : bool
        Take the Keras model of zoo:NAME even where its converted network comes with it.
    stated : Stated, optional
        What the user states about the output; the network keeps it.

    Raises
    ------
    StqError
        Absent, damaged, not convertible, or an output that is not as stated.
    """
    path = resolve_model(model, keras=keras)
    source = open_source(path)
    network = pipeline.convert(source) if keras else pipeline.load(source)
    return _made(with_class_names(network, os.fspath(model)), source, pipeline, stated)


def convert_network(
    model: Any, conversions: Iterable[Conversion], pipeline: Pipeline, *, stated: Stated | None = None
) -> IntegerNetwork:
    """The network of a Keras model in memory.

    Parameters
    ----------
    model : Keras model, or str
        A model of tf_keras, or the path of a model file.
    conversions : iterable of Conversion
        Options to try in order; the next one where sums would leave 32 bits.
    pipeline : Pipeline
        Gives all options except the conversion.
    stated : Stated, optional
        As for `open_network`.

    Raises
    ------
    StqError
        The model cannot be saved or converted.
    """
    return _made(convert_keras_model(model, conversions, pipeline), None, pipeline, stated)


def check_network_path(
    path: PathLike, *, inputs: Iterable[PathLike | None] = (), force: bool = False, force_option: bool = True
) -> None:
    """Refuse, before any work, a path to which no network can be written.

    Parameters
    ----------
    path : path
        Of the `.stq` file.
    inputs : iterable of paths
        Files that are read, and never replaced without `force`.
    force : bool
        Replace a file of any kind.
    force_option : bool
        Whether the advice in the error may name `--force`.

    Raises
    ------
    StqError
        It cannot be written, or would replace another kind of file.
    """
    check_output(
        path,
        what="a network (.stq)",
        recognize=is_network_file,
        inputs=inputs,
        parents=False,
        force=force,
        force_option=force_option,
    )


def load(
    network: PathLike, *, kernels: Mapping[str, str] | None = None, optimize: Optimization = "size"
) -> IntegerNetwork:
    """Read a converted network; the larger ones of `zoo:NAME` are converted first.

    Parameters
    ----------
    network : path or str
        A `.stq` file, or `zoo:NAME` (docs/ZOO.md lists the names).
    kernels : mapping of str to str, optional
        Layer -> C function of the kernel that shall run it, instead of the one that suits `optimize`.
    optimize : {"size", "speed"}
        The other layers' kernels are those of the smallest image, or those of the fewest instructions by estimate.

    Raises
    ------
    StqError
        Absent, damaged, or another kind of file; `optimize` is neither; or there is no such layer, or the kernel cannot
        run it.
    """
    pipeline = Pipeline(kernels=kernels or {}, optimize=_optimization(optimize))
    if os.fspath(network).startswith(PREFIX):
        return open_network(network, pipeline)
    return _made(load_network(resolve_model(network)), None, pipeline, None)


def build(
    net: IntegerNetwork,
    board: str = "stm32h743",
    out: PathLike | None = None,
    *,
    compiler: str | None = None,
    places: Sequence[str] = (),
    name: str = DEFAULT_NAME,
    command: str | None = None,
    title: str = "",
    progress: Progress = silent,
) -> BuiltFirmware:
    """Build the firmware of a network, as `stq-deploy build`.

    Parameters
    ----------
    net : IntegerNetwork
        From `convert` or `load`.
    board : str
        A name that `stq-deploy boards` lists.
    out : path, optional
        Folder for the build, `build/BOARD` by default. A former build's files there are replaced, others stay.
    compiler : str, optional
        Path or name; by default the first that `stq-deploy doctor` finds.
    places : sequence of str
        `PART=MEMORY[,MEMORY...]`: where kernels, weights, arena or scratch go.
    name : str
        Name of the network in C: the prefix of its files, functions and macros.
    command : str, optional
        How the build was made, for a comment in the generated sources; this call by default.
    title : str
        Name for a model without one, on the page about the memory.
    progress : callable
        Called with (stage, done, total).

    Returns
    -------
    BuiltFirmware
        Sizes in bytes: `flash_bytes`, `ram_bytes` and `stack_bytes` of the image (None: no bound), `alone` of the
        network in a firmware of your own, `memories` one by one. Files: `folder`, `elf`, `bin`, `hex`, `map`.

    Raises
    ------
    StqError
        No compiler or board, the network does not fit, or the folder cannot be used.
    """
    found = load_board(board)
    if command is None:  # in the generated sources, so without folders: equal builds anywhere give equal bytes
        command = f"stq_deploy.build, board {found.name}" + "".join(f", {place}" for place in places)
    return build_firmware(
        net.program,
        found,
        default_build_folder(found.name) if out is None else out,
        compiler=find_compiler(compiler),
        command=command,
        places=parse_places(places),
        name=checked_name(name),
        pages=build_pages(title or net.name),
        progress=progress,
    )


def open_build(net: IntegerNetwork, folder: PathLike) -> BuiltFirmware:
    """Open a former build, made by `build` or a command.

    Parameters
    ----------
    net : IntegerNetwork
        The network that was built.
    folder : path
        The folder of the build.

    Raises
    ------
    StqError
        There is no build, it is damaged, or it is of another network or of another version of stq-deploy.
    """
    return _open_build(net.program, Path(folder))


def find_or_build(net: IntegerNetwork, board: str, out: PathLike, *, progress: Progress = silent) -> BuiltFirmware:
    """The build in `out`, else that of `stq-deploy build` if it is of this network, else a new one in `out`.

    Parameters
    ----------
    net : IntegerNetwork
        From `convert` or `load`.
    board : str
        A name that `stq-deploy boards` lists.
    out : path
        Folder of a run.
    progress : callable
        As for `build`.

    Raises
    ------
    StqError
        The build in `out` is damaged, or of another network or board; or building fails.
    """
    return _find_or_build(net.program, load_board(board), out, progress, build_pages(net.name))


def boot(
    elf: PathLike,
    board: str = "stm32h743",
    *,
    counting: bool = False,
    revision: str | None = None,
    link: PathLike | None = None,
    on_refusal: Callable[[EmulatorRefusal], None] | None = None,
) -> EmulatedBoard:
    """An emulated board for any program, as `stq-deploy emulate`: a context manager with a serial `port`.

    Parameters
    ----------
    elf : path
        The program; it need not be ours.
    board : str
        A name that `stq-deploy boards` lists.
    counting : bool
        Count instructions and check every access of memory; slower.
    revision : str, optional
        Silicon revision, a letter; by default the usual one.
    link : path, optional
        Becomes a symbolic link to the serial port.
    on_refusal : callable, optional
        Called, from another thread, with every action that the hardware would refuse.

    Raises
    ------
    StqError
        On entering: no such board or file, or the emulator does not start.
    """
    return EmulatedBoard(
        Path(elf),
        board,
        "counting" if counting else "fast",
        revision=revision,
        link=None if link is None else Path(link),
        on_refusal=on_refusal,
    )


@contextmanager
def emulate(firmware: BuiltFirmware, *, counting: bool = False) -> Iterator[ConnectedBoard]:
    """Boot a firmware on an emulated board, for the time of a `with` block.

    Parameters
    ----------
    firmware : BuiltFirmware
        From `build`.
    counting : bool
        Count instructions and check every access of memory; slower.

    Raises
    ------
    StqError
        There is no emulator of this board, or the program is stopped.
    """
    board = load_board(firmware.board)
    with (
        locked(resolved(firmware.folder), shared=True),
        open_emulated(board, firmware, counting=counting) as (executor,),
    ):
        yield ConnectedBoard(executor)


@contextmanager
def connect(firmware: BuiltFirmware, *, port: str) -> Iterator[ConnectedBoard]:
    """Talk to a board that was flashed with this very build, for the time of a `with` block.

    Parameters
    ----------
    firmware : BuiltFirmware
        From `build`; `stq-deploy flash` writes it to the board.
    port : str
        Serial port, such as /dev/ttyACM0.

    Raises
    ------
    StqError
        No such port, no answer, or another board, model or build.
    """
    board = load_board(firmware.board)
    with locked(resolved(firmware.folder), shared=True), open_board(board, firmware, port) as executor:
        yield ConnectedBoard(executor)


def verify(
    net: IntegerNetwork,
    x: npt.ArrayLike | None = None,
    on: str | Sequence[str] = ("host",),
    *,
    features: bool | None = None,
) -> LayerComparison:
    """Compare every layer's output bytes with the NumPy reference's.

    Parameters
    ----------
    net : IntegerNetwork
        From `convert` or `load`.
    x : array_like, shape (N, *input_shape), optional
        Samples, as for `IntegerNetwork.predict`; by default four: the input's extremes, and others that fit.
    on : str or sequence of str
        `host` and `host-cortex-m7` (the generated C here, with either kernels), the same with `-sanitized`, or a
        board's name (its firmware, emulated).
    features : bool, optional
        As for `IntegerNetwork.predict`.

    Returns
    -------
    LayerComparison
        `rows` for each layer, `differences`, `differing_layers`; `raise_if_different()` makes an error of one.

    Raises
    ------
    StqError
        Unusable samples, an unknown name in `on`, or no compiler or emulator for it.
    """
    names = _checked_names([on] if isinstance(on, str) else on)
    inputs = verification_inputs(net.network, None, 4) if x is None else _inputs(net.network, x, None, features)[1]
    return compare_levels(net, inputs.levels, ["numpy", *names])


def compare_levels(
    net: IntegerNetwork, levels: Levels, names: Sequence[str], *, progress: Progress = silent
) -> LayerComparison:
    """Compare every layer's output bytes between executors.

    Parameters
    ----------
    net : IntegerNetwork
        From `convert` or `load`.
    levels : ndarray of integers, shape (N, *input_shape)
        Levels of the network's input.
    names : sequence of str
        Executors; the others are compared with the first.
    progress : callable
        Called with (stage, done, total); a stage for each executor.

    Raises
    ------
    StqError
        An executor cannot be had here, or fails.
    """
    with ExitStack() as stack:
        with stage(progress, "starting the executors"):
            first, *others = (stack.enter_context(open_executor(name, net.program)) for name in names)
        return compare_layers(first, others, levels, lambda name, done: progress(name, done, len(levels)))


def evaluate(
    net: IntegerNetwork,
    x: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    on: str = "host",
    *,
    features: bool | None = None,
    task: str | None = None,
    threshold: float | None = None,
) -> Evaluation:
    """Score a network, and compare each sample's outputs with the NumPy reference's.

    Parameters
    ----------
    net : IntegerNetwork
        From `convert` or `load`.
    x : array_like, shape (N, *input_shape)
        Samples, as for `IntegerNetwork.predict`.
    labels : array_like, shape (N,) or (N, ...), optional
        Class numbers from 0, a label for each output or place, or float targets of a regression.
    on : str
        As for `verify`, or `numpy`.
    features : bool, optional
        As for `IntegerNetwork.predict`.
    task : str, optional
        What the output is, where labels and shapes leave it open: a name of `stq-deploy evaluate --task`.
    threshold : float, optional
        The model's output above which the answer is yes.

    Raises
    ------
    StqError
        Unusable samples or labels, labels missing, an unknown name in `on`, or no compiler or emulator for it.
    """
    (name,) = _checked_names([on], also=("numpy",))
    samples, _ = _inputs(net.network, x, labels, features)
    scoring = scoring_of(net.network, samples, Stated(_task(task), threshold))
    with open_executor(name, net.program) as executor:
        found = network_answers(executor, samples, scoring, compare=True)
    score = scoring.score(found.answers, samples)
    if score is None:
        raise StqError(f"a score of {scoring.task} needs labels", next="give labels, one for each sample")
    assert found.differing is not None  # compared
    return Evaluation(
        name, len(samples), scoring.description, score, scoring.confusion(found.answers, samples), found.differing,
        found.outside,
    )  # fmt: skip


def attack(
    net: IntegerNetwork,
    model: Any,
    x: npt.ArrayLike,
    labels: npt.ArrayLike,
    name: str = "pgd",
    *,
    seed: int = 0,
    features: bool | None = None,
    **settings: float | str,
) -> AttackedSamples:
    """Make adversarial samples of a Keras model, as `stq-deploy attack`; needs TensorFlow.

    The attack is untargeted. It follows the Keras model's gradients or answers; the network judges the result.

    Parameters
    ----------
    net : IntegerNetwork
        Converted from `model`.
    model : path or Keras model
        As for `convert`.
    x : array_like, shape (N, *input_shape)
        Clean samples, as for `IntegerNetwork.predict`. For uint8 pixels, the result is uint8 pixels as well.
    labels : array_like, shape (N,)
        True class of each sample, a whole number from 0.
    name : str
        A name of `stq-deploy attack --attack`, such as fgsm, pgd or square. `transfer` is not possible here.
    seed : int
        Seed of all random numbers.
    features : bool, optional
        As for `IntegerNetwork.predict`.
    **settings
        Settings of the attack. `eps`: largest change, in pixel units (0..1) or the features' own unit, 8/255 by
        default; `norm`: "inf", "1" or "2". docs/COMMANDS.md names the others.

    Raises
    ------
    StqError
        Unusable samples or labels, an unknown attack or setting, or a model without classes or of another input.
    """
    from stq_deploy.evaluation.float_model import FloatModel
    from stq_deploy.evaluation.judge import judge_of
    from stq_deploy.evaluation.task import check_attackable, logit_limit
    from stq_deploy.research.attacks.craft import Target, craft
    from stq_deploy.research.attacks.registry import get_attack
    from stq_deploy.research.attacks.transfer import Transfer

    if name == Transfer.name:
        raise StqError(
            "the attack transfer needs another model's gradients",
            next="use `stq-deploy attack --attack transfer --from MODEL`, or another attack",
        )
    chosen = get_attack(name).from_text({setting: str(value) for setting, value in settings.items()})
    samples = _with_whole_range(_inputs(net.network, x, labels, features)[0], net.network.input_format)
    check_attackable(net.network.output_format)
    with _model_file(model) as path:
        keras = FloatModel(path)
    target = Target(
        model=keras.keras,
        name=keras.name,
        file_sha256=keras.file_sha256,
        input_format=net.network.input_format,
        model_hash=net.model_hash,
        judge=judge_of(NumpyExecutor(net.program)),
        limit=logit_limit(net.network.output_format),
    )
    storage = "uint8" if samples.x.dtype == np.uint8 else "float32"
    made = craft(target, samples, chosen, seed=seed, storage=storage)
    correct, change = made.metadata["float_model"]["correct"], made.metadata["attack"]["largest_change"]
    return AttackedSamples(made, correct["clean"], correct["attacked"], correct["integer"], change[chosen.norm])


def _model_file(model: Any) -> AbstractContextManager[Path]:
    """The file of a model, given as a path or in memory."""
    if isinstance(model, str | os.PathLike):
        return nullcontext(Path(resolve_model(model, keras=True)))
    if callable(getattr(model, "save", None)):
        return saved_model(model)
    raise StqError(
        f"a {type(model).__name__} is neither the path of a model file nor a Keras model",
        next="give a path, zoo:NAME, or a model of tf_keras",
    )


def _made(network: Network, source: ModelSource | None, pipeline: Pipeline, stated: Stated | None) -> IntegerNetwork:
    """A network after its rewrites, with what the user states about its output.

    The plan is made at once if it is shown, or if it has options: a wrong name shows early.
    """
    steps = pipeline.rewrite(network if stated is None else stated.on(network))
    early = pipeline.watch.wants(PLAN.name) or pipeline.kernels or pipeline.optimize != Pipeline().optimize
    program = pipeline.plan(steps.network) if early else None
    return IntegerNetwork(steps.network, Making(source, steps, program))


def _optimization(name: str) -> Optimization:
    """What kernels are chosen for, by its name."""
    for known in OPTIMIZATIONS:
        if name == known:
            return known
    raise StqError(
        f"kernels are not chosen for {name!r}",
        where="optimize",
        cause="the name was misspelled",
        next=f"choose one of {', '.join(OPTIMIZATIONS)}",
    )


def _printing(steps: str | Sequence[str]) -> Watch:
    """A watch that prints the results of these steps."""
    names = (steps,) if isinstance(steps, str) else tuple(steps)
    return Watch(names, lambda step, text: print(f"after {step}:\n{text}\n"))  # the caller asked for this output


def _predicted(executor: Executor, x: npt.ArrayLike, levels: bool, features: bool | None) -> Outputs:
    """An executor's outputs for samples: one array, or a tuple for several outputs."""
    network = executor.program.network
    outputs = executor.run(_inputs(network, x, None, features)[1].levels)
    types = [network.tensors[name] for name in network.outputs]
    found = outputs if levels else tuple(real_values(*pair) for pair in zip(outputs, types, strict=True))
    return found[0] if len(found) == 1 else found


def _inputs(
    network: Network, x: npt.ArrayLike, labels: npt.ArrayLike | None, features: bool | None
) -> tuple[SampleSet, Inputs]:
    """Samples as if read from a sample file, and the network's input for them."""
    taken = _takes_features(network.input_format) if features is None else features
    try:
        samples = samples_of(x, labels, features=taken)
        return samples, read_inputs(samples, network.input_format)
    except StqError as error:
        if taken or features is not None or not _may_be_features(x):
            raise
        also = "; or say features=True, if they are the model's own input and not pixels"
        raise StqError(error.what, where=error.where, cause=error.cause, next=error.next + also) from error


def _with_whole_range(samples: SampleSet, format: InputFormat) -> SampleSet:
    """Samples whose features may take every value that the network was made for, as an attack moves them there."""
    if not samples.holds_features or (format.domain is None and format.rounding is not None):
        return samples  # a curve's levels do not determine its input's range
    if format.domain is not None:
        low, high = format.domain.low, format.domain.high
    else:
        low, high = (
            format.type.scale * (end - format.type.zero_point) for end in (format.type.minimum, format.type.maximum)
        )
    stated = samples.stated_range or (low, high)
    whole = [float(min(low, stated[0])), float(max(high, stated[1]))]
    return replace(samples, metadata=samples.metadata | {"range": whole})


def _may_be_features(x: npt.ArrayLike) -> bool:
    """Whether samples are finite floats and no pixels."""
    try:
        values = np.asarray(x)
    except (ValueError, TypeError):  # rows of different lengths
        return False
    finite = values.dtype.kind == "f" and values.size > 0 and bool(np.isfinite(values).all())
    return finite and not 0 <= values.min() <= values.max() <= 1


def _takes_features(format: InputFormat) -> bool:
    """Whether samples are features where the caller does not say it: by the same rule as for sample files."""
    made_for_features = format.domain is not None and format.domain.features
    return made_for_features or len(format.type.shape) != _PICTURE_AXES


def _conversion(
    calibrate: npt.ArrayLike | PathLike | None,
    features: bool | None,
    input_range: tuple[float, float] | None,
    input_bits: int,
    method: str | None,
) -> Conversion:
    """The options of a conversion; `method` quantizes after training."""
    stated = checked_range(input_range)
    if not PIXEL_BITS <= input_bits <= MOST_BITS:
        raise StqError(f"input_bits={input_bits} is not possible", next=f"choose {PIXEL_BITS} to {MOST_BITS}")
    if method is not None and method not in METHODS:
        raise no_such(f"ranges={method!r} is not possible", method, METHODS)
    if calibrate is None:
        if method is not None:
            raise StqError("post_training needs calibrate", next="give a few hundred samples like those trained on")
        return Conversion(stated, input_bits=input_bits)
    if isinstance(calibrate, str | os.PathLike):
        samples = load_samples(Path(calibrate))
    else:
        array = np.asarray(calibrate)
        samples = samples_of(array, features=array.ndim - 1 != _PICTURE_AXES if features is None else features)
    if method is None:
        return Conversion(stated, samples=samples, input_bits=input_bits)
    return Conversion(stated, PostTraining(samples, method), input_bits=input_bits)


def _checked_names(names: Sequence[str], also: Sequence[str] = ()) -> list[str]:
    """Names of executors, each once."""
    known = [*also, *(name for name in executor_names() if name != "numpy")]
    for name in names:
        if name not in known:
            raise no_such(f"there is nothing called {name!r} to run a network on", name, known)
    if not names or len(set(names)) < len(names):
        raise StqError(f"on={list(names)!r} names something twice, or nothing", next="name one or more, each once")
    return list(names)


def _task(name: str | None) -> Task | None:
    if name is None:
        return None
    if name not in list(Task):
        raise no_such(f"there is no task {name!r}", name, list(Task))
    return Task(name)
