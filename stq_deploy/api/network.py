"""A converted network as an object, and what opens one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy.typing as npt

from stq_deploy.api.samples import predicted
from stq_deploy.api.types import Outputs, PathLike
from stq_deploy.common.errors import StqError
from stq_deploy.common.files import check_output
from stq_deploy.evaluation.task import Stated
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.frontend.importer import ModelSource
from stq_deploy.network import Network, load_network, save_network
from stq_deploy.network.archive import is_network_file
from stq_deploy.network.summary import network_title, op_rows, op_text
from stq_deploy.onnx_export import Dialect, check_onnx_path, export_network
from stq_deploy.pipeline import Pipeline, Rewritten, open_source
from stq_deploy.pipeline.steps import PLAN
from stq_deploy.program import OPTIMIZATIONS, Optimization, Program
from stq_deploy.zoo.shipped import PREFIX, resolve_model, with_class_names

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
            return predicted(executor, x, levels, features)

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


def load(
    network: PathLike, *, kernels: Mapping[str, str] | None = None, optimize: Optimization = "balanced"
) -> IntegerNetwork:
    """Read a converted network; the larger ones of `zoo:NAME` are converted first.

    Parameters
    ----------
    network : path or str
        A `.stq` file, or `zoo:NAME` (docs/ZOO.md lists the names).
    kernels : mapping of str to str, optional
        Layer -> C function of the kernel that shall run it, instead of the one that suits `optimize`.
    optimize : {"balanced", "speed", "size"}
        The other layers' kernels are those of the smallest image, or those of the fewest instructions by estimate.

    Raises
    ------
    StqError
        Absent, damaged, or another kind of file; `optimize` is neither; or there is no such layer, or the kernel cannot
        run it.
    """
    pipeline = Pipeline(kernels=kernels or {}, optimize=optimization(optimize))
    if os.fspath(network).startswith(PREFIX):
        return open_network(network, pipeline)
    return made_network(load_network(resolve_model(network)), None, pipeline, None)


def open_network(
    model: PathLike, pipeline: Pipeline, *, keras: bool = False, stated: Stated | None = None
) -> IntegerNetwork:
    """The network of any model file that `--model` of a command can name.

    Parameters
    ----------
    model : path or str
        A .stq network, a model (.h5, .keras, .onnx or .tflite), or zoo:NAME.
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
    return made_network(with_class_names(network, os.fspath(model)), source, pipeline, stated)


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


def made_network(
    network: Network, source: ModelSource | None, pipeline: Pipeline, stated: Stated | None
) -> IntegerNetwork:
    """A network after its rewrites, with what the user states about its output.

    The plan is made at once if it is shown, or if it has options: a wrong name shows early.
    """
    steps = pipeline.rewrite(network if stated is None else stated.on(network))
    early = pipeline.watch.wants(PLAN.name) or pipeline.kernels or pipeline.optimize != Pipeline().optimize
    program = pipeline.plan(steps.network) if early else None
    return IntegerNetwork(steps.network, Making(source, steps, program))


def optimization(name: str) -> Optimization:
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
