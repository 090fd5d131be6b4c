"""A network that runs on this computer and builds for a board."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stq_deploy.common.errors import StqError
from stq_deploy.executors.host_executor import HostExecutor
from stq_deploy.hls4ml_backend.values import checked_samples, real_output
from stq_deploy.network import Network
from stq_deploy.network.input_format import quantize_input
from stq_deploy.network.output import Floats
from stq_deploy.program import plan_network
from stq_deploy.targets.boards import Board
from stq_deploy.toolchain.build import build_firmware
from stq_deploy.toolchain.built import BuiltFirmware
from stq_deploy.toolchain.compilers import find_compiler

BUILD_COMMAND = "hls4ml, backend STM32"
"""The command named in generated sources, where `stq-deploy build` puts its command line."""


class Deployment:
    """One model's network and build.

    Attributes:
        program: what runs.
        board: the board of the build.
        folder: the folder of the build.
    """

    def __init__(self, network: Network, board: Board, folder: str) -> None:
        self.program = plan_network(network)
        self.board = board
        self.folder = folder
        self._executor: HostExecutor | None = None

    def build(self, compiler: str | None) -> BuiltFirmware:
        """As `stq-deploy build`: the C project and the image in `folder`.

        Args:
            compiler: path or name; None for the first that is found.

        Raises:
            StqError: no compiler, the network does not fit, or the folder holds something else.
        """
        return build_firmware(
            self.program, self.board, self.folder, compiler=find_compiler(compiler), command=BUILD_COMMAND
        )

    def load(self) -> Path:
        """Compile the network for this computer, with the board's kernels; returns the library's path.

        Raises:
            StqError: no compiler for this computer.
        """
        self._executor = HostExecutor(self.program)
        return self._executor.library

    def predict(self, x: Any, *, logits: bool) -> Floats | list[Floats]:
        """The model's output for `x`, computed by the C that was loaded.

        Args:
            x: floats for the Keras model, (N, *input shape) or any other shape with as many numbers.
            logits: leave out the softmax (sigmoid, tanh) at the model's end.

        Returns:
            See `real_output`; a list of these for several outputs.

        Raises:
            StqError: not loaded, samples of another type or size, or values outside the input's domain.
        """
        executor, network = self._executor, self.program.network
        if executor is None:
            raise StqError("the model is not compiled", next="call compile() before predict()")
        levels = quantize_input(checked_samples(x, network.input_type), network.input_format, features=True)
        functions = network.metadata["output_functions"]
        outputs = [
            real_output(output, network.tensors[name], () if logits else applied)
            for output, name, applied in zip(executor.run(levels), network.outputs, functions, strict=True)
        ]
        return outputs[0] if len(outputs) == 1 else outputs
