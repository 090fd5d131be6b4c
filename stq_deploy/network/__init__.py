"""The integer network: typed tensors, ops, the NumPy reference executor, and the .stq file."""

from stq_deploy.network.archive import load_network, save_network
from stq_deploy.network.graph import Network
from stq_deploy.network.tensor import TensorType

__all__ = ["Network", "TensorType", "load_network", "save_network"]
