"""docs/SUPPORT.md says what the code accepts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stq_deploy.frontend.layers import supported_kinds
from stq_deploy.frontend.layers.alternatives import ALTERNATIVES
from stq_deploy.frontend.quantizers import PARAMETERS
from stq_deploy.frontend.support import support_document

COMMITTED = Path(__file__).resolve().parents[2] / "docs" / "SUPPORT.md"


def section(title: str) -> str:
    _, _, rest = support_document().partition(f"{title}\n")
    return rest.partition("\n##")[0]


def test_the_committed_file_is_what_the_code_says() -> None:
    assert COMMITTED.read_text() == support_document(), "run tools/write_support"


def test_everything_is_named() -> None:
    document = support_document()
    headings = [line.removeprefix("### ") for line in document.splitlines() if line.startswith("### ")]
    named = [name for heading in headings for name in heading.split(", ")]
    assert sorted(named) == sorted([*supported_kinds(), *PARAMETERS])
    assert all(kind in section("## Layers that are not supported") for kind in ALTERNATIVES)


@pytest.mark.parametrize(
    ("title", "line"),
    [
        ("### Conv1D, Conv2D, QConv1D, QConv2D, QConv2DBatchnorm", "Becomes: convolve, bias, quantize."),
        (
            "### Conv1D, Conv2D, QConv1D, QConv2D, QConv2DBatchnorm",
            "Conv1D, Conv2D: floating-point weights; add --post",
        ),
        (
            "### Conv1D, Conv2D, QConv1D, QConv2D, QConv2DBatchnorm",
            "| `padding` | 'same' or 'valid' or 'causal' (1-D); 'same' or 'valid' (2-D) |",
        ),
        ("### UpSampling1D, UpSampling2D", "| `interpolation` | 'nearest' (2-D) |"),
        ("## Quantizers", "| `quantized_relu` with `negative_slope=0.5` | - | - | 16 |"),
        ("### quantized_relu", "| `integer` | `0` | a number from 0 to 31 |"),
        (
            "## Quantizers that are not supported",
            "| `quantized_po2` | activations | its levels are not evenly spaced |",
        ),
    ],
)
def test_what_is_written(title: str, line: str) -> None:
    assert line in section(title)


def test_it_is_written_without_tensorflow() -> None:
    code = "import sys; from stq_deploy.frontend.support import support_document as d; d(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert not {"tensorflow", "qkeras", "tf_keras"} & set(loaded.split())
