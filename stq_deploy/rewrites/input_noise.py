"""Adds fresh noise to a network's input: the random noise defense (RND, Qin et al. 2021, arXiv:2104.11470).

The levels that the host sends, and the functions that make levels of pixels, stay as they are. The network's answer to
a sample then depends on the sample's counter, too. So the pass needs an option (`convert --input-noise`).
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from stq_deploy.common.errors import StqError
from stq_deploy.network import Network
from stq_deploy.network.noise import InputNoise, noise_table
from stq_deploy.network.ops import UNNAMED, FreshNoise, Op

_NAME = "input_noise"


def add_input_noise(network: Network, noise: InputNoise) -> Network:
    """The network with an op of noise before everything that reads its input; `network` itself if sigma is 0.

    Raises:
        StqError: sigma is impossible, the network draws noise already, or nothing reads its input.
    """
    noise_table(noise.sigma)  # refuses an impossible sigma
    if noise.sigma == 0:
        return network
    if network.has_noise:
        raise StqError(
            "the network has noise already",
            where="--input-noise",
            next="convert the Keras model again with the noise that you want",
        )
    if not any(network.input in op.inputs for op in network.ops):
        raise StqError("no layer reads the network's input, so noise changes nothing", where="--input-noise")
    tensor = _unused(_NAME, network.tensors)
    op = replace(
        FreshNoise(*UNNAMED, sigma=float(noise.sigma), seed=noise.seed),
        name=_unused(_NAME, {op.name for op in network.ops}), inputs=(network.input,), output=tensor,
    )  # fmt: skip
    return replace(
        network,
        tensors=network.tensors | {tensor: network.input_type},
        ops=(op, *(_reading(other, network.input, tensor) for other in network.ops)),
    )


def _unused(name: str, taken: Container[str]) -> str:
    """The name, with underscores behind it until nothing has it."""
    while name in taken:
        name += "_"
    return name


def _reading(op: Op, before: str, after: str) -> Op:
    """The op, with one tensor in place of another among its inputs."""
    return replace(op, inputs=tuple(after if name == before else name for name in op.inputs))
