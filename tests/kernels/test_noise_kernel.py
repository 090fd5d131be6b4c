"""The noise kernel against NumPy: the same bytes for every seed, counter, type and size."""

from __future__ import annotations

import numpy as np
import pytest

from stq_deploy.common.resources import firmware_templates
from stq_deploy.network.noise import add_noise, gaussian_levels
from tests.helpers.kernels.bare_metal import Struct
from tests.helpers.kernels.kernel_library import HostLibrary, compile_for_host
from tests.helpers.kernels.kernel_settings import SANITIZE
from tests.helpers.kernels.noise_cases import NOISES, NoiseCase, counter_words, noise_params, run_noise

OK, ARGUMENT_ERROR = 0, -1


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> HostLibrary:
    path = tmp_path_factory.mktemp("noise") / "noise.so"
    kernels = firmware_templates() / "kernels"
    compile_for_host([kernels / "reference" / "stq_noise.c"], [kernels / "include"], path, sanitize=SANITIZE)
    return HostLibrary(path)


@pytest.mark.parametrize("case", NOISES, ids=str)
@pytest.mark.parametrize("in_place", [False, True])
def test_equals_numpy(library: HostLibrary, case: NoiseCase, in_place: bool) -> None:
    run_noise(library, case, in_place)


def test_sum_is_clamped_to_the_levels_that_occur(library: HostLibrary) -> None:
    levels, output = np.zeros(500, np.int8), np.zeros(500, np.int8)
    params = noise_params(3, 20.0, "int8", (0, 15))
    assert library.call("stq_noise", params, counter_words(4), 500, levels, output) == OK
    assert output.min() == 0
    assert output.max() == 15
    assert (output == add_noise(levels, gaussian_levels(3, 4, (500,), 20.0), 0, 15)).all()


@pytest.mark.parametrize(
    ("what", "change"),
    [("bounds", {2: 5, 3: 4}), ("type", {4: 3}), ("thresholds", {6: None}), ("count", {5: -1})],
)
def test_wrong_arguments_write_nothing(library: HostLibrary, what: str, change: dict[int, int | None]) -> None:
    fields = list(noise_params(1, 5.0, "int8", (-128, 127)).fields)
    for place, value in change.items():
        fields[place] = value  # type: ignore[call-overload]
    levels, output = np.zeros(8, np.int8), np.full(8, 77, np.int8)
    found = library.call("stq_noise", Struct(tuple(fields)), counter_words(2), 8, levels, output)
    assert found == ARGUMENT_ERROR, what
    assert (output == 77).all()


def test_no_counter_is_a_wrong_argument(library: HostLibrary) -> None:
    levels, output = np.zeros(8, np.int8), np.full(8, 77, np.int8)
    params = noise_params(1, 5.0, "int8", (-128, 127))
    assert library.call("stq_noise", params, None, 8, levels, output) == ARGUMENT_ERROR
    assert (output == 77).all()
