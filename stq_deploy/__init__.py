"""stq-deploy: few-bit QKeras networks on microcontrollers, exact to the byte, with their robustness measured there.

`import stq_deploy as stq` is the Python interface (docs/API.md). Its names are imported when they are first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stq_deploy.api import (
        AttackedSamples,
        BuiltFirmware,
        ConnectedBoard,
        EmulatedBoard,
        Evaluation,
        IntegerNetwork,
        LayerComparison,
        RunningNetwork,
        StqError,
        attack,
        boot,
        build,
        connect,
        convert,
        emulate,
        evaluate,
        load,
        open_build,
        step_names,
        verify,
    )

__version__ = "0.1.0"
__all__ = [
    "AttackedSamples", "BuiltFirmware", "ConnectedBoard", "EmulatedBoard", "Evaluation", "IntegerNetwork",
    "LayerComparison", "RunningNetwork", "StqError", "attack", "boot", "build", "connect", "convert", "emulate",
    "evaluate", "load", "open_build", "step_names", "verify",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from stq_deploy import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
