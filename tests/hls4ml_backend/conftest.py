"""Keras 2 for qkeras and hls4ml, and for these tests only."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="package", autouse=True)
def process_as_before() -> Iterator[None]:
    """`let_hls4ml_read_qkeras` changes what `import keras` gives; the tests after these must not see it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "keras", sys.modules.get("keras"))
        patch.setattr(np, "product", np.prod, raising=False)
        yield


@pytest.fixture(scope="package", autouse=True)
def own_cache(host_cache: Path) -> Iterator[None]:
    """Host libraries go to the session's cache instead of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(host_cache.parent))
        yield
