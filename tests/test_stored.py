from pathlib import Path

import numpy as np
import pytest

from twotower.search import stored
from twotower.search.stored import FILES, StoredVectors, Writer

STORAGES = tuple(FILES)
VECTORS = np.random.default_rng(0).normal(size=(1000, 12)).astype(np.float32)


def write(folder: Path, storage: str, vectors: np.ndarray = VECTORS, step: int = 333) -> StoredVectors:
    with Writer.open(folder, storage, vectors.shape) as writer:
        for start in range(writer.rows, len(vectors), step):
            writer.write(start, vectors[start : start + step])
        return writer.finish()


@pytest.mark.parametrize("storage", STORAGES)
def test_what_is_written_is_read_back_within_the_loss(storage: str, tmp_path: Path) -> None:
    kept = write(tmp_path, storage)
    off = np.linalg.norm(kept[0:1000].astype(np.float64) - VECTORS, axis=1)
    assert kept.shape == (1000, 12)
    assert off.max() <= kept.loss() * (1 + 1e-6)
    assert kept.loss() == (0.0 if storage == "float32" else pytest.approx(off.max(), rel=1e-6))
    assert kept.longest() == pytest.approx(np.linalg.norm(kept[0:1000], axis=1).max(), rel=1e-6)


def test_int8_by_hand(tmp_path: Path) -> None:
    kept = write(tmp_path, "int8", np.array([[1.0, -0.5, 0.0], [0.0, 0.0, 0.0]], dtype=np.float32))
    raw = kept.raw(slice(None))
    assert raw["codes.npy"].tolist() == [[127, -64, 0], [0, 0, 0]]  # -63.5 to the even one
    np.testing.assert_allclose(kept[0:2], [[1.0, -64 / 127, 0.0], [0, 0, 0]], rtol=1e-6)
    np.testing.assert_allclose(raw["errors.npy"], [64 / 127 - 0.5, 0.0], rtol=1e-5)


@pytest.mark.parametrize("storage", STORAGES)
def test_rows_in_any_order_and_memory_are_the_same(storage: str, tmp_path: Path) -> None:
    kept, here = write(tmp_path, storage), stored.in_memory(VECTORS, storage)
    rows = np.array([999, 0, 5, 5])
    np.testing.assert_array_equal(kept[rows], here[rows])
    np.testing.assert_array_equal(kept[rows], kept[0:1000][rows])
    assert kept[rows].dtype == np.float32


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("cut", [0, 1, 130, 5000, 10**9])
def test_a_torn_write_is_continued_to_the_same_bytes(storage: str, cut: int, tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    for folder in (whole, torn):
        folder.mkdir()
        write(folder, storage)
    for name in FILES[storage]:
        content = (torn / name).read_bytes()
        (torn / name).write_bytes(content[: min(cut, len(content))])
        cut = cut * 2 + 1  # files of one folder end at different rows
    with Writer.open(torn, storage, VECTORS.shape) as writer:
        writer.write(writer.rows, VECTORS[writer.rows :]) if writer.rows < 1000 else None
        writer.finish()
    for name in FILES[storage]:
        assert (torn / name).read_bytes() == (whole / name).read_bytes()


def test_another_storage_or_width_starts_again(tmp_path: Path) -> None:
    write(tmp_path, "int8")
    with Writer.open(tmp_path, "float32", (3, 2)) as writer:
        assert writer.rows == 0
        writer.write(0, np.ones((3, 2), dtype=np.float32))
        assert writer.finish()[0:3].tolist() == [[1, 1]] * 3
    assert {file.name for file in tmp_path.iterdir()} == {"vectors.npy"}


@pytest.mark.parametrize("storage", STORAGES)
def test_copied_rows_are_the_bytes_of_fresh_ones(storage: str, tmp_path: Path) -> None:
    old, new, want = (tmp_path / name for name in ("old", "new", "want"))
    for folder in (old, new, want):
        folder.mkdir()
    kept = write(old, storage)
    fresh = np.full((2, 12), 0.25, dtype=np.float32)
    origin = np.concatenate([np.arange(0, 1000, 3), [-1, -2], np.arange(1, 1000, 3)])
    with Writer.open(new, storage, (len(origin), 12)) as writer:
        stored.copy_rows(writer, kept, stored.in_memory(fresh, storage), origin)
        writer.finish()
    write(want, storage, np.concatenate([VECTORS, fresh[::-1]])[origin])
    for name in FILES[storage]:
        assert (new / name).read_bytes() == (want / name).read_bytes()


@pytest.mark.parametrize(("storage", "value"), [("float32", np.inf), ("float16", 70_000.0), ("int8", np.nan)])
def test_what_cannot_be_kept_is_refused(storage: str, value: float, tmp_path: Path) -> None:
    bad = VECTORS.copy()
    bad[7, 3] = value
    with pytest.raises(ValueError, match=f"row 7 is not finite or too large for {storage}"):
        write(tmp_path, storage, bad)


def test_too_few_too_many_and_misplaced_rows_are_refused(tmp_path: Path) -> None:
    with Writer.open(tmp_path, "float32", (5, 12)) as writer:
        writer.write(0, VECTORS[:2])
        with pytest.raises(ValueError, match="want \\(n, 12\\) for row 2"):
            writer.write(3, VECTORS[:2])
        with pytest.raises(ValueError, match="got 6 rows, want 5"):
            writer.write(2, VECTORS[:4])
        with pytest.raises(ValueError, match="2 vectors written, want 5"):
            writer.finish()


def test_missing_damaged_and_foreign_files_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"vectors\.npy: it is missing; build the index again$"):
        stored.open_vectors(tmp_path, "float32")
    (tmp_path / "vectors.npy").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"vectors\.npy: damaged \(.*\); build the index again$"):
        stored.open_vectors(tmp_path, "float32")
    np.save(tmp_path / "vectors.npy", VECTORS.astype(np.float64))
    with pytest.raises(ValueError, match="numbers of type float64, want float32"):
        stored.open_vectors(tmp_path, "float32")
    with pytest.raises(ValueError, match="storage: got int4, want one of float32, float16, int8"):
        stored.open_vectors(tmp_path, "int4")
