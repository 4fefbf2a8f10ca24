import gzip
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.test_pickled import Trap
from twotower.text import keyed, tables
from twotower.text.streams import Place

WORDS = ["the", "a b", "été"]
MATRIX = np.arange(6, dtype=np.float32).reshape(3, 2)


@pytest.fixture
def vectors() -> Any:
    models = pytest.importorskip("gensim.models")
    made = models.KeyedVectors(2)
    made.add_vectors(WORDS, MATRIX)
    return made


def whole(place: Place) -> bool:
    places, rows = tables.rows_of(place, ["emu", "été", "the"])
    return (
        list(tables.words_of(place)) == WORDS
        and places.tolist() == [2, 1]
        and rows.tolist() == [[0, 1], [4, 5]]
    )


@pytest.mark.parametrize("separate", [10**6, 1])  # numbers from which a matrix has its own file
@pytest.mark.parametrize("name", ["v.kv", "v.wordvectors", "v.kv.gz"])
@pytest.mark.parametrize("protocol", [2, 4])
def test_what_gensim_saves_is_read(
    vectors: Any, tmp_path: Path, separate: int, name: str, protocol: int
) -> None:
    vectors.save(str(tmp_path / name), sep_limit=separate, pickle_protocol=protocol)
    assert len(list(tmp_path.iterdir())) == (2 if separate == 1 else 1)
    assert whole(Place(tmp_path / name))


def test_a_file_gzipped_later_finds_its_matrix(vectors: Any, tmp_path: Path) -> None:
    vectors.save(str(tmp_path / "v.kv"), sep_limit=1)
    with (tmp_path / "v.kv").open("rb") as plain, gzip.open(tmp_path / "v.kv.gz", "wb") as packed:
        shutil.copyfileobj(plain, packed)
    (tmp_path / "v.kv").unlink()
    assert whole(Place(tmp_path / "v.kv.gz"))


@pytest.mark.parametrize("separate", [10**6, 1])
def test_a_whole_model_holds_vectors_too(tmp_path: Path, separate: int) -> None:
    models = pytest.importorskip("gensim.models")
    model = models.Word2Vec([["a", "b"]] * 9, vector_size=4, min_count=1, workers=1)
    model.save(str(tmp_path / "m.model"), sep_limit=separate)
    _, rows = tables.rows_of(Place(tmp_path / "m.model"), ["a"])
    np.testing.assert_array_equal(rows[0], model.wv["a"])


def test_a_matrix_that_does_not_lie_beside_is_named(vectors: Any, tmp_path: Path) -> None:
    vectors.save(str(tmp_path / "v.kv"), sep_limit=1)
    (tmp_path / "v.kv.vectors.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"v.kv.vectors.npy: no such file, it lies beside v.kv"):
        tables.rows_of(Place(tmp_path / "v.kv"), ["the"])


def test_a_matrix_of_other_words_is_named(vectors: Any, tmp_path: Path) -> None:
    vectors.save(str(tmp_path / "v.kv"), sep_limit=1)
    np.save(tmp_path / "v.kv.vectors.npy", MATRIX[:2])
    with pytest.raises(ValueError, match=r"v.kv: 2 rows, want 3, the words of the file"):
        tables.rows_of(Place(tmp_path / "v.kv"), ["the"])


@pytest.mark.parametrize("hidden", [False, True])
def test_a_strangers_pickle_runs_nothing(vectors: Any, tmp_path: Path, hidden: bool) -> None:
    trap: Any = Trap(tmp_path / "sprung")
    if hidden:
        vectors.extra = trap  # beside whole vectors, which are read all the same
    (tmp_path / "v.kv").write_bytes(pickle.dumps(vectors if hidden else trap, 4))
    place = Place(tmp_path / "v.kv")
    if hidden:
        assert whole(place)
    else:
        with pytest.raises(
            ValueError, match=r"refused, nothing in it was executed; want gensim's KeyedVectors"
        ):
            tables.rows_of(place, ["the"])
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("value", [{"the": [1.0]}, [1], MATRIX, None])
def test_another_pickle_is_named_with_the_way_out(tmp_path: Path, value: Any) -> None:
    (tmp_path / "v.pkl").write_bytes(pickle.dumps(value, 4))
    with pytest.raises(ValueError, match=r"v.pkl: a pickle of .*save_word2vec_format") as caught:
        keyed.words_of(Place(tmp_path / "v.pkl"))
    assert "\n" not in str(caught.value)


def test_a_pickle_cut_short_is_named(vectors: Any, tmp_path: Path) -> None:
    vectors.save(str(tmp_path / "v.kv"))
    (tmp_path / "v.kv").write_bytes((tmp_path / "v.kv").read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"v.kv: not gensim's KeyedVectors \("):
        tables.rows_of(Place(tmp_path / "v.kv"), ["the"])
