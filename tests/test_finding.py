from pathlib import Path

import numpy as np
import pytest
from search_case import encode, index_of

from twotower.search import approximate, exact, fusion, stored
from twotower.search.documents import Document, DocumentStore
from twotower.search.finding import Finder, Options
from twotower.search.index import Index
from twotower.search.packed import Packed
from twotower.search.searcher import Searcher
from twotower.text.vocabulary import SPECIAL, Vocab

COUNT, DIM = 400, 16
SOURCES = ("wiki", "news", "")


def large(folder: Path, kind: str = "flat", storage: str = "float32") -> Index:
    """Documents of three sources, every tenth with the words and vector of the one before."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(COUNT, DIM)).astype(np.float32)
    vectors[9::10] = vectors[8::10]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = [f"d{row:04}" for row in range(COUNT)]
    first = np.arange(COUNT, dtype=np.int32)
    first[9::10] = first[8::10]
    with DocumentStore.open(folder / "documents.db", write=True) as store:
        store.put(
            Document(ids[row], "", f"word{first[row] % 7} text{first[row]}", SOURCES[row % 3])
            for row in range(COUNT)
        )
        store.finish()
    docs = stored.in_memory(vectors, storage)
    manifest = {"pattern": r"\w+", "max_query_words": 64, "collection": "large", "name": "", "corpus": "c"}
    search = None if kind == "flat" else approximate.build(docs, kind=kind, recall=1.0, queries=None, seed=0)
    return Index(
        folder=folder,
        manifest=manifest | {"longest": docs.longest(), "store": None, "kind": kind},
        vectors=docs,
        ids=Packed.of(ids),
        documents=DocumentStore.open(folder / "documents.db", immutable=True),
        vocab=Vocab(SPECIAL),
        tower={},
        doc_tower={},
        duplicates=first,
        approximate=search,
    )


def queries(count: int = 5) -> np.ndarray:
    wide = np.random.default_rng(1).normal(size=(count, DIM)).astype(np.float32)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


def brute(index: Index, query: np.ndarray, rows: np.ndarray) -> list[int]:
    scores = (index.vectors[rows].astype(np.float64) @ query.astype(np.float64)).astype(np.float32)
    return rows[np.lexsort((rows, -scores))].tolist()


@pytest.mark.parametrize("kind", ["flat", "hnsw", "ivf"])
@pytest.mark.parametrize("storage", ["float32", "int8"])
@pytest.mark.parametrize("source", ["wiki", "news"])
def test_of_a_source_the_best_are_those_of_brute_force(
    kind: str, storage: str, source: str, tmp_path: Path
) -> None:
    index = large(tmp_path, kind, storage)
    own = np.flatnonzero([SOURCES[row % 3] == source for row in range(COUNT)])
    found = Finder(index, None, print).find(queries(), [[]] * 5, 7, Options(source=source, merge=False))
    for query, one in zip(queries(), found, strict=True):
        assert one.rows.tolist() == brute(index, query, own)[:7]


def test_merged_hits_are_as_many_as_asked_for(tmp_path: Path) -> None:
    index = large(tmp_path)
    finder = Finder(index, None, print)
    for k in (1, 5, 100, 360, 400):
        for one in finder.find(queries(2), [[]] * 2, k, Options()):
            assert len(set(index.duplicates[one.rows].tolist())) >= min(k, 360)
            assert (np.diff(one.scores) <= 0).all()


def test_others_that_read_the_same_are_named(tmp_path: Path) -> None:
    finder = Finder(large(tmp_path), None, print)
    assert finder.others(8) == ("d0009",)
    assert finder.others(9) == ("d0008",)
    assert finder.others(7) == ()


@pytest.mark.parametrize("mode", fusion.MODES)
def test_a_hybrid_order_is_that_of_its_parts(mode: str, tmp_path: Path) -> None:
    index = large(tmp_path)
    finder = Finder(index, None, lambda line: None)
    (query,), words = queries(1), ["word3", "text17"]
    (found,) = finder.find(query[None], [words], 10, Options(hybrid=mode, weight=0.3, merge=False))
    bm25 = finder.lexical.scores(words)
    near = brute(index, query, np.arange(COUNT))[:100]
    worded = sorted(np.flatnonzero(bm25 > 0).tolist(), key=lambda row: (-bm25[row], row))[:100]
    every = np.array(sorted({*near, *worded}))
    cosines = (index.vectors[every].astype(np.float64) @ query.astype(np.float64)).astype(np.float32)
    if mode == "rrf":
        fused = np.array([fusion.rrf(near, worded)[row] for row in every.tolist()])
    else:
        fused = fusion.weighted(cosines, bm25[every], 0.3)
    order = np.lexsort((every, -fused))
    assert found.rows.tolist() == every[order].tolist()
    np.testing.assert_allclose(found.scores, fused[order], rtol=1e-9)
    np.testing.assert_array_equal(found.cosines, cosines[order])
    np.testing.assert_array_equal(found.bm25, bm25[every][order])


def test_a_weight_of_one_is_the_tower_alone(tmp_path: Path) -> None:
    finder = Finder(large(tmp_path), None, lambda line: None)
    alone = finder.find(queries(), [["word1"]] * 5, 10, Options(merge=False))
    both = finder.find(queries(), [["word1"]] * 5, 10, Options(hybrid="weighted", weight=1.0, merge=False))
    assert [one.rows[:10].tolist() for one in both] == [one.rows.tolist() for one in alone]


def test_hybrid_and_source_go_together(tmp_path: Path) -> None:
    finder = Finder(large(tmp_path), None, lambda line: None)
    (found,) = finder.find(queries(1), [["word3"]], 10, Options(hybrid="rrf", source="news", merge=False))
    assert {SOURCES[row % 3] for row in found.rows.tolist()} == {"news"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            Options(source="wikki"),
            "source: large has no 'wikki'; did you mean wiki\\? \\(want one of news, wiki\\)",
        ),
        (Options(hybrid="bm25"), "hybrid: got 'bm25', want one of rrf, weighted"),
    ],
)
def test_what_cannot_be_searched_is_refused(options: Options, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        Finder(large(tmp_path), None, print).check(options)


def test_documents_without_a_source_say_so(tmp_path: Path) -> None:
    index = index_of({"a": "csv"}, ("",), tmp_path)
    with pytest.raises(ValueError, match="want one of none: its documents have no source"):
        Finder(index, None, print).check(Options(source="x"))


def test_many_queries_find_what_each_does_alone(tmp_path: Path) -> None:
    texts = {"a": "csv file", "b": "matrix", "c": "csv file", "d": "csv matrix file"}
    searcher = Searcher(index_of(texts, ("",) * 4, tmp_path, corpus="c"), encode, "cpu")
    asked = ["csv", "file matrix", "csv file", "unheard of"]
    for options in (Options(), Options(merge=False), Options(hybrid="rrf"), Options(hybrid="weighted")):
        together = searcher.search_many(asked, 3, options)
        alone = [searcher.search(query, 3, options) for query in asked]
        assert [one.hits for one in together] == [one.hits for one in alone]
        assert [one.unknown for one in together] == [one.unknown for one in alone]
    assert searcher.search_many([], 3) == []


def test_scores_are_exact_for_one_source(tmp_path: Path) -> None:
    index = large(tmp_path)
    (found,) = Finder(index, None, print).find(queries(1), [[]], 3, Options(source="wiki", merge=False))
    every = exact.top(queries(1), index.vectors, COUNT, chunk=100)
    scores = dict(zip(every.rows[0].tolist(), every.scores[0].tolist(), strict=True))
    assert found.scores.tolist() == [scores[row] for row in found.rows.tolist()]
