"""Which ops become layers of the emitted network, and in which order."""

from __future__ import annotations

from stq_deploy.network import Network
from stq_deploy.network.ops import Op
from stq_deploy.program.order import execution


def emitted_ops(network: Network) -> tuple[Op, ...]:
    """The ops that do work on the device, in the order they run; layer `i` is element `i`.

    The order is the plan's, which may differ from that of `network.ops`, and views are no layers: so the index of
    an op in `network.ops` is not its layer index. Executors, the generated code and the link all count layers by this.
    """
    return execution(network).layers
