"""A board at the other end of a link: a real one, or an emulated one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.executors.base import Digests, Executor, Levels, Progress, checked_layer, checked_levels
from stq_deploy.link.identity import ExpectedBoard, NetworkFacts, check_identity
from stq_deploy.link.messages import Inference
from stq_deploy.link.session import Session
from stq_deploy.network import Network
from stq_deploy.program import emitted_ops

_OUTPUT_TYPES = {"int8": 0, "int16": 1, "int32": 2}
"""As the protocol numbers them: docs/PROTOCOL.md."""


def network_facts(network: Network) -> NetworkFacts:
    """What a board must state of this network."""
    output = network.output_type
    return NetworkFacts(
        input_bytes=network.input_type.bytes,
        output_count=output.elements,
        output_type=_OUTPUT_TYPES[output.dtype],
        layer_count=len(emitted_ops(network)),
    )


class LinkExecutor(Executor):
    """Runs a network on the board of an open session; `close` closes the session.

    Args:
        network: what the board must run.
        session: open.
        name: "serial" or "emulated".

    Raises:
        WrongBoardError: the board runs another model, or states sizes that are not this network's.
    """

    def __init__(self, network: Network, session: Session, *, name: str) -> None:
        self.network = network
        self.name = name
        self.session = session
        self._layers = emitted_ops(network)
        expected = ExpectedBoard(model_hash=network.sha256(), network=network_facts(network))
        check_identity(session.facts, expected, where=name)

    def run(self, levels: Levels, progress: Progress | None = None) -> npt.NDArray[Any]:
        output = self.network.output_type
        logits = np.empty((len(levels), output.elements), output.dtype)
        for i, inference in enumerate(self._infer(levels, progress)):
            logits[i] = inference.logits
        return logits.reshape(len(levels), *output.shape)

    def layer_digests(self, levels: Levels, progress: Progress | None = None) -> Digests:
        digests = np.empty((len(levels), len(self._layers)), np.uint32)
        for i, inference in enumerate(self._infer(levels, progress, digests=True)):
            assert inference.digests is not None  # asked for
            digests[i] = inference.digests
        return digests

    def layer_output(self, levels: Levels, layer: int) -> npt.NDArray[Any]:
        tensor = self.network.tensors[self._layers[checked_layer(layer, len(self._layers))].output]
        (sample,) = checked_levels(self.network, levels[None])
        content = self.session.layer_output(sample, layer, output_bytes=tensor.bytes)
        return np.frombuffer(content, np.dtype(tensor.dtype).newbyteorder("<")).reshape(tensor.shape)

    def stream(
        self, samples: Iterable[Levels], *, digests: bool = False, layer_cycles: bool = False
    ) -> Iterator[Inference]:
        """Each sample's (*input shape) result as soon as it is there, in order; see `Session.infer`.

        Raises:
            StqError: as `run`.
        """
        checked = (checked_levels(self.network, sample[None])[0] for sample in samples)
        return self.session.infer(checked, digests=digests, layer_cycles=layer_cycles)

    def close(self) -> None:
        self.session.close()

    def _infer(self, levels: Levels, progress: Progress | None, *, digests: bool = False) -> Iterator[Inference]:
        samples = checked_levels(self.network, levels)
        for done, inference in enumerate(self.session.infer(samples, digests=digests), start=1):
            yield inference
            if progress:
                progress(done)
