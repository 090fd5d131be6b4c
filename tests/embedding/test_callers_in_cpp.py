"""A program in C++ calls a network: the headers have C linkage there, and no warning."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from stq_deploy.common.resources import firmware_templates
from stq_deploy.toolchain.host_compiler import find_host_compiler
from stq_deploy.toolchain.host_library import kernel_objects
from tests.helpers.embedding.own_library import FLAGS, include_folder, write_networks
from tests.helpers.networks import random_network

PROGRAM = """\
#include <cstdio>
#include "kws.h"

alignas(32) static uint8_t arena[KWS_ARENA_BYTES];

int main()
{
    static const float values[KWS_INPUT_ELEMENTS] = {};
    const int32_t shape[KWS_INPUT_RANK] = KWS_INPUT_SHAPE;
    kws_context network;
    if (kws_init(&network, arena, sizeof arena, nullptr, KWS_SCRATCH_BYTES) != STQ_OK) {
        return 1;
    }
    kws_quantize_f32(values, kws_input(&network));
    if (kws_run(&network) != STQ_OK) {
        return 2;
    }
    std::printf("%d %d\\n", static_cast<int>(shape[0]), static_cast<int>(kws_argmax(&network, 0)));
    return 0;
}
"""


@pytest.mark.parametrize("standard", ["c++11", "c++17"])
def test_cpp_calls_a_network(standard: str, tmp_path: Path, host_cache: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    network = random_network(5)
    sources = write_networks(tmp_path, {"kws": network})
    objects = kernel_objects(find_host_compiler(), "reference", FLAGS, host_cache)
    (tmp_path / "main.cpp").write_text(PROGRAM)
    includes = [f"-I{path}" for path in (tmp_path / "kws", include_folder())]
    compiled = tmp_path / "c"
    compiled.mkdir()
    subprocess.run(["gcc", "-std=c99", *includes, "-c", *map(str, sources)], cwd=compiled, check=True, timeout=300)
    flags = [f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
    command = ["g++", *flags, *includes, tmp_path / "main.cpp", *compiled.glob("*.o"), *objects, "-o", tmp_path / "p"]
    subprocess.run([*map(str, command)], check=True, timeout=300)
    done = subprocess.run([tmp_path / "p"], capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout.split()[0]) == network.input_type.shape[0]


def test_every_public_header_compiles_as_cpp(tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    templates = firmware_templates()
    headers = [include_folder() / "stq_nn.h"]
    headers += [templates / "link" / f"stq_{name}.h" for name in ("port", "server", "protocol")]
    source = tmp_path / "all.cpp"
    source.write_text("".join(f'#include "{path.name}"\n' for path in headers) + "int main() { return 0; }\n")
    includes = [f"-I{path.parent}" for path in headers]
    command = ["g++", "-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", *includes, "-c", source]
    subprocess.run([*map(str, command), "-o", str(tmp_path / "all.o")], check=True, timeout=60)
    listing = subprocess.run(["g++", "-E", *includes, source], capture_output=True, text=True, check=True).stdout
    assert 'extern "C"' in listing
