import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.test_pickled import Trap
from tests.training_case import small, write_beir
from twotower.commands import train
from twotower.data.collection import Collection
from twotower.text import tables, vectors
from twotower.text.streams import Place

INDEX = {"<pad>": 0, "<unk>": 1, "the": 2, "cat": 3}
MATRIX = np.arange(8).reshape(4, 2)
KINDS = {
    "a tensor": torch.from_numpy(MATRIX).float(),
    "half a tensor": torch.from_numpy(MATRIX).bfloat16(),
    "a parameter": torch.nn.Parameter(torch.from_numpy(MATRIX).double()),
    "float32": MATRIX.astype("f4"),
    "float64": MATRIX.astype("f8"),
    "in columns": np.asfortranarray(MATRIX.astype("f4")),
}


def saved(path: Path, **changed: Any) -> Place:
    content = {"embedding_matrix": KINDS["a tensor"], "word_to_index": INDEX, "epoch": 3, "model_config": {}}
    torch.save(content | changed, path)
    return Place(path)


def rows_of(place: Place, *words: str) -> dict[str, list[float]]:
    places, rows = tables.rows_of(place, words)
    return {words[at]: row.tolist() for at, row in zip(places.tolist(), rows, strict=True)}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_matrix_is_read(tmp_path: Path, kind: str) -> None:
    place = saved(tmp_path / "old.pt", embedding_matrix=KINDS[kind], loss=np.float64(0.5))
    assert list(tables.words_of(place)) == list(INDEX)
    assert rows_of(place, "cat", "emu") == {"cat": [6, 7]}


def test_the_format_before_torch_1_6_is_read(tmp_path: Path) -> None:
    content = {"embedding_matrix": KINDS["a tensor"], "word_to_index": INDEX}
    torch.save(content, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert rows_of(Place(tmp_path / "old.pt"), "the") == {"the": [4, 5]}


def test_a_gzipped_checkpoint_is_unpacked(tmp_path: Path) -> None:
    place = saved(tmp_path / "old.pt")
    (tmp_path / "old.pt.gz").write_bytes(gzip.compress(place.path.read_bytes()))
    assert rows_of(Place(tmp_path / "old.pt.gz"), "the") == {"the": [4, 5]}


def test_rows_need_not_stand_in_order(tmp_path: Path) -> None:
    place = saved(tmp_path / "old.pt", word_to_index={"d": 3, "a": 0, "c": 2, "b": np.int64(1)})
    assert list(tables.words_of(place)) == ["a", "b", "c", "d"]
    assert rows_of(place, "d") == {"d": [6, 7]}


def test_our_own_checkpoints_give_their_words_on(tiny: Collection, tmp_path: Path) -> None:
    train.run(small(write_beir(tiny, tmp_path / "tiny"), tmp_path, epochs=0))
    (path,) = (tmp_path / "checkpoints").glob("*.pt")
    content = torch.load(path, weights_only=True)
    words = tuple(content["index_to_word"])
    loaded = vectors.load(str(path), words, dim=1, rng=np.random.default_rng(0))
    assert loaded.coverage == 1.0
    np.testing.assert_array_equal(loaded.matrix[1:], content["embedding_matrix"][1:])


def test_a_strangers_file_runs_nothing(tmp_path: Path) -> None:
    for zipped in (True, False):
        content = {"embedding_matrix": MATRIX, "word_to_index": INDEX, "x": Trap(tmp_path / "sprung")}
        torch.save(content, tmp_path / "old.pt", _use_new_zipfile_serialization=zipped)
        with pytest.raises(ValueError, match=r"old.pt: refused, nothing in it was executed: ") as caught:
            tables.rows_of(Place(tmp_path / "old.pt"), ["the"])
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"word_to_index": {"a": 0}}, "embedding_matrix: 4 rows, want 1, the words of word_to_index"),
        ({"word_to_index": ["a"]}, "word_to_index is no dictionary of words"),
        ({"word_to_index": {"a": 0, "b": 2}}, "'b' has row 2, want 1, with no gap"),
        ({"word_to_index": {"a": 0, "b": 0}}, "'b' has row 0, want 1"),
        ({"word_to_index": {"a": "x"}}, "a row is str, want whole numbers"),
        ({"word_to_index": {}}, "4 rows, want 0"),
        ({"embedding_matrix": [1.0]}, "embedding_matrix is list, want a tensor or a NumPy matrix"),
        ({"embedding_matrix": torch.eye(4).to_sparse()}, "want a dense matrix"),
        ({"embedding_matrix": torch.zeros(4)}, "4 of float32, want a matrix"),
        ({"embedding_matrix": torch.full((4, 2), torch.nan)}, "row 3, 'the': nan among the numbers"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, changed: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        tables.rows_of(saved(tmp_path / "old.pt", **changed), ["the"])
    assert "old.pt" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_torch_file_is_named_by_what_it_holds(tmp_path: Path) -> None:
    torch.save({"state": 1, "epoch": 2}, tmp_path / "x.pt")
    with pytest.raises(
        ValueError, match="a torch file of state, epoch, want embedding_matrix and word_to_index"
    ):
        tables.words_of(Place(tmp_path / "x.pt"))
    torch.save(torch.zeros(3), tmp_path / "x.pt")
    with pytest.raises(ValueError, match="a torch file of Tensor, want"):
        tables.words_of(Place(tmp_path / "x.pt"))


def test_damage_is_seen(tmp_path: Path) -> None:
    place = saved(tmp_path / "old.pt", embedding_matrix=torch.ones(4, 500))
    content = place.path.read_bytes()
    at = content.index(torch.ones(20).numpy().tobytes())
    place.path.write_bytes(content[:at] + b"\x01" + content[at + 1 :])
    with pytest.raises(ValueError, match=r"old.pt: damaged, .*checksum"):
        tables.rows_of(place, ["the"])
    place.path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"old.pt: damaged, not what torch wrote \(BadZipFile"):
        tables.rows_of(place, ["the"])
