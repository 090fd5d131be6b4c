"""Requirements of the C interface on a network as a whole; each kernel family states its own (`kernels/`)."""

from __future__ import annotations

from stq_deploy.network import Network
from stq_deploy.program.kernels.choice import refuse
from stq_deploy.program.views import Views

INPUT_TYPES = ("int8", "int16")
"""Storage types of input levels on the link."""


def check_limits(network: Network, views: Views) -> None:
    """Refuse networks that the NumPy reference computes but that no firmware can serve.

    Raises:
        StqError: the network does not take int8 or int16 levels, or has no layer.
    """
    if network.input_type.dtype not in INPUT_TYPES:
        raise refuse(f"the input is stored as {network.input_type.dtype}", f"tensor {network.input!r}",
                     "the link takes int8 and int16 levels")  # fmt: skip
    if all(views.is_view(op) for op in network.ops):
        raise refuse("the network has no layer that computes anything", "network", "it holds only reshapes")
