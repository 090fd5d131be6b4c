"""One interface over everything that runs a network: NumPy, the host's C, an emulated board, a real board."""

from stq_deploy.executors.executor import Executor

__all__ = ["Executor"]
