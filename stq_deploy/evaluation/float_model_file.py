"""A floating-point model file: the one a network was converted from, or one from which no network can be made.

`float_model` has it as Keras computes it, and `numpy_float_model` in NumPy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.evaluation.scores import Classes, classes_of
from stq_deploy.evaluation.scoring import Answers, Scoring
from stq_deploy.frontend import parse_model
from stq_deploy.frontend.importer import ModelSource, half_precision_note, path_of
from stq_deploy.frontend.model_file import ModelFile, open_model_file
from stq_deploy.lowering import UnknownInputError
from stq_deploy.lowering.input_domain import is_assumed
from stq_deploy.lowering.structure import find_ending, find_last_step
from stq_deploy.network import Network
from stq_deploy.network.input_format import PIXELS, InputFormat, Values
from stq_deploy.network.output import OutputFormat, Task
from stq_deploy.network.tensor import TensorType
from stq_deploy.pipeline import Conversion, Pipeline
from stq_deploy.program import Program


def pixel_input(shape: tuple[int, ...]) -> TensorType:
    """Input type of a model without a network: the 256 values u/255 of a pixel, 0 .. 1."""
    return TensorType(shape, "int8", -128, 127, 1 / 255, -128)


def model_output(file: ModelFile) -> OutputFormat:
    """The first output of a model.

    Raises:
        StqError: as `parse_model`.
    """
    parsed = parse_model(file, post_training=True)
    first = parsed.outputs[0]
    functions = find_ending(parsed, first).functions
    return OutputFormat(parsed.nodes[first].shape, find_last_step(parsed, first), functions, count=len(parsed.outputs))


def _has_quantizers(file: ModelFile) -> bool:
    """Whether every layer with weights has a quantizer: a model that can be parsed at all fails for nothing else."""
    try:
        parse_model(file, post_training=False)
    except StqError:
        return False
    return True


class FloatModelFile(ABC):
    """A model file of any format and its answers in floating point: made of what the import has checked.

    Args:
        source: a path; or a model file after it was read.
        conversion: the options that convert it into a network.

    Attributes:
        path: of the file.
        name: the model's name.
        input_shape: of the model's only input, without the batch axis.
        file_sha256: SHA-256 (hex) of the file.
        engine: what computes the answers: "keras" or "numpy".

    Raises:
        StqError: the file is unusable or not supported.
    """

    engine: str

    def __init__(self, source: ModelSource, conversion: Conversion | None = None) -> None:
        path = path_of(source)
        if path.suffix.lower() == ".stq":
            raise StqError(
                "a converted network holds no float model",
                where=str(path),
                next="give the model file it was converted from",
            )
        self._file = source if isinstance(source, ModelFile) else open_model_file(path)
        parsed = parse_model(self._file, post_training=True)
        self.path = path
        self.name = parsed.name
        self.file_sha256 = parsed.file["sha256"]
        self.input_shape = parsed.nodes[0].shape
        self._conversion = conversion
        self._pipeline = Pipeline(conversion or Conversion())

    @cached_property
    def network(self) -> Network | None:
        """The integer network converted from it.

        None if the model has floating-point weights that `conversion` does not quantize, or if nothing states the
        input's values.

        Raises:
            StqError: it cannot be converted for another reason.
        """
        after_training = self._conversion is not None and self._conversion.post_training is not None
        try:
            return self._pipeline.convert(self._file) if after_training or _has_quantizers(self._file) else None
        except UnknownInputError:
            return None

    @cached_property
    def program(self) -> Program | None:
        """The program of `network`; None if there is none.

        Raises:
            StqError: it cannot be converted, or the kernels cannot run it.
        """
        return None if self.network is None else self._pipeline.plan(self.network)

    @property
    def input_format(self) -> InputFormat:
        """Its input format: the integer network's; if there is none, pixels are its values."""
        if self.network is not None:
            return self.network.input_format
        asked = None if self._conversion is None else self._conversion.input_range
        return InputFormat(pixel_input(self.input_shape), *(asked or PIXELS))

    @property
    def assumes_pixels(self) -> bool:
        """Whether nobody stated the values of its input, which are then taken for pixels in [0, 1]."""
        if self.network is not None:
            return is_assumed(self.network)
        asked = self._conversion or Conversion()
        return asked.input_range is None and asked.calibration is None

    @property
    def note(self) -> str:
        """A note for its figures if Keras itself computes layers in 16 bits; else ""."""
        return half_precision_note(self._file)

    @property
    def model_hash(self) -> str | None:
        """`Network.sha256()` of the integer network; None if there is none."""
        return None if self.network is None else self.network.sha256()

    @property
    def output_format(self) -> OutputFormat:
        """Its first output, as for the integer network if there is one."""
        return model_output(self._file) if self.network is None else self.network.output_format

    @abstractmethod
    def logits(self, values: Values) -> npt.NDArray[np.float32]:
        """The first output before its softmax, (N, ...), of the model's input values (N, *input shape), as they are."""

    @abstractmethod
    def outputs(self, values: Values) -> npt.NDArray[np.float32]:
        """The first output, (N, ...), of values as for `logits`."""

    @abstractmethod
    def layer_outputs(self, values: Values, layers: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        """The outputs (N, ...) of the layers named, in their order, for values as for `logits`.

        Raises:
            StqError: the model has no such layer.
        """

    def gives(self, layer: str) -> bool:
        """Whether `layer_outputs` gives the output of a layer of the model."""
        return True

    def answers(self, scoring: Scoring, values: Values) -> Answers:
        """Its answers (N, ...) to values as for `logits`, read by `scoring`.

        The classes come from the logits: a saturated softmax gives several classes the same float32 output.
        """
        found = self.logits if scoring.task is Task.CLASSES else self.outputs
        return scoring.answers(found(values))

    def classes(self, values: Values) -> Classes:
        """Classes (N,) of a model of several classes, of values as for `logits`."""
        return classes_of(self.logits(values))


def no_such_layer(name: str) -> StqError:
    """The error of `layer_outputs`."""
    return StqError(
        f"the model has no layer {name!r}",
        cause="the network was converted from another model",
        next="convert the model again",
    )
