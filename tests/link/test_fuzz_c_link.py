"""Half a minute of libFuzzer on the board's side of the link; `tools/fuzz_c_link` takes ten."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stq_deploy.common.resources import firmware_templates
from tools.fuzz_c_link import VARIANTS, build, first_inputs, fuzz, why_not

SECONDS = 10
"""For each variant."""


@pytest.fixture(scope="module", autouse=True)
def _needs_libfuzzer() -> None:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)


@pytest.mark.parametrize("variant", VARIANTS)
def test_nothing_a_host_sends_breaks_the_server(variant: str, tmp_path: Path) -> None:
    outcome = fuzz(build(tmp_path, VARIANTS[variant]), tmp_path, seconds=SECONDS, seed=1)
    assert outcome.finding == ""
    assert outcome.executions > len(first_inputs())


@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("stq_cobs.c", "if (decoder->length < decoder->capacity) {", "if (decoder->length < 2000) {"),
        ("stq_requests.c", "answer->length = 4u * count;", "answer->length = 4u * count + 1u;"),
    ],
)
def test_it_can_fail(tmp_path: Path, file: str, right: str, wrong: str) -> None:
    """A planted overrun is found by the sanitizer, a planted wrong length by what the target requires."""
    link = tmp_path / "link"
    shutil.copytree(firmware_templates() / "link", link)
    source = link / file
    assert source.read_text().count(right) == 1
    source.write_text(source.read_text().replace(right, wrong))
    program = build(tmp_path, VARIANTS["64 bytes of input, inline"], link=link)
    assert fuzz(program, tmp_path, seconds=60, seed=1).finding
