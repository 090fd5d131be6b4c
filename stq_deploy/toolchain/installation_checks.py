"""Checks of `stq-deploy doctor`: Python packages and compilers, what each is for, and how to get it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from stq_deploy.common.errors import StqError
from stq_deploy.common.installation import how_to_install
from stq_deploy.toolchain.compilers import ZIGLANG, candidates, find_compiler, probe
from stq_deploy.toolchain.host_compiler import find_host_compiler


@dataclass(frozen=True)
class Check:
    """One thing that may be installed.

    Attributes:
        name: what it is.
        present: whether it is there and works.
        found: version, place, or what is wrong.
        used_for: what does not work without it.
        advice: how to get it; empty if it is there.
        required: whether building and running on an emulated board needs it.
    """

    name: str
    present: bool
    found: str
    used_for: str
    advice: str
    required: bool = False


@dataclass(frozen=True)
class Extra:
    """An extra of this package (`pip install -e '.[name]'`) and the modules that it brings."""

    name: str
    modules: tuple[str, ...]
    used_for: str
    required: bool = False


EXTRAS = (
    Extra("emulator", ("unicorn",), "emulated boards: demo, verify, run --emulated", required=True),
    Extra("flash", ("pyocd",), "flash, boards --connected"),
    Extra(
        "train",
        ("tensorflow", "tf_keras", "qkeras", "h5py", "sklearn", "art"),
        "train, attack, QKeras models in memory",
    ),
    Extra("hls4ml", ("hls4ml",), "backend STM32 in hls4ml"),
)
_ZIG_IS_FOR = "boards and this computer, where no other compiler is found"
_DISTRIBUTIONS = {"sklearn": "scikit-learn", "tf_keras": "tf-keras", "art": "adversarial-robustness-toolbox"}


def toolchain_checks() -> Iterator[Check]:
    """Python, its packages, compilers for boards and for this computer."""
    version = platform.python_version()
    good = sys.version_info >= (3, 11)
    yield Check("Python", good, version, "everything", "" if good else "install Python 3.11 or 3.12", True)
    for extra in EXTRAS:
        yield check_extra(extra)
    yield from check_board_compilers()
    yield from check_host_compilers()


def check_extra(extra: Extra) -> Check:
    """Whether all modules of an extra can be found; nothing is imported, as TensorFlow takes seconds."""
    missing = [name for name in extra.modules if importlib.util.find_spec(name) is None]
    found = ", ".join(f"{name} {_version(name)}".strip() for name in extra.modules if name not in missing)
    if missing:
        found = "; ".join(filter(None, [f"lacks {', '.join(missing)}", found]))
    advice = how_to_install(extra.name) if missing else ""
    return Check(f"Python packages [{extra.name}]", not missing, found, extra.used_for, advice, extra.required)


def check_board_compilers() -> Iterator[Check]:
    """Each place that is searched, and the compiler that `build` would take."""
    for candidate in candidates():
        compiler = probe(candidate)
        yield Check(
            f"compiler {candidate.name}", compiler is not None,
            compiler.version if compiler else "does not run" if candidate.command else "not installed",
            _ZIG_IS_FOR if candidate.name == ZIGLANG else "one compiler for boards is enough",
            "" if compiler else candidate.advice,
        )  # fmt: skip
    try:
        chosen = find_compiler()
    except StqError as error:
        yield Check("compiler that `build` takes", False, error.what, "build", error.next, True)
    else:
        found = f"{chosen.version}, from {chosen.origin}"
        yield Check("compiler that `build` takes", True, found, "build", "", True)


def check_host_compilers() -> Iterator[Check]:
    """C compilers for this computer: any, and one with AddressSanitizer."""
    for sanitize, name, used_for in (
        (False, "C compiler for this computer", "evaluate --executor host, demo"),
        (True, "C compiler with AddressSanitizer", "verify's sanitized run"),
    ):
        try:
            compiler = find_host_compiler(sanitize=sanitize)
        except StqError as error:
            yield Check(name, False, error.what, used_for, error.next, required=not sanitize)
        else:
            found = compiler.version.partition("\n")[0]
            yield Check(name, True, found, used_for, "", required=not sanitize)


def _version(module: str) -> str:
    name = _DISTRIBUTIONS.get(module, module)
    for distribution in (name, f"{name}-cpu"):
        try:
            return importlib.metadata.version(re.sub(r"_", "-", distribution))
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""
