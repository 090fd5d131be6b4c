"""The report says what was measured, and prints untrusted text as text."""

import base64
import dataclasses
import io
import re
import subprocess
import sys

import numpy as np
import pytest

from stq_deploy.datasets.sample_metadata import SampleMetadata
from stq_deploy.datasets.samples import SampleSet
from stq_deploy.evaluation.summary import Comparison, LayerCost, RunSummary
from stq_deploy.network.output import Task
from stq_deploy.program import Arena, ArenaTensor
from stq_deploy.report.memory_page import render_memory_page
from stq_deploy.report.page import render_report
from stq_deploy.toolchain.built import BuiltFirmware
from stq_deploy.toolchain.parts import Part
from stq_deploy.toolchain.placement import Placed
from tests.helpers.firmwares import firmware, memory, small_program
from tests.helpers.scorings import scoring

EVIL = "</td><script>alert(1)</script>"
PLACED = (
    Placed(Part("arena", "activations", 4000, 100_000), "axi", "may go to axi"),
    Placed(Part("kernels", EVIL, 300, 5_000_000), "itcm", "may go to itcm, flash"),
    Placed(Part("kernels", "stq_run", 20, 5_000_000), "itcm", "may go to itcm, flash"),
    Placed(Part("weights", EVIL, 1200, 2400), "flash", EVIL),
)
MEMORIES = (
    memory("axi", 10, 100, {".text": 10}),
    memory("sram4", 0, 50),
    memory("flash", 123_456, 200_000, kind="flash"),
)


def _firmware() -> BuiltFirmware:
    """One layer of an evil name, whose arena is 4,000 bytes, at least 3,000 and 2,000, and scratch 128 bytes."""
    program = small_program(EVIL)
    layers = tuple(dataclasses.replace(layer, scratch_bytes=128) for layer in program.layers)
    (x, _) = program.arena.tensors
    arena = Arena(4000, 3000, 2000, (x, ArenaTensor(EVIL, 0, 4000, -1, 1)))
    program = dataclasses.replace(program, layers=layers, arena=arena)
    return firmware(program, board="stm32h743", placed=PLACED, memories=MEMORIES)


LABELS = np.array([0, 1, 2, 1], np.int64)
LOGITS = np.array([[9, 0, 0], [0, 9, 0], [0, 0, 9], [9, 1, 0]], np.int32)


def _comparison(metadata: dict, board: np.ndarray = LOGITS) -> Comparison:
    samples = SampleSet(np.zeros((4, 2, 2, 1), np.uint8), LABELS, SampleMetadata.from_json(metadata))
    return Comparison(samples, f"{EVIL}.npz", board, LOGITS, scoring((3,)), np.array([0, 1, 2, 1]))


def _summary(*comparisons: Comparison) -> RunSummary:
    return RunSummary(
        firmware=_firmware(),
        emulated=True,
        model=EVIL,
        comparisons=comparisons,
        layers=(LayerCost(EVIL, "convolve", 1000, 2500), LayerCost("fc", "dense", 10, 50)),
        samples_run=8,
        seconds=2.0,
    )


FGSM = {
    "attack": {
        "name": "fgsm",
        "settings": {"eps": 8 / 255, "norm": EVIL},
        "threat_model": f"untargeted {EVIL}",
        "largest_change": {"inf": 0.0314},
    },
    "class_names": [EVIL, "b", "c"],
    "seed": 7,
    "versions": {"numpy": "2.0"},
    "float_model": {"predictions": [0, 1, 2, 1], "correct": {"clean": 4, "after_input_quantisation": 3}},
}


def test_numbers_threat_model_and_honesty() -> None:
    page = render_report(_summary(_comparison({"attack": {"name": "clean"}}), _comparison(FGSM)))
    text = re.sub(r"\s+", " ", page)
    for expected in (
        "FGSM", "75.0 % [30.1, 95.4]", "100.0 % [51.0, 100.0]",
        "an upper bound on robustness, not a guarantee", "straight-through", "eps 0.0313725", "<th>Seed</th><td>7</td>",
        "numpy 2.0", "float model, before the attack</td><td class=\"n\">4</td><td class=\"n\">4<", "123,456 bytes",
        "none: the samples are not attacked", "the emulator of stm32h743 on this computer, not the board",
        'Stack, worst case</th><td class="n">not known', "2,550", "4.00",
        "Every logit of all 8 samples equals",
    ):  # fmt: skip
        assert expected in text, expected


@pytest.mark.parametrize("page", ["run", "build"])
def test_memory_is_told_with_reasons_and_drawn(page: str) -> None:
    run = render_report(_summary(_comparison(FGSM)))
    build = render_memory_page(_firmware(), title=EVIL)
    text = re.sub(r"\s+", " ", {"run": run, "build": build}[page])
    for expected in (
        '<td>activations</td><td class="n">4,000</td><td class="n">100,000</td><td class="n">25.0</td> <td>axi</td>',
        '<td>2 functions that an inference runs</td><td class="n">320</td><td class="n"></td><td class="n"></td>',
        "<td>constants of &lt;/td&gt;", '<td class="n">2.0</td>', "scratch memory, of up to 128 bytes",
        "10 of 100 bytes (10.0 %)", "0 of 50 bytes (0.0 %)", 'aria-label="Memory by region"', 'aria-label="The arena,',
        "4,000 bytes; at least 3,000 with the layers in this order, 2,000 in any", "cd" * 16,
    ):  # fmt: skip
        assert expected in text, expected
    assert "<script" not in text
    assert not re.search(r"src\s*=(?!\"data:image/png;base64,)|href\s*=\s*.(?!#)|url\(|@import", text)


def test_untrusted_text_is_escaped_and_nothing_is_fetched() -> None:
    page = render_report(_summary(_comparison(FGSM)))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"src\s*=(?!\"data:image/png;base64,)|href\s*=\s*.(?!#)|url\(|@import", page)


@pytest.mark.parametrize("metadata", [{}, {"attack": "x", "versions": 3, "seed": [EVIL], "class_names": "abc"}])
def test_metadata_of_another_make(metadata: dict) -> None:
    page = render_report(_summary(_comparison(metadata)))
    assert "unknown" not in page
    assert "<td>script&gt;</td>" in page  # the file's name without folder and ending
    assert "not stated" in page


def test_a_difference_leads() -> None:
    board = LOGITS.copy()
    board[2, 0] += 1
    summary = _summary(_comparison(FGSM, board))
    assert not summary.agrees
    page = render_report(summary)
    assert "logits differ from the integer reference" in page
    assert "Every logit" not in page


def test_same_summary_same_page() -> None:
    assert render_report(_summary(_comparison(FGSM))) == render_report(_summary(_comparison(FGSM)))


def test_what_was_not_measured_is_not_invented() -> None:
    summary = _summary(_comparison(FGSM))
    unmeasured = dataclasses.replace(
        summary, emulated=False, layers=(LayerCost("a", "dense", 10, None),), samples_run=0
    )
    page = render_report(unmeasured)
    assert 'Cycles per inference</th><td class="n">not measured' in page
    assert "Multiply-accumulates" in page
    assert ">Cycles<" not in page
    assert 'on the stm32h743, over the link</span></th><td class="n">not measured' in page


def test_no_plotting_library_before_there_is_a_page_to_write() -> None:
    code = "import sys, stq_deploy.report.write; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"


def _pictures_of(page: str, heading: str) -> list[tuple[str, str]]:
    """(caption, image) of the samples shown under a heading."""
    section = page.split(f"<h4>{heading}</h4>")[1].split("</div>", maxsplit=1)[0]
    return re.findall(r'<img src="data:image/png;base64,([^"]+)"[^>]*><figcaption>([^<]+)<br>', section)


def test_right_and_wrong_pictures_are_shown() -> None:
    page = render_report(_summary(_comparison(FGSM)))
    right, wrong = _pictures_of(page, "Right on the board"), _pictures_of(page, "Wrong on the board")
    assert [caption for _, caption in right] == ["&lt;/td&gt;&lt;script&gt;alert(1)&lt;/s", "b", "c"]
    assert [caption for _, caption in wrong] == ["b, taken for &lt;/td&gt;&lt;script&gt;alert(1)&lt;/s"]
    assert "<script" not in page


@pytest.mark.parametrize("shape", [(2, 3, 1), (4, 2, 3), (200, 100, 1)])
@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_a_picture_in_the_page_has_the_samples_values(shape: tuple[int, ...], kind: str) -> None:
    from matplotlib.image import imread

    pixels = np.random.default_rng(3).integers(0, 256, (1, *shape)).astype(np.uint8)
    x = pixels if kind == "uint8" else (pixels / np.float32(255)).astype(np.float32)
    comparison = Comparison(SampleSet(x), "own.npz", LOGITS[:1], LOGITS[:1], scoring((3,)), None)
    ((image, caption),) = _pictures_of(render_report(_summary(comparison)), "The first samples")
    drawn = np.rint(imread(io.BytesIO(base64.b64decode(image))) * 255)[..., :3]
    factor = drawn.shape[0] // shape[0]
    assert factor * max(shape[:2]) >= 96
    assert np.array_equal(drawn[::factor, ::factor], np.broadcast_to(pixels[0], (*shape[:2], 3)))
    assert caption == "0"


@pytest.mark.parametrize(
    ("x", "metadata"),
    [
        (np.zeros((4, 5), np.float32), {"range": [0, 1]}),
        (np.zeros((4, 2, 2, 1), np.float32), {"range": [-1, 1]}),
        (np.zeros((4, 2, 2, 2), np.uint8), {}),
        (np.zeros((4, 600, 2, 1), np.uint8), {}),
    ],
    ids=["features", "features of three axes", "two channels", "large"],
)
def test_what_is_no_picture_is_not_drawn(x: np.ndarray, metadata: dict) -> None:
    comparison = Comparison(
        SampleSet(x, LABELS, SampleMetadata.from_json(metadata)), "own.npz", LOGITS, LOGITS, scoring((3,)), None
    )
    assert "data:image" not in render_report(_summary(comparison))


def test_numbers_are_not_called_classes() -> None:
    """A regression has no top-1, no interval, and nothing that is said of attacks."""
    samples = SampleSet(np.zeros((4, 2, 2, 1), np.uint8), np.zeros((4, 3), np.float32))
    read = scoring((3,), Task.REGRESSION)
    page = render_report(_summary(Comparison(samples, "own.npz", LOGITS, LOGITS, read, None)))
    text = " ".join(page.split())
    for absent in ("Top-1", "Wilson", "logit", "Confusion", "robustness", "straight-through", "Right on the board"):
        assert absent not in text, absent
    assert "Mean squared error" in text and "Every output number of all 4 samples equals" in text
