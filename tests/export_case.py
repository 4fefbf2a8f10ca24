"""A checkpoint of an untrained model on disk, as `twotower train` records one, and texts to encode."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.board_case import PROTOCOL
from twotower import config
from twotower.model import checkpoint, sidecar
from twotower.model.retriever import Retriever
from twotower.model.two_tower import Shape, TwoTower
from twotower.text.tokenize import Tokenizer
from twotower.text.vocabulary import SPECIAL, Vocab

MLP = config.MLPTower(hidden_dim=12)
TEXTS = [
    "", "   ", "?!", "read a csv file", "CSV csv CsV", "nothing known here",
    "csv " * 40, "file row " * 20 + "csv", "Zürich №5 naïve café", "ﬁle ｆｉｌｅ", "ΟΔΟΣ ΣΑΣ",
    "привет мир", "東京 タワー", "नमस्ते", "מרחבא", "한국어", "🙂 csv 🙂",
]  # fmt: skip
WORDS = ("csv", "file", "read", "row", "a", "zürich", "no", "5", "οδος", "привет", "東京", "नमस्ते", "한국어")
METRICS = {"mrr_10": 0.5, "recall_10": 0.75, "queries": 4, "judged": 4}
RECORD: dict[str, Any] = {
    "run": "case-000000",
    "created": "2026-01-01T00:00:00",
    "epoch": 3,
    "eval_results": METRICS,
    "floors": {"untrained": {"mrr_10": 0.25}},
    "protocol": PROTOCOL.to_dict(),
    "data": {
        "name": "tiny",
        "source": {"kind": "beir", "path": "/home/someone/tiny"},
        "hash": "0123456789abcdef",
        "documents": 1234,
        "queries": {"train": 40, "dev": 10},
        "vectors": {"source": "/home/someone/glove.txt", "coverage": 0.9},
    },
    "training_stats": {"config": {"seed": 7}},
    "cost": {"parameters": 1000},
    "environment": {"twotower": "0.1.0"},
}


def retriever(query: config.Tower = MLP, doc: config.Tower | None = None, **form: bool) -> Retriever:
    """Random weights; the two sides read 8 and 16 words. `form` may say `tied` and `share_words`."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    vocab = Vocab((*SPECIAL, *WORDS))
    tied = form.get("tied", False)
    shape = Shape(
        query_tower=query,
        doc_tower=query if tied else doc or query,
        dim=6,
        tied=tied,
        share_words=form.get("share_words", True),
    )
    vectors = rng.normal(size=(len(vocab), 5)).astype(np.float32)
    two_tower = TwoTower(shape, vectors, rng.random(len(vocab)).astype(np.float32)).eval()
    with torch.no_grad():  # towers of one kind and their words start equal; a trained model's differ
        for parameter in two_tower.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return Retriever(two_tower, vocab, Tokenizer(), 8, 16)


def put(folder: Path, model: Retriever | None = None, run: str = "case-000000") -> Path:
    """A checkpoint of `model` with its sidecar and the values of four queries."""
    path = folder / f"two_tower_best_{run}_20260101_000000.pt"
    checkpoint.save(path, model or retriever(), {**RECORD, "run": run})
    values = {"mrr_10": np.array([1.0, 0.5, 0.5, 0.0]), "recall_10": np.array([1.0, 1.0, 1.0, 0.0])}
    np.savez(sidecar.per_query_of(path), query_ids=np.array(["a", "b", "c", "d"]), **values)
    return path
