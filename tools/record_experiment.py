"""Record finished training runs in docs/experiments/records.json, and write the tables of docs/experiments anew.

    python tools/record_experiment.py RUN... [--group "What was asked"]

RUN is the --out folder of `stq-deploy train`; its name is the experiment's. Without RUN the table is written anew.
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import click

from stq_deploy.common.files import write_whole
from stq_deploy.research.training.recipe import Recipe
from stq_deploy.research.training.result import HISTORY_FILE, RESULT_FILE

EXPERIMENTS = Path(__file__).resolve().parent.parent / "docs" / "experiments"
RECORDS = EXPERIMENTS / "records.json"
PAGE = EXPERIMENTS / "2026-11-stq.md"
ATTACKED = {
    "noisy_accuracy": "validation, noisy",
    "robust_accuracy": "validation, attacked",
    "certified_accuracy": "validation, proved",
}
"""Accuracies that only some recipes have measured, and their columns' heads."""
BEGIN, END = "<!-- experiments: written by tools/record_experiment.py -->", "<!-- end of experiments -->"


def read_run(run: Path, group: str) -> dict[str, Any]:
    """What is kept of a run."""
    result = json.loads((run / RESULT_FILE).read_text(encoding="utf-8"))
    last = json.loads((run / HISTORY_FILE).read_text(encoding="utf-8").splitlines()[-1])
    config = result["config"]
    defaults = Recipe().entries()
    attacked = {key: last[key] for key in ATTACKED if key in last}
    return {
        "group": group,
        "name": run.name,
        "network": f"{config['network']}/{config['variant']}",
        "scheme": config["scheme"],
        "dataset": config["dataset"],
        "seed": config["seed"],
        "recipe": {key: value for key, value in config["recipe"].items() if value != defaults.get(key)},
        "train_samples": result["train_samples"],
        "epochs": result["epochs_done"],
        "train_accuracy": last["train_accuracy"],
        "validation_accuracy": last["validation_accuracy"],
        "test_accuracy": result["test_accuracy"],
        "test_samples": result["test_samples"],
        **attacked,
        "seconds": result["training_seconds"],
        "commit": result["git_commit"],
    }


def table(records: list[dict[str, Any]]) -> str:
    """Markdown: a table a group, in the order of the records."""
    lines = []
    for group in dict.fromkeys(record["group"] for record in records):
        members = [record for record in records if record["group"] == group]
        common = set.intersection(*(set(_entries(record)) for record in members))
        shared = [entry.strip("`") for entry in sorted(common)] or ["nothing"]
        lines += [f"**{group}** Common to all:", "", "```", *textwrap.wrap(", ".join(shared), 110), "```", ""]
        attacked = [key for key in ATTACKED if any(key in record for record in members)]
        heads = ["run", "scheme", "what differs", "train", "validation", *(ATTACKED[key] for key in attacked), "test"]
        lines += [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
        for record in members:
            own = ", ".join(sorted(set(_entries(record)) - common)) or "-"
            shares = " | ".join(
                "-" if record.get(key) is None else f"{100 * record[key]:.1f} %"
                for key in ("train_accuracy", "validation_accuracy", *attacked, "test_accuracy")
            )
            lines.append(f"| {record['name']} | {record['scheme']} | {own} | {shares} |")
        lines.append("")
    return "\n".join(lines)


def _entries(record: dict[str, Any]) -> list[str]:
    recipe = {key: value for key, value in record["recipe"].items() if key not in ("title", "epochs", "train_limit")}
    facts = {key: record[key] for key in ("network", "dataset", "train_samples", "test_samples", "epochs")}
    return [f"`{key}={value}`" for key, value in (facts | recipe).items()]


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--group", default="Trials.", show_default=True, help="What the runs were to show.")
def main(runs: tuple[Path, ...], group: str) -> None:
    """Add RUNS to the records, and write the table."""
    records = json.loads(RECORDS.read_text(encoding="utf-8")) if RECORDS.exists() else []
    new = [read_run(run, group) for run in runs]
    replaced = {(record["group"], record["name"]) for record in new}
    records = [record for record in records if (record["group"], record["name"]) not in replaced] + new
    write_whole(RECORDS, json.dumps(records, indent=1) + "\n")
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    write_whole(PAGE, f"{before}{BEGIN}\n\n{table(records)}\n{END}{after}")


if __name__ == "__main__":
    main()
