"""Fixtures and options for all tests."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A shell's background jobs ignore Ctrl-C, and those of nohup a hang-up. Children inherit both; what is tested must not.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Tests share two cores with compilers and emulators: how long one example takes says nothing of the code.
settings.register_profile("stq", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("stq")


@pytest.fixture(scope="session")
def host_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one test session keeps what it built for the host: kernels are compiled once."""
    return tmp_path_factory.mktemp("host-cache")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--port", help="serial port of a connected board, for tests/evaluation/test_connected_board.py")
