"""Training: `train(TrainingConfig(...))` runs, resumes, and writes the model with its record."""

from __future__ import annotations

from typing import Any

from stq_deploy.training.config import TrainingConfig
from stq_deploy.training.progress import Reporter, default_reporter

__all__ = ["Reporter", "TrainingConfig", "default_reporter", "train"]


def train(config: TrainingConfig, progress: Reporter | None = None, **options: Any) -> dict[str, Any]:
    """See `stq_deploy.training.trainer.train`. TensorFlow is imported only when this is called."""
    import os

    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # qkeras 0.9 needs Keras 2
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from stq_deploy.training.trainer import train as run

    return run(config, progress, **options)
