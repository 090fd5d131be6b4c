"""Installs the project with pip into a fresh environment, and states how many megabytes that takes on the disk."""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stq_deploy.common.errors import StqError
from tools.figures_file import check_figures, write_figures

TOP = Path(__file__).resolve().parent.parent
FIGURES = TOP / "docs" / "figures" / "install_size.json"
MEGABYTE = 1e6
_SHOWN = 8


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=FIGURES, help="JSON file to write.")
@click.option("--most", type=float, default=300.0, show_default=True, help="Fail above so many megabytes.")
def main(out: Path, most: float) -> None:
    """Measure `pip install` of this checkout without extras: no TensorFlow, and no compiler."""
    try:
        check_figures(out)
    except StqError as error:
        raise click.ClickException(str(error)) from error
    with tempfile.TemporaryDirectory(prefix="stq-install-") as folder:
        environment = Path(folder) / "venv"
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        python = environment / "bin" / "python"
        quiet = ["--quiet", "--disable-pip-version-check"]
        subprocess.run([str(python), "-m", "pip", "install", *quiet, str(TOP)], check=True)
        (packages,) = environment.glob("lib/python*/site-packages")
        sizes = {path.name: megabytes(path) for path in packages.iterdir()}
        total = megabytes(environment)
        subprocess.run([str(python), "-m", "pip", "install", *quiet, f"{TOP}[emulator]"], check=True)
        emulator = megabytes(environment)
    largest = dict(sorted(sizes.items(), key=lambda item: -item[1])[:_SHOWN])
    figures: dict[str, Any] = {
        "what": "pip install . into a fresh virtual environment, no extras",
        "python": platform.python_version(),
        "megabytes": round(total, 1),
        "with_emulator_megabytes": round(emulator, 1),
        "largest_megabytes": {name: round(size, 1) for name, size in largest.items()},
    }
    write_figures(out, figures)
    click.echo(f"{total:.1f} MB, at most {most:g}; with the emulator {emulator:.1f} MB")
    sys.exit(1 if total > most else 0)


def megabytes(path: Path) -> float:
    """Size of a file, or of all files in a folder; links count as links."""
    files = [path] if path.is_file() or path.is_symlink() else path.rglob("*")
    return sum(file.lstat().st_size for file in files if file.is_symlink() or file.is_file()) / MEGABYTE


if __name__ == "__main__":
    main()
