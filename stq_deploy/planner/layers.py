"""Which ops become layers of the emitted network."""

from __future__ import annotations

from stq_deploy.network import Network
from stq_deploy.network.ops import Op, Reshape


def emitted_ops(network: Network) -> tuple[Op, ...]:
    """The ops that do work on the device, in the order they run; layer `i` is element `i`.

    A reshape is a view of its input and no layer, so the index of an op in `network.ops` is not its layer
    index.
    """
    return tuple(op for op in network.ops if not isinstance(op, Reshape))
