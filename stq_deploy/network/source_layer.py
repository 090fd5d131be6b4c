"""A row about one layer of the model file, for `inspect` and for the metadata of the network made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from stq_deploy.common.checked_json import Checked

Shape = tuple[int, ...]


@dataclass(frozen=True)
class InspectedLayer:
    """The row of `inspect` for one Keras layer.

    Attributes:
        name, type: the layer's name and Keras class. Untrusted text.
        inputs, shape: shapes of its inputs and of its output, as far as the layers before it are supported.
        quantizers: role ("kernel", "activation", ...) -> quantizer. Untrusted text if the layer is unsupported.
        parameters: numbers stored for it.
        macs: multiply-accumulates per inference.
        weight_bits: widths of its packed weights; the widest possible for powers of two.
        weight_bytes: bytes of its packed weights.
        problem: why it cannot be converted, or "".
        floating: what to do about floating-point weights, or "" if the layer has none.
        half_precision: the policy under which Keras computes the layer in 16 bits: "mixed_float16" or "mixed_bfloat16";
            else "". None in a row of a version that did not state it.
        undecided: weights and biases, once they are quantized, that TensorFlow may quantize otherwise on another
            processor, as it folds batch normalization into them (`fold`). None in a row of a version that did not
            state it.
    """

    name: str
    type: str
    inputs: tuple[Shape, ...] = ()
    shape: Shape | None = None
    quantizers: Mapping[str, str] = field(default_factory=dict)
    parameters: int = 0
    macs: int = 0
    weight_bits: tuple[int, ...] = ()
    weight_bytes: int = 0
    problem: str = ""
    floating: str = ""
    half_precision: str | None = ""
    undecided: int | None = 0

    def to_json(self) -> dict[str, Any]:
        """The row as JSON-able values."""
        shapes = {"inputs": [list(shape) for shape in self.inputs], "shape": self.shape and list(self.shape)}
        row = asdict(self) | shapes | {"weight_bits": list(self.weight_bits)}
        return {key: value for key, value in row.items() if value is not None or key == "shape"}

    @classmethod
    def from_json(cls, row: Checked) -> Self:
        """The layer of a row, which is untrusted.

        Raises:
            ValueError: the row is not what `to_json` gives; the message names the place.
        """
        shape = row.at("shape")
        return cls(
            name=row.at("name").text(),
            type=row.at("type").text(),
            inputs=tuple(_counts(one) for one in row.at("inputs").entries()),
            shape=None if shape.value is None else _counts(shape),
            quantizers={role: quantizer.text() for role, quantizer in row.at("quantizers").members()},
            parameters=row.at("parameters").count(),
            macs=row.at("macs").count(),
            weight_bits=_counts(row.at("weight_bits")),
            weight_bytes=row.at("weight_bytes").count(),
            problem=row.at("problem").text(),
            floating=row.at("floating").text(),
            half_precision=row.at("half_precision").text() if row.has("half_precision") else None,
            undecided=row.at("undecided").count() if row.has("undecided") else None,
        )


def _counts(values: Checked) -> tuple[int, ...]:
    return tuple(one.count() for one in values.entries())
