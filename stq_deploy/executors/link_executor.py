"""A board at the other end of a link: a real one, or an emulated one."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.progress import SamplesDone
from stq_deploy.executors.executor import (
    Crcs,
    Executor,
    Levels,
    Outputs,
    checked_layer,
    checked_levels,
    empty_outputs,
)
from stq_deploy.network.ops import Counters
from stq_deploy.network.reference import numbered
from stq_deploy.program import Program
from stq_deploy.targets.link.identity import ExpectedBoard, NetworkFacts, check_identity
from stq_deploy.targets.link.messages import Inference
from stq_deploy.targets.link.session import Session

_OUTPUT_TYPES = {"int8": 0, "int16": 1, "int32": 2}
"""Codes of element types in the protocol (docs/PROTOCOL.md)."""


def network_facts(program: Program) -> NetworkFacts:
    """The facts that a board must state to run this program."""
    output = program.network.output_type
    return NetworkFacts(
        input_bytes=program.network.input_type.bytes,
        output_count=output.elements,
        output_type=_OUTPUT_TYPES[output.dtype],
        layer_count=len(program.layers),
    )


class LinkExecutor(Executor):
    """Runs a program on the board of an open session; `close` closes the session.

    Args:
        program: what the board must run.
        session: open.
        name: for tables: "serial", "emulated", or the board's.

    Raises:
        WrongBoardError: the board runs another model, or states sizes that are not this network's.
    """

    def __init__(self, program: Program, session: Session, *, name: str) -> None:
        self.program = program
        self.name = name
        self.session = session
        expected = ExpectedBoard(model_hash=program.network.sha256(), network=network_facts(program))
        check_identity(session.facts, expected, where=name)

    def run(self, levels: Levels, progress: SamplesDone | None = None, counters: Counters | None = None) -> Outputs:
        first, *others = empty_outputs(self.program, len(levels))
        flat = first.reshape(len(levels), -1)
        for i, inference in enumerate(self._infer(levels, progress, counters, all_outputs=True)):
            flat[i] = inference.logits
            for output, content in zip(others, inference.others, strict=True):
                little_endian = output.dtype.newbyteorder("<")
                output[i] = np.frombuffer(content, little_endian).reshape(output.shape[1:])
        return (first, *others)

    def layer_crcs(self, levels: Levels, progress: SamplesDone | None = None, counters: Counters | None = None) -> Crcs:
        crcs = np.empty((len(levels), len(self.program.layers)), np.uint32)
        for i, inference in enumerate(self._infer(levels, progress, counters, crcs=True)):
            assert inference.crcs is not None  # asked for
            crcs[i] = inference.crcs
        return crcs

    def layer_output(self, levels: Levels, layer: int, counter: int = 0) -> npt.NDArray[Any]:
        tensor = checked_layer(self.program, layer).output
        (sample,) = checked_levels(self.program, levels[None])
        number = counter if self.program.network.has_noise else None
        content = self.session.layer_output(sample, layer, output_bytes=tensor.bytes, counter=number)
        return np.frombuffer(content, np.dtype(tensor.dtype).newbyteorder("<")).reshape(tensor.shape)

    def stream(
        self,
        samples: Iterable[Levels],
        *,
        crcs: bool = False,
        layer_cycles: bool = False,
        all_outputs: bool = False,
        counters: Iterable[int] | None = None,
    ) -> Iterator[Inference]:
        """Each sample's (*input shape) result as soon as it is there, in order; see `Session.infer`.

        Args:
            all_outputs: fetch the outputs after the first, too.
            counters: the samples' counters, for a network with fresh noise; each is drawn after its sample. None: 0,
                1, 2, ...

        Raises:
            StqError: as `run`.
        """
        checked = (checked_levels(self.program, sample[None])[0] for sample in samples)
        others = self._others if all_outputs else ()
        numbers = self._numbers(itertools.count() if counters is None else counters)
        return self.session.infer(checked, crcs=crcs, layer_cycles=layer_cycles, others=others, counters=numbers)

    def _numbers(self, counters: Iterable[int]) -> Iterable[int] | None:
        """The counters, if the board takes any."""
        return counters if self.program.network.has_noise else None

    @property
    def _others(self) -> list[int]:
        """Bytes of each output after the first."""
        return [place.type.bytes for place in self.program.outputs[1:]]

    def close(self) -> None:
        self.session.close()

    def _infer(
        self,
        levels: Levels,
        progress: SamplesDone | None,
        counters: Counters | None,
        *,
        crcs: bool = False,
        all_outputs: bool = False,
    ) -> Iterator[Inference]:
        samples = checked_levels(self.program, levels)
        others = self._others if all_outputs else ()
        numbers = self._numbers(numbered(counters, len(samples)).tolist())
        inferences = self.session.infer(samples, crcs=crcs, others=others, counters=numbers)
        for done, inference in enumerate(inferences, start=1):
            yield inference
            if progress:
                progress(done)
