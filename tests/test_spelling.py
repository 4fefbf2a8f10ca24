import time

import numpy as np
import pytest

from twotower.search import spelling
from twotower.text.vocabulary import SPECIAL, Vocab

VOCAB = Vocab(
    (*SPECIAL, "business", "corporation", "retrieval", "cooperation", "retrieve", "café", "form", "from")
)


@pytest.mark.parametrize(
    ("word", "known"),
    [
        ("buisness", ("business",)),  # swapped
        ("retreival", ("retrieval",)),
        ("corporaton", ("corporation",)),  # left out
        ("retrieval", ("retrieval",)),
        ("caffé", ("café",)),
        ("frm", ()),  # too short to say
        ("frmo", ("from",)),
        ("retrievalss", ("retrieval",)),  # two slips
        ("zzzzzz", ()),
        ("x86", ()),
        ("", ()),
        ("a" * 500, ()),
    ],
)
def test_slips_are_found(word: str, known: tuple[str, ...]) -> None:
    assert spelling.like(word, VOCAB) == known


def test_special_words_are_never_named() -> None:
    assert spelling.like("unknow", Vocab((*SPECIAL, "x"))) == ()


def test_the_more_frequent_word_comes_first() -> None:
    assert spelling.like("corm", Vocab((*SPECIAL, "form", "worm", "core"))) == ("form", "worm", "core")


@pytest.mark.bench
def test_a_large_vocabulary_takes_no_time() -> None:
    rng = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlucmfwypvbgkqjxz"))
    draws = letters[np.minimum(rng.exponential(6, size=(400_000, 9)).astype(int), 25)]
    vocab = Vocab((*SPECIAL, *dict.fromkeys("".join(row) for row in draws.tolist())))
    spelling.like("etaoins", vocab)  # the words' places are worked out once
    start = time.perf_counter()
    spelling.like("etaonnnnie", vocab)
    assert time.perf_counter() - start < 0.3
