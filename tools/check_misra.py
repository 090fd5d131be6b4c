"""Counts what cppcheck's MISRA C:2012 addon finds in a generated network and in both kernel libraries.

docs/MISRA.md gives a reason for each rule. Exit code 1 if a finding is of a rule without one. Needs cppcheck with its
addons (Debian: cppcheck).
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stq_deploy.codegen import generate
from stq_deploy.common.resources import firmware_templates
from stq_deploy.program import plan_network
from stq_deploy.program.kernels.choice import all_kernels
from stq_deploy.toolchain.kernel_sources import write_instances
from tests.helpers.covering_networks import LAYERS, SEEDS
from tests.helpers.networks import random_network
from tools.figures_file import write_figures

PAGE = Path(__file__).resolve().parent.parent / "docs" / "MISRA.md"
KERNELS = ("reference", "cortex_m7")
_FINDING = re.compile(r"^(.+):(\d+): misra-c2012-([0-9.]+)$", re.MULTILINE)
_OTHER = re.compile(r"^.+:\d+: (?!misra-c2012-)(\w+)$", re.MULTILINE)
_SECONDS = 3600


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/check_misra", description=__doc__)
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the figures to FILE")
    options = parser.parse_args()
    if shutil.which("cppcheck") is None:
        print("cppcheck is not installed (Debian: cppcheck)", file=sys.stderr)
        return 1
    found: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory(prefix="stq-misra-") as work:
        # Copied, because cppcheck writes beside what it reads.
        kernels = Path(shutil.copytree(firmware_templates() / "kernels", Path(work) / "kernels"))
        program = plan_network(random_network(SEEDS[0], LAYERS))
        made = generate(program, Path(work) / "network", command="(check)", tool_version="0", name="net")
        own = [source for source in made.sources if source.parent == made.folder]
        parts = {"network": own}
        for name in KERNELS:
            (kernels / f"of_{name}").mkdir()
            written = write_instances(kernels / f"of_{name}", kernels, name, all_kernels())
            parts[name] = [*sorted((kernels / name).glob("*.c")), *written]
        for name, sources in parts.items():
            for rule, count in findings(sources, (made.folder, kernels / "include", kernels)).items():
                found.setdefault(rule, dict.fromkeys(parts, 0))[name] = count
    reasons = explained(PAGE.read_text(encoding="utf-8"))
    print(f"{'rule':8}{'network':>10}{'reference':>11}{'cortex_m7':>11}")
    for rule in sorted(found, key=order):
        print(f"{rule:8}{found[rule]['network']:>10}{found[rule]['reference']:>11}{found[rule]['cortex_m7']:>11}")
    missing = sorted(found.keys() - reasons, key=order)
    print(f"\n{sum(sum(counts.values()) for counts in found.values())} findings of {len(found)} rules.")
    for rule in missing:
        print(f"docs/MISRA.md gives no reason for rule {rule}")
    if options.json is not None:
        version = subprocess.run(["cppcheck", "--version"], capture_output=True, text=True, check=True).stdout.strip()
        document = {"cppcheck": version, "findings": {rule: found[rule] for rule in sorted(found, key=order)}}
        write_figures(options.json, document)
    return 1 if missing else 0


def findings(sources: list[Path], includes: tuple[Path, ...]) -> dict[str, int]:
    """Rule -> places in these sources and their headers where the addon reports it.

    Raises:
        RuntimeError: cppcheck fails, or reports something else than the addon's findings.
    """
    command = [
        "cppcheck", "--addon=misra", "--std=c99", "--platform=arm32-wchar_t4", "--quiet",
        "--template={file}:{line}: {id}", *(f"-I{folder}" for folder in includes), *map(str, sources),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode != 0 or _OTHER.search(done.stderr):
        raise RuntimeError(f"cppcheck failed (exit code {done.returncode}):\n{done.stderr[-2000:]}")
    counts: dict[str, int] = {}
    for _, _, rule in set(_FINDING.findall(done.stderr)):
        counts[rule] = counts.get(rule, 0) + 1
    return counts


def explained(page: str) -> set[str]:
    """The rules in the first column of the page's tables."""
    cells = re.findall(r"^\| ([0-9., ]+) \|", page, re.MULTILINE)
    return {rule.strip() for cell in cells for rule in cell.split(",")}


def order(rule: str) -> tuple[int, ...]:
    """Rules sort by their numbers."""
    return tuple(int(number) for number in rule.split("."))


if __name__ == "__main__":
    sys.exit(main())
