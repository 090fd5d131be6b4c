"""Model cards as Markdown: what a shipped model is, how it was trained on what, and its accuracy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stq_deploy.common.intervals import wilson_interval
from stq_deploy.zoo.run_record import ModelFileRecord, RunSettings, ShippedRecord
from stq_deploy.zoo.schemes import get_scheme
from stq_deploy.zoo.shipped import PREFIX, ShippedModel


def model_card(model: ShippedModel) -> str:
    """The card of a shipped model, from its files alone."""
    record, config = model.record, model.record.config
    title = _scheme_title(config)
    source = record.dataset_source or config.data or "from its public source"
    lines = [
        f"# {PREFIX}{model.name}",
        "",
        f"The {network_text(config)} network, scheme {title}, trained on {config.dataset}.",
        "",
        "| | |",
        "|---|---|",
        f"| top-1 | {accuracy_text(record.model)} |",
        *_robustness(record),
        f"| parameters | {record.parameters:,} |",
        f"| bits a weight | {_bits(record)} |",
        f"| file | `{record.model.file}`, {record.model.bytes:,} bytes: {record.weights} |",
        f"| SHA-256 | `{record.model.sha256}` |",
        f"| data | {config.dataset}, {source} |",
        f"| classes | {', '.join(record.classes)} |",
        *(f"| {use.replace('_', ' ')} | SHA-256 `{of}` |" for use, of in (record.built_on_sha256 or {}).items()),
        f"| epochs | {len(record.history)}, {record.training_seconds / 3600:.1f} hours |",
        f"| seed | {config.seed} |",
        f"| commit | {record.git_commit or 'not recorded'} |",
        f"| versions | {', '.join(f'{name} {version}' for name, version in record.versions.items())} |",
        "",
        "## Quantizers",
        "",
        *(_quantizers(record.quantizers) or ["None: weights and activations are in floating point."]),
        "",
        "## Recipe",
        "",
        *(f"- {name.replace('_', ' ')}: {value}" for name, value in config.recipe.items() if value is not None),
        "",
        "The accuracy was measured on the test part once, after the last epoch; nothing was chosen by it.",
    ]
    return "\n".join(lines) + "\n"


def _scheme_title(config: RunSettings) -> str:
    layers = config.scheme_layers
    return get_scheme(config.scheme).title if layers is None else layers.title or config.scheme


COLUMNS = ("model", "network", "scheme", "data set", "top-1 on its test part", "bytes of the .keras")
"""Columns of the list of models."""


def table_row(model: ShippedModel) -> tuple[str, ...]:
    """A model's line in the list of them, by `COLUMNS`."""
    config = model.record.config
    title = _scheme_title(config)
    accuracy, size = accuracy_text(model.record.model), f"{model.record.model.bytes:,}"
    return PREFIX + model.name, network_text(config), title, config.dataset, accuracy, size


def plain_table(models: Iterable[ShippedModel]) -> str:
    """The list as plain text in columns, for docs/ZOO.md."""
    rows = [COLUMNS, *(table_row(model) for model in models)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines) + "\n"


def accuracy_text(file: ModelFileRecord) -> str:
    """Top-1 on the test part, with its interval."""
    low, high = file.wilson_95
    return f"{100 * file.test_accuracy:.2f} % of {file.test_samples:,} ({100 * low:.1f} .. {100 * high:.1f})"


def network_text(config: RunSettings) -> str:
    """The network that a run's settings name, with its variant where there are several."""
    return f"{config.network} ({config.variant})" if config.network == "stq" else config.network


def _robustness(record: ShippedRecord) -> list[str]:
    """What stands in the worst case of an attack by preset, and whether the network reaches what it was to reach."""
    found = record.robustness
    if found is None:
        return []
    samples = found.samples
    shares = {"clean": found.clean, **found.worst}
    counts = ", ".join(f"{budget}: {_share(right, samples)}" for budget, right in shares.items())
    lines = [f"| worst case, Linf, preset {found.preset}, {samples:,} samples | {counts} |"]
    for budget, percent in found.targets.items():
        right = record.model.test_accuracy if budget == "clean" else shares[budget] / samples
        met = "met" if 100 * right >= percent else "missed"
        lines.append(f"| target, {budget} | at least {percent:g} %: {met}, {100 * right:.1f} % |")
    return lines


def _share(right: int, samples: int) -> str:
    low, high = wilson_interval(right, samples)
    return f"{100 * right / samples:.1f} % ({100 * low:.0f} .. {100 * high:.0f})"


def _bits(record: ShippedRecord) -> str:
    bits = " and ".join(map(str, record.weight_bits or ()))
    return bits or "32, floating point; 8 where it is quantized after training"


def _quantizers(texts: Mapping[str, str | None]) -> list[str]:
    return [f"- {role.replace('_', ' ')}: `{text or 'none'}`" for role, text in texts.items()]
