"""Sample files: what is written comes back, and everything broken or hostile is a clear error."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.datasets import samples
from stq_deploy.datasets.sample_metadata import AttackRecord, FloatModelRecord, SampleMetadata
from stq_deploy.datasets.samples import SampleSet, load_samples, samples_of_dataset, save_samples


def _x(n: int = 3, dtype: type = np.uint8) -> np.ndarray:
    x = np.random.default_rng(1).integers(0, 256, (n, 4, 5, 2)).astype(np.uint8)
    return x if dtype is np.uint8 else (x / np.float64(255)).astype(dtype)


def _y(n: int = 3) -> np.ndarray:
    return np.arange(n, dtype=np.int64) % 10


def _metadata(n: int = 3) -> SampleMetadata:
    return SampleMetadata(
        source_indices=tuple(range(n)),
        attack=AttackRecord("fgsm", {"eps": 0.1}),
        float_model=FloatModelRecord(model_hash="ab", predictions=(1,) * n),
    )


def _npy(array: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, **options)
    return stream.getvalue()


def _zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def _members(**replaced: np.ndarray) -> dict[str, bytes]:
    arrays = {"x": _x(), "y": _y(), "metadata": np.array(json.dumps(_metadata().to_json()))} | replaced
    return {f"{name}.npy": _npy(np.asanyarray(array)) for name, array in arrays.items()}


def _range(bounds: object) -> np.ndarray:
    return np.array(json.dumps({"range": bounds}))


def test_features_state_their_range(tmp_path: Path) -> None:
    x = np.linspace(-120, 25, 120, dtype=np.float32).reshape(3, 4, 5, 2)
    save_samples(SampleSet(x, _y(), SampleMetadata(range=(-120, 25.5))), tmp_path / "s.npz")
    loaded = load_samples(tmp_path / "s.npz")
    np.testing.assert_array_equal(loaded.x, x)
    assert loaded.holds_features and loaded.first(1).holds_features
    assert not SampleSet(_x(), _y()).holds_features


def test_the_range_of_float64_features_holds_their_float32_values() -> None:
    """The upper end is a value of the samples, which rounding to float32 moves outward."""
    x = np.array([[-0.9, 0.6, 0.1]])
    assert float(np.float32(0.6)) > 0.6  # so that the test can fail
    assert SampleSet(x.astype(np.float32), None, SampleMetadata(range=(-0.9, 0.6))).stated_range == (-0.9, 0.6)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_round_trip(tmp_path: Path, dtype: type) -> None:
    samples = SampleSet(_x(dtype=dtype), _y(), _metadata())
    save_samples(samples, tmp_path / "s.npz")
    loaded = load_samples(tmp_path / "s.npz")
    assert loaded.x.dtype == dtype
    np.testing.assert_array_equal(loaded.x, samples.x)
    np.testing.assert_array_equal(loaded.y, samples.y)
    assert loaded.metadata == samples.metadata
    assert loaded.attack == "fgsm"
    assert loaded.sha256() == samples.sha256()


def test_equal_samples_are_equal_files(tmp_path: Path) -> None:
    for name in "ab":
        save_samples(SampleSet(_x(), _y(), _metadata()), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_file_by_numpy_savez_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", x=np.asfortranarray(_x(dtype=np.float64)), y=_y().astype(np.uint16))
    loaded = load_samples(tmp_path / "s.npz")
    assert (loaded.attack, loaded.metadata, loaded.x.dtype) == ("unknown", SampleMetadata(), np.float32)
    np.testing.assert_array_equal(loaded.x, _x(dtype=np.float64).astype(np.float32))


def test_hash_depends_on_pixels_labels_and_type_alone() -> None:
    base = SampleSet(_x(), _y())
    changed = _x()
    changed[2, 3, 4, 1] ^= 1
    others = [SampleSet(changed, _y()), SampleSet(_x(), _y()[::-1]), SampleSet(_x(dtype=np.float32), _y())]
    assert len({s.sha256() for s in [base, *others]}) == 4
    assert SampleSet(_x(), _y(), _metadata()).sha256() == base.sha256()


def test_first_takes_the_metadata_along() -> None:
    two = SampleSet(_x(), _y(), _metadata()).first(2)
    assert (len(two), two.metadata.source_indices) == (2, (0, 1))
    assert two.float_predictions("ab") is not None and len(two.float_predictions("ab")) == 2
    assert two.first(None) is two and two.first(9) is two


def test_a_spread_has_some_of_every_part() -> None:
    made = SampleSet(_x(10), np.arange(10) // 2, _metadata(10))
    assert made.spread(5).y.tolist() == [0, 1, 2, 3, 4]
    assert made.spread(4).metadata.source_indices == (0, 2, 5, 7)
    np.testing.assert_array_equal(made.spread(4).x, made.x[[0, 2, 5, 7]])
    assert made.spread(10) is made and made.spread(11) is made


def test_float_predictions_of_another_model_do_not_count() -> None:
    assert SampleSet(_x(), _y(), _metadata()).float_predictions("cd") is None
    assert SampleSet(_x(), _y()).float_predictions("ab") is None


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"x": _x().astype(np.int32)}, "neither uint8 nor float"),
        ({"x": _x()[..., 0]}, r"not \(N, H, W, C\)"),
        ({"x": _x(dtype=np.float32)[..., 0]}, "features of fewer axes need their `range`"),
        ({"x": np.zeros((3, 2, 2, 2, 1)), "metadata": _range([-4, 4])}, "one to three axes"),
        ({"x": np.zeros(3), "metadata": _range([-4, 4])}, "one to three axes"),
        ({"x": _x()[:0], "y": _y()[:0]}, "at least one sample"),
        ({"x": np.full((3, 2, 2, 1), np.nan)}, "12 sample values are NaN or infinite, the first at index"),
        ({"x": np.full((3, 2, 2, 1), -np.inf)}, "NaN or infinite"),
        ({"x": np.full((3, 2, 2, 1), 255.0)}, r"outside \[0, 1\]"),
        ({"x": np.full((3, 2, 2, 1), -0.01)}, r"outside \[0, 1\]"),
        ({"x": np.full((3, 2, 2, 1), -5.0), "metadata": _range([-4, 4])}, r"outside \[-4, 4\]"),
        ({"metadata": _range([-4, 4])}, "metadata `range` says it holds features"),
        ({"x": _x(dtype=np.float32), "metadata": _range([4, -4])}, "metadata 'range' is not a list of the smallest"),
        ({"x": _x(dtype=np.float32), "metadata": _range([0])}, "metadata 'range' is not a list"),
        ({"x": _x(dtype=np.float32), "metadata": _range("0..1")}, "metadata 'range' is not a list"),
        ({"x": _x(dtype=np.float32), "metadata": _range([True, 2])}, "metadata 'range' is not a list"),
        ({"x": _x(dtype=np.float32), "metadata": _range([0, 10**400])}, "a whole number of 401 digits"),
        ({"x": np.full((3, 2), -5.0), "metadata": _range([-4, 4])}, "`range` was stated for other samples"),
        ({"y": _y()[:2]}, "3 samples but labels of shape"),
        ({"y": np.zeros((3, 1, 1, 1, 1), int)}, "labels of shape"),
        ({"y": np.zeros((3, 0), int)}, "labels of shape"),
        ({"y": np.array(1)}, "labels of shape"),
        ({"y": np.array([1, np.nan, np.inf])}, "2 targets in `y` are NaN or infinite"),
        ({"y": _y().astype(np.complex64)}, "y.npy holds complex64"),
        ({"y": np.array(["a", "b", "c"])}, "neither whole numbers nor floats"),
        ({"y": _y() - 1}, "labels run from -1"),
        ({"y": np.array([-1, 1, 2])}, "labels run from -1 to 2"),
        ({"y": np.array([-2, 1, 1])}, "labels run from -2 to 1"),
        ({"y": np.array([0, 1, 2**64 - 1], np.uint64)}, "not a class number"),
        ({"metadata": np.array(json.dumps({"version": 2}))}, "version 2"),
        ({"metadata": np.array("[1]")}, "not a JSON object"),
        ({"metadata": np.array('{"attack": {"name": "\\ud800"}}')}, "not a usable sample file"),
        ({"metadata": np.array(b'{"class_names": ["\\uDFFF"]}')}, "not a usable sample file"),
        ({"metadata": np.array("{")}, "not a usable sample file"),
        ({"metadata": np.array('{"a": NaN}')}, "NaN, which is not JSON"),
        ({"metadata": np.array(["{}", "{}"])}, "not a single text"),
        ({"metadata": np.array(b"\xff\xfe{}")}, "not a usable sample file"),
        ({"metadata": np.array("[" * 100_000)}, "not a usable sample file"),
        ({"metadata": np.array('{"source_indices": [1]}')}, "not a list of 3 whole numbers"),
        ({"metadata": np.array('{"source_indices": [1, 2, -3]}')}, "not a list of 3 whole numbers"),
        ({"metadata": np.array('{"float_model": {"predictions": [0, 1, true]}}')}, "3 whole numbers"),
        ({"metadata": np.array('{"float_model": [1]}')}, "not an object"),
    ],
)
def test_unusable_content(tmp_path: Path, replaced: dict[str, np.ndarray], message: str) -> None:
    path = _zip(tmp_path / "s.npz", _members(**replaced))
    with pytest.raises(StqError, match=message) as caught:
        load_samples(path)
    assert str(path) in str(caught.value)


def test_missing_member(tmp_path: Path) -> None:
    members = _members()
    del members["x.npy"]
    with pytest.raises(StqError, match="lacks x"):
        load_samples(_zip(tmp_path / "s.npz", members))


_LABELLED = {
    "no labels": None,
    "classes": np.array([0, 3, 2]),
    "signs": np.array([-1, 1, 1]),
    "labels": np.array([[0, 1], [1, 1], [0, 0]]),
    "places": np.arange(12).reshape(3, 2, 2),
    "truths": np.array([True, False, True]),
    "target": np.array([0.5, -3e30, 7]),
    "pictures": np.linspace(0, 1, 36).reshape(3, 2, 2, 3),
}


@pytest.mark.parametrize("kind", _LABELLED)
def test_labels_of_every_kind_are_kept(tmp_path: Path, kind: str) -> None:
    """Labels stay whole numbers and targets floats, in their shape: read, stored and read again."""
    y = _LABELLED[kind]
    np.savez(tmp_path / "s.npz", x=_x(), **({} if y is None else {"y": y}))
    loaded = load_samples(tmp_path / "s.npz")
    save_samples(loaded, tmp_path / "t.npz")
    again = load_samples(tmp_path / "t.npz")
    assert again.sha256() == loaded.sha256()
    part = again.first(2)
    if y is None:
        assert again.y is None and part.y is None
        return
    assert again.y is not None and part.y is not None
    assert again.y.dtype == (np.float32 if y.dtype.kind == "f" else np.int64)
    np.testing.assert_array_equal(again.y, y.astype(again.y.dtype))
    np.testing.assert_array_equal(part.y, again.y[:2])


def test_labels_of_another_kind_are_another_hash() -> None:
    y = np.array([0, 1, 1])
    kinds = (None, y, y[:, None], y.astype(np.float32), y.astype(np.float32)[:, None])
    assert len({SampleSet(_x(), one).sha256() for one in kinds}) == len(kinds)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "have no labels"),
        (np.zeros((3, 2), np.int64), "labels of shape"),
        (np.zeros(3, np.float32), "targets of shape"),
        (np.array([-1, 1, 1]), "a label is -1"),
    ],
)
def test_classes_are_asked_for_in_words(y: np.ndarray | None, message: str) -> None:
    with pytest.raises(StqError, match=message):
        SampleSet(_x(), y).classes()


def test_foreign_member(tmp_path: Path) -> None:
    with pytest.raises(StqError, match=r"do not belong there: '\.\./evil\.py'"):
        load_samples(_zip(tmp_path / "s.npz", _members() | {"../evil.py": b""}))


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    pickled = _npy(np.array([{}, {}, {}], object), allow_pickle=True)
    with pytest.raises(StqError, match="object, not numbers"):
        load_samples(_zip(tmp_path / "s.npz", _members() | {"y.npy": pickled}))


def test_a_shape_larger_than_the_data_allocates_nothing(tmp_path: Path) -> None:
    stream = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (1 << 40, 32, 32, 1)}
    np.lib.format.write_array_header_1_0(stream, header)
    with pytest.raises(StqError, match="not as long as its shape"):
        load_samples(_zip(tmp_path / "s.npz", _members() | {"x.npy": stream.getvalue() + b"\0" * 64}))


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"y": _y()[:2]}, "3 samples but labels of shape"),
        ({"y": _y().astype("M8[s]")}, "none of an array|neither whole numbers"),
        ({"y": np.array(["a", "b", "c"])}, "neither whole numbers nor floats"),
        ({"metadata": np.array("{")}, "not a usable sample file"),
        ({"x": np.zeros((3, 2), np.uint8)}, "one sample"),
        ({"x": np.zeros((1 << 25, 1, 1, 1), np.uint8), "y": np.zeros(1 << 25, np.uint8)}, "samples; 16777216 are"),
    ],
)
def test_the_pictures_are_read_last(
    tmp_path: Path, replaced: dict[str, np.ndarray], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong with the small members and the headers is said before the large one is unpacked."""
    read = samples.read_array

    def watched(archive: zipfile.ZipFile, name: str, *others: Any) -> Any:
        assert name != "x.npy", "x was read"
        return read(archive, name, *others)

    monkeypatch.setattr(samples, "read_array", watched)
    with pytest.raises(StqError, match=message):
        load_samples(_zip(tmp_path / "s.npz", _members(**replaced)))


def test_float_samples_are_not_copied(tmp_path: Path) -> None:
    import tracemalloc

    x = np.zeros((3, 2000, 1000, 1), np.float32)
    path = _zip(tmp_path / "s.npz", _members(x=x))
    tracemalloc.start()
    load_samples(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 1.5 * x.nbytes


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stq_deploy.datasets.samples.MAXIMUM_MEMBER_BYTES", 1000)
    path = _zip(tmp_path / "s.npz", _members(x=np.zeros((3, 100, 100, 1), np.uint8)))
    with pytest.raises(StqError, match="larger than the 1000 bytes allowed"):
        load_samples(path)
    monkeypatch.setattr("stq_deploy.datasets.samples.MAXIMUM_FILE_BYTES", 10)
    with pytest.raises(StqError, match="more than the 10 allowed"):
        load_samples(path)


def test_every_truncation_is_a_clear_error(tmp_path: Path) -> None:
    save_samples(SampleSet(_x(), _y(), _metadata()), tmp_path / "s.npz")
    whole = (tmp_path / "s.npz").read_bytes()
    for length in range(0, len(whole), 7):
        (tmp_path / "cut.npz").write_bytes(whole[:length])
        with pytest.raises(StqError):
            load_samples(tmp_path / "cut.npz")


def test_flipped_bits_never_escape_as_another_exception(tmp_path: Path) -> None:
    save_samples(SampleSet(_x(), _y(), _metadata()), tmp_path / "s.npz")
    whole = (tmp_path / "s.npz").read_bytes()
    random = np.random.default_rng(5)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[random.integers(len(damaged))] ^= 1 << random.integers(8)
        (tmp_path / "bad.npz").write_bytes(damaged)
        try:
            load_samples(tmp_path / "bad.npz")
        except StqError:
            refused += 1
    assert refused > 200  # zip's checksums catch all but bits of no meaning


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(StqError, match="no such file"):
        load_samples(tmp_path / "none.npz")
    with pytest.raises(StqError, match="it is a folder, not a sample file"):
        load_samples(tmp_path)


def test_a_few_of_a_sorted_data_set_are_a_fair_draw(tmp_path: Path) -> None:
    y = np.repeat(np.arange(4), 50)
    x = np.arange(200, dtype=np.uint8).reshape(200, 1, 1, 1)
    np.savez(tmp_path / "cifar10_gray.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    few = samples_of_dataset("cifar10", tmp_path / "cifar10_gray.npz", 20)
    assert set(few.y) == {0, 1, 2, 3}
    np.testing.assert_array_equal(few.x[:, 0, 0, 0], few.metadata.source_indices)
    fewer = samples_of_dataset("cifar10", tmp_path / "cifar10_gray.npz", 5)
    assert fewer.metadata.source_indices == few.metadata.source_indices[:5]
    everything = samples_of_dataset("cifar10", tmp_path / "cifar10_gray.npz")
    assert everything.metadata.source_indices == tuple(range(200))
    assert (everything.attack, everything.metadata.dataset) == ("clean", "cifar10")
