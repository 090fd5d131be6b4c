"""The mark of tests that build firmware and run it on an emulated board."""

from __future__ import annotations

import importlib.util

import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.toolchain.compilers import find_compiler


def _can_emulate() -> bool:
    try:
        find_compiler()
    except StqError:
        return False
    return importlib.util.find_spec("unicorn") is not None


needs_emulator = pytest.mark.skipif(not _can_emulate(), reason="needs a compiler for Cortex-M and unicorn")
