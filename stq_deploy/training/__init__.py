"""Training: `train(TrainingConfig(...))` runs, resumes, and writes the model with its record."""

from __future__ import annotations

import os
from typing import Any

from stq_deploy.errors import StqError
from stq_deploy.training.config import TrainingConfig
from stq_deploy.training.progress import Reporter, default_reporter

__all__ = ["Reporter", "TrainingConfig", "default_reporter", "train"]


def train(
    config: TrainingConfig,
    progress: Reporter | None = None,
    *,
    resume: bool = False,
    stop_after: int | None = None,
    tensorboard: bool = False,
) -> dict[str, Any]:
    """See `stq_deploy.training.trainer.train`. TensorFlow is imported only when this is called.

    Raises StqError also when TensorFlow or qkeras is not installed.
    """
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # qkeras 0.9 needs Keras 2
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        from stq_deploy.training.trainer import train as run
    except ModuleNotFoundError as error:
        raise StqError(
            "training needs TensorFlow and QKeras",
            cause=f"the Python module {error.name!r} is not installed",
            next='install them with: pip install "stq-deploy[train]"',
        ) from error
    return run(config, progress, resume=resume, stop_after=stop_after, tensorboard=tensorboard)
