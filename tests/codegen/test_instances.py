"""kernels/instances.c: a macro call for each kernel that is made of shared code, and no such call anywhere else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stq_deploy.codegen.instances import instances_source
from stq_deploy.common.resources import firmware_templates
from stq_deploy.program.kernels.choice import all_kernels
from stq_deploy.program.kernels.spec import Kernel
from stq_deploy.toolchain.kernel_sources import write_instances

KERNELS = firmware_templates() / "kernels"
BY_NAME = {kernel.function: kernel for kernel in all_kernels()}
INSTANCES = [kernel for kernel in all_kernels() if kernel.instance]


def source(*names: str) -> str | None:
    return instances_source([BY_NAME[name] for name in names], lambda _core: "cortex_m7")


def test_a_network_gets_the_lines_it_needs() -> None:
    text = source("stq_max_pool_s8", "stq_dense_b1_s16", "stq_table_s8", "stq_add", "stq_dense_s16_s8")
    assert text is not None
    code = text.partition("*/\n/*")[2].partition("*/\n")[2]
    assert code == (
        '#include "cortex_m7/stq_dense_core.h"\n'
        '#include "cortex_m7/stq_elementwise_core.h"\n'
        '#include "cortex_m7/stq_max_pool_core.h"\n'
        "\n"
        "STQ_DEFINE_ELEMENTWISE(stq_add, STQ_ELEMENTWISE_ADD)\n"
        "STQ_DEFINE_DENSE(stq_dense_b1_s16, 1, int16_t, STQ_S16)\n"
        "STQ_DEFINE_DENSE(stq_dense_s16_s8, 16, int8_t, STQ_S8)\n"
        "STQ_DEFINE_MAX_POOL(stq_max_pool_s8, int8_t, STQ_S8)\n"
    )


def test_neither_order_nor_repetition_matters() -> None:
    assert source("stq_add", "stq_multiply", "stq_add") == source("stq_multiply", "stq_add")


def test_kernels_with_files_of_their_own_need_no_instances() -> None:
    assert source("stq_table_s8", "stq_softmax") is None
    assert source() is None


@pytest.mark.parametrize("kernel", all_kernels(), ids=lambda kernel: kernel.function)
def test_a_kernel_is_made_of_a_core_or_has_a_file(kernel: Kernel) -> None:
    own = KERNELS / "reference" / f"{kernel.function}.c"
    assert own.is_file() == (kernel.instance is None)
    if kernel.instance:
        core = (KERNELS / "reference" / kernel.instance.core).read_text()
        assert "stq_nn_define.h" in core
        define = (KERNELS / "include" / "internal" / "stq_nn_define.h").read_text()
        arguments = re.search(rf"#define {kernel.instance.macro}\(([^)]*)\)", define)
        assert arguments is not None, kernel.instance.macro
        assert len(arguments[1].split(",")) == 1 + len(kernel.instance.arguments)


def test_no_c_file_holds_a_line_that_is_generated() -> None:
    macros = {kernel.instance.macro for kernel in INSTANCES if kernel.instance}
    found = [
        path.name for path in KERNELS.rglob("*.c") if macros & set(re.findall(r"\bSTQ_DEFINE_\w+", path.read_text()))
    ]
    assert macros
    assert not found


def test_a_core_that_an_implementation_lacks_is_the_references(tmp_path: Path) -> None:
    (tmp_path / "kernels" / "fast").mkdir(parents=True)
    (tmp_path / "kernels" / "fast" / "stq_dense_core.h").touch()
    wanted = [BY_NAME["stq_dense_t2_s8"], BY_NAME["stq_max_pool_s8"]]
    (path,) = write_instances(tmp_path / "out", tmp_path / "kernels", "fast", wanted)
    includes = re.findall(r'^#include "(.*)"', path.read_text(), re.MULTILINE)
    assert includes == ["fast/stq_dense_core.h", "reference/stq_max_pool_core.h"]
