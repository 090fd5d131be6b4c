"""Prints exact instruction counts and estimated cycles of kernels and networks on a Cortex-M7.

CMSIS-NN's counts of the same layers stand beside. `tools/write_performance` writes docs/PERFORMANCE.md of the figures.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stq_deploy.common.errors import StqError
from stq_deploy.targets.boards import load_board
from stq_deploy.toolchain.compilers import find_compiler
from tests.helpers.kernels.bare_metal import BareMetalProgram
from tests.helpers.kernels.kernel_bench import STQ_LAYERS, Measurement, compared_layers, measure
from tests.helpers.kernels.kernel_program import IMPLEMENTATIONS, build_kernel_program
from tools.bench_networks import NetworkFigures, measured_networks
from tools.figures_file import check_figures, write_figures

BOARD = "stm32h743"
NETWORK_ROW = "{:40} {:8} {:>11} {:>12} {:>11} {:>8} {:>10} {:>10} {:>9} {:>9} {:>10}"
ROW = "{:25} {:29} {:>11} {:>12} {:>9} {:>11} {:>10} {:>12} {:>10} {:>10}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compiler", help="path or name of the compiler (default: as `stq-deploy build` chooses)")
    parser.add_argument("--kernels", choices=IMPLEMENTATIONS, default="cortex_m7")
    data = os.environ.get("STQ_DEPLOY_DATA")
    parser.add_argument(
        "--data", type=Path, default=data and Path(data),
        help="folder with MLPerf Tiny's networks (tools/mlperf_tiny), which are left out without it "
        "(default: $STQ_DEPLOY_DATA)",
    )  # fmt: skip
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the figures to FILE")
    options = parser.parse_args()
    try:
        bench(options.compiler, options.kernels, options.data, options.json)
    except StqError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def bench(compiler_name: str | None, kernels: str, data: Path | None, json_path: Path | None) -> None:
    check_figures(json_path)
    compiler = find_compiler(compiler_name)
    with tempfile.TemporaryDirectory(prefix="stq-bench-") as folder:
        program = BareMetalProgram(build_kernel_program(compiler, kernels, Path(folder)))
    print(f"{kernels} kernels, {compiler.version}, {' '.join(compiler.compile_flags)}")
    print("Instructions executed on an emulated Cortex-M7, exact.")
    print("Cycles by estimate, with code and data beside the core (docs/PROFILING.md): not measured.")
    print("CMSIS-NN s8: its int8 kernels, gcc 12.2 -O3, counted the same way earlier; a constant.")
    compared = show("Layers of published comparisons", (measure(program, layer) for layer in compared_layers()))
    network = show(
        "The STQ network (pooled), its layers with a kernel each", (measure(program, layer) for layer in STQ_LAYERS)
    )
    macs = sum(m.layer.macs for m in network)
    instructions = sum(m.instructions for m in network)
    cycles = sum(m.estimated_cycles for m in network)
    print(f"\nsum: {macs:,} MACs, {instructions:,} instructions, {instructions / macs:.3f} instructions/MAC")
    print(f"     {cycles:,} cycles by estimate, {cycles / macs:.3f} cycles/MAC")
    networks = show_networks(measured_networks(load_board(BOARD), data))
    if json_path is not None:
        document = {
            "kernels": kernels,
            "compiler": compiler.version,
            "compile_flags": list(compiler.compile_flags),
            "compared_layers": [m.to_json() for m in compared],
            "stq_network": [m.to_json() for m in network],
            "stq_network_sum": {"macs": macs, "instructions": instructions, "estimated_cycles": cycles},
            "board": BOARD,
            "networks": [one.to_json() for one in networks],
        }
        write_figures(json_path, document)


def show_networks(figures: Iterable[NetworkFigures]) -> list[NetworkFigures]:
    """Print each row as soon as it is measured."""
    print(f"\nWhole networks on {BOARD}, with its memories and simulated caches")
    print(
        NETWORK_ROW.format(
            "network", "for", "MACs", "instructions", "est. cycles", "est. ms", "est. c/MAC", "weights B", "flash B",
            "RAM B", "scratch B",
        )
    )  # fmt: skip
    shown = []
    for one in figures:
        print(
            NETWORK_ROW.format(
                one.network, one.optimize, f"{one.macs:,}", f"{one.instructions:,}", f"{one.estimated_cycles:,}",
                f"{one.estimated_ms:.2f}", f"{one.cycles_per_mac:.3f}", f"{one.weight_bytes:,}",
                f"{one.flash_bytes:,}", f"{one.ram_bytes:,}", f"{one.scratch_bytes:,}",
            ),
            flush=True,
        )  # fmt: skip
        shown.append(one)
    return shown


def show(title: str, measurements: Iterable[Measurement]) -> list[Measurement]:
    """Print each row as soon as it is measured."""
    print(f"\n{title}")
    columns = (
        "layer",
        "kernel",
        "MACs",
        "instructions",
        "insn/MAC",
        "est. cycles",
        "est. c/MAC",
        "CMSIS-NN s8",
        "weights B",
        "scratch B",
    )
    print(ROW.format(*columns))
    shown = []
    for m in measurements:
        per_mac = "-" if m.per_mac is None else f"{m.per_mac:.3f}"
        cycles = "-" if m.estimated_per_mac is None else f"{m.estimated_per_mac:.3f}"
        cmsis_nn = "-" if m.layer.cmsis_nn is None else f"{m.layer.cmsis_nn:.3f}"
        counts = (f"{m.layer.macs:,}", f"{m.instructions:,}", per_mac, f"{m.estimated_cycles:,}", cycles, cmsis_nn)
        sizes = (f"{m.weight_bytes:,}", f"{m.scratch_bytes:,}")
        print(ROW.format(m.layer.name, m.layer.kernel_name, *counts, *sizes), flush=True)
        shown.append(m)
    return shown


if __name__ == "__main__":
    sys.exit(main())
