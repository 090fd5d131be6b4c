"""The entry point `hls4ml.backends`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def register(register_backend: Callable[[str, Any], None], register_writer: Callable[[str, Any], None]) -> None:
    """hls4ml calls this while it is imported, even if this backend is not used, so nothing heavy belongs here.

    Args:
        register_backend: takes a name and a class.
        register_writer: the same; not used, because a writer writes an FPGA project from hls4ml's graph.
    """
    from stq_deploy.hls4ml_backend.backend import NAME, Stm32Backend

    register_backend(NAME, Stm32Backend)
