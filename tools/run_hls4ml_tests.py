"""Runs hls4ml's own tests with our backend in place of theirs; lists passes, refusals with reasons, and failures."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stq_deploy.common.errors import StqError
from tools.figures_file import check_figures, write_figures

TOOLS = Path(__file__).resolve().parent
TOP = TOOLS.parent
FIGURES = TOP / "docs" / "figures" / "hls4ml_tests.json"
FOLDER = Path("test") / "pytest"
LAYER_FILES = (
    "test_activations.py", "test_batchnorm.py", "test_causalpadding.py", "test_clone_flatten.py",
    "test_conv1d_narrow.py", "test_conv2d_narrow.py", "test_cropping.py", "test_depthconv1d.py", "test_depthconv2d.py",
    "test_globalpooling.py", "test_keras_api.py", "test_keras_nested_model.py", "test_merge.py", "test_multi_dense.py",
    "test_multiout_network.py", "test_pointwiseconv.py", "test_pooling.py", "test_reshape.py", "test_sepconv1d.py",
    "test_sepconv2d.py", "test_softmax.py", "test_softsign.py", "test_transpose_concat.py", "test_upsampling.py",
    "test_zeropadding.py",
)  # fmt: skip
"""Tests of Keras's own layers, which take the types of `hls_config`."""
LAYER_FIGURES = FIGURES.with_name("hls4ml_layer_tests.json")
OUTCOMES = ("passed", "refused", "failed", "not run")


@click.command()
@click.argument("checkout", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("files", nargs=-1)
@click.option("--out", type=click.Path(path_type=Path), help="JSON file to write.  [default: in docs/figures]")
@click.option("--layers", is_flag=True, help="Without FILES: the tests of Keras's layers instead.")
@click.option("--reference", is_flag=True, help="Predict by the NumPy reference; compile no C, which takes minutes.")
@click.option("-k", "expression", default="", help="Only tests that match, as pytest has it.")
def main(
    checkout: Path, files: tuple[str, ...], out: Path | None, expression: str, layers: bool, reference: bool
) -> None:
    """Run test FILES of CHECKOUT, a clone of hls4ml at the version that is installed, each model once.

    Without FILES it is test_qkeras.py. The checkout is not changed.
    """
    out = out or (LAYER_FIGURES if layers else FIGURES)
    try:
        if not expression:
            check_figures(out)
    except StqError as error:
        raise click.ClickException(str(error)) from error
    names = files or (LAYER_FILES if layers else ("test_qkeras.py",))
    rows = _run([checkout.resolve() / FOLDER / name for name in names], expression, reference)
    for row in rows:
        click.echo(f"{row['outcome']:8} {row['test']}" + (f": {row['why']}" if row["why"] else ""))
    counts = Counter(row["outcome"] for row in rows)
    click.echo(", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES if counts[outcome]))
    figures = {
        "hls4ml": importlib.metadata.version("hls4ml"),
        "files": list(names),
        "predicted_by": "NumPy reference" if reference else "C on the host",
        "counts": {outcome: counts[outcome] for outcome in OUTCOMES},
        "tests": rows,
    }
    if not expression:
        write_figures(out, figures)
    sys.exit(1 if counts["failed"] or not rows else 0)


def _run(paths: list[Path], expression: str, reference: bool) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="stq-hls4ml-run-") as folder:
        results = Path(folder) / "results.jsonl"
        results.touch()
        environment = {
            **os.environ,
            "STQ_HLS4ML_RESULTS": str(results),
            "PYTHONPATH": os.pathsep.join([str(TOOLS), str(TOP), os.environ.get("PYTHONPATH", "")]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TF_USE_LEGACY_KERAS": "1",
            "TMPDIR": folder,
            **({"STQ_HLS4ML_REFERENCE": "1"} if reference else {}),
        }
        command = [
            str(Path(sys.executable).with_name("pytest")), "-q", "-p", "hls4ml_plugin", "-p", "no:cacheprovider",
            "--no-header", "--tb=no", *(["-k", expression] if expression else []), *map(str, paths),
        ]  # fmt: skip
        done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=False)
        rows = [json.loads(line) for line in results.read_text().splitlines()]
        if not rows:
            raise click.ClickException(f"no test ran:\n{done.stdout[-2000:]}")
        return rows


if __name__ == "__main__":
    main()
