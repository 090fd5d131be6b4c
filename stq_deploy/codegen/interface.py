"""The input and the outputs of a network, as its public header describes them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from stq_deploy.codegen import literals
from stq_deploy.codegen.text import comment
from stq_deploy.network import Network, TensorType
from stq_deploy.network.tensor import fits
from stq_deploy.program import Program
from stq_deploy.program.kernels.call import STQ_TYPES

_MOVED = ",\n * once the model's first layers have moved and scaled it: the quantize functions do that"


@dataclass(frozen=True)
class InterfaceTensor:
    """An input or output tensor as the templates see it; every text is fit for its place in C.

    Attributes:
        note: its name and form, for a comment.
        address: C expression; needs a variable `network`.
        offset: bytes from the arena's start.
        scale: floating constant, without suffix f where float32 cannot hold the number.
        number: C expression of the number that `level` stands for.
        rounding_note: how values become levels, where the scale alone does not determine it.
    """

    note: str
    c_type: str
    stq_type: str
    shape: tuple[int, ...]
    elements: int
    bytes: int
    minimum: str
    maximum: str
    scale: str
    zero_point: str
    address: str
    offset: int
    number: str
    rounding_note: str = ""


def input_port(program: Program, tensors: Mapping[str, str]) -> InterfaceTensor:
    """The input.

    Args:
        tensors: tensor -> C expression of its address.
    """
    network = program.network
    note = "" if network.input_rounding is None else _MOVED
    return _port(program, network.input, tensors, note)


def output_ports(program: Program, tensors: Mapping[str, str]) -> list[InterfaceTensor]:
    """Every output, by index."""
    return [_port(program, name, tensors) for name in program.network.outputs]


@dataclass(frozen=True)
class Threshold:
    """The threshold of the first output, as the templates see it.

    Attributes:
        value: floating constant: the model's output above which an element means yes.
        least: C constant: the smallest level that means yes; beyond the type's levels where none does.
    """

    value: str
    least: str


def threshold(network: Network) -> Threshold | None:
    """The user's threshold, or that of the model's last function; None for an output without a threshold."""
    form, spec = network.output_format, network.output_type
    if not form.has_threshold:
        return None
    least = form.first_level(spec)
    if isinstance(least, bool):
        least = spec.minimum if least else spec.maximum + 1
    level = min(max(least, spec.minimum), spec.maximum + 1)
    return Threshold(literals.real(float(form.limit)), literals.int64(level))


def class_names(network: Network) -> list[str]:
    """Names of the first output's elements from the metadata; empty unless there is a text for each element."""
    names = network.metadata.class_names or ()
    return list(names) if len(names) == network.output_type.elements else []


def _port(program: Program, name: str, tensors: Mapping[str, str], rounding_note: str = "") -> InterfaceTensor:
    tensor: TensorType = program.network.tensors[name]
    return InterfaceTensor(
        note=comment(f"{name}: {literals.shape(tensor.shape)} {tensor.dtype}"),
        c_type=literals.C_TYPES[tensor.dtype],
        stq_type=STQ_TYPES[tensor.dtype],
        shape=tensor.shape,
        elements=tensor.elements,
        bytes=tensor.bytes,
        minimum=literals.int32(tensor.minimum),
        maximum=literals.int32(tensor.maximum),
        scale=literals.real(tensor.scale),
        zero_point=literals.int32(tensor.zero_point),
        address=tensors[name],
        offset=program.offset(name),
        number=_number(tensor),
        rounding_note=rounding_note,
    )


def _number(tensor: TensorType) -> str:
    """C expression of (level - zero point) * scale as a float, rounded once."""
    within = fits("int32", tensor.minimum - tensor.zero_point, tensor.maximum - tensor.zero_point)
    steps = "level" if within else "(int64_t)level"
    if tensor.zero_point:
        steps = f"({steps} - ({literals.int32(tensor.zero_point)}))"
    mantissa, _ = math.frexp(tensor.scale)
    scale = literals.real(tensor.scale)
    # A power of two changes no digit, so that the conversion to float is the only rounding.
    if mantissa == 0.5 and scale.endswith("f"):
        return f"(float){steps} * {scale}"
    return f"(float)((double){steps} * {scale.removesuffix('f')})"
