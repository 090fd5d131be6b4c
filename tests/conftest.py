"""Fixtures and options for all tests."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.helpers.durations import (
    Duration,
    function_of,
    merge,
    processor_seconds,
    read_durations,
    wholly_slow,
    write_durations,
)
from tests.helpers.object_cache import ObjectCache
from tests.helpers.shared import session_folder

# A shell's background jobs ignore Ctrl-C, and those of nohup a hang-up. Children inherit both; what is tested must not.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Tests share two cores with compilers and emulators: how long one example takes says nothing of the code.
settings.register_profile("stq", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("stq")


@pytest.fixture(scope="session")
def host_cache(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one test run keeps what it built for the host: its processes compile kernels once.

    Its parent is what `XDG_CACHE_HOME` has to name, for commands to use it.
    """
    folder = session_folder(request, tmp_path_factory) / "cache" / "stq-deploy"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session", autouse=True)
def object_cache(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectCache]:
    """What one test run compiles for boards: its firmware builds compile equal sources once."""
    folder = session_folder(request, tmp_path_factory) / "objects"
    folder.mkdir(exist_ok=True)
    cache = ObjectCache(folder)
    with cache.used():
        yield cache


@pytest.fixture
def compiled_anew(object_cache: ObjectCache) -> Iterator[None]:
    """The test's own builds compile every source: it is about the compiler."""
    with object_cache.unused():
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--port", help="serial port of a connected board, for tests/evaluation/test_connected_board.py")
    parser.addoption("--fast", action="store_true", help="leave out tests that tests/durations.json says are slow")
    parser.addoption("--measure", action="store_true", help="write what the tests take into tests/durations.json")


_KNOWN = pytest.StashKey[dict[str, Duration]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_KNOWN] = read_durations()
    if config.getoption("--measure") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Measured())


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With --fast, do not even import a file of which nothing would be left."""
    known = config.stash[_KNOWN]
    return True if config.getoption("--fast") and wholly_slow(collection_path, known) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark slow tests; a test that nobody has measured yet is quick, unless it needs TensorFlow."""
    known = config.stash[_KNOWN]
    for item in items:
        duration = known.get(function_of(item.nodeid))
        if item.get_closest_marker("keras") is not None or (duration is not None and duration.slow):
            item.add_marker(pytest.mark.slow)
    if config.getoption("--fast"):
        left_out = [item for item in items if item.get_closest_marker("slow") is not None]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item.get_closest_marker("slow") is None]


def pytest_collection_finish() -> None:
    """What was collected stays until the end: the garbage collector need not look at it over and over."""
    gc.collect()
    gc.freeze()


_STARTED = pytest.StashKey[float]()
_SECONDS = "processor seconds"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    item.stash[_STARTED] = processor_seconds()
    yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    yield
    if item.config.getoption("--measure"):
        item.user_properties.append((_SECONDS, processor_seconds() - item.stash[_STARTED]))


class Measured:
    """Gathers what each test took, from all workers, and writes it down at the end."""

    def __init__(self) -> None:
        self.seconds: list[tuple[str, float]] = []
        self.skipped: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped:
            self.skipped.add(report.nodeid)
        for name, value in report.user_properties:
            if report.when == "teardown" and name == _SECONDS and report.nodeid not in self.skipped:
                assert isinstance(value, float)
                self.seconds.append((report.nodeid, value))

    def pytest_sessionfinish(self) -> None:
        write_durations(merge(read_durations(), self.seconds))
