"""The pipeline: the one place that composes the steps. The commands, the API and hls4ml's backend share it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from stq_deploy.common.errors import StqError
from stq_deploy.common.progress import Progress, silent
from stq_deploy.frontend.errors import located
from stq_deploy.frontend.importer import ModelSource, path_of
from stq_deploy.frontend.source import SourceGraph
from stq_deploy.network import Network
from stq_deploy.pipeline.options import Conversion, Rewrites
from stq_deploy.pipeline.steps import (
    ADD_INPUT_NOISE,
    DECIDE,
    DROP_UNREAD_UNITS,
    EMIT,
    LOAD,
    PACK_ACTIVATIONS,
    PLAN,
    QUANTIZE,
    READ,
    Asked,
    Step,
    is_converted,
)
from stq_deploy.pipeline.watch import Between, Watch
from stq_deploy.program import DEFAULT, Optimization, Program

_Before = TypeVar("_Before")
_After = TypeVar("_After", bound=Between)


@dataclass(frozen=True)
class Rewritten:
    """A network after the rewrites.

    Attributes:
        lowered: as the lowering returned it, or as the .stq file holds it.
        dropped: `lowered` with noise on its input and without unread units, where the options ask for it.
        network: `dropped` with packed activations; `dropped` itself if none was packed.
    """

    lowered: Network
    dropped: Network
    network: Network


@dataclass(frozen=True)
class Pipeline:
    """The steps in their order, with their options.

    Attributes:
        conversion: how a Keras model is converted; only the defaults suit a network that is converted already.
        rewrites: which rewrites are made.
        progress: listener of all steps.
        watch: steps after which the result is shown.
        kernels: layer -> C function of the kernel that shall run it, instead of the one that suits `optimize`.
        optimize: what the other layers' kernels are chosen for, "balanced", "speed" or "size".
    """

    conversion: Conversion = field(default_factory=Conversion)
    rewrites: Rewrites = field(default_factory=Rewrites)
    progress: Progress = silent
    watch: Watch = field(default_factory=Watch)
    kernels: Mapping[str, str] = field(default_factory=dict)
    optimize: Optimization = DEFAULT

    def load(self, model: ModelSource) -> Network:
        """A .stq network, or that of a Keras or QKeras model.

        Args:
            model: a path, or a model file that is read already.

        Raises:
            UnknownInputError: neither the model nor `conversion` states the input's values.
            StqError: absent, damaged or not convertible; or a .stq network, with a conversion to make.
        """
        if not is_converted(model):
            return self.convert(model)
        self.watch.check_runs_on_networks()
        return self._after(LOAD, model)

    def convert(self, model: ModelSource) -> Network:
        """The network of a .h5, .keras, .onnx or .tflite file; needs no TensorFlow.

        Raises:
            UnknownInputError, StqError: as `load`.
        """
        graph = self._after(READ, model)
        try:
            return self.convert_graph(graph)
        except StqError as error:
            raise located(error, str(path_of(model))) from error

    def convert_graph(self, graph: SourceGraph) -> Network:
        """The network of a model that has been read.

        Raises:
            UnknownInputError, StqError: as `load`, without the file's name.
        """
        return self._after(EMIT, self._after(DECIDE, self._after(QUANTIZE, graph)))

    def rewrite(self, network: Network) -> Rewritten:
        """The network after the rewrites that the options name."""
        noisy = self._after(ADD_INPUT_NOISE, network)
        dropped = self._after(DROP_UNREAD_UNITS, noisy)
        return Rewritten(network, dropped, self._after(PACK_ACTIVATIONS, dropped))

    def plan(self, network: Network) -> Program:
        """The program of a network.

        Raises:
            StqError: the kernels cannot run the network, one of `kernels` cannot run its layer, or the network needs
                more memory than any target could have.
        """
        return self._after(PLAN, network)

    def program(self, model: ModelSource) -> Program:
        """All steps: the program of a model file.

        Raises:
            StqError: as the steps.
        """
        return self.plan(self.rewrite(self.load(model)).network)

    def _after(self, step: Step[_Before, _After], value: _Before) -> _After:
        try:
            result = step.apply(
                value, Asked(self.conversion, self.rewrites, self.progress, self.kernels, self.optimize)
            )
        except RecursionError as error:  # no network that is trained has so long a chain; a file may state one
            raise StqError(
                "too many operations follow one another",
                cause=f"the step {step.name} takes hundreds of them together: no weights or quantizers divide them",
                next="put a quantizer after each layer, and drop operations that change nothing",
            ) from error
        self.watch.seen(step.name, result)
        return result


def convert_model(model: ModelSource, conversion: Conversion | None = None, progress: Progress = silent) -> Network:
    """`Pipeline.convert` without rewrites."""
    return Pipeline(conversion or Conversion(), progress=progress).convert(model)


def load_any(model: ModelSource, conversion: Conversion | None = None, progress: Progress = silent) -> Network:
    """`Pipeline.load` without rewrites."""
    return Pipeline(conversion or Conversion(), progress=progress).load(model)
