"""A network that runs on this computer and builds for a board, through the Python interface."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stq_deploy.api.firmware import build
from stq_deploy.api.network import IntegerNetwork
from stq_deploy.api.running_boards import RunningNetwork
from stq_deploy.common.errors import StqError
from stq_deploy.executors.host_executor import HostExecutor
from stq_deploy.hls4ml_backend.values import checked_samples, real_output
from stq_deploy.network.output import Floats
from stq_deploy.toolchain.built import BuiltFirmware

BUILD_COMMAND = "hls4ml, backend STM32"
"""The command named in generated sources, where `stq-deploy build` puts its command line."""


class Deployment:
    """One model's network and build.

    Attributes:
        net: the network.
        board: name of the board of the build.
        folder: the folder of the build.
        logits: whether `predict` always leaves out the function at the model's end.
    """

    def __init__(self, net: IntegerNetwork, board: str, folder: str, *, logits: bool = False) -> None:
        self.net = net
        self.board = board
        self.folder = folder
        self.logits = logits
        self._running: RunningNetwork | None = None

    def build(self, compiler: str | None) -> BuiltFirmware:
        """As `stq-deploy build`: the C project and the image in `folder`.

        Args:
            compiler: path or name; None for the first that is found.

        Raises:
            StqError: no compiler, the network does not fit, or the folder holds something else.
        """
        return build(self.net, self.board, self.folder, compiler=compiler, command=BUILD_COMMAND)

    def load(self) -> Path:
        """Compile the network for this computer, with the board's kernels; returns the library's path.

        Raises:
            StqError: no compiler for this computer.
        """
        executor = HostExecutor(self.net.program)
        self._running = RunningNetwork(executor)
        return executor.library

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
        network = self.net.network
        if self._running is None:
            raise StqError("the model is not compiled", next="call compile() before predict()")
        found = self._running.predict(checked_samples(x, network.input_type), features=True)
        functions = network.metadata.output_functions or ((),) * len(network.outputs)
        outputs = [
            real_output(output, () if logits or self.logits else applied)
            for output, applied in zip(found if isinstance(found, tuple) else (found,), functions, strict=True)
        ]
        return outputs[0] if len(outputs) == 1 else outputs
