"""A few random networks that together hold every kernel, every requantization, and several outputs.

python -m tests.helpers.covering_networks     # find such seeds anew, after a change of `networks.py` or a new kernel
"""

from __future__ import annotations

from stq_deploy.network import Network
from stq_deploy.network.noise import InputNoise
from stq_deploy.network.ops import OP_KINDS, RequantizedOp, Reshape
from stq_deploy.program import Optimization, Program, plan_network
from stq_deploy.program.kernels.choice import all_kernels, candidates
from stq_deploy.program.weights import WeightPacking
from stq_deploy.rewrites import add_input_noise
from tests.helpers.networks import random_network

LAYERS = 40
SEEDS = (979, 759, 231, 145, 1394, 302, 36, 568, 57, 336)
FAST_SEEDS = (640, 711, 17, 229, 119, 15, 22)
"""Seeds of networks to plan for speed. They add the kernels that only such programs have."""

CODED: tuple[tuple[int, WeightPacking], ...] = ((108, "trits"), (108, "gaps"))
"""Seeds of networks, and the code in which their weights are demanded. They add the kernels that read codes."""

FORMS = {
    *(("multiplier", "int8"), ("multiplier", "int16")),
    *(("shift", "int8"), ("threshold", "int8"), ("table", "int8")),
    *(("keep", "int8"), ("keep", "int16"), ("keep", "int32")),
    *(("wide", "int8"), ("wide", "int16"), ("wide", "int32")),
    *(("long", "int16"), ("long", "int32")),
}
"""Requantization and output type."""
FORMS_OF_EVERY_KIND = {
    *(("multiplier", "int8"), ("multiplier", "int16"), ("shift", "int8"), ("threshold", "int8")),
    *(("keep", "int32"), ("wide", "int16")),
}
OUTPUTS = {("output", what) for what in ("int8", "int16", "int32", "image", "view")}
"""Properties of the outputs beside the logits: their types, the input image as an output, and a view of another
tensor.
"""


def covering_networks() -> list[Network]:
    return [random_network(seed, LAYERS) for seed in SEEDS]


def covering_programs() -> list[Program]:
    """The programs of `SEEDS`, planned for size, and of `FAST_SEEDS`, planned for speed."""
    programs = [plan_network(network, optimize="size") for network in covering_networks()]
    programs += [plan_network(random_network(seed, LAYERS), optimize="speed") for seed in FAST_SEEDS]
    return [*programs, noisy_program(), *(coded_program(seed, packing) for seed, packing in CODED)]


def coded_program(seed: int, packing: WeightPacking) -> Program:
    """A program whose ternary weights are coded wherever a kernel reads them so: small layers are never worth it."""
    network = random_network(seed, LAYERS)
    usual = plan_network(network)
    able = {layer.name: [one.kernel for one in candidates(layer.work)] for layer in usual.layers}
    coded = {name: [one.function for one in kernels if one.packing == packing] for name, kernels in able.items()}
    # Where lanes of bytes and of halfwords are both possible: bytes first, then in turn.
    able_both = [name for name, found in coded.items() if len(found) > 1]
    asked = {
        name: found[able_both.index(name) % 2 if name in able_both else 0] for name, found in coded.items() if found
    }
    return plan_network(network, kernels=asked)


def noisy_program() -> Program:
    """A program with fresh noise, which no random network has."""
    return plan_network(add_input_noise(random_network(5), InputNoise(5.1, seed=(9 << 32) + 4)))


def wanted() -> set[tuple[str, ...]]:
    """Kernels, outputs, requantizations, and some requantizations with each kind of op, as `met` names them."""
    kinds = [kind for kind, cls in OP_KINDS.items() if issubclass(cls, RequantizedOp)]
    kernels = {(kernel.function,) for kernel in all_kernels()}
    return kernels | FORMS | OUTPUTS | {(kind, *form) for kind in kinds for form in FORMS_OF_EVERY_KIND}


def met(program: Program) -> set[tuple[str, ...]]:
    """What a program holds of that, and more."""
    network = program.network
    views = {op.output for op in network.ops if isinstance(op, Reshape)} | {network.input}
    others = network.outputs[1:]
    found: set[tuple[str, ...]] = {("output", network.tensors[name].dtype) for name in others}
    found |= {("output", "image" if name == network.input else "view") for name in others if name in views}
    for layer in program.layers:
        found.add((layer.kernel,))
        if isinstance(layer.op, RequantizedOp):
            form = (layer.op.requantize.kind, network.tensors[layer.op.output].dtype)
            found |= {form, (layer.op.kind, *form)}
    return found


def search(candidates: int = 1500) -> tuple[list[int], list[int]]:
    """`SEEDS` that cover what programs for size can have, and `FAST_SEEDS` for the rest."""
    missing = wanted() - met(noisy_program()) - set().union(*(met(coded_program(*one)) for one in CODED))
    slow = _search(candidates, "size", missing)
    return slow, _search(candidates, "speed", missing)


def _search(candidates: int, optimize: Optimization, missing: set[tuple[str, ...]]) -> list[int]:
    """Seeds that add to what is covered; the one that adds most comes next. What they cover leaves `missing`.

    Raises:
        SystemExit: programs for speed leave something missing.
    """
    have = {seed: met(plan_network(random_network(seed, LAYERS), optimize=optimize)) for seed in range(candidates)}
    chosen: list[int] = []
    while missing:
        seed = max(have, key=lambda seed: len(have[seed] & missing))
        if not have[seed] & missing:
            if optimize == "size":
                break
            raise SystemExit(f"no network among {candidates} has {sorted(missing)}")
        chosen.append(seed)
        missing -= have[seed]
    return chosen


if __name__ == "__main__":
    print(search())
