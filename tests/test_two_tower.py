from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from twotower import config
from twotower.model.two_tower import Shape, TwoTower
from twotower.model.words import tensors
from twotower.text.ragged import Ragged

VECTORS = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
IDF = np.linspace(1, 3, 12, dtype=np.float32)
MLP = config.MLPTower(hidden_dim=7)
GRU = config.GRUTower(hidden_dim=4)
SHAPE = Shape(query_tower=MLP, doc_tower=MLP, dim=6, tied=False, share_words=True)
TEXTS = Ragged.of([[2, 3, 4], [5], [6, 7]])


def model_of(**changes: object) -> TwoTower:
    torch.manual_seed(0)
    return TwoTower(replace(SHAPE, **changes), VECTORS, IDF)


def embed(model: TwoTower) -> tuple[torch.Tensor, torch.Tensor]:
    texts = tensors(TEXTS, torch.device("cpu"))
    return model.embed_queries(*texts), model.embed_docs(*texts)


@pytest.mark.parametrize("pair", [*product((MLP, GRU), repeat=2)])
def test_any_two_towers_go_together(pair: tuple[config.Tower, config.Tower]):
    model = model_of(query_tower=pair[0], doc_tower=pair[1])
    queries, docs = embed(model)
    (queries @ docs.T).diagonal().sum().backward()

    assert queries.shape == docs.shape == (3, 6)
    torch.testing.assert_close(queries.norm(dim=1), torch.ones(3))
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("tower", [MLP, GRU])
def test_towers_of_one_kind_start_equal_and_part(tower: config.Tower):
    model = model_of(query_tower=tower, doc_tower=tower)
    queries, docs = embed(model)
    assert torch.equal(queries, docs)

    (queries * torch.arange(6)).sum().backward()
    torch.optim.SGD(model.query_tower.parameters(), lr=0.1).step()
    queries, docs = embed(model)
    assert not torch.allclose(queries, docs, atol=1e-3)


def test_tied_towers_are_one_and_stay_so():
    model = model_of(tied=True)
    assert model.query_tower is model.doc_tower
    assert sum(p.numel() for p in model.parameters()) < sum(p.numel() for p in model_of().parameters())


def test_the_state_names_words_and_towers():
    assert list(model_of(query_tower=MLP, doc_tower=GRU).state_dict())[:2] == [
        "words.vectors",
        "query_tower.word_weights",
    ]
    assert {name.split(".")[0] for name in model_of().state_dict()} == {"words", "query_tower", "doc_tower"}
    assert "doc_words.vectors" in model_of(share_words=False).state_dict()


def test_word_tables_of_their_own_part():
    model = model_of(share_words=False)
    embed(model)[0].sum().backward()

    assert model.words.vectors.grad is not None
    assert model.doc_words is not None
    assert model.doc_words.vectors.grad is None


def test_frozen_words_stay_and_thaw():
    model = model_of(share_words=False)
    model.train_words(False)
    sum(vectors.sum() for vectors in embed(model)).backward()
    assert model.words.vectors.grad is None
    assert model.query_tower.word_weights.grad is not None

    model.train_words(True)
    sum(vectors.sum() for vectors in embed(model)).backward()
    assert model.words.vectors.grad is not None
    assert model.doc_words.vectors.grad is not None


@pytest.mark.parametrize("changes", [{}, {"tied": True}, {"share_words": False}, {"doc_tower": GRU}])
def test_a_model_of_the_same_shape_takes_the_state(changes: dict[str, object]):
    model, other = model_of(**changes), TwoTower(replace(SHAPE, **changes), np.zeros_like(VECTORS))
    other.load_state_dict(model.state_dict())

    for one, two in zip(embed(model), embed(other), strict=True):
        assert torch.equal(one, two)


def test_idf_of_another_vocabulary_is_refused():
    with pytest.raises(ValueError, match="idf: 3 words, want 12"):
        TwoTower(SHAPE, VECTORS, IDF[:3])


def test_words_learn_faster_than_an_mlps_layers():
    model = model_of(query_tower=replace(MLP, rate=0.2), doc_tower=replace(GRU, rate=3.0), share_words=False)
    rates = model.rates(10.0)

    assert list(rates) == [name for name, _ in model.named_parameters()]
    assert rates["words.vectors"] == rates["doc_words.vectors"] == rates["doc_tower.word_weights"] == 10
    assert rates["query_tower.layers.0.weight"] == 0.2
    assert rates["doc_tower.project.bias"] == 3
