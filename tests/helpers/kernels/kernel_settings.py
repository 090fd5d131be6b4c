"""How the tests of the kernels run: with sanitizers if STQ_KERNELS_SANITIZE is set, and then with fewer examples."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

SANITIZE = bool(os.environ.get("STQ_KERNELS_SANITIZE"))
PROPERTY = settings(
    max_examples=15 if SANITIZE else 60, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
