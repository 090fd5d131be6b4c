"""The host tests of this folder once more, the kernels compiled with Address- and UndefinedBehaviorSanitizer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.common.resources import firmware_templates
from stq_deploy.toolchain.host_compiler import find_host_compiler
from tests.helpers.kernels.kernel_settings import SANITIZE

HERE = Path(__file__).resolve().parent


def address_sanitizer() -> Path:
    """The run-time library, which has to be loaded before Python allocates anything."""
    try:
        compiler = find_host_compiler(sanitize=True)
    except StqError as error:
        pytest.skip(str(error))
    command = [*compiler.command, "-print-file-name=libasan.so"]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    path = Path(printed.stdout.strip())
    if not path.is_absolute():
        pytest.skip("the host's compiler has no libasan.so to preload")
    return path


@pytest.mark.skipif(SANITIZE, reason="this is the sanitized run")
def test_under_sanitizers() -> None:
    environment = {
        **os.environ,
        "STQ_KERNELS_SANITIZE": "1",
        "LD_PRELOAD": str(address_sanitizer()),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python itself never frees everything
        "PYTHONPATH": os.pathsep.join([str(firmware_templates().parent), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(HERE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False, env=environment)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


@pytest.mark.skipif(not SANITIZE, reason="needs the sanitizers loaded")
def test_sanitizers_catch_a_planted_over_read(tmp_path: Path) -> None:
    """The sanitized run can fail: a table one entry short is noticed."""
    program = (
        "import numpy as np, sys, pathlib; sys.path.insert(0, sys.argv[1]);"
        "from tests.helpers.kernels.kernel_library import build_host_library;"
        "library = build_host_library('reference', pathlib.Path(sys.argv[2]), sanitize=True);"
        "x = np.full(4000, 127, np.int8);"
        "library.call('stq_table_s8', np.zeros(255, np.int8), 4000, x, x)"
    )
    command = [sys.executable, "-c", program, str(HERE.parent.parent), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr
