"""A checked model whose weights are as the file stores them: what every format gives."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stq_deploy.frontend.quantizers import Quantizer
from stq_deploy.frontend.source import FloatBias, FloatKernel, IntegerKernel, Node
from stq_deploy.network.source_layer import InspectedLayer


@dataclass(frozen=True, eq=False)
class ListedModel:
    """A model's layers as `inspect` shows them.

    Attributes:
        name: the model's name. Untrusted text.
    """

    name: str
    rows: list[InspectedLayer]


@dataclass(frozen=True, eq=False)
class ParsedModel:
    """A checked model; nodes and positions as in `SourceGraph`.

    Attributes:
        kernels: position -> floats that a quantizer is still to quantize.
        biases: position -> the same for a bias.
        numbers: position of a node with quantized numbers -> field -> quantizer.
        integer_kernels: position -> weights that the file stores as integers.
        exact_biases: position -> a bias that the file stores as exact numbers, float64 (outputs,).
    """

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    kernels: dict[int, FloatKernel]
    biases: dict[int, FloatBias]
    numbers: dict[int, dict[str, Quantizer]]
    name: str
    file: dict[str, str]
    table: tuple[InspectedLayer, ...]
    integer_kernels: dict[int, IntegerKernel] = field(default_factory=dict)
    exact_biases: dict[int, npt.NDArray[np.float64]] = field(default_factory=dict)
