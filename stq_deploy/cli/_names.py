"""Types of options and arguments that take names: the shell completes them, and errors suggest the nearest name.

The command checks the names, because its errors say more than a usage line. The lists are read on demand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

Names = Callable[[], Iterable[str]]


class NameType(click.ParamType[str]):
    """A name out of a list.

    Args:
        name: for --help.
        names: the list.
        files: whether a file may be given instead.
        separator: between several names in one value.
    """

    def __init__(self, name: str, names: Names, *, files: bool = False, separator: str = "") -> None:
        self.name = name
        self._names = names
        self._files = files
        self._separator = separator

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before, separator, begun = incomplete.rpartition(self._separator) if self._separator else ("", "", incomplete)
        found = [CompletionItem(before + separator + name) for name in self._names() if name.startswith(begun)]
        if self._files and not found:
            return [CompletionItem(incomplete, type="file")]
        return found


def _boards() -> Iterable[str]:
    from stq_deploy.targets.boards import board_names

    return board_names()


def _zoo() -> Iterable[str]:
    from stq_deploy.zoo.shipped import shipped_models

    return shipped_models()


def _models() -> Iterable[str]:
    from stq_deploy.zoo.shipped import PREFIX

    return (PREFIX + name for name in _zoo())


def _attacks() -> Iterable[str]:
    from stq_deploy.research.attacks.registry import ATTACKS

    return ATTACKS


def _attacks_or_none() -> Iterable[str]:
    from stq_deploy.cli._attacks import NONE

    return (*_attacks(), NONE)


def _data_sets() -> Iterable[str]:
    from stq_deploy.datasets.registry import SOURCES

    return SOURCES


def _schemes() -> Iterable[str]:
    from stq_deploy.zoo.schemes import SCHEMES

    return SCHEMES


def _recipes() -> Iterable[str]:
    from stq_deploy.research.training.recipe import recipe_names

    return recipe_names()


def _presets() -> Iterable[str]:
    from stq_deploy.evaluation.robustness.presets import preset_names

    return preset_names()


def _executors() -> Iterable[str]:
    from stq_deploy.executors.open_executor import executor_names

    return executor_names()


BOARD = NameType("board", _boards)
ZOO_NAME = NameType("name", _zoo)
MODEL = NameType("model", _models, files=True)
ATTACK = NameType("attack", _attacks)
ATTACK_OR_NONE = NameType("attack", _attacks_or_none)
DATA_SET = NameType("name", _data_sets)
SCHEME = NameType("scheme", _schemes, files=True)
RECIPE = NameType("recipe", _recipes, files=True)
PRESET = NameType("preset", _presets, files=True)
NETWORK = NameType("network", lambda: ("stq", "resnet_v1", "ds_cnn"), files=True)
VARIANT = NameType("variant", lambda: ("pooled", "strided"))
EXECUTORS = NameType("executors", _executors, separator=",")
