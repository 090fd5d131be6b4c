"""What a .stq file says about its network beside what the network computes (docs/FORMAT.md, Metadata)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from stq_deploy.common.checked_json import Checked
from stq_deploy.common.errors import StqError
from stq_deploy.common.json_value import json_value
from stq_deploy.network.certificate import Certificate
from stq_deploy.network.output import FUNCTIONS, LastStep, OutputFormat, Task
from stq_deploy.network.source_layer import InspectedLayer
from stq_deploy.network.tensor import TensorType
from stq_deploy.network.weight_facts import WeightFacts


@dataclass(frozen=True)
class SourceFile:
    """The model file that a network was made from. Untrusted texts; "" where the file does not state one.

    Attributes:
        name: of the file, without its folder.
        sha256: of its bytes, in hex.
        format: "h5", "keras", "onnx" or "tflite".
        writer, version: the program that wrote it, and its version or that of the format.
    """

    name: str
    sha256: str = ""
    format: str = ""
    writer: str = ""
    version: str = ""

    def to_json(self) -> dict[str, str]:
        """The entries that are stated."""
        return {name: text for name, text in vars(self).items() if text or name == "name"}

    @classmethod
    def from_json(cls, stated: Checked) -> Self:
        """The file of these entries. Raises ValueError: an entry is not text, or the name is missing."""
        return cls(stated.at("name").text(), **_stated_texts(stated, "sha256", "format", "writer", "version"))


@dataclass(frozen=True)
class DroppedLayer:
    """A layer of the model that the network leaves out, and why."""

    layer: str
    reason: str

    def to_json(self) -> dict[str, str]:
        """Both, by name."""
        return {"layer": self.layer, "reason": self.reason}

    @classmethod
    def from_json(cls, stated: Checked) -> Self:
        """The layer of these entries. Raises ValueError: one is missing or no text."""
        return cls(stated.at("layer").text(), stated.at("reason").text())


@dataclass(frozen=True)
class InputLevels:
    """How conversion chose the levels of the input.

    Attributes:
        origin: "model" (its quantizer), "user" (--input-range), "samples" (--calibrate), or "pictures" (assumed).
        low, high: ends of the values' range; None, as all that follow, where the model's quantizer defines the levels.
        step: real value of one level.
        largest_error: of a value within the range, in real units.
        share_of_range: the same as a share of the range, 0 .. 1.
    """

    origin: str
    low: float | None = None
    high: float | None = None
    step: float | None = None
    largest_error: float | None = None
    share_of_range: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The entries that are stated."""
        numbers = {name: value for name, value in vars(self).items() if name != "origin" and value is not None}
        return {"from": self.origin} | numbers

    @classmethod
    def from_json(cls, stated: Checked) -> Self:
        """The levels of these entries. Raises ValueError: one is of another type, or the origin is missing."""
        numbers = [field.name for field in fields(cls)][1:]
        return cls(stated.at("from").text(), *(stated.at(one).number() if stated.has(one) else None for one in numbers))


@dataclass(frozen=True)
class PostTrainingFacts:
    """How a network was quantized after training.

    Attributes:
        scheme: "int8", "int4" or "mixed".
        method: "mse" or "minmax".
        samples: number of samples used.
        samples_sha256: their hash (`SampleSet.sha256`).
        weights: what was done to the weights; None: they were rounded to the nearest of 8 bits.
    """

    scheme: str
    method: str
    samples: int
    samples_sha256: str
    weights: WeightFacts | None = None

    def to_json(self) -> dict[str, Any]:
        """The entries that are stated, by name."""
        found = dict(vars(self))
        del found["weights"]
        return found if self.weights is None else found | {"weights": self.weights.to_json()}

    @classmethod
    def from_json(cls, stated: Checked) -> Self:
        """The facts of these entries. Raises ValueError: one is missing or of another type."""
        scheme, method = stated.at("scheme").text(), stated.at("method").text()
        weights = WeightFacts.from_json(stated.at("weights")) if stated.has("weights") else None
        return cls(scheme, method, stated.at("samples").count(), stated.at("samples_sha256").text(), weights)


@dataclass(frozen=True)
class Metadata:
    """Facts about a network that change no result; None for one that is not stated. All names are untrusted text.

    Attributes:
        name: the model's name.
        source: the model file.
        converter: version of stq-deploy.
        classes: number of logits.
        layers: the layers of the model file.
        dropped: layers that the network leaves out.
        last_steps: for each output, the model's last function.
        output_functions: for each output, the functions that the model applies and the network does not.
        certificates: op -> what conversion proved about it.
        keras_outputs: op or input tensor -> the Keras layer whose output it computes.
        input: how the input's levels were chosen.
        post_training: how the network was quantized after training.
        class_names: of the classes.
        kept_units: op -> the output channels that `--drop-unread-units` kept.
        task, threshold: the user's choices about the first output.
        unread: entries of a file that are of another version or malformed, as they stand there.
    """

    name: str | None = None
    source: SourceFile | None = None
    converter: str | None = None
    classes: int | None = None
    layers: tuple[InspectedLayer, ...] | None = None
    dropped: tuple[DroppedLayer, ...] | None = None
    last_steps: tuple[LastStep, ...] | None = None
    output_functions: tuple[tuple[str, ...], ...] | None = None
    certificates: Mapping[str, Certificate] | None = None
    keras_outputs: Mapping[str, str] | None = None
    input: InputLevels | None = None
    post_training: PostTrainingFacts | None = None
    class_names: tuple[str, ...] | None = None
    kept_units: Mapping[str, tuple[int, ...]] | None = None
    task: Task | None = None
    threshold: float | None = None
    unread: Mapping[str, object] = field(default_factory=dict)

    def output_format(self, spec: TensorType, count: int) -> OutputFormat:
        """The meaning of the first output; a file of an older version states less about it.

        Args:
            spec: type of the first output.
            count: number of outputs.

        Raises:
            StqError: an entry about the outputs is not what `convert` writes.
        """
        wrong = [name for name in _ABOUT_OUTPUTS if self.unread.get(name) is not None]
        if wrong:
            raise _invalid(f"{wrong[0]} is {str(self.unread[wrong[0]])[:40]!r}")
        functions = ((),) * count if self.output_functions is None else self.output_functions
        if len(functions) != count or self.last_steps == ():
            raise _invalid("not one entry per output")
        first = functions[0]
        last = LastStep(first[-1] if first else "linear") if self.last_steps is None else self.last_steps[0]
        return OutputFormat(spec.shape, last, first, self.task, self.threshold, count)

    def to_json(self) -> dict[str, Any]:
        """The object `metadata` of network.json."""
        stated = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "unread"}
        return {name: json_value(value) for name, value in stated.items() if value is not None} | dict(self.unread)

    @classmethod
    def from_json(cls, document: object) -> Self:
        """The facts of an object `metadata`, which is untrusted: a malformed entry is `unread`.

        Raises:
            ValueError: it is not an object.
        """
        known, unread = {}, {}
        for name, entry in Checked(document, "metadata").members():
            try:
                known[name] = _READ[name](entry)
            except (KeyError, ValueError):
                unread[name] = entry.value
        return cls(**known, unread=unread)

    def __hash__(self) -> int:
        return hash(json.dumps(self.to_json(), sort_keys=True))


_ABOUT_OUTPUTS = ("output_functions", "last_steps", "task", "threshold")


def _invalid(what: str) -> StqError:
    return StqError(
        f"the network's metadata about its outputs are invalid ({what})",
        cause="the .stq file is damaged, hand-made, or of a newer version",
        next="convert the model again",
    )


def _stated_texts(stated: Checked, *names: str) -> dict[str, str]:
    return {name: stated.at(name).text() for name in names if stated.has(name)}


def _texts(stated: Checked) -> tuple[str, ...]:
    return tuple(one.text() for one in stated.entries())


def _functions(stated: Checked) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(one.choice(*FUNCTIONS) for one in output.entries()) for output in stated.entries())


def _certificates(stated: Checked) -> dict[str, Certificate]:
    read = {name: Certificate.from_json(one.value) for name, one in stated.members()}
    return {name: one for name, one in read.items() if one is not None}


_READ: dict[str, Callable[[Checked], Any]] = {
    "name": Checked.text,
    "source": SourceFile.from_json,
    "converter": Checked.text,
    "classes": Checked.count,
    "layers": lambda stated: tuple(InspectedLayer.from_json(one) for one in stated.entries()),
    "dropped": lambda stated: tuple(DroppedLayer.from_json(one) for one in stated.entries()),
    "last_steps": lambda stated: tuple(LastStep(one.text()) for one in stated.entries()),
    "output_functions": _functions,
    "certificates": _certificates,
    "keras_outputs": lambda stated: {name: one.text() for name, one in stated.members()},
    "input": InputLevels.from_json,
    "post_training": PostTrainingFacts.from_json,
    "class_names": _texts,
    "kept_units": lambda stated: {
        name: tuple(unit.count() for unit in units.entries()) for name, units in stated.members()
    },
    "task": lambda stated: Task(stated.text()),
    "threshold": Checked.number,
}
"""Entry -> its value; each raises ValueError."""
