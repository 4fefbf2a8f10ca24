from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.legacy_case import WORDS, OlderMLP, write
from tests.test_checkpoint import retriever
from twotower.model import checkpoint, legacy


@pytest.fixture
def model() -> OlderMLP:
    torch.manual_seed(1)
    return OlderMLP()


@pytest.mark.parametrize(
    "lists",
    [
        {},
        {"index_to_word": list(WORDS)},
        {"index_to_word": {str(place): word for place, word in enumerate(WORDS)}},
        {"index_to_word": np.array(WORDS)},
        {"index_to_word": None},
        {"word_to_index": None},
        {"word_to_index": {word: np.int64(place) for place, word in enumerate(WORDS)}},
    ],
    ids=["dict", "list", "JSON", "array", "only word_to_index", "only index_to_word", "NumPy's numbers"],
)
def test_words_are_read_from_a_list_or_a_dict(tmp_path: Path, model: OlderMLP, lists: dict[str, Any]) -> None:
    older = legacy.read(write(tmp_path / "a.pt", model, **lists))
    assert older.rows == {word: place for place, word in enumerate(WORDS)}


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # of np.matrix
@pytest.mark.parametrize("kind", [torch.tensor, np.array, np.asmatrix], ids=["tensor", "array", "matrix"])
def test_the_matrix_may_be_of_any_kind(tmp_path: Path, model: OlderMLP, kind: Any) -> None:
    matrix = model.embedding.weight.detach().tolist()
    older = legacy.read(write(tmp_path / "a.pt", model, embedding_matrix=kind(matrix)))
    assert torch.equal(older.vectors, model.embedding.weight)
    assert older.vectors.dtype == torch.float32


def test_prefixes_of_wrappers_are_taken_off(tmp_path: Path, model: OlderMLP) -> None:
    wrapped = {f"module._orig_mod.{name}": one for name, one in model.state_dict().items()}
    older = legacy.read(write(tmp_path / "a.pt", model, model_state_dict=wrapped))
    assert list(older.state) == list(model.state_dict())


def test_their_special_words_become_ours(tmp_path: Path, model: OlderMLP) -> None:
    words = legacy.carried_words(legacy.read(write(tmp_path / "a.pt", model)), "")
    assert words.vocab.words == ("<pad>", "<unk>", "the", "cat", "sat", "on", "mat", "dog", "ran")
    assert words.rows == [legacy.ZEROS, 1, 2, 3, 4, 5, 6, 7, 8]


def test_a_vocabulary_without_special_words_gets_both(tmp_path: Path, model: OlderMLP) -> None:
    plain = {"ran": 0, "cat": 2}
    path = write(tmp_path / "a.pt", model, word_to_index=plain, index_to_word=None)
    older = legacy.read(path)
    with pytest.raises(
        ValueError, match=r"no word for unknown ones; write unknown=skip .* or unknown=<word>"
    ):
        legacy.carried_words(older, "")
    skipping, taking = legacy.carried_words(older, "skip"), legacy.carried_words(older, "ran")
    assert skipping.vocab.words == taking.vocab.words == ("<pad>", "<unk>", "ran", "cat")
    assert (skipping.rows, skipping.skip_unknown) == ([legacy.ZEROS, legacy.ZEROS, 0, 2], True)
    assert (taking.rows, taking.skip_unknown) == ([legacy.ZEROS, 0, 0, 2], False)
    with pytest.raises(ValueError, match="unknown: 'dog' is not a word of"):
        legacy.carried_words(older, "dog")


def test_what_the_file_says_is_found_in_its_config_or_the_runs(tmp_path: Path, model: OlderMLP) -> None:
    stats = {"config": {"pooling": "mean", "max_length": 9}, "training_stats": []}
    older = legacy.read(write(tmp_path / "a.pt", model, training_stats=stats))
    assert older.said(("max_query_length", "max_length")) == 20
    assert older.said(("max_length",)) == 9
    assert older.said(("pooling",)) == "mean"
    assert older.said(("activation",)) is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"index_to_word": [*WORDS[:-1], "other"]}, "'ran' is 8, index_to_word that 'other' is"),
        ({"word_to_index": {}, "index_to_word": None}, "no words"),
        ({"word_to_index": {"cat": "3"}, "index_to_word": None}, "'cat' is '3', want a word and its row"),
        ({"index_to_word": 5}, "index_to_word: int, want a list"),
        ({"model_state_dict": None}, "it has no model_state_dict"),
        ({"model_state_dict": {"a": "b"}}, "model_state_dict: str, want a dense tensor"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(
    tmp_path: Path, model: OlderMLP, content: dict[str, Any], said: str
) -> None:
    path = write(tmp_path / "a.pt", model, **content)
    with pytest.raises(ValueError, match=said) as error:
        legacy.read(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_a_checkpoint_of_ours_needs_no_conversion(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "a.pt", retriever(), {})
    with pytest.raises(ValueError, match="a checkpoint of this system already"):
        legacy.read(tmp_path / "a.pt")


def test_ours_says_of_an_older_file_that_it_can_be_converted(tmp_path: Path, model: OlderMLP) -> None:
    plain = {"eval_results": None, "epoch": 1, "model_config": None, "training_stats": None}
    path = write(tmp_path / "a.pt", model, **plain, embedding_matrix=torch.zeros(9, 5))
    with pytest.raises(ValueError, match="as older systems wrote it, want 1; `twotower convert` converts it"):
        checkpoint.load(path)
    with pytest.raises(ValueError, match=r"asks for numpy\.\w+\.multiarray\.\w+; `twotower convert` reads"):
        checkpoint.load(write(tmp_path / "b.pt", model))


def test_a_history_that_is_not_json_is_an_error(tmp_path: Path, model: OlderMLP) -> None:
    path = write(tmp_path / "a.pt", model)
    assert legacy.read_history(path) is None
    (tmp_path / "training_history_a.json").write_text("{")
    with pytest.raises(ValueError, match=r"training_history_a\.json: not JSON"):
        legacy.read_history(path)
