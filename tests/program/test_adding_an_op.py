"""An op added in the places that docs/DESIGN.md ("Adding things") names, and in no other, runs in C as in NumPy."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
NAME = "reverse"

OP = '''"""Reversed channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from stq_deploy.network.ops.op import Batch, Op, check_same_levels, check_same_shape
from stq_deploy.network.tensor import TensorType


@dataclass(frozen=True, eq=False)
class Reverse(Op):
    """Every pixel's channels from the last to the first, plus `step`."""

    step: int
    kind: ClassVar[str] = "reverse"

    def run(self, inputs: Sequence[Batch], types: Sequence[TensorType], output: TensorType) -> Batch:
        return inputs[0][..., ::-1] + self.step

    def check(self, types: Sequence[TensorType], output: TensorType) -> None:
        check_same_shape(types, output)
'''

SPEC = '''"""Reversed channels."""

from __future__ import annotations

from stq_deploy.network.ops.reverse import Reverse
from stq_deploy.program.kernels.call import STQ_TYPES, CallContext, KernelCall, Struct, fields
from stq_deploy.program.kernels.spec import Kernel, KernelSpec, Refusal, Traffic
from stq_deploy.program.kernels.work import Work
from stq_deploy.program.weights import WeightLayout


class ReverseKernels(KernelSpec[Reverse]):
    def kernels(self) -> tuple[Kernel, ...]:
        return (Kernel("stq_reverse", ("int8", "int16")),)

    def limits(self, work: Work[Reverse]) -> Refusal | None:
        return None

    def weights(self, work: Work[Reverse]) -> WeightLayout | None:
        return None

    def table_bytes(self, work: Work[Reverse]) -> int:
        return 0

    def scratch_bytes(self, work: Work[Reverse]) -> int:
        return 0

    def traffic(self, work: Work[Reverse]) -> Traffic:
        return Traffic(work.inputs[0].bytes + work.output.bytes, 0, 0)

    def may_replace(self, work: Work[Reverse], index: int) -> bool:
        return False

    def emit(self, context: CallContext[Reverse]) -> KernelCall:
        output = context.output
        row = fields(type=STQ_TYPES[output.dtype], step=context.op.step)
        pixels = output.elements // output.channels
        arguments = ("&params", pixels, output.channels, context.input_pointers[0], context.output_pointer)
        return KernelCall((), (Struct("stq_reverse_params", "params", (row,)),), arguments)
'''

DECLARATION = """
/* Every pixel's channels from the last to the first, plus `step`. */
typedef struct {
    stq_type type;
    int32_t step;
} stq_reverse_params;

stq_status stq_reverse(const stq_reverse_params *params, int32_t pixels, int32_t channels, const void *input,
                       void *output);

#ifdef __cplusplus
}
"""

FUNCTION = """/* SPDX-License-Identifier: Apache-2.0 */
/* Reversed channels. */
#include "internal/stq_nn_arguments.h"
#include "internal/stq_nn_elements.h"

stq_status stq_reverse(const stq_reverse_params *params, int32_t pixels, int32_t channels, const void *input,
                       void *output)
{
    if (params == NULL || pixels <= 0 || channels <= 0 || input == NULL || output == NULL) {
        return STQ_ARGUMENT_ERROR;
    }
    for (int32_t pixel = 0; pixel < pixels; pixel++) {
        for (int32_t c = 0; c < channels; c++) {
            const int32_t level = stq_level(input, params->type, pixel * channels + channels - 1 - c);
            stq_set_level(output, params->type, pixel * channels + c, level + params->step);
        }
    }
    return STQ_OK;
}
"""

FILES = {
    f"stq_deploy/network/ops/{NAME}.py": OP,
    f"stq_deploy/program/kernels/{NAME}.py": SPEC,
    f"firmware_templates/kernels/reference/stq_{NAME}.c": FUNCTION,
}
"""New files."""
LINES = {
    "stq_deploy/network/ops/__init__.py": (
        "OP_KINDS: dict[str, type[Op]] = {",
        "from stq_deploy.network.ops.reverse import Reverse  # noqa: E402\n"
        "OP_KINDS: dict[str, type[Op]] = {Reverse.kind: Reverse} | {",
    ),
    "stq_deploy/program/kernels/choice.py": (
        "FAMILIES: tuple[KernelSpec[Any], ...] = (",
        "from stq_deploy.network.ops.reverse import Reverse  # noqa: E402\n"
        "from stq_deploy.program.kernels.reverse import ReverseKernels  # noqa: E402\n"
        "FAMILIES: tuple[KernelSpec[Any], ...] = (\n    ReverseKernels(Reverse),",
    ),
    "firmware_templates/kernels/include/stq_nn.h": ("\n#ifdef __cplusplus\n}\n", DECLARATION),
}
"""Lines in files that are there: what they stand before or in place of, and the lines."""

RUN = """
import json, sys
from pathlib import Path
import numpy as np
import stq_deploy
from stq_deploy.executors.host_executor import HostExecutor
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.network import Network, TensorType, load_network, save_network
from stq_deploy.network.ops import OP_KINDS, MaxPool, Window
from stq_deploy.program import plan_network

work = Path(sys.argv[1])
x, wide = TensorType((5, 4, 3), "int8", -128, 100, 1.0), TensorType((5, 4, 3), "int8", -121, 107, 1.0)
small = TensorType((2, 2, 3), "int8", -121, 107, 1.0)
y = TensorType((2, 2, 3), "int8", -124, 104, 1.0)
reverse = OP_KINDS["reverse"]
network = Network(
    {"x": x, "a": wide, "b": small, "y": y},
    (
        reverse("first", ("x",), "a", (), 7),
        MaxPool("pool", ("a",), "b", (), Window((2, 2), (2, 2))),
        reverse("second", ("b",), "y", (), -3),
    ),
    "x", ("y",),
)
save_network(network, work / "toy.stq")
loaded = load_network(work / "toy.stq")
program = plan_network(loaded)
levels = np.random.default_rng(0).integers(-128, 101, (6, 5, 4, 3))
reference = NumpyExecutor(program)
expected = levels[:, :4].reshape(6, 2, 2, 2, 2, 3).max(axis=(2, 4)) + 4
equal = {}
for kernels in ("reference", "cortex_m7"):
    with HostExecutor(program, kernels=kernels, workers=1, cache_dir=work / "cache") as host:
        equal[kernels] = bool((host.layer_crcs(levels) == reference.layer_crcs(levels)).all())
        equal[kernels] &= bool((host.run(levels)[0] == expected).all())
print(json.dumps({
    "package": stq_deploy.__file__,
    "same file": loaded.sha256() == network.sha256(),
    "kernels": [layer.kernel for layer in program.layers],
    "numpy": bool((reference.run(levels)[0] == expected).all()),
    "equal": equal,
}))
"""


def places() -> list[str]:
    """The files that docs/DESIGN.md names for an op, with this op's name."""
    page = (TOP / "docs" / "DESIGN.md").read_text(encoding="utf-8")
    section = page.partition("## Adding things")[2].partition("\n## ")[0]
    listed = section.partition("**An op of the integer network**")[2].partition("\n\n**")[0]
    return [path.replace("NAME", NAME) for path in re.findall(r"^\d\. `([^`]+)`:", listed, re.MULTILINE)]


def test_the_test_adds_the_op_where_the_page_says() -> None:
    assert sorted(places()) == sorted([*FILES, *LINES])


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package and its templates, with the op."""
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("stq_deploy", "firmware_templates"):
        shutil.copytree(TOP / folder, tmp_path / folder, ignore=ignored)
    for path, text in FILES.items():
        assert not (tmp_path / path).exists()
        (tmp_path / path).write_text(text)
    for path, (old, new) in LINES.items():
        before = (tmp_path / path).read_text()
        assert before.count(old) == 1, path
        (tmp_path / path).write_text(before.replace(old, new))
    return tmp_path


def test_an_op_added_there_runs_in_c_as_in_numpy(copy: Path) -> None:
    (copy / "run.py").write_text(RUN)
    done = subprocess.run(
        [sys.executable, "run.py", str(copy)],
        cwd=copy, env=os.environ | {"PYTHONPATH": str(copy)}, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert Path(found.pop("package")).is_relative_to(copy)
    assert found == {
        "same file": True,
        "kernels": ["stq_reverse", "stq_max_pool_s8", "stq_reverse"],
        "numpy": True,
        "equal": {"reference": True, "cortex_m7": True},
    }


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("stq_deploy/program/kernels/choice.py", "no family of kernels runs a reverse"),
        ("firmware_templates/kernels/include/stq_nn.h", "the host's C compiler failed"),
    ],
)
def test_a_place_left_out_is_an_error(place: str, message: str, copy: Path) -> None:
    old, new = LINES[place]
    (copy / place).write_text((copy / place).read_text().replace(new, old))
    (copy / "run.py").write_text(RUN)
    done = subprocess.run(
        [sys.executable, "run.py", str(copy)],
        cwd=copy, env=os.environ | {"PYTHONPATH": str(copy)}, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert message in done.stderr
