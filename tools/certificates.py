"""Certifies shipped networks on test samples, and writes the results as docs/CERTIFICATES.md.

Every quantized network for pictures of 8 bits takes part. Each certificate is written as soon as it is
finished, so an interrupted run loses at most one. The same command continues from there.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import jinja2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stq_deploy.common.errors import StqError
from stq_deploy.common.files import write_whole
from stq_deploy.common.intervals import wilson_interval
from stq_deploy.datasets.samples import samples_of_dataset
from stq_deploy.evaluation.certificates.certify import Certifier, Claim, Questions
from stq_deploy.evaluation.certificates.families import parse_family
from stq_deploy.evaluation.certificates.nearby import Nearby
from stq_deploy.evaluation.certificates.smoothing import Settings
from stq_deploy.evaluation.task import scoring_of
from stq_deploy.executors.open_executor import open_executor
from stq_deploy.network import Network
from stq_deploy.network.input_format import quantize_input
from stq_deploy.pipeline import convert_model
from stq_deploy.program import plan_network
from stq_deploy.zoo.shipped import ShippedModel, shipped_models

DOCS = Path(__file__).resolve().parent.parent / "docs"
FIGURES = DOCS / "figures" / "certificates.json"
PAGE = DOCS / "CERTIFICATES.md"
TEMPLATE = Path(__file__).with_name("certificates.md.jinja")
FAMILIES = ("mirror", "brightness:8", "contrast:10", "shift:2", "pixel:extremes", "linf:0", "linf:1")
COSTS = 256
"""Number of pictures on which the cost of a certificate is measured."""


@click.command()
@click.option("--network", "names", multiple=True, help="Only this shipped network; several times.")
@click.option("--samples", type=int, default=64, show_default=True)
@click.option("--smoothed", type=int, default=16, show_default=True, help="Samples for randomized smoothing; 0: none.")
@click.option("--sigma", "sigmas", type=float, multiple=True, default=(2.55, 12.75), show_default=True)
@click.option("--draws", type=int, default=500, show_default=True)
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the data sets.")
@click.option("--page", "page_only", is_flag=True, help="Only write the page of the figures that are there.")
def main(
    names: tuple[str, ...], samples: int, smoothed: int, sigmas: tuple[float, ...], draws: int, data: Path | None,
    page_only: bool,
) -> None:  # fmt: skip
    """Certify the shipped networks, and write docs/figures/certificates.json and docs/CERTIFICATES.md."""
    rows: dict[str, Any] = json.loads(FIGURES.read_text())["networks"] if FIGURES.exists() else {}
    for name, model in () if page_only else shipped_models().items():
        if model.record.network_sha256 is None or (names and name not in names):
            continue
        try:
            settings = [Settings(sigma, draws) for sigma in sigmas] if smoothed else []
            for row in certified(model, samples, smoothed, settings, data, rows.get(name, {})):
                rows[name] = row
                write_whole(FIGURES, _json(rows))
        except StqError as error:
            click.echo(f"{name}: left out, {error}", err=True)
    write_whole(PAGE, page())


def certified(
    model: ShippedModel,
    samples: int,
    smoothed: int,
    settings: list[Settings],
    data: Path | None,
    former: dict[str, Any],
) -> Iterator[dict[str, Any]]:
    """One network's row, after each certificate; nothing for a network that does not take pictures of 8 bits.

    Certificates of a former run stay, if network and samples are the same.
    """
    network, dataset = convert_model(model.keras), model.record.config.dataset
    program, pictures = plan_network(network), samples_of_dataset(dataset, data, samples)
    if pictures.x.dtype != np.uint8 or pictures.x.ndim != 4:
        return
    scoring, x, y = scoring_of(network, pictures), pictures.x.astype(np.uint8), pictures.classes()
    facts = {"dataset": dataset, "model_hash": network.sha256(), "samples": len(x)}
    same = all(former.get(key) == value for key, value in facts.items())
    row: dict[str, Any] = {
        **facts,
        "source_indices": list(pictures.metadata.source_indices or ()),
        "families": former["families"] if same else [],
        "smoothing": former["smoothing"] if same else [],
        "milliseconds_a_picture": former["milliseconds_a_picture"] if same else costs(network, x[0]),
    }
    done = {one["family"] for one in row["families"]}
    with Certifier(program, scoring, x, y) as certifier:
        for text in FAMILIES:
            if text not in done:
                (claim, seconds) = _timed(lambda text=text: certifier.answer(Questions.parse([text]))[0][0], model.name)  # type: ignore[misc]
                row["families"].append(_compact(claim, seconds))
                yield row
    noises = {(one["sigma"], one["draws"], one["certified"]["total"]) for one in row["smoothing"]}
    with Certifier(program, scoring, x[:smoothed], y[:smoothed]) as certifier:
        for one in settings:
            if (one.sigma, one.draws, len(x[:smoothed])) not in noises:
                (claim, seconds) = _timed(lambda one=one: certifier.answer(Questions({}, (one,)))[1][0], model.name)  # type: ignore[misc]
                kept = [former for former in row["smoothing"] if former["sigma"] != one.sigma]
                row["smoothing"] = [*kept, _compact(claim, seconds)]
                yield row


def _timed(answer: Callable[[], Claim], name: str) -> tuple[Claim, float]:
    begun = time.process_time()
    claim = answer()
    seconds = time.process_time() - begun
    click.echo(f"{name}: {claim} ({seconds:.1f} CPU-seconds)", err=True)
    return claim, seconds


def _compact(claim: Claim, seconds: float) -> dict[str, Any]:
    """The certificate with one character or number a sample."""
    found = claim.to_json()
    samples = found.pop("samples")
    if "radius" in samples[0]:
        found["radii"] = [round(one["radius"], 3) if one["certified"] == one["label"] else 0 for one in samples]
    else:
        found["by_sample"] = "".join(str(int(one["proved"])) for one in samples)
    return {**found, "cpu_seconds": round(seconds, 2)}


def _json(rows: dict[str, Any]) -> str:
    """A line for each certificate: a change shows where it is."""

    def field(key: str, value: Any) -> str:
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return f"{json.dumps(key)}: [\n    " + ",\n    ".join(map(json.dumps, value)) + "\n   ]"
        return f"{json.dumps(key)}: {json.dumps(value)}"

    networks = [
        f"  {json.dumps(name)}: {{\n   " + ",\n   ".join(field(*item) for item in row.items()) + "\n  }"
        for name, row in sorted(rows.items())
    ]
    return '{\n "networks": {\n' + ",\n".join(networks) + "\n }\n}\n"


def costs(network: Network, picture: Any) -> dict[str, float]:
    """CPU-milliseconds for one member of pixel:extremes: incrementally, and whole by NumPy and the host's C."""
    members = [changed for _, changed in parse_family("pixel:extremes").members(picture)]
    chosen = np.random.default_rng(0).choice(len(members), COSTS, replace=False)
    levels = quantize_input(np.stack([members[i] for i in chosen]), network.input_format)
    nearby = Nearby(network)
    found, results = {}, []

    def measure(name: str, run: Callable[[Any], Any]) -> None:
        begun = time.process_time()
        results.append(run(levels))
        found[name] = round(1000 * (time.process_time() - begun) / COSTS, 3)

    clean = quantize_input(picture[None], network.input_format)[0]
    measure("incremental", lambda batch: nearby.to(clean).logits(batch))
    for name, executor in (("numpy", "numpy"), ("host C", "host-cortex-m7")):
        with open_executor(executor, plan_network(network)) as opened:
            opened.run(levels[:1])
            measure(name, lambda batch, opened=opened: opened.run(batch)[0].reshape(len(batch), -1))
    assert all(np.array_equal(result, results[0]) for result in results), "the three differ"
    return found


def page() -> str:
    """docs/CERTIFICATES.md, of the figures."""
    environment = jinja2.Environment(  # Markdown, not HTML  # noqa: S701
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    environment.filters["share"] = _share
    environment.filters["of"] = lambda family, row: next((f for f in row["families"] if f["family"] == family), None)
    figures = json.loads(FIGURES.read_text())
    text = environment.from_string(TEMPLATE.read_text()).render(networks=figures["networks"], families=FAMILIES)
    return "\n".join(line.rstrip() for line in text.split("\n"))


def _share(counted: dict[str, Any]) -> str:
    low, high = wilson_interval(counted["correct"], counted["total"])
    return f"{counted['correct']} of {counted['total']} ({100 * low:.0f}..{100 * high:.0f} %)"


if __name__ == "__main__":
    try:
        main()
    except StqError as error:
        sys.exit(str(error))
