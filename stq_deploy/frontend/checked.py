"""The accepted content of a model file: each layer's class, settings and arrays, as our own values.

Nothing here is the file's own text or object. Settings are plain numbers, words and lists that a handler found on its
allow-list, quantizers are parsed, and arrays come from the sandbox. `keras_model` builds a Keras model from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.quantizers import Quantizer
from stq_deploy.frontend.source import FloatArray


@dataclass(frozen=True)
class ActivationFunction:
    """An activation without a quantizer.

    Attributes:
        name: a name on the import's list.
        of_qkeras: whether QKeras defines it; Keras has others of the same names.
    """

    name: str
    of_qkeras: bool


PlainValue: TypeAlias = "bool | int | float | str | list[PlainValue] | tuple[PlainValue, ...] | None"
Setting: TypeAlias = "PlainValue | Quantizer | ActivationFunction | CheckedLayer"
"""The last kind is a layer without weights, given as another layer's activation."""


@dataclass(frozen=True, eq=False)
class CheckedLayer:
    """One application of a layer that its handler has accepted, or a layer given as an activation.

    Attributes:
        name: as `LayerConfig.name`; unique. Untrusted text.
        kind: Keras class name, on the import's list.
        path: as `LayerConfig.path`: applications of one layer share it.
        inputs: names of the layers it reads.
        settings: the settings that decide what it computes.
        arrays: name -> float32, as the handler names them.
        unread: names of stored arrays without effect at inference, such as a counter of steps.
    """

    name: str
    kind: str
    path: tuple[str, ...]
    inputs: tuple[str, ...]
    settings: Mapping[str, Setting]
    arrays: Mapping[str, FloatArray]
    unread: frozenset[str]


@dataclass(frozen=True, eq=False)
class CheckedModel:
    """A model file whose whole content is on the allow-list.

    Attributes:
        name: the model's name. Untrusted text.
        file: `{"name", "sha256", "format"}` of the model file.
        input_shape: of the model's only input, without the batch axis.
        float_error: why it cannot be converted: the error about its first layer with floating-point weights, or None.
        layers: in topological order, the input first.
        outputs: names of the layers whose values it returns, in its order.
    """

    name: str
    file: dict[str, str]
    input_shape: tuple[int, ...]
    float_error: StqError | None
    layers: tuple[CheckedLayer, ...]
    outputs: tuple[str, ...]
