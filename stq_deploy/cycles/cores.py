"""The cores whose time can be estimated, by `cpu.core` of `board.toml`."""

from __future__ import annotations

from stq_deploy.common.errors import no_such
from stq_deploy.cycles.cortex_m4 import CortexM4
from stq_deploy.cycles.cortex_m7 import CortexM7
from stq_deploy.cycles.timeline import CoreModel

CORES: dict[str, CoreModel] = {model.name: model for model in (CortexM7(), CortexM4())}
"""Every model; a new core is a module here and an element of this table."""


def core_model(name: str) -> CoreModel:
    """The model of a core.

    Raises:
        StqError: there is none.
    """
    model = CORES.get(name)
    if model is None:
        raise no_such(f"there is no cycle model of core {name!r}", name, CORES)
    return model
