"""Prints how far the Cortex-M7 model is from published pairs and latencies, and from another model of our kernels.

The pairs and latencies follow from what others state about their measurements on silicon. The model is built from the
same statements. So equality shows that it is built correctly, and not how well it predicts other code. No kernel of
ours has run on silicon. The kernels' figures are by another model (llvm-mca 14 with corrections), made before ours. A
kernel that has changed since is not compared.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stq_deploy.common.errors import StqError
from stq_deploy.toolchain.compilers import Compiler, find_compiler
from tests.helpers.assembly import assembled
from tests.helpers.kernels.bare_metal import BareMetalProgram
from tests.helpers.kernels.kernel_bench import STQ_LAYERS, measure
from tests.helpers.kernels.kernel_program import build_kernel_program
from tests.helpers.published_cycles import CHAINS, PAIRS, rate
from tools.figures_file import check_figures, write_figures

OTHER_MODEL = {
    "conv2 5x5 16x16x32->128": (1.026, 0.875),
    "conv3 3x3 8x8x128->256": (1.001, 0.855),
    "sep1 1x1 8x8x256->256": (1.058, 0.903),
}
"""Layer -> instructions per MAC, exact, and cycles per MAC by the other model."""
SAME_KERNEL = 0.002
"""Largest relative difference of the instructions of a kernel that has not changed."""


@dataclass(frozen=True)
class Compared:
    """A published figure and ours.

    Attributes:
        what: code, or a layer.
        published, ours: cycles; None where the kernel has changed since.
    """

    what: str
    published: float
    ours: float | None

    @property
    def error(self) -> float | None:
        """Relative error of ours."""
        return None if self.ours is None else self.ours / self.published - 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compiler", help="path or name of the compiler (default: as `stq-deploy build` chooses)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the figures to FILE")
    options = parser.parse_args()
    try:
        check(options.compiler, options.json)
    except StqError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def check(compiler_name: str | None, json_path: Path | None) -> None:
    check_figures(json_path)
    compiler = find_compiler(compiler_name)
    with tempfile.TemporaryDirectory(prefix="stq-cycles-") as folder:
        measured = {
            "pairs": list(sequences(compiler, PAIRS, Path(folder))),
            "latencies": list(sequences(compiler, CHAINS, Path(folder))),
        }
        program = BareMetalProgram(build_kernel_program(compiler, "cortex_m7", Path(folder)))
    for title, found in measured.items():
        show_summary(title, found)
    compared = list(kernels(program))
    print("\nkernels, cycles per MAC by another model: nothing measured")
    for one in compared:
        error = "the kernel has changed since" if one.error is None else f"{100 * one.error:+.1f} %"
        print(f"{one.what:25} {one.published:.3f} {'' if one.ours is None else f'{one.ours:.3f}':>6} {error}")
    if json_path is not None:
        document = {
            "compiler": compiler.version,
            "published_statements": {title: summary(found) for title, found in measured.items()},
            "another_model": [asdict(one) | {"error": one.error} for one in compared],
        }
        write_figures(json_path, document)


def sequences(compiler: Compiler, table: Mapping[str, float], folder: Path) -> Iterator[Compared]:
    """Each sequence of the table through our model."""
    for lines, cycles in table.items():
        yield Compared(lines, cycles, rate(assembled(compiler, lines.replace(" / ", "\n"), folder)))


def kernels(program: BareMetalProgram) -> Iterator[Compared]:
    """The layers of `OTHER_MODEL` through our model."""
    for layer in STQ_LAYERS:
        if layer.name in OTHER_MODEL:
            instructions, cycles = OTHER_MODEL[layer.name]
            found = measure(program, layer)
            same = found.per_mac is not None and abs(found.per_mac / instructions - 1) <= SAME_KERNEL
            yield Compared(layer.name, cycles, found.estimated_per_mac if same else None)


def summary(found: list[Compared]) -> dict[str, float]:
    """How many there are, and the errors."""
    errors = [abs(one.error) for one in found if one.error is not None]
    return {
        "sequences": len(found),
        "equal": sum(error < 0.01 for error in errors),
        "largest_error": round(max(errors), 4),
        "mean_error": round(sum(errors) / len(errors), 4),
    }


def show_summary(title: str, found: list[Compared]) -> None:
    """The summary, and what differs."""
    figures = summary(found)
    print(
        f"{title}: {figures['equal']} of {figures['sequences']} equal, error at most "
        f"{100 * figures['largest_error']:.1f} %, {100 * figures['mean_error']:.2f} % on average"
    )
    for one in found:
        if one.error is not None and abs(one.error) >= 0.01:
            print(f"  {one.what}: {one.published:g}, ours {one.ours:g}")


if __name__ == "__main__":
    sys.exit(main())
