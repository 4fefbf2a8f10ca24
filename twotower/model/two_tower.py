"""The two-tower model: a word table, a query tower, a document tower.

    words.vectors (V, E)   query_tower.*   doc_tower.*   [doc_words.vectors, where words are not shared]

Towers of one kind start equal. Their vectors meet in one score matrix and nowhere else.
"""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from twotower import config
from twotower.model import towers
from twotower.model.towers import MLPTower
from twotower.model.words import WordTable


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What decides the model's form; `Train` has the same knobs."""

    query_tower: config.Tower
    doc_tower: config.Tower
    dim: int
    tied: bool
    share_words: bool

    @staticmethod
    def of(cfg: config.Train) -> "Shape":
        """The knobs of a run that decide the form; its document tower must not be frozen."""
        doc_tower = cfg.query_tower if cfg.tied else cfg.doc_tower
        assert not isinstance(doc_tower, config.FrozenTower)  # its checkpoint has the form
        return Shape(
            query_tower=cfg.query_tower,
            doc_tower=doc_tower,
            dim=cfg.dim,
            tied=cfg.tied,
            share_words=cfg.share_words,
        )


class TwoTower(nn.Module):
    """Queries and documents, as word ids, to unit vectors of one space."""

    def __init__(
        self, shape: Shape, vectors: NDArray[np.float32], idf: NDArray[np.float32] | None = None
    ) -> None:
        """`vectors` (V, E) start the word table, `idf` (V,) the MLP's word weights; left out they are 1."""
        super().__init__()
        weights = np.ones(len(vectors), dtype=np.float32) if idf is None else idf
        if len(weights) != len(vectors):
            raise ValueError(f"idf: {len(weights)} words, want {len(vectors)}, the rows of the word table")
        width = vectors.shape[1]
        self.form = shape
        self.docs_frozen = False
        self.words = WordTable(vectors)
        self.doc_words = None if shape.share_words else WordTable(vectors)
        self.query_tower = towers.build(shape.query_tower, width, shape.dim, weights)
        if shape.tied:
            self.doc_tower = self.query_tower
        elif shape.doc_tower == shape.query_tower:
            self.doc_tower = copy.deepcopy(self.query_tower)
        else:
            self.doc_tower = towers.build(shape.doc_tower, width, shape.dim, weights)

    @staticmethod
    def build(cfg: config.Train, vectors: NDArray[np.float32], idf: NDArray[np.float32]) -> "TwoTower":
        """The untrained model of a run; random weights come from torch's generator."""
        return TwoTower(Shape.of(cfg), vectors, idf)

    def embed_queries(self, ids: Int[Tensor, " n"], offsets: Int[Tensor, " bounds"]) -> Float[Tensor, "B D"]:
        """Unit vectors of queries."""
        vectors: Tensor = self.query_tower(self.words, ids, offsets)
        return vectors

    def embed_docs(self, ids: Int[Tensor, " n"], offsets: Int[Tensor, " bounds"]) -> Float[Tensor, "C D"]:
        """Unit vectors of documents."""
        words = self.words if self.doc_words is None else self.doc_words
        vectors: Tensor = self.doc_tower(words, ids, offsets)
        return vectors

    def freeze_docs(self) -> None:
        """Leave the document side as it is from now on, its word vectors too.

        Raises ValueError where it shares anything with the query side.
        """
        if self.doc_words is None or self.doc_tower is self.query_tower:
            raise ValueError(
                "freeze_docs: the towers share words or layers, want share_words=false, tied=false"
            )
        self.docs_frozen = True
        self.doc_tower.requires_grad_(False).eval()
        self.doc_words.requires_grad_(False)

    def train(self, mode: bool = True) -> "TwoTower":
        """As of every module; a frozen document tower drops nothing out."""
        super().train(mode)
        if self.docs_frozen:
            self.doc_tower.eval()
        return self

    def train_words(self, trained: bool) -> None:
        """Train the word vectors from now on, or leave them as they are; word weights are always trained."""
        for table in (self.words, None if self.docs_frozen else self.doc_words):
            if table is not None:
                table.vectors.requires_grad_(trained)
                if not trained:
                    table.vectors.grad = None

    def rates(self, words: float) -> dict[str, float]:
        """Learning rate of each parameter by its name, as a multiple of the run's.

        It is `words` for what has one row a word, vectors and weights: few batches hold a word, and its row
        must move in those.
        """
        layers = {"query_tower": self.form.query_tower.rate, "doc_tower": self.form.doc_tower.rate}
        return {
            name: words if name.endswith((".vectors", ".word_weights")) else layers[name.split(".")[0]]
            for name, _ in self.named_parameters()
        }

    def numpy_query_tower(self) -> dict[str, NDArray[Any]]:
        """The arrays of `twotower.search.numpy_tower.NumpyMLP`; empty for a query tower of another kind."""
        return _numpy(self.query_tower, self.words)

    def numpy_doc_tower(self) -> dict[str, NDArray[Any]]:
        """The same of the document tower."""
        return _numpy(self.doc_tower, self.words if self.doc_words is None else self.doc_words)


def _numpy(tower: towers.Tower, words: WordTable) -> dict[str, NDArray[Any]]:
    if not isinstance(tower, MLPTower):
        return {}
    arrays: dict[str, Tensor] = {"words": words.vectors * tower.word_weights[:, None]}
    if tower.bag is config.Bag.mean:
        arrays["weights"] = tower.word_weights.abs()
    for number, layer in enumerate(tower.dense):
        arrays |= {f"weight_{number}": layer.weight, f"bias_{number}": layer.bias}
    return {name: array.detach().cpu().numpy() for name, array in arrays.items()}
