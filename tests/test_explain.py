from pathlib import Path

import numpy as np
import pytest
import torch
from index_case import Indexes
from search_case import TEXTS

from twotower import config
from twotower.model import encode as encoding
from twotower.search import explain
from twotower.search.numpy_tower import NumpyMLP
from twotower.search.opening import Request, open_searcher
from twotower.search.searcher import Searcher
from twotower.search.stages import Plan

QUERY = "read a CSV file, read quickly"
TOWERS = [
    config.MLPTower(hidden_dim=5, num_layers=2),
    config.MLPTower(hidden_dim=5, num_layers=3, activation=config.Activation.tanh),
    config.MLPTower(hidden_dim=5, num_layers=3, residual=False, activation=config.Activation.relu),
    config.MLPTower(hidden_dim=5, num_layers=1),
    config.MLPTower(hidden_dim=5, bag=config.Bag.mean),
]


def searcher_of(folder: Path, tower: config.Tower, plan: Plan | None = None) -> Searcher:
    """With biases, as training leaves them."""
    indexes = Indexes(folder, tower)
    with torch.no_grad():
        for name, parameter in indexes.case.retriever.two_tower.named_parameters():
            if name.endswith("bias"):
                parameter.normal_()
    indexes.build(plan=plan)
    return open_searcher(
        Request(None, config.Stored(), indexes.case.cache_dir, indexes.case.load, print, "docs", indexes.root)
    )


@pytest.mark.parametrize("tower", TOWERS)
@pytest.mark.parametrize("doc_id", list(TEXTS))
def test_shares_and_remainder_are_the_score(tower: config.Tower, doc_id: str, tmp_path: Path) -> None:
    searcher = searcher_of(tmp_path, tower)
    hits = {hit.doc_id: hit.score for hit in searcher.search(QUERY, 6).hits}
    found = explain.explain(searcher, QUERY, doc_id)
    assert found.method == "integrated gradients"
    assert found.score == pytest.approx(hits[doc_id], abs=1e-6)
    for side in (found.query, found.document):
        assert sum(share.adds for share in side.shares) + side.remainder == pytest.approx(
            found.score, abs=1e-6
        )


@pytest.mark.parametrize("tower", TOWERS)
def test_the_remainder_is_the_score_of_no_word(tower: config.Tower, tmp_path: Path) -> None:
    """Completeness of integrated gradients: the shares are what the words change."""
    searcher = searcher_of(tmp_path, tower)
    found = explain.explain(searcher, QUERY, "csv.reader")
    index = searcher.index
    knobs = index.manifest["query_tower"]
    arrays = NumpyMLP(index.tower, activation=knobs["activation"], residual=knobs["residual"])
    nothing = np.zeros((1, index.tower["words"].shape[1]), dtype=np.float32)
    arrays.words, arrays.weights = nothing, None  # every word is nothing, so only the biases speak
    arrays._scaled = lambda texts: nothing  # type: ignore[method-assign]
    empty = arrays(index.vocab.encode(searcher.tokenizer.tokenize(["x"]), 5))[0]
    stored = index.vectors[np.array([index.row("csv.reader")])][0]
    tolerance = 2e-2 if knobs["activation"] == "relu" else 1e-3  # a kink is passed between two places
    assert found.query.remainder == pytest.approx(float(empty @ stored), abs=tolerance)


def test_gradients_are_those_of_torch(tmp_path: Path) -> None:
    """At a hundred places of the way, by automatic differentiation of the model itself."""
    tower = config.MLPTower(hidden_dim=5, num_layers=3)
    indexes = Indexes(tmp_path, tower)
    two_tower = indexes.case.retriever.two_tower
    arrays = NumpyMLP(two_tower.numpy_query_tower())
    rng = np.random.default_rng(0)
    x, other = rng.normal(size=8), rng.normal(size=6)
    other /= np.linalg.norm(other)
    nodes, weights = np.polynomial.legendre.leggauss(explain.STEPS)
    way = torch.tensor(((nodes[:, None] + 1) / 2) * x, dtype=torch.float64, requires_grad=True)
    layers = [(torch.tensor(w.astype(float)), torch.tensor(b.astype(float))) for w, b in arrays.layers]
    h = way @ layers[0][0].T + layers[0][1]
    for weight, bias in layers[1:-1]:
        h = h + torch.nn.functional.gelu(h @ weight.T + bias)
    y = torch.nn.functional.normalize(h @ layers[-1][0].T + layers[-1][1], dim=1)
    (y @ torch.tensor(other)).sum().backward()  # type: ignore[no-untyped-call]
    assert way.grad is not None
    want = (weights / 2) @ way.grad.numpy()
    np.testing.assert_allclose(explain._mean_gradient(arrays, x, other, "gelu"), want, atol=1e-6)


def test_a_gru_is_explained_by_leaving_words_out(tmp_path: Path) -> None:
    searcher = searcher_of(tmp_path, config.GRUTower(hidden_dim=5))
    found = explain.explain(searcher, "read file", "json.load")
    assert found.method == "occlusion"
    two_tower = searcher.two_tower
    assert two_tower is not None
    stored = searcher.index.vectors[np.array([searcher.index.row("json.load")])][0]

    def score(query: str) -> float:
        ids = searcher.index.vocab.encode(searcher.tokenizer.tokenize([query]), 64)
        return float(encoding.encode_queries(two_tower, ids)[0].astype(np.float64) @ stored)

    shares = {share.word: share.adds for share in found.query.shares}
    assert shares["read"] == pytest.approx(score("read file") - score("file"), abs=1e-6)
    assert shares["file"] == pytest.approx(score("read file") - score("read"), abs=1e-6)
    for side in (found.query, found.document):
        assert sum(share.adds for share in side.shares) + side.remainder == pytest.approx(
            found.score, abs=1e-6
        )


@pytest.mark.parametrize("storage", list(config.Storage))
def test_what_a_storage_leaves_out_is_in_the_remainder(storage: config.Storage, tmp_path: Path) -> None:
    searcher = searcher_of(tmp_path, TOWERS[0], Plan(storage=storage))
    found = explain.explain(searcher, QUERY, "csv.reader")
    hits = {hit.doc_id: hit.score for hit in searcher.search(QUERY, 6).hits}
    assert found.score == pytest.approx(hits["csv.reader"], abs=1e-6)
    assert sum(share.adds for share in found.query.shares) + found.query.remainder == pytest.approx(
        found.score
    )


def test_words_are_gathered_and_unknown_ones_marked(tmp_path: Path) -> None:
    searcher = searcher_of(tmp_path, TOWERS[0])
    shares = {share.word: share for share in explain.explain(searcher, QUERY, "json.load").query.shares}
    assert set(shares) == {"read", "a", "csv", "file", "quickly"}
    assert (shares["read"].times, shares["csv"].times) == (2, 1)
    assert (shares["quickly"].known, shares["read"].known) == (False, True)
    adds = [abs(share.adds) for share in shares.values()]
    assert adds == sorted(adds, reverse=True)


def test_words_beyond_the_limit_are_counted(tmp_path: Path) -> None:
    searcher = searcher_of(tmp_path, TOWERS[0])
    searcher.limit = 2
    side = explain.explain(searcher, QUERY, "json.load").query
    assert ({share.word for share in side.shares}, side.cut) == ({"read", "a"}, 4)


def test_a_query_without_words_is_all_remainder(tmp_path: Path) -> None:
    found = explain.explain(searcher_of(tmp_path, TOWERS[0]), "?", "json.load")
    assert found.query.shares == ()
    assert found.query.remainder == found.score


def test_an_unknown_document_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="docs: no document 'x'"):
        explain.explain(searcher_of(tmp_path, TOWERS[0]), QUERY, "x")
