"""The same networks through every format, and public model files: what is read, and whether it is right.

Two networks (tools/same_network.py) are written by QKeras 0.9, QKeras v3 and Brevitas, and read again. The logits of
all files must be equal, and equal to what qonnx and onnxruntime compute with the files that `convert --to qonnx|onnx`
writes. Then the files of tools/public_models.toml are read, and compared with the programs they are made for.

The other programs need environments of their own:

    python3 -m venv K3 && K3/bin/pip install keras tensorflow qkeras-v3
    python3 -m venv HGQ && HGQ/bin/pip install keras tensorflow hgq2
    python3 -m venv TORCH && TORCH/bin/pip install torch brevitas qonnx onnx onnxruntime onnxscript onnxoptimizer

It writes docs/figures/compare_formats.json and docs/MODEL_FILES.md. `--page` writes the page alone, from the figures.
"""

from __future__ import annotations

import os
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stq_deploy.common.errors import StqError
from stq_deploy.common.files import MAXIMUM_JSON_BYTES, read_bounded, write_whole
from stq_deploy.common.untrusted_json import parse_json
from tools import same_network
from tools.figures_file import check_figures, write_figures
from tools.model_files_page import page_of

TOP = Path(__file__).resolve().parent.parent
FIGURES, PAGE = TOP / "docs" / "figures" / "compare_formats.json", TOP / "docs" / "MODEL_FILES.md"
SOURCES = TOP / "tools" / "public_models.toml"
COMPARED = 400


@click.command(context_settings={"show_default": True})
@click.option("--keras3", type=click.Path(exists=True, path_type=Path), help="Python with keras and qkeras-v3.")
@click.option("--hgq2", type=click.Path(exists=True, path_type=Path), help="Python with keras and hgq2.")
@click.option("--torch", type=click.Path(exists=True, path_type=Path), help="Python with torch, brevitas, qonnx.")
@click.option("--checkout", "checkouts", multiple=True, metavar="KEY=FOLDER", help="Where the files of a source are.")
@click.option("--out", type=click.Path(path_type=Path), default=FIGURES, help="JSON file.")
@click.option("--again", multiple=True, metavar="TEXT", help="Only files with this in their path; others keep theirs.")
@click.option("--page", is_flag=True, help="Write the page alone, from the figures.")
def main(
    keras3: Path | None,
    hgq2: Path | None,
    torch: Path | None,
    checkouts: tuple[str, ...],
    out: Path,
    again: tuple[str, ...],
    page: bool,
) -> None:
    """Compare formats of model files."""
    if page:
        write_whole(PAGE, page_of(parse_json(read_bounded(FIGURES, MAXIMUM_JSON_BYTES))))
        return
    from tools.public_models import DIFFERS, Programs

    programs = Programs(keras3, hgq2, torch)
    try:
        check_figures(out)
        former = parse_json(read_bounded(out, MAXIMUM_JSON_BYTES)) if again else {}
        same = former["same_network"] if again else _same(programs)
        kept = {file["file"]: file for source in former.get("sources", []) for file in source["files"]}
        folders = dict(pair.split("=", 1) for pair in checkouts)
        sources = list(_sources(folders, programs, lambda name: None if _is_in(name, again) else kept.get(name)))
    except StqError as error:
        raise click.ClickException(str(error)) from error
    figures = {"samples": COMPARED, "same_network": same, "sources": sources}
    write_figures(out, figures)
    if out == FIGURES:
        write_whole(PAGE, page_of(figures))
    unequal = sum(row["different"] for row in same)
    wrong = [file["file"] for source in sources for file in source["files"] if file["verdict"] == DIFFERS]
    click.echo(f"logits that differ between formats: {unequal}; public files that differ: {len(wrong)} {wrong}")
    sys.exit(1 if unequal else 0)


def _same(programs: Any) -> list[dict[str, Any]]:
    """A row for each way of a network: logits compared, and those that differ from QKeras 0.9's .h5 file."""
    import qkeras
    import tf_keras

    import stq_deploy as stq

    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="stq-formats-") as name:
        folder, stored = Path(name), same_network.weights()
        np.savez(folder / "weights.npz", **stored)  # type: ignore[arg-type]
        for python, script in ((programs.keras3, "formats_keras3.py"), (programs.torch, "formats_torch.py")):
            if python is not None:
                programs.run(python, script, "build", folder / "weights.npz", folder)
        for network, make in same_network.MODELS.items():
            x = same_network.inputs(network, COMPARED)
            model = make(tf_keras, qkeras, stored)
            for ending in ("h5", "keras"):
                model.save(folder / f"{network}.k2.{ending}")
            first = stq.convert(folder / f"{network}.k2.h5")
            expected = first.predict(x, features=True)
            assert isinstance(expected, np.ndarray)
            ways = {"QKeras 0.9, predicted by tf_keras": model.predict(x, verbose=0)}
            for title, ending in _FILES.items():
                if (path := folder / f"{network}.{ending}").exists():
                    found = stq.convert(path).predict(x, features=True)
                    assert isinstance(found, np.ndarray)
                    ways[title] = found
            for title, found in ways.items():
                rows.append(_row(network, title, found, expected))
            rows += _exported(network, first, x, folder, programs)
    for row in rows:
        click.echo(f"{row['network']:10} {row['way']:50} {row['different']} of {row['logits']} differ")
    return rows


_FILES = {
    "QKeras 0.9, .h5": "k2.h5",
    "QKeras 0.9, .keras": "k2.keras",
    "QKeras v3, .keras": "keras",
    "QKeras v3, .h5": "h5",
    "Brevitas, QONNX": "qonnx.onnx",
    "Brevitas, ONNX QDQ (QCDQ)": "qcdq.onnx",
}
"""Way of a network -> ending of its file."""


def _exported(network: str, made: Any, x: Any, folder: Path, programs: Any) -> list[dict[str, Any]]:
    """The network's own exports, in other programs, which take and give levels."""
    if programs.torch is None:
        return []
    levels = made.network.input_format.levels(x).astype(made.network.input_type.dtype)
    np.save(folder / "x.npy", levels)
    expected = made.predict(x, features=True, levels=True)
    rows = []
    for dialect, program in (("qonnx", "qonnx"), ("onnx", "onnxruntime")):
        path = folder / f"{network}.export.{dialect}.onnx"
        made.save_onnx(path, dialect=dialect)
        programs.run(
            programs.torch, "formats_torch.py", "run", path, folder / "x.npy", folder / "y.npy", "--with", program
        )
        found = np.load(folder / "y.npy", allow_pickle=False)
        rows.append(_row(network, f"convert --to {dialect}, executed by {program}", found, expected))
    return rows


def _row(network: str, way: str, found: Any, expected: Any) -> dict[str, Any]:
    different = int((np.asarray(found, np.float64).reshape(expected.shape) != expected).sum())
    return {"network": network, "way": way, "logits": int(expected.size), "different": different}


def _is_in(name: str, texts: tuple[str, ...]) -> bool:
    return any(text in name for text in texts)


def _sources(checkouts: dict[str, str], programs: Any, former: Callable[[str], Any]) -> Any:
    """Every source with the verdicts on its files; `former` gives one that was found before."""
    from tools.public_models import files_of, joined, judge

    listed = tomllib.loads(SOURCES.read_text())
    for source in listed["source"]:
        folder = Path(checkouts.get(source["key"], "")) if source["key"] else TOP
        if source["key"] and source["key"] not in checkouts:
            raise StqError(f"where the files of {source['key']} are is not stated", next="give --checkout KEY=FOLDER")
        verdicts = []
        with tempfile.TemporaryDirectory(prefix="stq-formats-") as scratch:
            for name, path, weights in files_of(folder, source["files"]):
                row = former(name)
                if row is None:
                    file = path if weights is None else joined(path, weights, Path(scratch))
                    row = judge(file, name, programs).to_json()
                    click.echo(f"{row['verdict']:8} {name}: {row['program']} {row['because'][:120]}")
                notes = [note["text"] for note in listed["note"] if name.endswith(tuple(note["files"]))]
                verdicts.append(row | {"note": notes[0] if notes and row["different"] else ""})
        yield {key: source.get(key, "") for key in ("title", "repository", "commit")} | {"files": verdicts}


if __name__ == "__main__":
    main()
