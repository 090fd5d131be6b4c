from __future__ import annotations

import importlib.util

import pytest

from stq_deploy.common.errors import StqError
from tests.helpers.assembly import Assemble, assembled

if importlib.util.find_spec("unicorn") is None:  # pip install -e '.[emulator]'
    collect_ignore_glob = ["test_emulated_*"]


@pytest.fixture(scope="session")
def assemble(tmp_path_factory: pytest.TempPathFactory) -> Assemble:
    """Machine code of Thumb-2 assembly; the same text is assembled once."""
    from stq_deploy.toolchain.compilers import find_compiler

    try:
        compiler = find_compiler()
    except StqError as error:
        pytest.skip(f"no cross compiler, so nothing to decode: {error.what}")
    folder = tmp_path_factory.mktemp("assembly")
    known: dict[str, bytes] = {}

    def assemble(text: str) -> bytes:
        if text not in known:
            known[text] = assembled(compiler, text, folder)
        return known[text]

    return assemble
