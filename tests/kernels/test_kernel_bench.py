"""The benchmark measures what it says, and the committed figures are of the layers it measures now."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.toolchain.compilers import Compiler, find_compiler
from tests.helpers.kernels import kernel_arguments as arguments
from tests.helpers.kernels.bare_metal import BareMetalProgram
from tests.helpers.kernels.kernel_bench import STQ_LAYERS, Layer, compared_layers, measure
from tests.helpers.kernels.kernel_settings import SANITIZE

pytest.importorskip("unicorn")
pytestmark = pytest.mark.skipif(SANITIZE, reason="the sanitized run is for the host's library")

FIGURES = Path(__file__).resolve().parents[2] / "docs" / "figures" / "bench_kernels.json"


def test_layers_have_the_macs_of_the_network() -> None:
    macs = {layer.name.split()[0]: layer.macs for layer in STQ_LAYERS}
    assert macs["conv2"] == 16 * 16 * 128 * 5 * 5 * 32
    assert macs["dw1"] == 32 * 32 * 32 * 9
    assert macs["fc1"] == 4096 * 128
    assert macs["pool1"] == 0


def test_committed_figures_are_of_these_layers() -> None:
    figures = json.loads(FIGURES.read_text())
    for key, layers in (("compared_layers", list(compared_layers())), ("stq_network", list(STQ_LAYERS))):
        assert [(f["layer"], f["kernel"], f["macs"]) for f in figures[key]] == [
            (layer.name, layer.kernel_name, layer.macs) for layer in layers
        ]


@pytest.fixture(scope="module")
def program(kernel_program: Callable[[Compiler], Path]) -> BareMetalProgram:
    try:
        compiler = find_compiler()
    except StqError as error:
        pytest.skip(str(error))
    return BareMetalProgram(kernel_program(compiler))


@pytest.mark.parametrize("layer", [layer for layer in STQ_LAYERS if layer.macs < 5_000], ids=lambda layer: layer.name)
def test_measures_every_kind_of_small_layer(program: BareMetalProgram, layer: Layer) -> None:
    measured = measure(program, layer)
    assert measured == measure(program, layer)
    assert measured.instructions > layer.macs / 2  # no instruction does more than two MACs


@pytest.mark.parametrize("bits", arguments.WEIGHT_NAMES)
def test_large_convolutions_stay_fast(program: BareMetalProgram, bits: int) -> None:
    """A compiler that spills in the hot loop shows here (1.0 to 1.25 with gcc 12 and clang)."""
    layer = Layer("conv 3x3 4x4x128->64", "convolve", (4, 4, 128), 64, (3, 3), bits=bits)
    per_mac = measure(program, layer).per_mac
    assert per_mac is not None
    assert per_mac < 1.3
