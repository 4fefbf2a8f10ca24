import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from twotower import config
from twotower.model import encode
from twotower.model.encode import chunks, encode_docs, encode_queries
from twotower.model.two_tower import Shape, TwoTower
from twotower.text.ragged import Ragged

MLP = config.MLPTower(hidden_dim=7, dropout=0.5)
GRU = config.GRUTower(hidden_dim=4)


def model_of(query_tower: config.Tower, doc_tower: config.Tower) -> TwoTower:
    torch.manual_seed(0)
    vectors = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)
    shape = Shape(query_tower=query_tower, doc_tower=doc_tower, dim=6, tied=False, share_words=True)
    return TwoTower(shape, vectors)


def texts_of(count: int) -> Ragged:
    rng = np.random.default_rng(1)
    return Ragged.of([rng.integers(1, 50, rng.integers(1, 20)).tolist() for _ in range(count)])


@pytest.mark.parametrize("tower", [MLP, GRU])
def test_vectors_come_back_in_order_whatever_the_chunk(tower: config.Tower, monkeypatch: pytest.MonkeyPatch):
    model, texts = model_of(tower, tower), texts_of(40)
    whole = encode_docs(model, texts)

    monkeypatch.setattr(encode, "CHUNK", 30)
    chunked = encode_docs(model, texts)
    alone = np.concatenate([encode_docs(model, texts.take([row])) for row in range(40)])

    assert whole.shape == (40, 6)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(chunked, whole, atol=1e-6)
    np.testing.assert_allclose(alone, whole, atol=1e-6)


def test_each_side_has_its_own_tower():
    model, texts = model_of(MLP, GRU), texts_of(3)

    assert not np.allclose(encode_queries(model, texts), encode_docs(model, texts), atol=1e-3)


def test_encoding_is_without_dropout_and_leaves_the_mode():
    model, texts = model_of(MLP, MLP), texts_of(3)
    model.train()

    np.testing.assert_array_equal(encode_queries(model, texts), encode_queries(model, texts))
    assert model.training


def test_no_text_gives_no_vector():
    assert encode_docs(model_of(MLP, MLP), texts_of(0)).shape == (0, 6)


@given(st.lists(st.integers(1, 30), max_size=40), st.integers(1, 60))
def test_chunks_hold_each_row_once_and_keep_to_the_size(lengths: list[int], size: int):
    parts = [rows.tolist() for rows in chunks(np.array(lengths, dtype=np.int64), size)]

    assert sorted(row for rows in parts for row in rows) == list(range(len(lengths)))
    for rows in parts:
        assert len(rows) == 1 or len(rows) * max(lengths[row] for row in rows) <= size


@pytest.mark.parametrize("widths", [(5, 6), (16, 32), (33, 7)])
def test_a_document_alike_has_the_same_bits_alone_and_among_others(widths: tuple[int, int]):
    hidden, dim = widths
    cfg = config.MLPTower(hidden_dim=hidden)
    model = TwoTower(
        Shape(query_tower=cfg, doc_tower=cfg, dim=dim, tied=True, share_words=True),
        np.random.default_rng(0).normal(size=(50, 9)).astype(np.float32),
    )
    rng = np.random.default_rng(1)
    texts = [rng.integers(0, 50, rng.integers(1, 20)).tolist() for _ in range(300)]
    texts += texts[:40]  # repeated ones are encoded once
    many = encode.encode_docs_alike(model, Ragged.of(texts))
    for rows in (range(7), range(100, 340), [299, 3, 3, 12], [0]):
        some = encode.encode_docs_alike(model, Ragged.of([texts[row] for row in rows]))
        assert (some == many[list(rows)]).all()
    assert np.abs(many - encode_docs(model, Ragged.of(texts))).max() < 1e-6
    assert encode.encode_docs_alike(model, Ragged.of([])).shape == (0, dim)
