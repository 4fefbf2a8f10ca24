import math
from pathlib import Path

import numpy as np
import pytest
from search_case import index_of

from twotower.search import lexical
from twotower.search.index import Index
from twotower.search.lexical import Lexical
from twotower.text.tokenize import Tokenizer

TEXTS = ["read a csv file", "csv csv matrix", "delete file", "the of and", ""]


def build() -> Lexical:
    return Lexical.of(Tokenizer().tokenize(TEXTS))


def by_hand(query: list[str]) -> list[float]:
    """Lucene's BM25 with k1 0.9 and b 0.4, from its definition; stop words left out."""
    texts = [["read", "csv", "file"], ["csv", "csv", "matrix"], ["delete", "file"], [], []]
    mean = sum(map(len, texts)) / len(texts)
    scores = []
    for text in texts:
        score = 0.0
        for word in query:
            held = sum(word in other for other in texts)
            idf = math.log(1 + (len(texts) - held + 0.5) / (held + 0.5))
            times = text.count(word)
            score += idf * times / (times + 0.9 * (1 - 0.4 + 0.4 * len(text) / mean))
        scores.append(score)
    return scores


@pytest.mark.parametrize("query", [["csv"], ["csv", "file"], ["delete", "matrix", "read"]])
def test_scores_are_lucenes(query: list[str]) -> None:
    np.testing.assert_allclose(build().scores(query), by_hand(query), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("query", [[], ["the"], ["unheard"]])
def test_words_that_no_document_has_score_nothing(query: list[str]) -> None:
    assert build().scores(query).tolist() == [0.0] * len(TEXTS)


@pytest.mark.parametrize("texts", [TEXTS, ["", "the"]])
def test_saved_and_loaded_it_scores_the_same(texts: list[str], tmp_path: Path) -> None:
    made = Lexical.of(Tokenizer().tokenize(texts))
    made.save(tmp_path)
    loaded = Lexical.load(tmp_path)
    for query in (["csv"], ["csv", "file"], ["nothing"]):
        np.testing.assert_array_equal(loaded.scores(query), made.scores(query))


def test_the_best_are_ordered_by_score_then_row() -> None:
    scores = np.float32([0, 3, 1, 3, 2, 3])
    assert lexical.best(scores, 2).tolist() == [1, 3]
    assert lexical.best(scores, 4).tolist() == [1, 3, 5, 4]
    assert lexical.best(scores, 99).tolist() == [1, 3, 5, 4, 2]
    assert lexical.best(np.zeros(3, np.float32), 5).tolist() == []


def index(folder: Path, corpus: str = "c") -> Index:
    texts = {f"d{i}": text for i, text in enumerate(TEXTS[:3])}
    return index_of(texts, ("", "", ""), folder, corpus=corpus)


def test_it_is_built_once_for_a_corpus(tmp_path: Path) -> None:
    cache, said = tmp_path / "cache", list[str]()
    first = lexical.of_index(index(tmp_path), cache, said.append)
    again = lexical.of_index(index(tmp_path), cache, said.append)
    np.testing.assert_array_equal(first.scores(["csv"]), again.scores(["csv"]))
    assert said == ["reading the words of 3 documents for BM25, once for these documents"]
    lexical.of_index(index(tmp_path, "other"), cache, said.append)
    assert len(said) == 2
    assert [file.name for file in cache.iterdir() if file.name.startswith(".")] == []


@pytest.mark.parametrize("name", ["lexical.json", "data.csc.index.npy", "params.index.json"])
def test_a_damaged_one_is_built_anew(name: str, tmp_path: Path) -> None:
    cache, said = tmp_path / "cache", list[str]()
    want = lexical.of_index(index(tmp_path), cache, said.append).scores(["file"])
    (file,) = cache.rglob(name)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    np.testing.assert_array_equal(
        lexical.of_index(index(tmp_path), cache, said.append).scores(["file"]), want
    )
    assert len(said) == 2


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert lexical.of_index(index(tmp_path), blocked, print).documents == 3
    assert lexical.of_index(index(tmp_path), None, print).documents == 3


def test_without_bm25s_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(lexical.importlib, "import_module", missing)
    with pytest.raises(ValueError, match="BM25: needs bm25s; `pip install bm25s`"):
        build()
