"""A model file in float32, operation by operation in NumPy: where TensorFlow is not installed, or not wanted.

Products are summed in NumPy's order, which is another than TensorFlow's, so the last bits of a sum may differ from
Keras's. A quantizer's value is a level times its step, where QKeras adds its difference to the number it quantizes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from stq_deploy.evaluation.float_model_file import FloatModelFile, no_such_layer
from stq_deploy.frontend.float_graph_reader import read_float_graph
from stq_deploy.frontend.importer import ModelSource
from stq_deploy.lowering.float_graph import run_graph
from stq_deploy.lowering.structure import find_ending, find_live
from stq_deploy.network.input_format import Values
from stq_deploy.pipeline import Conversion

BATCH = 32  # a batch's patches stay in the processor's cache
Floats = npt.NDArray[np.float32]


class NumpyFloatModel(FloatModelFile):
    """A model file of any format, as float32 NumPy computes it.

    Attributes:
        graph: its nodes and weights.
    """

    engine = "numpy"

    def __init__(self, source: ModelSource, conversion: Conversion | None = None) -> None:
        super().__init__(source, conversion)
        self.graph = read_float_graph(self._file)

    def logits(self, values: Values) -> Floats:
        """See `FloatModelFile.logits`; a final sigmoid or tanh is left out as well, which changes no class."""
        return self._at(values, [find_ending(self.graph, self.graph.outputs[0]).logits])[0]

    def outputs(self, values: Values) -> Floats:
        """See `FloatModelFile.outputs`."""
        return self._at(values, [self.graph.outputs[0]])[0]

    def layer_outputs(self, values: Values, layers: Sequence[str]) -> list[Floats]:
        """See `FloatModelFile.layer_outputs`."""
        last = {node.layer: n for n, node in enumerate(self.graph.nodes)}
        for name in layers:
            if name not in last:
                raise no_such_layer(name)
        return self._at(values, [last[name] for name in layers]) if layers else []

    def _at(self, values: Values, wanted: Sequence[int]) -> list[Floats]:
        """The values at these positions, one after the other."""
        live = sorted(find_live(self.graph, tuple(wanted)))
        batches = list(self._batches(np.asarray(values, np.float32), live, set(wanted)))
        return [np.concatenate([batch[n] for batch in batches]) for n in wanted]

    def _batches(self, values: Floats, live: Sequence[int], wanted: set[int]) -> Iterator[dict[int, Floats]]:
        for start in range(0, len(values), BATCH):
            with np.errstate(over="ignore", invalid="ignore"):  # as silently as Keras
                run = run_graph(self.graph, values[start : start + BATCH], live)
                yield {n: found.astype(np.float32) for n, found in run if n in wanted}
