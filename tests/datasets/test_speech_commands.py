"""Speech Commands from an archive and from a folder, in both parts; and archives that are out for mischief."""

from __future__ import annotations

import dataclasses
import gzip
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.datasets import Dataset, load_dataset, speech_files
from stq_deploy.datasets.registry import SOURCES
from stq_deploy.datasets.speech_commands import ARCHIVE, WORDS
from stq_deploy.datasets.speech_files import archive_files, folder_files
from tests.helpers.datasets.publisher import Publisher
from tests.helpers.datasets.tiny_speech import PER_WORD, archive, files, folder

pytestmark = pytest.mark.keras


@pytest.fixture(name="contents", scope="module")
def _contents() -> dict[str, bytes]:
    return files()


def _everything(dataset: Dataset) -> np.ndarray:
    """All samples in an order of their own."""
    x = np.concatenate([dataset.x_train, dataset.x_test]).reshape(-1, 490)
    return x[np.lexsort(x.T)]


def test_archive_and_folder_in_both_parts(contents: dict[str, bytes], tmp_path: Path) -> None:
    path = archive(tmp_path / ARCHIVE.name, contents)
    paper = load_dataset("speech-commands", path)
    assert paper.name == "speech-commands"
    assert (
        paper.class_names
        == WORDS
        == ("yes", "no", "zero", *["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
    )
    assert (paper.x_train.shape, paper.x_test.shape) == ((24, 49, 10, 1), (24, 49, 10, 1))
    assert np.bincount(paper.y_test).tolist() == [2] * 12  # ceil(4 / 3)
    assert paper.validation is None
    low, high = paper.feature_range or (0, 0)
    assert -124 <= low < -20 and 0 < high < 128

    official = load_dataset("speech-commands-official", path)
    assert official.name == "speech-commands-official"
    assert (len(official.x_train), len(official.x_test)) == (12 * (PER_WORD - 1), 12)
    assert official.validation is not None
    assert official.y_train[official.validation].tolist() == [WORDS.index("no"), WORDS.index("yes")]  # by name
    np.testing.assert_array_equal(_everything(official), _everything(paper))

    unpacked = folder(tmp_path / "unpacked", contents)
    for name, expected in (("speech-commands", paper), ("speech-commands-official", official)):
        found = load_dataset(name, unpacked)
        for part in ("x_train", "y_train", "x_test", "y_test"):
            np.testing.assert_array_equal(getattr(found, part), getattr(expected, part))


def test_the_order_in_the_archive_does_not_matter(contents: dict[str, bytes], tmp_path: Path) -> None:
    names = list(contents)
    np.random.default_rng(1).shuffle(names)
    shuffled = archive(tmp_path / "b.tar.gz", {name: contents[name] for name in names}, prefix="")
    first = load_dataset("speech-commands", archive(tmp_path / "a.tar.gz", contents))
    second = load_dataset("speech-commands", shuffled)
    np.testing.assert_array_equal(first.x_test, second.x_test)
    np.testing.assert_array_equal(first.y_train, second.y_train)


def test_features_are_computed_once_and_damaged_ones_anew(
    contents: dict[str, bytes], tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = archive(tmp_path / ARCHIVE.name, contents)
    expected = load_dataset("speech-commands", path)
    (kept,) = (cache / "speech-commands").glob("mfcc-*.npz")
    kept.write_bytes(kept.read_bytes()[:-1000])
    np.testing.assert_array_equal(load_dataset("speech-commands", path).x_test, expected.x_test)

    def fail(_: np.ndarray) -> np.ndarray:
        raise AssertionError("computed again")

    monkeypatch.setattr("stq_deploy.datasets.speech_features.mfcc", fail)
    np.testing.assert_array_equal(load_dataset("speech-commands", path).x_test, expected.x_test)
    assert list((cache / "speech-commands").iterdir()) == [kept]
    other = archive(tmp_path / "other.tar.gz", contents | {"README.md": b"another archive"})
    with pytest.raises(AssertionError, match="computed again"):
        load_dataset("speech-commands", other)


def test_a_cache_that_cannot_be_written_costs_time_only(
    contents: dict[str, bytes], tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.write_text("in the way")
    assert len(load_dataset("speech-commands", archive(tmp_path / "a.tar.gz", contents)).x_test) == 24
    assert "cannot keep" in caplog.text


def test_the_public_archive_is_fetched_once_for_both(
    contents: dict[str, bytes], tmp_path: Path, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = publisher.publish(ARCHIVE.name, archive(tmp_path / "a.tar.gz", contents).read_bytes())
    for name in ("speech-commands", "speech-commands-official"):
        monkeypatch.setitem(SOURCES, name, dataclasses.replace(SOURCES[name], public=(file,)))
        assert load_dataset(name).source.endswith(ARCHIVE.name)
    assert publisher.asked == [f"/{ARCHIVE.name}"]


def test_names_that_lead_elsewhere_are_passed_over(contents: dict[str, bytes], tmp_path: Path) -> None:
    def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        return info

    evil = [
        member("../../yes/evil.wav"), member("/yes/evil.wav"), member("yes/../no/evil.wav"),
        member("yes/evil.wav", tarfile.SYMTYPE, "/etc/passwd"), member("yes/evil2.wav", tarfile.LNKTYPE, "../x"),
        member("yes/evil3.wav", tarfile.CHRTYPE), member("yes", tarfile.DIRTYPE), member("././yes/evil.wav"),
        member("yes/evil\n.wav"), member("Yes/evil.wav"), member("yes\\evil.wav"), member("yes/a/evil.wav"),
    ]  # fmt: skip
    path = archive(tmp_path / "evil.tar.gz", contents, *evil)
    found = dict(archive_files(path, WORDS))
    assert not [name for name in found if "evil" in name]
    assert found == {
        name: content for name, content in contents.items() if name.split("/")[0] in WORDS or name.endswith("_list.txt")
    }
    assert [p.name for p in tmp_path.iterdir()] == ["evil.tar.gz"]


def test_archive_and_folder_give_the_same_files(contents: dict[str, bytes], tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar.gz", contents)
    assert dict(folder_files(folder(tmp_path / "f", contents), WORDS)) == dict(archive_files(path, WORDS))


def test_sizes_are_bounded(contents: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "a.tar.gz", contents)
    unpacked = folder(tmp_path / "f", contents)
    monkeypatch.setattr(speech_files, "MAXIMUM_CLIP_BYTES", 1000)
    with pytest.raises(StqError, match="32044 bytes, which is too many"):
        load_dataset("speech-commands", path)
    with pytest.raises(StqError, match="more than 1000 bytes"):
        load_dataset("speech-commands", unpacked)
    monkeypatch.setattr(speech_files, "MAXIMUM_ARCHIVE_BYTES", 10_000)
    with pytest.raises(StqError, match="unpacks to more than 10000 bytes"):
        load_dataset("speech-commands", archive(tmp_path / "b.tar.gz", {"other/1.wav": bytes(20_000)}))


def test_a_member_that_claims_to_be_huge(tmp_path: Path) -> None:
    """The claim alone is refused: its terabyte of zeros would take a while to unpack."""
    info = tarfile.TarInfo("other/1.wav")
    info.size = 1 << 40
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(info.tobuf() + bytes(1024)))
    with pytest.raises(StqError, match="unpacks to more than"):
        load_dataset("speech-commands", tmp_path / "a.tar.gz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"testing_list.txt": None}, "no testing_list.txt"),
        ({"validation_list.txt": None}, "no validation_list.txt"),
        ({"yes/00000000_nohash_0.wav": b"RIFFjunk"}, "cannot read the clip"),
        ({f"six/{take:08x}_nohash_0.wav": None for take in range(PER_WORD)}, "no clip of: six"),
    ],
)
def test_incomplete_data(
    contents: dict[str, bytes], tmp_path: Path, changes: dict[str, bytes | None], message: str
) -> None:
    kept = {name: content for name, content in (contents | changes).items() if content is not None}
    with pytest.raises(StqError, match=message) as caught:
        load_dataset("speech-commands", archive(tmp_path / "a.tar.gz", kept))
    assert "a.tar.gz" in str(caught.value)


def test_a_clip_twice(contents: dict[str, bytes], tmp_path: Path) -> None:
    name = "yes/00000000_nohash_0.wav"
    path = archive(tmp_path / "a.tar.gz", contents | {f"./{name}": contents[name]}, prefix="")
    with pytest.raises(StqError, match="a clip is there twice"):
        load_dataset("speech-commands", path)


def test_truncated_and_foreign_archives(contents: dict[str, bytes], tmp_path: Path) -> None:
    small = {name: contents[name] for name in ("testing_list.txt", "validation_list.txt", "README.md")}
    whole = archive(tmp_path / "a.tar.gz", small).read_bytes()
    path = tmp_path / "cut.tar.gz"
    for length in range(0, len(whole), 5):
        path.write_bytes(whole[:length])
        with pytest.raises(StqError):
            load_dataset("speech-commands", path)
    for content in (b"junk" * 100, gzip.compress(b"junk" * 1000), gzip.compress(bytes(2048))):
        path.write_bytes(content)
        with pytest.raises(StqError):
            load_dataset("speech-commands", path)


def test_flipped_bits_never_escape_as_another_exception(contents: dict[str, bytes], tmp_path: Path) -> None:
    names = ("testing_list.txt", "yes/00000000_nohash_0.wav", "README.md")
    plain = gzip.decompress(archive(tmp_path / "a.tar.gz", {name: contents[name] for name in names}).read_bytes())
    random = np.random.default_rng(3)
    headers = [place for place in range(len(plain)) if plain[place // 512 * 512 + 257 :][:5] == b"ustar"]
    for place in random.choice(headers, 100):
        damaged = bytearray(plain)
        damaged[place] ^= 1 << random.integers(8)
        (tmp_path / "a.tar.gz").write_bytes(gzip.compress(damaged, 1))
        with pytest.raises(StqError):
            load_dataset("speech-commands", tmp_path / "a.tar.gz")


def test_no_tensorflow_is_explained(
    contents: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(StqError, match="computing the features of audio needs TensorFlow"):
        load_dataset("speech-commands", archive(tmp_path / "a.tar.gz", contents))
