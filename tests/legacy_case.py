"""Older checkpoints as older scripts wrote them, from plain torch modules that compute their vectors."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

WORDS = ("<PAD>", "<UNK>", "the", "cat", "sat", "on", "mat", "dog", "ran")
RESULTS = {
    "MRR": np.float64(0.41), "MRR@10": np.float32(0.375), "eval_recall@10": np.float64(1.0),
    "num_queries": np.int64(48), "loss": np.float64(0.7), "evaluation_type": "full_eval",
}  # fmt: skip
TEXTS = ("the cat sat on the mat", "dog", "a cat ran", "zebra zebra", "mat mat mat the")


class OlderMLP(nn.Module):
    """Linear layers over the mean of a text's word vectors, without padding."""

    def __init__(self, hidden: Sequence[int] = (7,), activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(WORDS), 5)
        self.query_tower, self.document_tower = (self._stack(hidden, activation) for _ in range(2))

    @staticmethod
    def _stack(hidden: Sequence[int], activation: type[nn.Module]) -> nn.Sequential:
        widths, layers = [5, *hidden], []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), activation(), nn.Dropout(0.1)]
        return nn.Sequential(*layers, nn.Linear(widths[-1], 6))

    def vectors(self, side: str, texts: Sequence[Sequence[int]]) -> Tensor:
        """Vectors (n, 6) of texts as ids, a text without any being zeros before the layers."""
        tower = getattr(self, f"{side}_tower")
        means = [self.embedding(torch.tensor(ids)).mean(0) if len(ids) else torch.zeros(5) for ids in texts]
        return F.normalize(tower(torch.stack(means)))


class OlderGRU(nn.Module):
    """A packed nn.GRU, its last or mean states projected."""

    def __init__(self, *, layers: int = 1, both: bool = False, pooling: str = "last", **more: Any) -> None:
        super().__init__()
        self.pooling = pooling
        self.embedding = nn.Embedding(len(WORDS), 5)
        self.query_rnn, self.document_rnn = (
            nn.GRU(5, 4, num_layers=layers, bidirectional=both, batch_first=True, **more) for _ in range(2)
        )
        self.query_projection, self.document_projection = (nn.Linear(4 * (1 + both), 6) for _ in range(2))

    def vectors(self, side: str, texts: Sequence[Sequence[int]]) -> Tensor:
        """Vectors (n, 6) of texts as ids."""
        lengths = torch.tensor([len(ids) for ids in texts])
        padded = nn.utils.rnn.pad_sequence([torch.tensor(ids) for ids in texts], batch_first=True)
        packed = pack_padded_sequence(self.embedding(padded), lengths, True, enforce_sorted=False)
        states, last = getattr(self, f"{side}_rnn")(packed)
        if self.pooling == "last":
            ends = last[-2:] if self.query_rnn.bidirectional else last[-1:]
            pooled = torch.cat(list(ends), dim=1)
        else:
            pooled = pad_packed_sequence(states, batch_first=True)[0].sum(1) / lengths[:, None]
        return F.normalize(getattr(self, f"{side}_projection")(pooled))


def ids_of(text: str, words: Sequence[str] = WORDS, *, skip: bool = False) -> list[int]:
    """A text's ids as older scripts did: lower case, split at spaces, unknown words <UNK> or left out."""
    known = [word for word in text.lower().split() if not skip or word in words]
    return [words.index(word) if word in words else words.index("<UNK>") for word in known]


def write(path: Path, model: nn.Module, **content: Any) -> Path:
    """An older checkpoint of `model` at `path`; `content` replaces or adds keys, None takes one away."""
    table = model.embedding.weight.detach()
    base: Mapping[str, Any] = {
        "model_state_dict": model.state_dict(),
        "embedding_matrix": table.numpy().astype(np.float64),
        "word_to_index": {word: place for place, word in enumerate(WORDS)},
        "index_to_word": dict(enumerate(WORDS)),
        "model_config": {
            "embedding_dim": np.int64(5),
            "max_query_length": 20,
            "max_doc_length": np.int32(30),
        },
        "training_stats": [{"epoch": 1, "train_loss": np.float32(0.9)}],
        "epoch": np.int64(3),
        "eval_results": dict(RESULTS),
    }
    torch.save({key: one for key, one in {**base, **content}.items() if one is not None}, path)
    return path
