"""Networks and kernels have no variables, except the static memory that a caller may leave out."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from stq_deploy.toolchain.kernel_sources import every_kernel
from tests.helpers.embedding.own_library import write_networks
from tests.helpers.networks import random_network


@pytest.mark.parametrize("kernels", ["reference", "cortex_m7"])
def test_only_the_static_memory_is_variable(kernels: str, tmp_path: Path) -> None:
    if shutil.which("gcc") is None or shutil.which("nm") is None:
        pytest.skip("gcc or nm is not installed")
    every = every_kernel(kernels, tmp_path)
    sources = [*write_networks(tmp_path, {"kws": random_network(979, 40)}), *every.files]
    objects = tmp_path / "objects"
    objects.mkdir()
    includes = [f"-I{path}" for path in (tmp_path / "kws", *every.include_folders)]
    command = ["gcc", "-std=c99", "-O1", "-fno-pie", *includes, "-c", *map(str, sources)]
    subprocess.run(command, cwd=objects, check=True, timeout=600)
    listing = subprocess.run(
        ["nm", "-A", *(path.name for path in sorted(objects.glob("*.o")))],
        cwd=objects, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    rows = [line.split(":", 1) for line in listing.splitlines()]
    variables = {(name, row.split()[-1]) for name, row in rows if row.split()[-2] in "bBdDCsS"}
    assert {name for name, _ in variables} == {"kws_memory.o"}
    assert {symbol for _, symbol in variables} == {"kws_static_arena"}
    assert len(rows) > len(sources)
