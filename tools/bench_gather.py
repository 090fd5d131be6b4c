"""Counts a network's convolutions with every kernel that can run them, on an emulated Cortex-M7.

Instructions are exact, cycles are estimates of the core's model without caches and wait states. The last column is the
planner's own estimate of instructions, by which it chose the kernel with a star.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import stq_deploy as stq
from stq_deploy.common.errors import StqError
from stq_deploy.network.ops import Convolve
from stq_deploy.program.kernels.candidate import Candidate
from stq_deploy.program.kernels.choice import candidates, choose, work_of
from stq_deploy.toolchain.compilers import find_compiler
from tests.helpers.kernels.bare_metal import BareMetalProgram
from tests.helpers.kernels.kernel_program import build_kernel_program
from tests.helpers.kernels.work_bench import run_convolution
from tools.figures_file import check_figures, write_figures

ROW = "{:16} {:24} {:>11} {:>9} {:>12} {:>9} {:>11} {:>9} {:>9} {:>12}"
COLUMNS = (
    "layer", "kernel", "MACs", "nonzero", "instructions", "insn/MAC", "est. cycles", "c/MAC", "scratch", "estimate",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="zoo:stq-cifar10", help="a .stq network, or zoo:NAME (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the figures to FILE")
    options = parser.parse_args()
    try:
        bench(options.model, options.json)
    except StqError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def bench(model: str, json_path: Path | None) -> None:
    check_figures(json_path)
    network = stq.load(model).network
    compiler = find_compiler()
    print(f"{model}, {compiler.version}, {' '.join(compiler.compile_flags)}")
    print(ROW.format(*COLUMNS))
    found = []
    with tempfile.TemporaryDirectory(prefix="stq-bench-") as folder:
        program = BareMetalProgram(build_kernel_program(compiler, "cortex_m7", Path(folder)))
    for op in network.ops:
        if isinstance(op, Convolve):
            work = work_of(network, op)
            chosen = choose(work).kernel
            found += [measure(program, one, chosen=one.kernel == chosen) for one in candidates(work)]
    if json_path is not None:
        document = {
            "model": model, "compiler": compiler.version, "compile_flags": list(compiler.compile_flags),
            "convolutions": found,
        }  # fmt: skip
        write_figures(json_path, document)


def measure(program: BareMetalProgram, one: Candidate, *, chosen: bool) -> dict[str, Any]:
    """Run one kernel on random levels, print a line, and give its figures.

    Raises:
        StqError: its output is not the network's.
    """
    work, (x,) = one.work, one.work.inputs
    levels = np.random.default_rng(0).integers(x.minimum, x.maximum + 1, x.shape)
    output, instructions, cycles = run_convolution(program, one, levels)
    expected = work.op.run([levels[None].astype(np.int64)], work.inputs, work.output)[0]
    if not np.array_equal(output, expected):
        raise StqError(f"{one.kernel.function} gives other levels than NumPy", where=f"layer {work.op.name!r}")
    assert isinstance(work.op, Convolve)
    macs = work.op.macs(work.inputs, work.output)
    figures = {
        "layer": work.op.name,
        "kernel": one.kernel.function,
        "chosen": chosen,
        "macs": macs,
        "nonzero": round(float((work.op.weights != 0).mean()), 4),
        "instructions": instructions,
        "instructions_per_mac": round(instructions / macs, 4),
        "estimated_cycles": cycles,
        "estimated_cycles_per_mac": round(cycles / macs, 4),
        "scratch_bytes": one.spec.scratch_bytes(work),
        "planner_estimate": one.spec.instructions(work),
    }
    print(
        ROW.format(
            work.op.name, f"{one.kernel.function}{' *' if chosen else ''}", f"{macs:,}", f"{figures['nonzero']:.1%}",
            f"{instructions:,}", f"{instructions / macs:.3f}", f"{cycles:,}", f"{cycles / macs:.3f}",
            f"{figures['scratch_bytes']:,}", f"{figures['planner_estimate']:,}",
        ),
        flush=True,
    )  # fmt: skip
    return figures


if __name__ == "__main__":
    sys.exit(main())
