"""A pytest plugin: hls4ml's own tests, with the backend STM32 in place of the one that they name.

`tools/run_hls4ml_tests` gives it to pytest. Nothing of hls4ml's tests is copied: the plugin intercepts their calls of
`hls4ml.converters.convert_from_keras_model`, and records how each test ends.
"""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError

RESULTS = "STQ_HLS4ML_RESULTS"
"""Environment variable: the file that gets one JSON line a test."""
REFERENCE = "STQ_HLS4ML_REFERENCE"
"""Environment variable: if set, predictions come from the NumPy reference, and `compile` compiles nothing."""
_SAME_MODEL = frozenset({"backend", "io_type", "strategy"})
"""Parameters of tests that choose among FPGA backends, and leave the model as it is."""
_KEPT = frozenset({"hls_config", "model"})
"""Arguments of `convert_from_keras_model` that do not concern an FPGA."""

_FOLDERS = re.compile(r"/(?:[\w.+-]+/)+")
_WIDEST_INPUT = 16
_INPUT = "fixed<16,6>"
"""hls4ml's own default; for tests that state more bits than an input has, until their samples are known."""


def pytest_configure(config: pytest.Config) -> None:
    """Put our backend in the place of whatever backend a test asks for."""
    from stq_deploy.hls4ml_backend.environment import let_hls4ml_read_qkeras

    let_hls4ml_read_qkeras()
    import hls4ml

    hls4ml.converters.convert_from_keras_model = _substituted(hls4ml.converters.convert_from_keras_model)
    if REFERENCE in os.environ:
        hls4ml.model.graph.ModelGraph.compile = _run_by_reference


def _run_by_reference(graph: Any) -> None:
    from stq_deploy.api.running_boards import RunningNetwork
    from stq_deploy.executors.numpy_executor import NumpyExecutor

    deployed = graph.config.backend._deployment(graph)
    deployed._running = RunningNetwork(NumpyExecutor(deployed.net.program))


_CONVERTED: set[str] = set()
"""Tests that got as far as to convert a model."""


def _substituted(original: Callable[..., Any]) -> Callable[..., Any]:
    def convert_from_keras_model(model: Any, **given: Any) -> Any:
        _CONVERTED.add(os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0])
        kept = {name: value for name, value in given.items() if name in _KEPT}
        wide = _input_bits(model, kept.get("hls_config") or {}) > _WIDEST_INPUT

        def deploy(**options: str) -> Any:
            folder = tempfile.mkdtemp(prefix="stq-hls4ml-tests-")
            return original(model, backend="STM32", output_dir=str(Path(folder) / "build"), **kept, **options)

        deployed = deploy(**({"input_precision": _INPUT} if wide else {}))
        if wide:
            deployed.predict = _for_the_samples(deploy)
        if _ends_binary(model):
            predict = deployed.predict
            deployed.predict = lambda x: np.where(predict(x) < 0, 0.0, 1.0)
        return deployed

    return convert_from_keras_model


def _for_the_samples(deploy: Callable[..., Any]) -> Callable[[Any], Any]:
    """`predict` by a network whose 16 bits of input span the samples: as many bits as a test states fit no input.

    A user states that range by `input_range` or `input_precision`, but these tests know their samples later only.
    """

    def predict(x: Any) -> Any:
        largest = float(np.abs(np.asarray(x, np.float64)).max())
        integer = 1 + max(0, math.frexp(largest * 1.001)[1])
        finer = deploy(input_precision=f"fixed<{_WIDEST_INPUT},{integer}>")
        finer.compile()
        return finer.predict(x)

    return predict


def _ends_binary(model: Any) -> bool:
    """Whether hls4ml's backends return 0 for the model's -1, as its tests expect.

    They do behind `binary()`, and behind `binary_tanh` where the kernel before it is binary.
    """
    last, before = model.layers[-1], model.layers[-2] if len(model.layers) > 1 else None
    activation = getattr(last, "activation", None)
    if isinstance(activation, str):
        activation = getattr(last, "quantizer", activation)
    name = getattr(activation, "__name__", type(activation).__name__)
    kernel = type(getattr(before, "kernel_quantizer_internal", None)).__name__
    return name == "binary" or (name == "binary_tanh" and kernel == "binary")


def _input_bits(model: Any, hls_config: dict[str, Any]) -> int:
    """Bits of the input's precision that a test states, or of its default precision; 0 if it states none."""
    import hls4ml

    layer = hls_config.get("LayerName", {}).get(model.input_names[0], {})
    for stated, key in ((layer, "result"), (hls_config.get("Model", {}), "default")):
        precision = stated.get("Precision")
        precision = precision.get(key) if isinstance(precision, dict) else precision
        if isinstance(precision, str) and precision != "auto":
            return int(hls4ml.backends.get_backend("Vivado").convert_precision_string(precision).width)
    return 0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Each model once: of tests that differ in FPGA backends only, the first."""
    seen: set[tuple[str, str]] = set()
    kept = []
    for item in items:
        call = getattr(item, "callspec", None)
        label = f"-{call.id}-" if call else ""
        for name in _SAME_MODEL & (call.params.keys() if call else set()):
            label = label.replace(f"-{call.params[name]}-", "-")
        key = (item.nodeid.partition("[")[0], label)
        if key not in seen:
            seen.add(key)
            kept.append(item)
    items[:] = kept


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Record how a test ended, once: at its call, or where it got no further."""
    report: Any = yield
    if call.when == "call" or (call.when == "setup" and not report.passed):
        error = call.excinfo.value if call.excinfo is not None else None
        line = {"test": item.name, "file": item.path.name, "outcome": _outcome(item, error), "why": _why(error)}
        with Path(os.environ[RESULTS]).open("a") as results:
            results.write(json.dumps(line) + "\n")
    return report


def _outcome(item: pytest.Item, error: BaseException | None) -> str:
    if error is None:
        return "passed"
    if isinstance(error, StqError):
        return "refused"
    reached = any(test.endswith(item.nodeid.rpartition("/")[2]) for test in _CONVERTED)
    return "failed" if reached else "not run"  # Keras could not make the model, or data are missing


def _why(error: BaseException | None) -> str:
    text = "" if error is None else error.what if isinstance(error, StqError) else f"{type(error).__name__}: {error}"
    return _FOLDERS.sub("", " ".join(text.split()))[:200]  # figures are committed: no folder of anybody's computer
