"""stq-deploy: few-bit QKeras networks on microcontrollers, exact to the byte, with their robustness measured there.

`import stq_deploy as stq` is the Python interface (docs/API.md). Its names are imported when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stq_deploy.api.attacks import AttackedSamples, attack
    from stq_deploy.api.conversion import convert
    from stq_deploy.api.firmware import build, open_build
    from stq_deploy.api.network import IntegerNetwork, load
    from stq_deploy.api.running_boards import ConnectedBoard, RunningNetwork, boot, connect, emulate
    from stq_deploy.api.scoring import Evaluation, evaluate
    from stq_deploy.api.verification import verify
    from stq_deploy.common.errors import StqError
    from stq_deploy.evaluation.layer_comparison import LayerComparison
    from stq_deploy.pipeline import step_names
    from stq_deploy.targets.emulator.process import EmulatedBoard
    from stq_deploy.toolchain.built import BuiltFirmware

__version__ = "0.1.0"
__all__ = [
    "AttackedSamples", "BuiltFirmware", "ConnectedBoard", "EmulatedBoard", "Evaluation", "IntegerNetwork",
    "LayerComparison", "RunningNetwork", "StqError", "attack", "boot", "build", "connect", "convert", "emulate",
    "evaluate", "load", "open_build", "step_names", "verify",
]  # fmt: skip

_MODULES = {
    "api.attacks": ("AttackedSamples", "attack"),
    "api.running_boards": ("ConnectedBoard", "RunningNetwork", "boot", "connect", "emulate"),
    "api.conversion": ("convert",),
    "api.firmware": ("build", "open_build"),
    "api.network": ("IntegerNetwork", "load"),
    "api.scoring": ("Evaluation", "evaluate"),
    "api.verification": ("verify",),
    "common.errors": ("StqError",),
    "evaluation.layer_comparison": ("LayerComparison",),
    "pipeline": ("step_names",),
    "targets.emulator.process": ("EmulatedBoard",),
    "toolchain.built": ("BuiltFirmware",),
}
"""Where the public names are; type checkers read the imports above instead, and a test compares the two."""


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
