from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from twotower import config
from twotower.model import checkpoint, identity, sidecar
from twotower.model.retriever import Retriever
from twotower.model.two_tower import Shape, TwoTower
from twotower.text.tokenize import Tokenizer
from twotower.text.vocabulary import SPECIAL, Vocab

VOCAB = Vocab((*SPECIAL, "a", "b", "c"))


def retriever(seed: int = 0, *, share: bool = False, tied: bool = False, **changes: object) -> Retriever:
    torch.manual_seed(seed)
    tower = config.MLPTower(hidden_dim=4)
    shape = Shape(query_tower=tower, doc_tower=tower, dim=3, tied=tied, share_words=share)
    two_tower = TwoTower(shape, np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32))
    made = Retriever(two_tower, VOCAB, Tokenizer(), 8, 16)
    return replace(made, **changes)  # type: ignore[arg-type]


def test_one_tower_has_one_identity() -> None:
    assert identity.of_docs(retriever()) == identity.of_docs(retriever())
    assert identity.of_docs(retriever(1)) != identity.of_docs(retriever())


def test_the_query_side_does_not_matter() -> None:
    first, second = retriever(), retriever(max_query_words=3)
    with torch.no_grad():
        for parameter in second.two_tower.query_tower.parameters():
            parameter += 1
        second.two_tower.words.vectors += 1
    assert identity.of_docs(first) == identity.of_docs(second)


@pytest.mark.parametrize(
    "changes",
    [
        {"max_doc_words": 17},
        {"tokenizer": Tokenizer(r"\w+")},
        {"vocab": Vocab((*SPECIAL, "a", "c", "b"))},
    ],
)
def test_how_documents_are_read_does(changes: dict[str, object]) -> None:
    assert identity.of_docs(retriever(**changes)) != identity.of_docs(retriever())


def test_any_number_of_the_document_side_does() -> None:
    want = identity.of_docs(retriever())
    count = 0
    for name in retriever().two_tower.state_dict():
        if name.startswith(("doc_tower.", "doc_words.")):
            made = retriever()
            made.two_tower.state_dict()[name].view(-1)[0] += 1e-3
            assert identity.of_docs(made) != want, name
            count += 1
    assert count >= 3


def test_tied_and_shared_sides_are_read_where_they_are() -> None:
    made = retriever(share=True, tied=True)
    want = identity.of_docs(made)
    with torch.no_grad():
        made.two_tower.words.vectors += 1
    assert identity.of_docs(made) != want


def test_it_stands_in_the_checkpoint_and_survives_it(tmp_path: Path) -> None:
    made = retriever()
    checkpoint.save(tmp_path / "model.pt", made, {})
    want = identity.of_docs(made)
    assert sidecar.read(tmp_path / "model.pt")["doc_tower"] == want
    assert identity.of_docs(checkpoint.load(tmp_path / "model.pt").retriever) == want
