import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest

from twotower.text import arrays, tables
from twotower.text.streams import Place

WORDS = ["the", "cat", "a b"]
MATRIX = np.array([[1, 10], [3, 30], [5, 50]])


def saved(
    folder: Path, matrix: object = MATRIX, words: str = "the\ncat\na b\n", beside: str = "m.txt"
) -> Place:
    np.save(folder / "m.npy", np.asarray(matrix))
    (folder / beside).write_text(words, encoding="utf-8")
    return Place(folder / "m.npy")


def rows_of(place: Place, *words: str) -> dict[str, list[float]]:
    places, rows = tables.rows_of(place, words)
    return {words[at]: row.tolist() for at, row in zip(places.tolist(), rows, strict=True)}


@pytest.mark.parametrize("beside", ["m.txt", "m.json", "vocab.txt", "vocab.json", "words.txt", "words.json"])
@pytest.mark.parametrize("kind", ["f2", "f4", "f8", ">f4", "i4"])
def test_a_matrix_has_its_words_beside_it(tmp_path: Path, beside: str, kind: str) -> None:
    words = json.dumps(WORDS) if beside.endswith("json") else "\n".join(WORDS)
    place = saved(tmp_path, MATRIX.astype(kind), words, beside)
    assert list(tables.words_of(place)) == WORDS
    assert rows_of(place, "a b", "emu", "the") == {"the": [1, 10], "a b": [5, 50]}


def test_the_words_of_its_own_name_come_first(tmp_path: Path) -> None:
    place = saved(tmp_path)
    (tmp_path / "vocab.txt").write_text("other\n")
    assert list(tables.words_of(place)) == WORDS


def test_columns_that_lie_together_are_read_as_rows(tmp_path: Path) -> None:
    assert rows_of(saved(tmp_path, np.asfortranarray(MATRIX)), "cat") == {"cat": [3, 30]}


def test_a_gzipped_matrix_is_unpacked(tmp_path: Path) -> None:
    place = saved(tmp_path)
    packed = tmp_path / "m.npy.gz"
    packed.write_bytes(gzip.compress(place.path.read_bytes()))
    place.path.unlink()
    assert rows_of(Place(packed), "cat") == {"cat": [3, 30]}


def test_the_first_of_equal_words_counts(tmp_path: Path) -> None:
    assert rows_of(saved(tmp_path, words="a\nb\na\n"), "a") == {"a": [1, 10]}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("words", [np.array(WORDS), np.array([word.encode() for word in WORDS])])
def test_an_archive_holds_both(tmp_path: Path, save: object, words: np.ndarray) -> None:
    save(tmp_path / "t.npz", words=words, vectors=MATRIX.astype("f4"))  # type: ignore[operator]
    place = Place(tmp_path / "t.npz")
    assert list(tables.words_of(place)) == WORDS
    assert rows_of(place, "cat") == {"cat": [3, 30]}


@pytest.mark.parametrize(
    ("matrix", "words", "beside", "says"),
    [
        (MATRIX, "a\nb\n", "m.txt", "m.npy: 3 rows, want 2, the words of .*m.txt"),
        (MATRIX, "a\nb\nc\nd\n", "m.txt", "m.npy: 3 rows, want 4"),
        (MATRIX, "[1, 2, 3]", "m.json", "m.json: not a list of strings"),
        (MATRIX, '{"a": 0}', "m.json", "m.json: not a list of strings"),
        (MATRIX, "[", "m.json", r"m.json: not JSON \("),
        (MATRIX, "[" * 100_000, "m.json", r"m.json: not JSON \("),
        (MATRIX, "a\nb\nc\n", "other.txt", "m.npy: no words beside it, want one of m.txt, m.json, vocab.txt"),
        (MATRIX[0], "a\nb\nc\n", "m.txt", "m.npy: 2 of int64, want a matrix of numbers"),
        (MATRIX * np.nan, "a\nb\nc\n", "m.txt", "m.npy: row 2, 'b': nan among the numbers"),
        (np.empty((0, 2)), "", "m.txt", "m.npy: empty, want a row for each word"),
        (np.array([["x"]]), "a\n", "m.txt", "want a matrix of numbers"),
    ],
)
def test_a_matrix_and_words_that_do_not_fit_are_named(
    tmp_path: Path, matrix: object, words: str, beside: str, says: str
) -> None:
    place = saved(tmp_path, matrix, words, beside)
    with pytest.raises(ValueError, match=says) as caught:
        tables.rows_of(place, ["b"])
    assert "\n" not in str(caught.value)


def test_python_objects_are_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    np.save(tmp_path / "m.npy", np.array([[Trap()]], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "m.npz", words=np.array([Trap()], dtype=object), vectors=MATRIX)
    (tmp_path / "m.txt").write_text("a\n")
    for name in ("m.npy", "m.npz"):
        with pytest.raises(ValueError, match="not a NumPy array that can be mapped"):
            tables.rows_of(Place(tmp_path / name), ["a"])
    assert not (tmp_path / "sprung").exists()


def test_a_matrix_cut_short_is_named(tmp_path: Path) -> None:
    place = saved(tmp_path)
    whole = place.path.read_bytes()
    for size in (7, 60, len(whole) - 1):
        place.path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=re.escape(f"{place}: not a NumPy array that can be mapped")):
            tables.rows_of(place, ["the"])


def test_an_archive_without_the_two_arrays_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", words=np.array(WORDS), matrix=MATRIX)
    with pytest.raises(
        ValueError, match=r"t.npz: no array 'vectors', there is matrix, words; want words and"
    ):
        tables.rows_of(Place(tmp_path / "t.npz"), ["the"])
    np.savez(tmp_path / "t.npz", words=MATRIX, vectors=MATRIX)
    with pytest.raises(ValueError, match=r"words are 2-D of int64, want a list of strings"):
        tables.words_of(Place(tmp_path / "t.npz"))


def test_a_matrix_in_an_archive_has_no_words_beside_it(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", words=np.array(WORDS), vectors=MATRIX)
    with pytest.raises(ValueError, match="a matrix in an archive"):
        arrays.npy_words(Place(tmp_path / "t.npz", "vectors.npy"))
