"""Writes docs/SUPPORT.md, the list of what the import accepts, from handlers, the quantizers' table and refusals.

A handler takes every setting through its `LayerReader`. Here it gets a reader that answers each with an example and
records the question. So the document states what the code checks.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import Any

from stq_deploy.common.errors import StqError
from stq_deploy.frontend import source
from stq_deploy.frontend.formats.keras.described import described, words
from stq_deploy.frontend.formats.registry import FORMATS
from stq_deploy.frontend.integer_kernels import PACKED_WIDTHS
from stq_deploy.frontend.layers import handler_for, supported_kinds
from stq_deploy.frontend.layers.activation import ACTIVATION_LAYERS, FUNCTIONS, REFUSED_FUNCTIONS
from stq_deploy.frontend.layers.alternatives import ALTERNATIVES
from stq_deploy.frontend.layers.reader import POST_TRAINING
from stq_deploy.frontend.normal_form import LATER_PARAMETERS
from stq_deploy.frontend.quantizer_values import LARGEST_SPAN
from stq_deploy.frontend.quantizers import (
    ACTIVATION,
    CONSTANT,
    KERNEL,
    PARAMETERS,
    REASONS,
    Role,
    read_quantizer,
)

_WIDEST = 32
_INTRODUCTION = """\
# What is supported

Generated from the code by `tools/write_support`; a test holds the two equal.

A model file is read against an allow-list. A layer, a setting or a value that is not named here is one clear error,
which names the layer and the nearest alternative. `stq-deploy inspect MODEL` shows the same for each layer of a model.
Models may be Sequential or functional, nest others, branch, and have several outputs; they have one input. Data are in
the order `channels_last`. Variables are `float32`. Under the policies `mixed_float16` and `mixed_bfloat16`, Keras
computes with variables rounded to 16 bits; a network here computes with them as they are.

Files may be of Keras 2 of any version (.keras since 2.12), or of QKeras 0.9 or its repository since. They may also be
of Keras 3, QKeras v3, and HGQ2 on Keras 3 (`hgq>QDense`). A `quantized>Dense` is a Dense after Keras 3's
`model.quantize`. Settings are named as in Keras 2: `alpha` of LeakyReLU is Keras 3's `negative_slope`. In graphs of
Keras 3, `x + y`, `x - y` and `x * y` are layers. So are maximum, minimum, relu, relu6, sigmoid and tanh of `keras.ops`.
Flags are taken by their truth, as Keras takes them: `scale=1` is `scale=True`.

"Becomes" names the arithmetic steps that a layer is read as. A step is not an op of the network yet. Bias, batch
normalization and activations are folded into the op before them, and a reshape costs nothing.
"""
_FORMATS = """\
## Formats

A file's content decides its format, and not its name. Each format is read into the same steps: what becomes one of
them, by its name in that format. The settings and quantizers below are those of Keras's and QKeras's layers.
"""
_ACTIVATIONS = """\
## Activations

Without quantizing: {functions}.

`sigmoid`, `tanh` and `softmax` may end the model, and keep its classes' order. A function that rises is exact before a
quantizer, and so is every function of one int8 tensor. Elsewhere, as in a gate, functions give fixed-point numbers, and
`softmax` numbers of 15 bits, with a certified error. `hard_sigmoid` is Keras's in a layer of Keras, and QKeras's in one
of QKeras.

In place of a name there may be a layer without weights, such as `ReLU(6.0)`: {layers}.
"""
_QUANTIZERS = """\
## Quantizers

Weights are packed to {widths} bits, the fewest that hold every level. Of powers of two the largest may
be 2**{span} times the smallest. A stochastic quantizer is at inference what its namesake is.

The most bits for: {roles}.
"""


def _is_step(found: Any) -> bool:
    return (
        isinstance(found, type)
        and issubclass(found, source.Node)
        and found.__name__.endswith("Node")
        and (found not in (source.Node, source.CombineNode))
    )


def support_document() -> str:
    """docs/SUPPORT.md."""
    return "\n".join(
        [_INTRODUCTION, *_formats(), *_layers(), *_refused_layers(), *_activations(), *_quantizers(), *_others()]
    )


# Layers


def _formats() -> Iterator[str]:
    """A row for each step, and a column for each format."""
    yield _FORMATS
    columns = [column for format in FORMATS for column in format.columns()]
    rows = []
    for step in _STEPS:
        named = [", ".join(column.operators.get(step, ())) or "-" for column in columns]
        if any(name != "-" for name in named):
            rows.append((words(step), *named))
    yield from _table(("step", *(column.title for column in columns)), rows)


def _others() -> Iterator[str]:
    """Tables of the formats other than Keras's."""
    for format in FORMATS:
        accepted, refused = format.accepted(), format.refused()
        if accepted:
            yield f"## Operators of {accepted[0].title}\n"
            rows = [(", ".join(f"`{name}`" for name in row.names), " ".join(row.accepted.split())) for row in accepted]
            yield from _table(("operator", "accepted"), rows)
        if refused:
            yield "Refused with a reason; every other operator is refused as unknown.\n"
            yield from _table(
                ("operator", "because", "instead"),
                [(", ".join(f"`{name}`" for name in row.names), row.reason, row.instead) for row in refused],
            )


_STEPS = tuple(node.__name__.removesuffix("Node") for node in vars(source).values() if _is_step(node))


def _layers() -> Iterator[str]:
    yield "## Layers\n"
    families: dict[Any, list[str]] = {}
    for kind in supported_kinds():
        families.setdefault(handler_for(kind, kind), []).append(kind)
    for handler, kinds in sorted(families.items(), key=lambda item: (item[0].__module__, item[1])):
        layers = {kind: described(kind) for kind in kinds}
        yield f"### {', '.join(kinds)}\n"
        if handler.__doc__:
            yield inspect.cleandoc(handler.__doc__) + "\n"
        yield f"Becomes: {_by_kind({kind: layer.becomes for kind, layer in layers.items()})}.\n"
        unquantized = [kind for kind, layer in layers.items() if layer.unquantized]
        if unquantized:
            yield f"{', '.join(unquantized)}: floating-point weights; {POST_TRAINING}.\n"
        keys = dict.fromkeys(key for layer in layers.values() for key in layer.settings)
        keys.pop("dtype")
        rows = [
            (f"`{key}`", _by_kind({kind: layer.settings.get(key) for kind, layer in layers.items()})) for key in keys
        ]
        if rows:
            yield from _table(("setting", "values"), rows)


def _by_kind(values: dict[str, str | None]) -> str:
    """The value that all layers of a family share, or each value with its layers."""
    kinds: dict[str, list[str]] = {}
    for kind, value in values.items():
        if value is not None:
            kinds.setdefault(value, []).append(kind)
    if len(kinds) == 1 and None not in values.values():
        return next(iter(kinds))
    return "; ".join(f"{value} ({_name(of, list(values))})" for value, of in kinds.items())


def _name(some: list[str], family: list[str]) -> str:
    """A name for some layers of a family by what they have in common, or their names."""
    common = {
        "1-D": [kind for kind in family if kind.endswith("1D")],
        "2-D": [kind for kind in family if not kind.endswith("1D")],
        "QKeras": [kind for kind in family if kind.startswith("Q")],
        "Batchnorm": [kind for kind in family if kind.endswith("Batchnorm")],
    }
    return next((name for name, kinds in common.items() if kinds == some != family), ", ".join(some))


def _refused_layers() -> Iterator[str]:
    yield "## Layers that are not supported\n"
    kinds: dict[tuple[str, str], list[str]] = {}
    for kind, reason in ALTERNATIVES.items():
        kinds.setdefault(reason, []).append(kind)
    rows = [(", ".join(of), reason, instead) for (reason, instead), of in kinds.items()]
    yield from _table(("layer", "because", "instead"), rows)


# Activations and quantizers


def _activations() -> Iterator[str]:
    yield _ACTIVATIONS.format(
        functions=", ".join(f"`{name}`" for name in sorted(FUNCTIONS)),
        layers=", ".join(f"`{name}`" for name in sorted(ACTIVATION_LAYERS)),
    )
    yield from _table(("not supported", "instead"), [(f"`{name}`", use) for name, use in REFUSED_FUNCTIONS.items()])


def _quantizers() -> Iterator[str]:
    roles = (KERNEL, CONSTANT, ACTIVATION)
    numbered = "; ".join(f"({i}) {role.what}" for i, role in enumerate(roles, 1))
    yield _QUANTIZERS.format(widths=", ".join(map(str, PACKED_WIDTHS)), span=LARGEST_SPAN, roles=numbered)
    rows = []
    for name, parameters in PARAMETERS.items():
        for variant in ("", *(key for key in _VARIANTS if key in parameters)):
            bits = [_most_bits(name, variant, role) for role in roles]
            if variant == "" or bits != [_most_bits(name, "", role) for role in roles]:
                rows.append((f"`{name}`" + (f" with `{variant}={_VARIANTS[variant]}`" if variant else ""), *bits))
    yield from _table(("quantizer", "(1)", "(2)", "(3)"), rows)
    for name, parameters in PARAMETERS.items():
        yield f"### {name}\n"
        rows = [(f"`{key}`", f"`{default!r}`", values.shown) for key, (default, values) in parameters.items()]
        rows += [(f"`{key}`", f"`{value!r}`", repr(value)) for key, value in LATER_PARAMETERS.get(name, {}).items()]
        yield from _table(("parameter", "default", "values"), rows)
    yield "## Quantizers that are not supported\n"
    refused = [
        (name, [role.what for role in roles if name not in role.quantizers], why) for name, why in REASONS.items()
    ]
    rows = [(f"`{name}`", "; ".join(of) if len(of) < len(roles) else "anything", why) for name, of, why in refused]
    yield from _table(("quantizer", "for", "because"), rows)


_VARIANTS = {"negative_slope": 0.5, "use_sigmoid": 1, "use_real_sigmoid": 1, "use_real_tanh": 1, "keep_negative": False}
"""Parameters on which the number of bits depends."""


def _most_bits(name: str, variant: str, role: Role) -> str:
    """The largest `bits` that the role accepts; "yes" for a quantizer without bits."""
    other = {variant: _VARIANTS[variant]} if variant else {}
    if "bits" not in PARAMETERS[name]:
        return "yes" if _accepts(name, other, role) else "-"
    return next((str(n) for n in range(_WIDEST, 0, -1) if _accepts(name, {"bits": n} | other, role)), "-")


def _accepts(name: str, config: dict[str, Any], role: Role) -> bool:
    try:
        read_quantizer({"class_name": name, "config": config}, role)
    except StqError:
        return False
    return True


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """A Markdown table, and an empty line."""
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""
