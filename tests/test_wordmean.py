from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from floors_case import ask
from passages_case import passages

from twotower.data.collection import Collection
from twotower.evaluation import wordmean
from twotower.evaluation.candidates import Lists
from twotower.text.tokenize import Tokenizer

DOCS = {"d1": "cat cat dog", "d2": "dog", "d3": "zyzzyva", "d4": "cat zyzzyva"}
QRELS = {"dev": {"q1": {"d1": 1, "d2": 0}, "q2": {"d3": 1, "d4": 0}}}
COLLECTION = Collection.from_dicts(DOCS, {"q1": "cat cats dog", "q2": "emu"}, QRELS)


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "words.txt"
    path.write_text("3 2\ncat 2 0\ndog 0 1\nunused 5 5\n")
    return str(path)


def test_a_text_is_the_mean_of_its_known_words_at_unit_length(table: str) -> None:
    tokens = Tokenizer().tokenize(["cat cat dog", "dog", "zyzzyva", "", "cat emu dog"])
    places = {word: place for place, word in enumerate(tokens.words)}
    found = wordmean._means(tokens, places, wordmean._table(wordmean.tables_of(table), places))
    # cat cat dog: (4, 1); dog: (0, 1); unknown; empty; cat emu dog: (2, 1)
    expected = [(4 / 17**0.5, 1 / 17**0.5), (0, 1), (0, 0), (0, 0), (2 / 5**0.5, 1 / 5**0.5)]
    assert np.allclose(found, expected, atol=1e-6)


def test_queries_find_what_their_words_lie_near(table: str, tmp_path: Path) -> None:
    found = wordmean.score(wordmean.tables_of(table), ask(COLLECTION, tmp_path))
    # q1 is (2, 1): cosine with d1 (4, 1) is 9 / 85**0.5 = 0.976, with d4 (1, 0) 0.894, with d2 0.447
    assert found.per_query["mrr_10"][0] == pytest.approx(1)
    # q2 knows no word: all four documents tie, (1 + 1/2 + 1/3 + 1/4) / 4
    assert found.per_query["mrr_10"][1] == pytest.approx(25 / 48)


def test_tables_stand_side_by_side_and_what_one_lacks_is_zero(table: str, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("1 3\nemu 1 2 3\n")
    matrix = wordmean._table(wordmean.tables_of(f"{table}+random+{other}"), {"emu": 0, "cat": 1, "gnu": 2})
    assert matrix.tolist() == [[0, 0, 1, 2, 3], [2, 0, 0, 0, 0], [0, 0, 0, 0, 0]]


def test_lists_of_all_documents_are_the_corpus(table: str, tmp_path: Path) -> None:
    tables = wordmean.tables_of(table)
    full = wordmean.score(tables, ask(COLLECTION, tmp_path))
    everything = Lists.of(np.repeat([0, 1], 4), np.tile(np.arange(4), 2))
    listed = wordmean.score(tables, replace(ask(COLLECTION, tmp_path), lists=everything))
    assert listed.metrics == pytest.approx(full.metrics)


def test_a_table_of_strangers_scores_as_chance(tmp_path: Path) -> None:
    path = tmp_path / "strangers.txt"
    path.write_text("1 2\nqwertyuiop 1 1\n")
    asked = ask(passages(), tmp_path, own=True)
    found = wordmean.score(wordmean.tables_of(str(path)), asked)
    assert found.metrics["recall_10"] == pytest.approx(1)
    assert 0.29 < found.metrics["mrr_10"] < 0.45


@pytest.mark.parametrize(("source", "count"), [("random", 0), ("train+random", 0), ("glove-50d+train", 1)])
def test_only_tables_have_a_mean(source: str, count: int) -> None:
    assert len(wordmean.tables_of(source)) == count


def test_the_digest_is_of_the_file_not_of_its_use(table: str) -> None:
    first = wordmean.digest(wordmean.tables_of(table))
    assert wordmean.digest(wordmean.tables_of(f"{table}+random")) == first
    Path(table).write_text("1 1\ncat 1\n")
    assert wordmean.digest(wordmean.tables_of(table)) != first
