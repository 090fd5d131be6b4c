"""What a training run is told: one dataclass, whose defaults are the paper's Table II."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stq_deploy.errors import StqError

AUGMENTATIONS = ("none", "crop-flip")
OPTIMIZERS = ("adamax", "adam", "sgd")


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides the result of a run, and where it goes.

    The defaults are those of the paper's Table II (1000 epochs, batch 64, Adamax, cosine from 1e-3 to 1e-6,
    no augmentation). What the paper leaves open, and only that, has defaults of ours: the rest of the fields.
    """

    out: Path
    network: str = "stq"
    variant: str = "pooled"
    scheme: str = "stq"
    dataset: str = "cifar10"
    data: Path | None = None  # a file or folder; None: $STQ_DEPLOY_DATA, else the public source
    epochs: int = 1000
    batch_size: int = 64
    seed: int = 0
    optimizer: str = "adamax"
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-6
    warm_up_steps: int = 0  # linear from 0; fc1 has 4096 inputs and no BN: large first steps kill its ReLUs
    augment: str = "none"
    warm_start: Path | None = None  # a model file whose weights are taken over, layer by layer, by name
    validation_samples: int = 2000  # held out of the training part, to watch; nothing is chosen by them
    batch_norm_samples: int = 2000  # training pictures per re-estimation after an epoch
    final_batch_norm_samples: int = 20000  # and for the model that is written
    temperature_start: float = 8.0  # of the stochastic draws; qkeras' default for ternary
    temperature_end: float = 8.0  # annealed geometrically over the epochs
    train_limit: int | None = None  # use only so many training samples (shuffled by seed): for trials
    test_limit: int | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "batch_norm_samples", "final_batch_norm_samples"):
            if getattr(self, name) < 1:
                raise StqError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("learning_rate", "final_learning_rate", "temperature_start", "temperature_end"):
            if not getattr(self, name) > 0:
                raise StqError(f"{name} must be positive, not {getattr(self, name)}")
        if self.validation_samples < 0:
            raise StqError(f"validation_samples cannot be negative ({self.validation_samples})")
        for name, allowed in (("augment", AUGMENTATIONS), ("optimizer", OPTIMIZERS)):
            if getattr(self, name) not in allowed:
                raise StqError(f"unknown {name} {getattr(self, name)!r}", next=f"choose one of: {', '.join(allowed)}")

    def as_record(self) -> dict[str, Any]:
        """JSON-ready; paths by file name only, so that records do not tell about somebody's folders."""
        record = asdict(self)
        del record["out"]
        for name in ("data", "warm_start"):
            record[name] = None if record[name] is None else Path(record[name]).name
        return record
