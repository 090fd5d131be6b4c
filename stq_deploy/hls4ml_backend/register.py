"""The entry point `hls4ml.backends`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def register(register_backend: Callable[[str, Any], None], register_writer: Callable[[str, Any], None]) -> None:
    """Called by hls4ml while it is imported, whether this backend will be used or not: so nothing heavy here.

    Args:
        register_backend: takes a name and a class.
        register_writer: as above; not used, for a writer writes an FPGA project from hls4ml's graph.
    """
    from stq_deploy.hls4ml_backend.backend import NAME, Stm32Backend

    register_backend(NAME, Stm32Backend)
