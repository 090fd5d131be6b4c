"""The generated C under many compilers and flags: what it computes must not depend on either.

A configuration is a compiler, its flags and a kernel library. It is built as the program `host_main.c`, which reads
samples and writes logits and the CRC-32 of every layer.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stq_deploy.codegen import generate
from stq_deploy.common.resources import firmware_templates
from stq_deploy.executors.executor import checked_levels
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.program import Program
from stq_deploy.program.kernels.spec import Kernel
from stq_deploy.toolchain.kernel_sources import kernel_files, write_instances
from tests.helpers.networks import random_levels

COMPILERS = ("gcc", "clang")
KERNELS = ("reference", "cortex_m7")
OPTIMIZATIONS = ("-O0", "-O1", "-O2", "-Os", "-O3", "-O3 -march=native", "-Ofast", "-Ofast -march=native")
LINK_TIME = ("", "-flto")
SANITIZERS = ("", "-fsanitize=address,undefined -fno-sanitize-recover=all")

SAMPLES = 6
_SECONDS = 600


@dataclass(frozen=True)
class Configuration:
    """How the C is compiled.

    Attributes:
        compiler: name of a program that understands gcc's options.
        flags: separated by spaces.
        kernels: implementation of the kernel library.
    """

    compiler: str
    flags: str
    kernels: str

    def __str__(self) -> str:
        return f"{self.compiler} {self.flags}, {self.kernels} kernels"


def every_configuration() -> Iterator[Configuration]:
    """The full product."""
    flags = itertools.product(OPTIMIZATIONS, LINK_TIME, SANITIZERS)
    for compiler, words, kernels in itertools.product(COMPILERS, list(flags), KERNELS):
        yield Configuration(compiler, " ".join(word for word in words if word), kernels)


def why_not(configuration: Configuration) -> str | None:
    """Why this computer cannot build the configuration; None if it can."""
    if shutil.which(configuration.compiler) is None:
        return f"{configuration.compiler} is not installed"
    with tempfile.TemporaryDirectory(prefix="stq-flags-") as work:
        source = Path(work) / "main.c"
        source.write_text("int main(void) { return 0; }\n")
        command = [configuration.compiler, *configuration.flags.split(), str(source), "-o", str(Path(work) / "main")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode == 0:
        return None
    return f"{configuration.compiler} {configuration.flags} cannot link: {done.stderr.strip().splitlines()[-1]}"


def differences(configuration: Configuration, programs: Sequence[Program]) -> list[str]:
    """What the configuration computes otherwise than the reference in NumPy, a line for each program that differs."""
    found = []
    with tempfile.TemporaryDirectory(prefix="stq-flags-") as work:
        folder = Path(work)
        called = {layer.function for program in programs for layer in program.layers}
        objects = _compile_kernels(configuration, called, folder)
        for index, program in enumerate(programs):
            executable = _link(configuration, program, folder / str(index), objects)
            found += [f"network {index}: {line}" for line in _compare(executable, program)]
    return found


def _compile_kernels(configuration: Configuration, called: set[Kernel], folder: Path) -> list[Path]:
    """Objects of the kernels that the networks call; each configuration compiles them anew."""
    kernels = firmware_templates() / "kernels"
    written = write_instances(folder, kernels, configuration.kernels, called)
    objects = []
    for source in (*kernel_files(kernels, configuration.kernels), *written):
        objects.append(folder / f"{source.stem}.o")
        _compiler(configuration, f"-I{kernels / 'include'}", f"-I{kernels}", "-c", source, "-o", objects[-1])
    return objects


def _link(configuration: Configuration, program: Program, folder: Path, objects: Sequence[Path]) -> Path:
    shim, kernels = firmware_templates() / "network", firmware_templates() / "kernels"
    generated = generate(program, folder, command="(test)", tool_version="0")
    includes = [f"-I{path}" for path in (*generated.include_folders, shim, kernels / "include")]
    sources = [*generated.sources, shim / "host_library.c", shim / "host_main.c"]
    executable = folder / "network"
    _compiler(configuration, *includes, *sources, *objects, "-o", executable)
    return executable


def _compiler(configuration: Configuration, *arguments: str | Path) -> None:
    command = [configuration.compiler, "-std=c99", "-Wall", *configuration.flags.split(), *map(str, arguments)]
    subprocess.run(command, timeout=_SECONDS, check=True)


def _compare(executable: Path, program: Program) -> list[str]:
    levels = random_levels(program.network, SAMPLES)
    reference, layers = NumpyExecutor(program), program.layers
    output = program.network.output_type
    record = np.dtype([("logits", output.dtype, output.shape), ("crcs", np.uint32, (len(layers),))])
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}  # the leak check fails under a debugger
    done = subprocess.run(
        [executable], input=checked_levels(program, levels).tobytes(), capture_output=True, timeout=_SECONDS,
        check=False, env=environment,
    )  # fmt: skip
    if done.returncode != 0 or len(done.stdout) != SAMPLES * record.itemsize:
        return [f"exit code {done.returncode}: {done.stderr.decode(errors='replace')[:600]}"]
    results = np.frombuffer(done.stdout, record)
    different = (results["crcs"] != reference.layer_crcs(levels)).any(axis=0)
    if different.any():
        layer = int(np.flatnonzero(different)[0])
        return [f"layer {layer} ({layers[layer].kernel}) differs"]
    return [] if np.array_equal(results["logits"], reference.run(levels)[0]) else ["the logits differ"]
