"""Source graphs with random integer kernels, made from model drafts without TensorFlow."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stq_deploy.frontend import SourceGraph, parse_model
from stq_deploy.frontend import source as s
from tests.helpers.model_files import ModelDraft


def source_graph(draft: ModelDraft, folder: Path, scales: dict[str, list[float]] | None = None) -> SourceGraph:
    """Ternary kernels at random; `scales` by layer, otherwise 1/4 everywhere. Biases as they are."""
    parsed = parse_model(draft.save_h5(folder / "draft.h5"))
    rng = np.random.default_rng(0)
    kernels = {}
    for at, kernel in parsed.kernels.items():
        node = parsed.nodes[at]
        channels = node.shape[-1]
        scale = np.broadcast_to((scales or {}).get(node.layer, [0.25]), channels).astype(np.float64)
        kernels[at] = s.IntegerKernel(rng.integers(-1, 2, kernel.values.shape).astype(np.int8), scale, 2)
    biases = {at: bias.values.astype(np.float64) for at, bias in parsed.biases.items()}
    return SourceGraph(parsed.nodes, parsed.outputs, kernels, biases, parsed.name, parsed.file, parsed.table)
