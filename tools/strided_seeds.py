"""Short trainings of strided networks with several seeds, which show chance. Each continues where it stopped.

The floating-point twin is trained by the recipe `fp`, with fewer epochs. The others start from the twin of their own
seed: few-bit networks by the recipe `quantized`, and FP + JR by the recipe `jacobian`, by input and by layer.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SEEDS = (0, 1, 2)
_TWIN_EPOCHS, _MORE_EPOCHS = 8, 5


class Training(NamedTuple):
    """One training.

    Attributes:
        name: of its folder and its row.
        scheme: of the weights.
        recipe: shipped recipe.
        epochs: passes over the training samples.
        from_twin: whether it starts from the floating-point twin of its seed.
    """

    name: str
    scheme: str
    recipe: str
    epochs: int
    from_twin: bool = False

    def arguments(self, seed: int, folder: Path, data: Path | None) -> list[str]:
        """Arguments of `stq-deploy train`."""
        given = [
            "--network", "stq", "--variant", "strided", "--scheme", self.scheme, "--dataset", "cifar10",
            "--recipe", self.recipe, "--epochs", str(self.epochs), "--seed", str(seed),
            "--out", str(run_folder(folder, self, seed)),
        ]  # fmt: skip
        if self.from_twin:
            given += ["--warm-start", str(run_folder(folder, TRAININGS[0], seed) / "model.h5")]
        return given + ([] if data is None else ["--data", str(data)])


TRAININGS = (
    Training("fp", "fp", "fp", _TWIN_EPOCHS),
    Training("fp-jr", "fp", "jacobian", _MORE_EPOCHS, from_twin=True),
    Training("ternary", "ternary", "quantized", _MORE_EPOCHS, from_twin=True),
    Training("stq", "stq", "quantized", _MORE_EPOCHS, from_twin=True),
)


def run_folder(folder: Path, training: Training, seed: int) -> Path:
    """Where a training is kept."""
    return folder / f"{training.name}-seed{seed}"


def train_all(folder: Path, data: Path | None, seeds: tuple[int, ...] = SEEDS) -> None:
    """Train what is not trained yet, one seed after the other.

    Raises:
        subprocess.CalledProcessError: a training failed; its messages are on stderr.
    """
    for seed in seeds:
        for training in TRAININGS:
            if not (run_folder(folder, training, seed) / "result.json").is_file():
                given = training.arguments(seed, folder, data)
                subprocess.run([sys.executable, "-m", "stq_deploy", "train", *given, "--resume"], check=True)


def finished(folder: Path) -> Iterator[tuple[Training, int, Path]]:
    """(training, seed, model file) of all finished trainings."""
    for training in TRAININGS:
        for seed in SEEDS:
            run = run_folder(folder, training, seed)
            if (run / "result.json").is_file() and (run / "model.h5").is_file():
                yield training, seed, run / "model.h5"
