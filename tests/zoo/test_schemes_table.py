"""docs/DESIGN.md's table of schemes holds what `tools/build_schemes` last wrote."""

from __future__ import annotations

import json
from pathlib import Path

from stq_deploy.zoo.schemes import SCHEMES

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_table_is_that_of_the_figures() -> None:
    figures = json.loads((DOCS / "figures" / "schemes.json").read_text(encoding="utf-8"))["rows"]
    rows = {(row["variant"], row["scheme"]): row for row in figures}
    assert {scheme for _, scheme in rows} == set(SCHEMES)
    _, _, section = (DOCS / "DESIGN.md").read_text(encoding="utf-8").partition("## The schemes of Table III")
    for scheme in SCHEMES:
        pooled, strided = rows["pooled", scheme], rows["strided", scheme]
        assert pooled["differing_layers"] == strided["differing_layers"] == 0
        both = [f"{pooled[key]:,} ({strided[key]:,})" for key in ("linked_bytes", "arena_bytes", "layers")]
        bits = " and ".join(map(str, pooled["weight_bits"]))
        sizes = [f"{pooled[key]:,}" for key in ("qstats_bytes", "packed_bytes")]
        cells = [bits, *sizes, *both[:2], f"{pooled['scratch_bytes']:,}", both[2]]
        assert f" | {' | '.join(cells)} |\n" in section, scheme
