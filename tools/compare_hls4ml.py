"""Our integer networks against hls4ml's simulation of the same QKeras models, logit by logit, exactly.

The tests compare two of the cases.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import numpy.typing as npt

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from stq_deploy.network import Network
from stq_deploy.network.reference import run
from stq_deploy.pipeline.model_in_memory import convert_keras_model
from tests.helpers.hls4ml.hls4ml_cases import CASES, SHAPE, build
from tests.helpers.hls4ml.hls4ml_simulation import simulate
from tools.figures_file import write_figures

DEFAULT_OUT = Path(__file__).resolve().parent.parent / "docs" / "figures" / "hls4ml_oracle.json"
Levels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Comparison:
    """One case: how many of its `logits` differ; `distinct` values show that the comparison had something to say."""

    case: str
    seed: int
    logits: int
    distinct: int
    differing: int


def extreme_and_random_levels(count: int, seed: int) -> Levels:
    """Input levels (count, *SHAPE), -128..127: all smallest, all largest, checkered, of both extremes, random."""
    rng = np.random.default_rng(seed)
    levels = rng.integers(-128, 128, (count, *SHAPE))
    levels[0], levels[1] = -128, 127
    levels[2] = np.where(np.indices(SHAPE).sum(axis=0) % 2, -128, 127)
    levels[3 : count // 2] = rng.choice([-128, 127], levels[3 : count // 2].shape)
    return levels


def real_logits(network: Network, levels: Levels) -> npt.NDArray[np.float64]:
    """The integer reference's logits as the real numbers they stand for; exact in float64."""
    output = network.output_type
    return (run(network, levels).astype(np.float64) - output.zero_point) * output.scale


def compare(case: str, seed: int, samples: int, folder: Path) -> Comparison:
    """Build the case's model, run both, and count."""
    model = build(case, seed)
    levels = extreme_and_random_levels(samples, seed)
    ours = real_logits(convert_keras_model(model), levels)
    theirs = simulate(model, (levels + 128) / 256, folder)
    assert ours.shape == theirs.shape
    return Comparison(case, seed, ours.size, len(np.unique(ours)), int((ours != theirs).sum()))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE", help="which")
    parser.add_argument("--seeds", type=int, default=2, help="models of each case, with other weights")
    parser.add_argument("--samples", type=int, default=500, help="inputs of each model")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="JSON file to write")
    options = parser.parse_args(arguments)
    found: list[Comparison] = []
    for case in options.cases:
        for seed in range(options.seeds):
            with tempfile.TemporaryDirectory(prefix="stq-hls4ml-") as folder:
                found.append(compare(case, seed, options.samples, Path(folder)))
            print(found[-1], flush=True)
    differing = sum(comparison.differing for comparison in found)
    document: dict[str, Any] = {
        "hls4ml": importlib.metadata.version("hls4ml"),
        "backend": "Vitis, io_parallel, C++ simulation",
        "samples_of_each": options.samples,
        "logits": sum(comparison.logits for comparison in found),
        "differing": differing,
        "models": [asdict(comparison) for comparison in found],
    }
    write_figures(options.out, document)
    print(f"{document['logits']:,} logits of {len(found)} models; {differing} differ. Wrote {options.out}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
