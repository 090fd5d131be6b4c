"""What the handlers of Keras's layers accept, found by asking them.

A handler takes every setting through its `LayerReader`. Here it gets a reader that answers each with an example and
records the question. So the description states what the code checks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.formats.keras.arrays import Shapes
from stq_deploy.frontend.layer_graph import LayerConfig
from stq_deploy.frontend.layers import LayerReader, handler_for, supported_kinds
from stq_deploy.frontend.layers.reader import ReadArrays
from stq_deploy.frontend.quantizers import Quantizer, Role, read_quantizer
from stq_deploy.frontend.source import FloatArray
from stq_deploy.frontend.values import AcceptedValues


class _Asking(LayerReader):
    """Answers every setting with its example; a layer that joins branches gets two inputs.

    Attributes:
        settings: setting -> the values that are accepted.
    """

    def __init__(self, kind: str) -> None:
        self.settings: dict[str, str] = {}
        entry: dict[str, Any] = {"class_name": kind, "config": {}}
        super().__init__(LayerConfig(kind, kind, {}, (), (kind,), "", entry), [], self._examples, 0)
        shape = (16, 4) if self.in_rows else (16,) if kind.endswith("Dense") else (8, 8, 4)
        self.inputs = [] if kind == "InputLayer" else [(0, shape)]

    def part(self, layer: LayerConfig, inputs: list[tuple[int, tuple[int, ...]]], arrays: ReadArrays) -> LayerReader:
        found = _Asking(layer.kind)
        found.inputs, found._arrays, found._first = inputs, arrays, self.next_position
        return found

    def take_over(self, within: LayerReader) -> None:
        super().take_over(within)
        self.settings = (within.settings if isinstance(within, _Asking) else {}) | self.settings

    @staticmethod
    def _examples(shapes: Shapes) -> dict[str, FloatArray]:
        return {name: np.ones(shape, np.float32) for name, shape in shapes.items() if shape is not None}

    def take(self, key: str, values: AcceptedValues, default: Any = None) -> Any:
        self.settings[key] = values.shown
        return values.example

    def raw(self, key: str, shown: str) -> Any:
        self.settings[key] = shown
        return [None, 8, 8, 4]

    def quantizer(self, key: str, role: Role, default: str | None = None) -> Quantizer | None:
        self.settings[key] = f"None, or a quantizer of {role.what}"
        return read_quantizer(default or role.quantizers[0], role)

    def activation_setting(self) -> Any:
        self.settings["activation"] = "None, or an activation (below)"
        return "quantized_relu"


@dataclass(frozen=True)
class SupportedLayer:
    """A supported layer.

    Attributes:
        settings: setting -> the values that are accepted.
        steps: names of the classes of `source` that it becomes, without "Node".
        unquantized: whether its weights have no quantizer.
    """

    settings: dict[str, str]
    steps: tuple[str, ...]
    unquantized: bool

    @property
    def becomes(self) -> str:
        """Its steps for people; a reshape beside other steps is left out."""
        return ", ".join(words(step) for step in [step for step in self.steps if step != "Reshape"] or self.steps)


def operators() -> dict[str, tuple[str, ...]]:
    """As `SupportColumn.operators`."""
    found: dict[str, list[str]] = {}
    for kind in supported_kinds():
        for step in dict.fromkeys(described(kind).steps):
            if step != "Reshape" or described(kind).steps == (step,):
                found.setdefault(step, []).append(kind)
    return {step: tuple(kinds) for step, kinds in found.items()}


@cache
def described(kind: str) -> SupportedLayer:
    """A layer class, as its handler takes it."""
    reader = _Asking(kind)
    try:
        handler_for(kind, kind)(reader)
    except StqError:  # it joins branches
        reader = _Asking(kind)
        reader.inputs *= 2
        handler_for(kind, kind)(reader)
    steps = tuple(type(node).__name__.removesuffix("Node") for node in reader.nodes)
    return SupportedLayer(reader.settings, steps, reader.float_error is not None)


def words(name: str) -> str:
    """BatchNorm -> batch norm."""
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()
