"""The noise kernel against NumPy: the same bytes for every seed, counter, type and size."""

from __future__ import annotations

import numpy as np
import pytest

from stq_deploy.common.resources import firmware_templates
from stq_deploy.network.noise import add_noise, gaussian_levels
from tests.helpers.kernels.bare_metal import Struct
from tests.helpers.kernels.kernel_library import HostLibrary, compile_for_host
from tests.helpers.kernels.kernel_settings import SANITIZE
from tests.helpers.kernels.noise_cases import NOISES, NoiseCase, noise_params, run_noise

OK, ARGUMENT_ERROR = 0, -1


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> HostLibrary:
    path = tmp_path_factory.mktemp("noise") / "noise.so"
    noise = firmware_templates() / "noise"
    includes = [noise, firmware_templates() / "kernels" / "include"]
    compile_for_host(sorted(noise.glob("*.c")), includes, path, sanitize=SANITIZE)
    return HostLibrary(path)


@pytest.mark.parametrize("case", NOISES, ids=str)
@pytest.mark.parametrize("in_place", [False, True])
def test_equals_numpy(library: HostLibrary, case: NoiseCase, in_place: bool) -> None:
    run_noise(library, case, in_place)


def test_sum_is_clamped_to_the_levels_that_occur(library: HostLibrary) -> None:
    levels, output = np.zeros(500, np.int8), np.zeros(500, np.int8)
    assert library.call("stq_gaussian_noise", noise_params(3, 4, 20.0, "int8", (0, 15)), 500, levels, output) == OK
    assert output.min() == 0
    assert output.max() == 15
    assert (output == add_noise(levels, gaussian_levels(3, 4, (500,), 20.0), 0, 15)).all()


@pytest.mark.parametrize(
    ("what", "change"),
    [("bounds", {4: 5, 5: 4}), ("type", {6: 3}), ("thresholds", {8: None}), ("count", {7: -1})],
)
def test_wrong_arguments_write_nothing(library: HostLibrary, what: str, change: dict[int, int | None]) -> None:
    fields = list(noise_params(1, 2, 5.0, "int8", (-128, 127)).fields)
    for place, value in change.items():
        fields[place] = value  # type: ignore[call-overload]
    levels, output = np.zeros(8, np.int8), np.full(8, 77, np.int8)
    assert library.call("stq_gaussian_noise", Struct(tuple(fields)), 8, levels, output) == ARGUMENT_ERROR, what
    assert (output == 77).all()
