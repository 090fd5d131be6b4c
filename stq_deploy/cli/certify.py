"""`stq-deploy certify`: proofs about the integer network, sample by sample."""

from __future__ import annotations

import json
from pathlib import Path

import click

from stq_deploy.cli._conversion import ConversionOptions, conversion_options
from stq_deploy.cli._names import DATA_SET, MODEL
from stq_deploy.cli._outcome import interruptible
from stq_deploy.cli._output import force_option

FORMAT = "stq-certificate"


@click.command(context_settings={"show_default": True})
@click.argument("model", type=MODEL)
@click.option(
    "--family", "families", multiple=True, metavar="NAME[:N]",
    help="brightness:N, shift:N, mirror, contrast:N, pixel:extremes, pixel:any, or two joined by +: every member is "
    "run; linf:N: bounded. May be given several times.",
)  # fmt: skip
@click.option(
    "--smoothing", "sigmas", multiple=True, type=float, metavar="SIGMA",
    help="Certify the network smoothed by Gaussian noise of SIGMA gray levels: class and L2 radius. "
    "May be given several times.",
)  # fmt: skip
@click.option("--draws", type=int, default=1000, help="Noisy pictures for each sample.")
@click.option("--confidence", type=float, default=0.999, help="Confidence in each sample's class and radius.")
@click.option("--seed", type=int, default=0, help="Seed of the noise.")
@click.option("--dataset", type=DATA_SET, help="Test samples of this data set.  [default: cifar10, without --samples]")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="File or folder of the data set.  [default: $STQ_DEPLOY_DATA, else the public source]",
)
@click.option("--samples", type=click.Path(path_type=Path), help="Samples of this file (.npz).")
@click.option("--limit", type=click.IntRange(min=1), default=100, help="Only N samples.")
@click.option("--executor", type=click.Choice(["host", "numpy"]), default="host", help="The generated C, or NumPy.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Write the certificate here (.json).")
@force_option
@conversion_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, all else on stderr.")
def certify(
    model: str,
    families: tuple[str, ...],
    sigmas: tuple[float, ...],
    draws: int,
    confidence: float,
    seed: int,
    dataset: str | None,
    data: Path | None,
    samples: Path | None,
    limit: int,
    executor: str,
    out: Path | None,
    force: bool,
    conversion: ConversionOptions,
    as_json: bool,
) -> None:
    """Prove, for each sample, that MODEL's integer network classifies every picture of a family right.

    Every member of a finite family is run: this is a proof, not an attack. Interval bounds prove linf:N; a sample that
    they do not prove stays undecided. All of it holds for the board, whose bytes are equal (`stq-deploy verify`).
    --smoothing certifies the network under noise, with a confidence.
    """
    import numpy as np

    from stq_deploy import __version__
    from stq_deploy.api.network import open_network
    from stq_deploy.cli._samples import chosen_samples
    from stq_deploy.cli._screen import print_json, progress_bars, result_console
    from stq_deploy.common.errors import StqError
    from stq_deploy.common.files import check_output, is_record, write_whole
    from stq_deploy.evaluation.certificates.certify import Certifier, Questions
    from stq_deploy.evaluation.certificates.smoothing import Settings
    from stq_deploy.evaluation.task import scoring_of
    from stq_deploy.pipeline import Pipeline

    if out is not None:
        check_output(out, what="a certificate", recognize=lambda path: is_record(path, FORMAT), force=force)
    if not families and not sigmas:
        raise StqError("what is to be certified?", next="give --family brightness:8, say, or --smoothing 12.75")
    if not sigmas and (draws, confidence, seed) != (1000, 0.999, 0):
        raise StqError(
            "--draws, --confidence and --seed apply to randomized smoothing, and there is none",
            next="add --smoothing SIGMA, or leave them out",
        )
    questions = Questions.parse(families, [Settings(sigma, draws, confidence, seed) for sigma in sigmas])
    source, pictures = chosen_samples(dataset or (None if samples else "cifar10"), data, samples, limit)
    if pictures.x.dtype != np.uint8 or pictures.x.ndim != 4:
        raise StqError(
            "certificates need pictures of 8 bits, and these samples are not such pictures",
            where=source,
            next="store the samples as uint8 (N, H, W, C)",
        )
    with progress_bars() as progress:
        net = open_network(model, Pipeline(conversion.load(), progress=progress))
    network = net.network
    x, y = pictures.x.astype(np.uint8), pictures.classes()
    certifier = Certifier(net.program, scoring_of(network, pictures), x, y, executor, source)
    kept = "nothing was written; the same command starts again"
    with interruptible(kept), progress_bars() as progress, certifier:
        proved, smoothed = certifier.answer(questions, progress)
    record = {
        "format": FORMAT,
        "stq_deploy": __version__,
        "model": network.name,
        "model_hash": network.sha256(),
        "source": source,
        "source_indices": pictures.metadata.source_indices,
        "executor": executor,
        "families": [certificate.to_json() for certificate in proved],
        "smoothing": [certificate.to_json() for certificate in smoothed],
    }
    if out is not None:
        write_whole(out, json.dumps(record, indent=1) + "\n")
    if as_json:
        print_json(record)
        return
    console = result_console(as_json)
    for certificate in (*proved, *smoothed):
        console.print(str(certificate))
