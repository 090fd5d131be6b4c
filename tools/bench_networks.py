"""Whole networks for tools/bench_kernels: exact instructions and estimated time of each, with caches simulated."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stq_deploy.cycles.profile import Profile, profile_firmware
from stq_deploy.evaluation.profiling import profiling_sample
from stq_deploy.executors.firmware import build_afresh
from stq_deploy.network import Network
from stq_deploy.pipeline import convert_model, load_any
from stq_deploy.program import plan_network
from stq_deploy.program.kernels.choice import Optimization
from stq_deploy.targets.boards import Board
from stq_deploy.zoo.shipped import resolve_model

SHIPPED = ("stq-cifar10", "8bit-cifar10")
RESNET, DS_CNN = "MLPerf Tiny's ResNetV1", "MLPerf Tiny's DS-CNN"
TERNARY_RESNET = "ResNetV1, ternary and 4-bit, untrained"


@dataclass(frozen=True)
class NetworkFigures:
    """A network on a board, for one inference.

    Attributes:
        network: its name.
        optimize: what its kernels are chosen for.
        macs: multiply-accumulates.
        instructions: executed; exact.
        estimated_cycles, estimated_ms: at the board's clock, waits for memory included.
        weight_bytes: packed weights.
        flash_bytes, ram_bytes: of the whole firmware.
        scratch_bytes: the largest scratch memory of a layer.
    """

    network: str
    optimize: Optimization
    macs: int
    instructions: int
    estimated_cycles: int
    estimated_ms: float
    weight_bytes: int
    flash_bytes: int
    ram_bytes: int
    scratch_bytes: int

    @property
    def cycles_per_mac(self) -> float:
        return self.estimated_cycles / self.macs

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"estimated_cycles_per_mac": round(self.cycles_per_mac, 4)}


def measured_networks(board: Board, data: Path | None) -> Iterator[NetworkFigures]:
    """Each network once, or twice if another choice of kernels is faster by estimate.

    Args:
        data: folder of the data sets, whose samples quantize MLPerf Tiny's networks; without it they are left out.

    Raises:
        StqError: a network cannot be read, built or run.
    """
    with tempfile.TemporaryDirectory(prefix="stq-bench-") as folder:
        for name, network in _networks(data, Path(folder)):
            kernels = None
            for optimize in ("size", "speed"):
                program = plan_network(network, optimize=optimize)
                if [layer.kernel for layer in program.layers] == kernels:
                    continue
                kernels = [layer.kernel for layer in program.layers]
                firmware = build_afresh(program, board, Path(folder) / "build")
                found = profile_firmware(firmware, board, profiling_sample(network, None))
                sizes = (
                    firmware.figures.packed_bytes, firmware.flash_bytes, firmware.ram_bytes,
                    program.scratch_bytes,
                )  # fmt: skip
                yield _figures(name, optimize, found, sizes)


def _networks(data: Path | None, folder: Path) -> Iterator[tuple[str, Network]]:
    from stq_deploy.research.training.result import save_model
    from stq_deploy.zoo.networks import build_network
    from tools import mlperf_tiny

    for name in SHIPPED:
        yield f"zoo:{name}", load_any(resolve_model(f"zoo:{name}"))
    save_model(build_network("resnet_v1", scheme="ternary"), folder / "ternary.h5")
    yield TERNARY_RESNET, convert_model(folder / "ternary.h5")
    if data is not None:
        for name, task in ((RESNET, mlperf_tiny.resnet(data)), (DS_CNN, mlperf_tiny.ds_cnn(data))):
            yield name, convert_model(task.model, task.conversion)


def _figures(name: str, optimize: Optimization, found: Profile, sizes: tuple[int, int, int, int]) -> NetworkFigures:
    milliseconds = round(found.milliseconds(found.cycles), 4)
    return NetworkFigures(name, optimize, found.macs, found.instructions, found.cycles, milliseconds, *sizes)
