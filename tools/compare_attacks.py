"""Our attacks and those of torchattacks and foolbox on the same networks, samples and budgets.

Shipped floating-point networks are exported to PyTorch as arrays (`compare_attacks_torch.py`), and their logits are
compared. Each attack then runs with the same budget and numbers of steps. The Keras model judges all attacked samples:
how many are still right, and on how many samples ours and theirs agree. Ours runs on real values, as theirs do, and on
pixels of 8 bits, as `stq-deploy attack` does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stq_deploy.common.errors import StqError
from stq_deploy.common.files import write_whole
from stq_deploy.datasets.samples import samples_of_dataset
from stq_deploy.frontend.keras_model import read_keras_model
from stq_deploy.network.input_format import unit_interval
from stq_deploy.research.attacks.abstract_attack import Attack
from stq_deploy.research.attacks.apgd import Apgd, ApgdTargeted
from stq_deploy.research.attacks.budget import Budget
from stq_deploy.research.attacks.carlini_wagner import CarliniWagner
from stq_deploy.research.attacks.fgsm import Fgsm
from stq_deploy.research.attacks.grid import PIXELS, UNROUNDED, Grid
from stq_deploy.research.attacks.pgd import Pgd
from stq_deploy.research.attacks.search import Search
from stq_deploy.research.attacks.square import Square
from stq_deploy.research.attacks.streams import Streams
from stq_deploy.research.attacks.victim import Victim
from stq_deploy.zoo.shipped import resolve_model
from tools.marked_block import replace_block

HERE = Path(__file__).resolve().parent
FIGURES = HERE.parent / "docs" / "figures" / "compare_attacks.json"
PAGE = HERE.parent / "docs" / "CHECKS.md"
BLOCK = "compare_attacks"
NETWORKS = ("zoo:resnet-v1-cifar10", "zoo:fp-cifar10")
SETTINGS = ("activation", "strides", "padding", "kernel_size", "pool_size", "epsilon")
LARGEST_LOGIT_ERROR = 1e-3
"""Two float32 libraries may differ by this; a wrong export differs by far more."""
SEARCHES = 5


@dataclass(frozen=True)
class Job:
    """One attack at one budget, ours and the reference's.

    Attributes:
        ours: with all settings.
        library: torchattacks or foolbox.
        steps: iterations or queries.
    """

    ours: Attack
    library: str
    steps: int = 1

    def to_json(self) -> dict[str, Any]:
        job = {"attack": self.ours.name, "norm": self.ours.norm, "eps": self.ours.eps}
        return {**job, "library": self.library, "steps": self.steps, "searches": SEARCHES}


def jobs(steps: int, queries: int) -> list[Job]:
    """All comparisons."""
    found = []
    for eps in (1 / 255, 2 / 255):
        found += [Job(Fgsm(eps), "torchattacks"), Job(Fgsm(eps), "foolbox")]
        found += [Job(Pgd(eps, max_iter=steps), library, steps) for library in ("torchattacks", "foolbox")]
        found.append(Job(Apgd(eps, max_iter=steps), "torchattacks", steps))
        found.append(Job(ApgdTargeted(eps, max_iter=steps), "torchattacks", steps))
        found.append(Job(Square(eps, max_iter=queries), "torchattacks", queries))
    found.append(Job(Apgd(0.15, "2", max_iter=steps), "torchattacks", steps))
    found.append(Job(Square(0.5, "2", max_iter=queries), "torchattacks", queries))
    for eps in (0.05, 0.15):
        found.append(Job(CarliniWagner(eps, max_iter=steps, binary_search_steps=SEARCHES), "foolbox", steps))
    return found


@click.command()
@click.option("--torch-python", type=click.Path(path_type=Path), required=True, help="Python with PyTorch.")
@click.option("--network", "names", multiple=True, default=NETWORKS, show_default=True)
@click.option("--samples", type=int, default=64, show_default=True)
@click.option("--steps", type=int, default=50, show_default=True, help="Iterations of each gradient attack.")
@click.option("--queries", type=int, default=500, show_default=True, help="Of Square.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the data sets.")
@click.option("--table", is_flag=True, help="Only write and print the table of the figures that are there.")
def main(
    torch_python: Path, names: tuple[str, ...], samples: int, steps: int, queries: int, data: Path | None, table: bool
) -> None:
    """Compare our attacks with the reference implementations; write docs/figures/compare_attacks.json and the table."""
    found: dict[str, Any] = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    for name in () if table else names:
        found[name] = compared(name, jobs(steps, queries), samples, torch_python, data)
        write_whole(FIGURES, json.dumps(found, indent=1) + "\n")
    write_whole(PAGE, replace_block(PAGE.read_text(encoding="utf-8"), BLOCK, text(found)))
    click.echo(text(found))


def compared(name: str, chosen: list[Job], samples: int, torch_python: Path, data: Path | None) -> dict[str, Any]:
    """One network's figures."""
    clean = samples_of_dataset("cifar10", data, samples)
    x, y = PIXELS.nearest(unit_interval(clean.x)), clean.classes()
    path = resolve_model(name, keras=True)
    layers, arrays = exported(read_keras_model(path))
    theirs = reference(torch_python, layers, arrays, x, y, chosen)
    victims = {grid: Victim(read_keras_model(path), grid) for grid in (UNROUNDED, PIXELS)}
    judge = victims[UNROUNDED]
    difference = float(np.abs(judge.logits(x) - theirs["logits"]).max())
    if difference > LARGEST_LOGIT_ERROR:
        raise StqError(f"the exported network differs from the model by {difference:g}", where=name)
    rows: list[dict[str, Any]] = []
    made: dict[tuple[str, Grid], npt.NDArray[np.bool_]] = {}
    for number, job in enumerate(chosen):
        budget = Budget.of_pixels(job.ours.norm, job.ours.eps)
        stands = standing(judge, theirs[str(number)], x, y, budget)
        for grid in (UNROUNDED, PIXELS):
            key = (repr(job.ours), grid)
            if key not in made:
                made[key] = standing(judge, attacked(victims[grid], job.ours, x, y, budget), x, y, budget)
        ours, stored = made[(repr(job.ours), UNROUNDED)], made[(repr(job.ours), PIXELS)]
        rows.append(
            {
                "attack": job.ours.title,
                "norm": job.ours.norm,
                "eps": job.ours.eps,
                "steps": job.steps,
                "library": job.library,
                "ours": int(ours.sum()),
                "ours_8_bits": int(stored.sum()),
                "theirs": int(stands.sum()),
                "agree": int((ours == stands).sum()),
            }
        )
        click.echo(f"{name}: {rows[-1]}", err=True)
    right = int((judge.predict(x) == y).sum())
    return {"samples": len(x), "clean": right, "largest_logit_difference": difference, "attacks": rows}


def attacked(
    victim: Victim, attack: Attack, x: npt.NDArray[np.float32], y: npt.NDArray[np.int64], budget: Budget
) -> npt.NDArray[np.float32]:
    """Our attacked samples, with seed 0."""
    search = Search(victim, x, y, budget, Streams(0, range(len(x))), attack.smallest)
    attack.run(search)
    return search.found


def standing(
    judge: Victim, moved: npt.NDArray[Any], x: npt.NDArray[np.float32], y: npt.NDArray[np.int64], budget: Budget
) -> npt.NDArray[np.bool_]:
    """Which samples are still right: attacked ones outside the budget do not count, and stay as they were."""
    inside = budget.distance(moved, x) <= budget.eps * (1 + 1e-4)
    shown = np.where(inside.reshape(-1, *[1] * (x.ndim - 1)), moved, x).astype(np.float32)
    right: npt.NDArray[np.bool_] = judge.predict(shown) == y
    return right


def exported(model: Any) -> tuple[list[dict[str, Any]], dict[str, npt.NDArray[np.float32]]]:
    """Layers in their order, without a last softmax, and their weights by name."""
    layers: list[dict[str, Any]] = []
    arrays: dict[str, npt.NDArray[np.float32]] = {}
    for layer in model.layers:
        config = layer.get_config()
        if config.get("activation") == "softmax" and layer is model.layers[-1]:
            continue
        (node,) = layer.inbound_nodes
        before = node.inbound_layers if isinstance(node.inbound_layers, list) else [node.inbound_layers]
        names = [f"{layer.name}/{i}" for i in range(len(layer.weights))]
        arrays |= {name: weight.numpy() for name, weight in zip(names, layer.weights, strict=True)}
        own = {key: config[key] for key in SETTINGS if key in config}
        layers.append(
            {
                "kind": type(layer).__name__,
                "name": layer.name,
                "inputs": [one.name for one in before],
                "weights": names,
                **own,
            }
        )
    return layers, arrays


def reference(
    python: Path,
    layers: list[dict[str, Any]],
    arrays: dict[str, npt.NDArray[np.float32]],
    x: npt.NDArray[np.float32],
    y: npt.NDArray[np.int64],
    chosen: list[Job],
) -> dict[str, npt.NDArray[np.float32]]:
    """Logits of the samples, and each job's attacked samples by its number, by PyTorch."""
    with tempfile.TemporaryDirectory(prefix="stq-attacks-") as name:
        folder = Path(name)
        (folder / "network.json").write_text(json.dumps(layers))
        (folder / "jobs.json").write_text(json.dumps([job.to_json() for job in chosen]))
        np.savez(folder / "arrays.npz", **arrays)  # type: ignore[arg-type]
        np.savez(folder / "samples.npz", x=x, y=y)
        subprocess.run([python, HERE / "compare_attacks_torch.py", folder], check=True)
        with np.load(folder / "results.npz") as results:
            return dict(results)


def text(found: dict[str, Any]) -> str:
    """The figures as a table for docs."""
    if not found:
        return "Not run yet.\n"
    lines = []
    for name, row in found.items():
        lines += [
            f"`{name}`: {row['clean']} of {row['samples']} right; PyTorch's logits differ by at most "
            f"{row['largest_logit_difference']:.1e}.",
            "",
            "| attack | budget | steps | reference | right: ours | ours, 8 bits | reference | samples agreed on |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for one in row["attacks"]:
            eps = f"{one['eps'] * 255:.0f}/255" if one["norm"] == "inf" else f"L2 {one['eps']}"
            lines.append(
                f"| {one['attack']} | {eps} | {one['steps']} | {one['library']} | {one['ours']} | {one['ours_8_bits']} "
                f"| {one['theirs']} | {one['agree']} of {row['samples']} |"
            )
        lines.append("")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    try:
        main()
    except StqError as error:
        sys.exit(str(error))
