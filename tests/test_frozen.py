from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from index_case import Indexes

from tests.training_case import TOWERS, small, write_beir
from twotower import compose, config
from twotower.commands import train
from twotower.config import FrozenTower
from twotower.data.collection import Collection
from twotower.model import checkpoint, identity, sidecar
from twotower.search import build, origins
from twotower.search.build import Job
from twotower.search.opening import Request, open_searcher
from twotower.search.searcher import Searcher
from twotower.training import frozen

TEXTS = ["grave accents", "an ash tree", "unheard-of Wörter", ""]


@pytest.fixture
def folder(tiny: Collection, tmp_path: Path) -> Path:
    return write_beir(tiny, tmp_path / "tiny")


def trained(folder: Path, home: Path, **knobs: Any) -> Path:
    before = set((home / "checkpoints").glob("*.pt"))
    assert train.run(small(folder, home, **knobs)) == 0
    (path,) = set((home / "checkpoints").glob("*.pt")) - before
    return path


def onto(path: Path, folder: Path, home: Path, **knobs: Any) -> Path:
    """A query tower trained against the document tower of `path`."""
    return trained(folder, home, doc_tower=FrozenTower(checkpoint=str(path)), **knobs)


@pytest.mark.parametrize("first", ["mlp", "gru", "tied"])
@pytest.mark.parametrize("query_tower", ["mlp", "gru"])
def test_the_document_tower_stays_to_the_last_bit(
    first: str, query_tower: str, folder: Path, tmp_path: Path
) -> None:
    kind = TOWERS["mlp" if first == "tied" else first]
    old = trained(folder, tmp_path, query_tower=kind, doc_tower=kind, tied=first == "tied", dim=5)
    new = onto(old, folder, tmp_path, query_tower=TOWERS[query_tower], learning_rate=0.05, epochs=3)
    both = [checkpoint.load(path).retriever for path in (old, new)]
    np.testing.assert_array_equal(*(one.encode_docs(TEXTS) for one in both))
    if TOWERS[query_tower] != kind:  # otherwise it starts as the old one, and may end no better
        assert not np.allclose(both[0].encode_queries(TEXTS), both[1].encode_queries(TEXTS), atol=1e-3)
    assert identity.of_docs(both[0]) == identity.of_docs(both[1]) == sidecar.read(new)["doc_tower"]
    assert both[1].vocab.words == both[0].vocab.words


@pytest.mark.parametrize(
    "knobs",
    [
        {"cache_chunk": 2},
        {"sparse_words": True},
        {"freeze_epochs": 1},
        {"weight_decay": 0.1},
        {"loss": config.Triplet()},
        {"optimizer": config.Optimizer.sgd},
    ],
)
def test_it_stays_however_is_trained(knobs: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    old = trained(folder, tmp_path)
    new = onto(old, folder, tmp_path, learning_rate=0.05, epochs=2, **knobs)
    both = [checkpoint.load(path).retriever for path in (old, new)]
    np.testing.assert_array_equal(*(one.encode_docs(TEXTS) for one in both))
    assert not np.array_equal(both[0].encode_queries(TEXTS[:1]), both[1].encode_queries(TEXTS[:1]))


def test_a_query_tower_of_the_same_form_starts_where_the_old_one_ended(folder: Path, tmp_path: Path) -> None:
    old = trained(folder, tmp_path)
    new = onto(old, folder, tmp_path, epochs=0)
    both = [checkpoint.load(path).retriever for path in (old, new)]
    np.testing.assert_array_equal(*(one.encode_queries(TEXTS) for one in both))
    other = checkpoint.load(onto(old, folder, tmp_path, epochs=0, query_tower=TOWERS["gru"])).retriever
    assert not np.allclose(both[0].encode_queries(TEXTS), other.encode_queries(TEXTS), atol=1e-2)


def test_nothing_is_dropped_out_of_a_frozen_tower(folder: Path, tmp_path: Path) -> None:
    tower = config.MLPTower(hidden_dim=8, dropout=0.5)
    old = trained(folder, tmp_path, query_tower=tower, doc_tower=tower)
    cfg = frozen.settled(small(folder, tmp_path, doc_tower=FrozenTower(checkpoint=str(old))))
    fixed = frozen.load(cfg)
    assert fixed is not None
    model = fixed.model(cfg, fixed.words().matrix, np.ones(len(fixed.retriever.vocab), np.float32))
    model.train()
    ids, offsets = torch.tensor([2, 3]), torch.tensor([0, 2])
    torch.testing.assert_close(model.embed_docs(ids, offsets), model.embed_docs(ids, offsets), rtol=0, atol=0)
    assert not any(p.requires_grad for name, p in model.named_parameters() if name.startswith("doc_"))


def test_cached_and_plain_steps_give_one_model(folder: Path, tmp_path: Path) -> None:
    old = trained(folder, tmp_path)
    found = [
        checkpoint.load(onto(old, folder, tmp_path, cache_chunk=chunk, random_negatives=0)).retriever
        for chunk in (0, 2)
    ]
    np.testing.assert_allclose(*(one.encode_queries(TEXTS) for one in found), atol=1e-5)


def searcher(request_of: Path, old: Path, folder: Path, home: Path) -> Searcher:
    """Over an index that `old` built, asked with `request_of`."""
    indexes = home / "indexes"
    if not indexes.exists():
        encoder = build.encoder(old, lambda: checkpoint.load(old))
        origin = origins.of_data(config.Beir(path=str(folder)))
        build.named(indexes, "docs", Job(origin, encoder, home / "cache", print))
    return open_searcher(
        Request(request_of, config.Stored(), home / "cache", checkpoint.load, print, "docs", indexes)
    )


def test_an_index_of_the_old_one_answers_for_the_new_one_alone(folder: Path, tmp_path: Path) -> None:
    old = trained(folder, tmp_path)
    new, foreign = onto(old, folder, tmp_path, epochs=2), trained(folder, tmp_path, seed=7)
    opened = searcher(new, old, folder, tmp_path)
    answer = opened.search("grave accents", 2)
    retriever = checkpoint.load(new).retriever
    texts = [f"{hit.title} {hit.text}".strip() for hit in answer.hits]
    want = retriever.encode_docs(texts) @ retriever.encode_queries(["grave accents"])[0]
    assert [hit.score for hit in answer.hits] == pytest.approx(want.tolist(), abs=1e-6)
    with pytest.raises(ValueError, match="did not build index docs"):
        searcher(foreign, old, folder, tmp_path)


def test_the_words_of_the_command_line(folder: Path, tmp_path: Path) -> None:
    path = folder.as_posix()
    short = compose.composed("train", ["doc_tower=frozen:@best", "data=beir", f"data.path={path}"])
    long = compose.composed(
        "train", ["doc_tower=frozen", "doc_tower.checkpoint=@best", "data=beir", f"data.path={path}"]
    )
    assert short.cfg == long.cfg
    assert short.cfg.doc_tower == FrozenTower(checkpoint="@best")
    with pytest.raises(ValueError, match=r"doc_tower\.checkpoint: missing"):
        compose.composed("train", ["doc_tower=frozen", "data=beir", f"data.path={path}"])
    with pytest.raises(ValueError, match="doc_tower: got 'mlp:@best'"):
        compose.composed("train", ["doc_tower=mlp:@best", "data=beir", f"data.path={path}"])


def test_what_follows_from_the_checkpoint_is_settled(folder: Path, tmp_path: Path) -> None:
    old = trained(folder, tmp_path, dim=7, max_doc_words=9)
    made = frozen.settled(
        small(folder, tmp_path, dim=3, max_doc_words=50, doc_tower=FrozenTower(checkpoint="@latest"))
    )
    assert (made.dim, made.max_doc_words, made.share_words) == (7, 9, False)
    assert made.doc_tower == FrozenTower(checkpoint=str(old.resolve()), sha256=sidecar.sha256(old))
    (said,) = frozen.remarks(made)
    assert "dim 7" in said


def test_what_cannot_be_is_refused(folder: Path, tmp_path: Path) -> None:
    old = trained(folder, tmp_path)
    with pytest.raises(ValueError, match="tied: got true with doc_tower=frozen"):
        train.run(small(folder, tmp_path, tied=True, doc_tower=FrozenTower(checkpoint=str(old))))
    with pytest.raises(FileNotFoundError):
        train.run(small(folder, tmp_path, doc_tower=FrozenTower(checkpoint="nothing.pt")))
    with pytest.raises(ValueError, match="is not the file any more that it was"):
        train.run(small(folder, tmp_path, doc_tower=FrozenTower(checkpoint=str(old), sha256="0" * 64)))


def test_a_model_that_shares_sides_cannot_be_frozen(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the towers share words or layers"):
        Indexes(tmp_path).case.retriever.two_tower.freeze_docs()
