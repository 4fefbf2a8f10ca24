from pathlib import Path

import numpy as np
import pytest
from test_explain import TOWERS, searcher_of

from twotower import config
from twotower.search import neighbours


@pytest.mark.parametrize("tower", [TOWERS[0], config.GRUTower(hidden_dim=5)])
def test_neighbours_are_those_of_the_word_vectors(tower: config.Tower, tmp_path: Path) -> None:
    searcher = searcher_of(tmp_path, tower)
    vectors = (
        np.random.default_rng(0).normal(size=(len(searcher.index.vocab), 8)).astype(np.float32)
    )  # the case's
    words = searcher.index.vocab.words
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    want = unit @ unit[words.index("file")]
    order = [row for row in np.argsort(-want).tolist() if row > 1 and words[row] != "file"]
    found = neighbours.of(searcher, "File", 4)
    assert [word for word, _ in found] == [words[row] for row in order[:4]]
    assert [cosine for _, cosine in found] == pytest.approx([want[row] for row in order[:4]], abs=1e-5)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("two words", "near: got 'two words', want one word"),
        ("?", r"near: got '\?', want one word"),
        ("docment", "near: 'docment' is not in the vocabulary; known: document"),
        ("zzz", "near: 'zzz' is not in the vocabulary$"),
    ],
)
def test_what_is_no_known_word_is_refused(word: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        neighbours.of(searcher_of(tmp_path, TOWERS[0]), word)


def test_more_than_there_are_gives_all(tmp_path: Path) -> None:
    searcher = searcher_of(tmp_path, TOWERS[0])
    known = len(searcher.index.vocab) - 2
    assert len(neighbours.of(searcher, "file", 10_000)) == known - 1
