"""Generated networks as a library of this computer, without the server's view of them."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.codegen import generate
from stq_deploy.common.resources import firmware_templates
from stq_deploy.network import Network
from stq_deploy.program import Program, plan_network, with_scratch_apart
from stq_deploy.toolchain.host_compiler import find_host_compiler
from stq_deploy.toolchain.host_library import kernel_objects

FLAGS = ("-std=c99", "-O2", "-fPIC")
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror")
OK, ARGUMENT_ERROR = 0, -1
APART = "wake_word"
"""The network of this name has scratch memory beside its arena; the arenas of others hold it."""


class Scratch(ctypes.Structure):
    """`stq_context` of stq_nn.h."""

    _fields_ = (("buffer", ctypes.c_void_p), ("size", ctypes.c_int32))


class Context(ctypes.Structure):
    """The context of every generated network."""

    _fields_ = (("arena", ctypes.c_void_p), ("scratch", Scratch))


def planned(name: str, network: Network) -> Program:
    """The program of a network of this name."""
    program = plan_network(network)
    return with_scratch_apart(program) if name == APART else program


def write_networks(folder: Path, networks: Mapping[str, Network]) -> list[Path]:
    """Generate each network by its name; returns the C files that somebody's own project compiles."""
    made = [
        generate(planned(name, network), folder / name, command="(test)", tool_version="1.2.3", name=name)
        for name, network in networks.items()
    ]
    return [source for one in made for source in one.sources if source.parent == one.folder]


def build_library(folder: Path, cache: Path, networks: Mapping[str, Network]) -> ctypes.CDLL:
    """One shared library of networks, by name."""
    sources = write_networks(folder, networks)
    objects = kernel_objects(find_host_compiler(), "reference", FLAGS, cache)
    includes = [f"-I{path}" for path in (*(folder / name for name in networks), include_folder())]
    command = [*find_host_compiler().command, *FLAGS, *WARNINGS, *includes, "-shared", *sources, *objects]
    subprocess.run([*map(str, command), "-o", str(folder / "own.so")], check=True, timeout=300)
    return ctypes.CDLL(str(folder / "own.so"))


def include_folder() -> Path:
    """Where stq_nn.h lies."""
    return firmware_templates() / "kernels" / "include"


class Own:
    """A network of such a library, as a caller in C sees it.

    Args:
        context: None for the static one.
    """

    def __init__(self, library: ctypes.CDLL, name: str, network: Network, context: Context | None = None) -> None:
        self.library, self.name, self.network = library, name, network
        self.context = Context.in_dll(library, f"{name}_static") if context is None else context

    def call(self, function: str, *arguments: Any, returns: Any = ctypes.c_int32) -> Any:
        """Call one of its functions with the context first."""
        called = self.library[f"{self.name}_{function}"]
        called.restype = returns
        return called(ctypes.byref(self.context), *arguments)

    def write(self, levels: npt.NDArray[np.int64]) -> None:
        """Levels of one sample into the input."""
        bytes_ = levels.astype(self.network.input_type.dtype).tobytes()
        ctypes.memmove(self.call("input", returns=ctypes.c_void_p), bytes_, len(bytes_))

    def output(self, index: int = 0) -> npt.NDArray[np.int64]:
        """Levels of an output."""
        tensor = self.network.tensors[self.network.outputs[index]]
        address = self.call("output", index, returns=ctypes.c_void_p)
        return np.frombuffer(ctypes.string_at(address, tensor.bytes), tensor.dtype).reshape(tensor.shape)
