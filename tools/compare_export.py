"""Every shipped integer network as an ONNX file, executed by onnx's reference evaluator: each output level is compared.

The evaluator knows nothing of this package. It runs the dialect "onnx", which has ONNX's operators alone. Inputs are
random levels, over the whole range of the input. The tool fails if a level differs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

import stq_deploy as stq
from stq_deploy.common.errors import StqError
from stq_deploy.network import Network
from stq_deploy.network.reference import run_outputs
from stq_deploy.onnx_export import network_model
from stq_deploy.zoo.shipped import PREFIX, shipped_models
from tools.figures_file import check_figures, write_figures

DEFAULT_OUT = Path(__file__).resolve().parent.parent / "docs" / "figures" / "compare_export.json"


def compared(network: Network, samples: int) -> dict[str, Any]:
    """Facts of one network's file, and how many of its output levels differ."""
    spec = network.input_type
    levels = np.random.default_rng(0).integers(spec.minimum, spec.maximum + 1, (samples, *spec.shape))
    x = levels.astype(spec.dtype)
    model = network_model(network, "onnx")
    onnx.checker.check_model(model, full_check=True)
    ours = run_outputs(network, x)
    theirs = ReferenceEvaluator(model).run(None, {"input_levels": x})
    return {
        "nodes": len(model.graph.node),
        "bytes": model.ByteSize(),
        "samples": samples,
        "levels": sum(a.size for a in ours),
        "different": sum(int((a != b).sum()) for a, b in zip(ours, theirs, strict=True)),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/compare_export.py", description=__doc__)
    parser.add_argument("--samples", type=int, default=4, help="for each network (default %(default)s)")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="JSON file (default %(default)s)")
    options = parser.parse_args()
    check_figures(options.out)
    networks: dict[str, dict[str, Any]] = {}
    left_out: dict[str, str] = {}
    for name in sorted(shipped_models()):
        try:
            network = stq.load(f"{PREFIX}{name}").network
        except StqError as error:  # a floating-point network has no integers without calibration
            left_out[name] = error.what
            continue
        networks[name] = compared(network, options.samples)
        print(f"{name:32}", *(f"{value:,} {key}" for key, value in networks[name].items()), flush=True)
    write_figures(options.out, {"evaluator": f"onnx {onnx.__version__}", "networks": networks, "left_out": left_out})
    print(f"{len(networks)} networks, {sum(facts['different'] for facts in networks.values())} levels differ")
    return int(any(facts["different"] for facts in networks.values()))


if __name__ == "__main__":
    sys.exit(main())
